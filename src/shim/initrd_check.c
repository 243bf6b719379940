// SPDX-License-Identifier: MIT
/*
 * The formats of Linux: init/initramfs.c (cpio), lib/decompress.c (compressed, two bytes decide), and
 * init/do_mounts_rd.c (images of file systems).
 */
#include "shim/initrd_check.h"

#include <string.h>

#include "shim/elf.h"
#include "shim/kernel_image.h"
#include "vmm/error.h"

static const struct {
	uint16_t offset;
	uint8_t len_bytes;
	char magic[8];
} FORMATS[] = {
	{ 0, 6, "070701" }, /* cpio, newc */
	{ 0, 6, "070702" },
	{ 0, 2, "\x1f\x8b" }, /* gzip */
	{ 0, 2, "\x1f\x9e" },
	{ 0, 2, "BZ" },
	{ 0, 2, "\x5d\x00" }, /* lzma */
	{ 0, 2, "\xfd\x37" }, /* xz */
	{ 0, 2, "\x89\x4c" }, /* lzo */
	{ 0, 2, "\x02\x21" }, /* lz4, its old format; Linux knows no other */
	{ 0, 2, "\x28\xb5" }, /* zstd */
	{ 0, 8, "-rom1fs-" },
	{ 0, 4, "\x45\x3d\xcd\x28" }, /* cramfs */
	{ 512, 4, "\x45\x3d\xcd\x28" },
	{ 0, 4, "hsqs" },	 /* squashfs */
	{ 1080, 2, "\x53\xef" }, /* ext2 to ext4 */
	{ 1040, 2, "\x7f\x13" }, /* minix */
	{ 1040, 2, "\x8f\x13" },
	{ 1040, 2, "\x68\x24" },
	{ 1040, 2, "\x78\x24" },
};

/* What makes padding between archives: Linux skips it. */
static size_t skip_zeros(const struct boot_image *initrd)
{
	size_t at = 0;

	while (at < initrd->len_bytes && initrd->bytes[at] == 0)
		at++;
	return at;
}

static gboolean has_known_format(const struct boot_image *initrd)
{
	size_t archive_at = skip_zeros(initrd);

	for (size_t i = 0; i < G_N_ELEMENTS(FORMATS); i++) {
		/* Archives may follow zeros; images of file systems lie where they lie. */
		for (int skip = 0; skip < 2; skip++) {
			size_t at = (skip ? archive_at : 0) + FORMATS[i].offset;

			if (at <= initrd->len_bytes && FORMATS[i].len_bytes <= initrd->len_bytes - at &&
			    memcmp(initrd->bytes + at, FORMATS[i].magic, FORMATS[i].len_bytes) == 0)
				return TRUE;
		}
	}
	return FALSE;
}

static gboolean is_linux(const struct boot_image *kernel)
{
	struct kernel_elf elf;

	return elf_has_magic(kernel->bytes, kernel->len_bytes) &&
	       kernel_elf_parse(kernel->bytes, kernel->len_bytes, kernel->name, &elf, NULL) &&
	       g_ascii_strcasecmp(elf.guest_os, "linux") == 0;
}

gboolean initrd_check(const struct boot_image *kernel, const struct boot_image *initrd, GError **error)
{
	if (initrd->len_bytes == 0 || !is_linux(kernel) || has_known_format(initrd))
		return TRUE;
	g_set_error(error, DOM1_ERROR, DOM1_STATUS_FILE,
		    "%s: no initrd that Linux knows: neither a cpio archive (newc), compressed or not, nor the image of a file "
		    "system: get the file again, or make it anew",
		    initrd->name);
	return FALSE;
}
