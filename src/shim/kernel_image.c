// SPDX-License-Identifier: MIT
/*
 * Two questions about a kernel file, answered from its bytes alone: how is it packed, and what is inside. The order
 * of the tests matters: a bzImage with an EFI stub begins like any Windows program ("MZ"), and so do the kernels of
 * other machines, so the x86 setup header is looked for before a foreign one is named.
 *
 * Offsets of the setup header: Documentation/arch/x86/boot.rst of Linux.
 */
#include "shim/kernel_image.h"

#include <elf.h>
#include <string.h>

#include <xen/elfnote.h>

#include "shim/elf.h"
#include "vmm/error.h"

#define REMEDY_X86 "give a kernel built for x86-64"
#define REMEDY_GET "get the file again"

enum setup_header {
	SETUP_SECTS = 0x1f1,
	SETUP_BOOT_FLAG = 0x1fe,
	SETUP_MAGIC = 0x202,
	SETUP_VERSION = 0x206,
	SETUP_PAYLOAD_OFFSET = 0x248,
	SETUP_PAYLOAD_LENGTH = 0x24c,
	SETUP_PAYLOAD_END = 0x250,
	SETUP_SECTOR_BYTES = 512,
	SETUP_DEFAULT_SECTS = 4,       /* what a zero means */
	SETUP_VERSION_PAYLOAD = 0x208, /* first version with the payload fields */
	SIZE_TRAILER_BYTES = 4,
};

static uint16_t get_u16(const uint8_t *bytes)
{
	return (uint16_t)(bytes[0] | bytes[1] << 8);
}

static uint32_t get_u32(const uint8_t *bytes)
{
	return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static gboolean has_magic(const uint8_t *bytes, size_t len_bytes, size_t offset, const char *magic, size_t magic_len)
{
	return offset <= len_bytes && magic_len <= len_bytes - offset && memcmp(bytes + offset, magic, magic_len) == 0;
}

/* A string constant as magic: may contain NULs. */
#define HAS_MAGIC(bytes, len_bytes, offset, magic) has_magic(bytes, len_bytes, offset, magic, sizeof(magic) - 1)

static enum kernel_compression compression_of(const uint8_t *bytes, size_t len_bytes)
{
	static const struct {
		enum kernel_compression compression;
		uint8_t magic_len;
		char magic[6];
	} table[] = {
		{KERNEL_COMPRESSION_GZIP, 2, {'\x1f', '\x8b'}},
		{KERNEL_COMPRESSION_BZIP2, 3, {'B', 'Z', 'h'}},
		/* The first property byte of every encoder's default, and a dictionary of at least 64 KiB. */
		{KERNEL_COMPRESSION_LZMA, 3, {'\x5d', '\0', '\0'}},
		{KERNEL_COMPRESSION_XZ, 6, {'\xfd', '7', 'z', 'X', 'Z', '\0'}},
		{KERNEL_COMPRESSION_LZO, 4, {'\x89', 'L', 'Z', 'O'}},
		{KERNEL_COMPRESSION_LZ4, 4, {'\x02', '\x21', '\x4c', '\x18'}},
		{KERNEL_COMPRESSION_LZ4, 4, {'\x04', '\x22', '\x4d', '\x18'}},
		{KERNEL_COMPRESSION_ZSTD, 4, {'\x28', '\xb5', '\x2f', '\xfd'}},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(table); i++)
		if (has_magic(bytes, len_bytes, 0, table[i].magic, table[i].magic_len))
			return table[i].compression;
	return KERNEL_COMPRESSION_NONE;
}

/* The name of a kernel format that no Xen guest on x86 can have, or NULL. */
static const char *foreign_format(const uint8_t *bytes, size_t len_bytes)
{
	if (HAS_MAGIC(bytes, len_bytes, 0x38, "ARM\x64"))
		return "an arm64 kernel (Image)";
	if (HAS_MAGIC(bytes, len_bytes, 0x38, "RSC\x05"))
		return "a RISC-V kernel (Image)";
	if (HAS_MAGIC(bytes, len_bytes, 0x24, "\x18\x28\x6f\x01"))
		return "a 32-bit arm kernel (zImage)";
	if (HAS_MAGIC(bytes, len_bytes, 0, "\x27\x05\x19\x56"))
		return "a U-Boot image (uImage)";
	if (HAS_MAGIC(bytes, len_bytes, 0, "MZ") && HAS_MAGIC(bytes, len_bytes, 4, "zimg"))
		return "a compressed EFI kernel of another machine (vmlinuz.efi)";
	return NULL;
}

static uint64_t bzimage_payload_offset(const uint8_t *bytes)
{
	uint32_t sects = bytes[SETUP_SECTS] != 0 ? bytes[SETUP_SECTS] : SETUP_DEFAULT_SECTS;

	return (uint64_t)(sects + 1) * SETUP_SECTOR_BYTES + get_u32(bytes + SETUP_PAYLOAD_OFFSET);
}

static gboolean is_bzimage(const uint8_t *bytes, size_t len_bytes)
{
	return HAS_MAGIC(bytes, len_bytes, SETUP_MAGIC, "HdrS") &&
	       HAS_MAGIC(bytes, len_bytes, SETUP_BOOT_FLAG, "\x55\xaa");
}

static gboolean parse_bzimage(const uint8_t *bytes, size_t len_bytes, const char *name, struct kernel_image *image,
			      GError **error)
{
	uint32_t version, length;
	uint64_t offset;

	if (len_bytes < SETUP_PAYLOAD_END) {
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_FILE,
			    "%s: a bzImage truncated inside its setup header (%zu bytes): " REMEDY_GET, name,
			    len_bytes);
		return FALSE;
	}
	version = get_u16(bytes + SETUP_VERSION);
	if (version < SETUP_VERSION_PAYLOAD) {
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_FILE,
			    "%s: a bzImage of boot protocol %u.%02u, older than 2.08 "
			    "(Linux 2.6.26): give its vmlinux, or a newer kernel",
			    name, version >> 8, version & 0xff);
		return FALSE;
	}
	offset = bzimage_payload_offset(bytes);
	length = get_u32(bytes + SETUP_PAYLOAD_LENGTH);
	if (length <= SIZE_TRAILER_BYTES || offset > len_bytes || length > len_bytes - offset) {
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_FILE,
			    "%s: a truncated or damaged bzImage: its payload should end at byte %" G_GUINT64_FORMAT
			    ", the file has %zu: " REMEDY_GET,
			    name, offset + length, len_bytes);
		return FALSE;
	}
	image->container = KERNEL_BZIMAGE;
	image->payload_offset_bytes = (size_t)offset;
	image->payload_len_bytes = length;
	image->compression = compression_of(bytes + offset, length);
	if (image->compression == KERNEL_COMPRESSION_NONE) {
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_FILE,
			    "%s: a bzImage whose payload has an unknown compression "
			    "(%02x %02x %02x %02x): " REMEDY_GET ", or give its vmlinux",
			    name, bytes[offset], bytes[offset + 1], bytes[offset + 2], bytes[offset + 3]);
		return FALSE;
	}
	image->unpacked_bytes = get_u32(bytes + offset + length - SIZE_TRAILER_BYTES);
	/* gzip ends with that number by itself, so Linux' build appends none: cutting it off would damage the stream.
	 */
	if (image->compression != KERNEL_COMPRESSION_GZIP)
		image->payload_len_bytes -= SIZE_TRAILER_BYTES;
	return TRUE;
}

gboolean kernel_image_peek(const uint8_t *head, size_t head_bytes, size_t file_bytes, size_t *payload_offset_bytes,
			   size_t *payload_len_bytes)
{
	uint64_t offset, length;

	if (!is_bzimage(head, head_bytes) || head_bytes < SETUP_PAYLOAD_END)
		return FALSE;
	offset = bzimage_payload_offset(head);
	length = get_u32(head + SETUP_PAYLOAD_LENGTH);
	if (length <= SIZE_TRAILER_BYTES || offset > file_bytes || length > file_bytes - offset)
		return FALSE;
	*payload_offset_bytes = (size_t)offset;
	*payload_len_bytes = (size_t)length;
	return TRUE;
}

static gboolean check_machine(const struct elf_image *elf, const char *name, GError **error)
{
	const char *machine = elf_machine_name(elf->machine);

	if (elf->machine == EM_X86_64 || elf->machine == EM_386)
		return TRUE;
	if (machine != NULL)
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_FILE, "%s: a kernel for %s: " REMEDY_X86, name, machine);
	else
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_FILE,
			    "%s: a kernel for an unknown machine (ELF machine %u): " REMEDY_X86, name, elf->machine);
	return FALSE;
}

gboolean kernel_image_parse(const uint8_t *bytes, size_t len_bytes, const char *name, struct kernel_image *image,
			    GError **error)
{
	const char *foreign;

	*image = (struct kernel_image){.container = KERNEL_ELF, .payload_len_bytes = len_bytes};
	if (len_bytes == 0) {
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_FILE, "%s: the file is empty: " REMEDY_GET, name);
		return FALSE;
	}
	if (elf_has_magic(bytes, len_bytes)) {
		struct elf_image elf;

		return elf_open(&elf, bytes, len_bytes, name, error) && check_machine(&elf, name, error);
	}
	if (is_bzimage(bytes, len_bytes))
		return parse_bzimage(bytes, len_bytes, name, image, error);

	image->compression = compression_of(bytes, len_bytes);
	if (image->compression != KERNEL_COMPRESSION_NONE) {
		image->container = KERNEL_COMPRESSED_ELF;
		return TRUE;
	}
	foreign = foreign_format(bytes, len_bytes);
	if (foreign != NULL)
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_FILE, "%s: %s: " REMEDY_X86, name, foreign);
	else if (HAS_MAGIC(bytes, len_bytes, 0, "MZ"))
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_FILE,
			    "%s: an EFI program without a Linux setup header: if it is a unified kernel image, take "
			    "the kernel out by: objcopy -O binary --only-section=.linux",
			    name);
	else
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_FILE,
			    "%s: not a kernel: neither a bzImage nor an ELF (vmlinux), compressed or not: give the "
			    "vmlinuz of a Linux built with CONFIG_XEN_PV",
			    name);
	return FALSE;
}

/* Notes are the guest's: only printable ASCII may reach a terminal. */
static void copy_text(char *to, size_t to_size, const uint8_t *from, size_t from_len)
{
	size_t n = MIN(strnlen((const char *)from, from_len), to_size - 1);

	for (size_t i = 0; i < n; i++)
		to[i] = g_ascii_isprint((gchar)from[i]) ? (char)from[i] : '?';
	to[n] = '\0';
}

static void read_xen_notes(const struct elf_image *image, struct kernel_elf *elf)
{
	gboolean has_entry = FALSE, has_pv_hint = FALSE;
	struct elf_notes notes;
	struct elf_note note;
	uint64_t number;

	elf_notes_begin(&notes, image);
	while (elf_notes_next(&notes, &note)) {
		if (!elf_note_owner_is(&note, "Xen"))
			continue;
		elf->has_xen_notes = TRUE;
		switch (note.type) {
		case XEN_ELFNOTE_ENTRY:
			has_entry = TRUE;
			break;
		case XEN_ELFNOTE_HYPERCALL_PAGE:
			has_pv_hint = TRUE;
			break;
		case XEN_ELFNOTE_GUEST_OS:
			has_pv_hint = TRUE;
			copy_text(elf->guest_os, sizeof(elf->guest_os), note.desc, note.desc_len);
			break;
		case XEN_ELFNOTE_PAE_MODE:
			/* "yes", "yes[extended-cr3]" or "bimodal". */
			elf->is_pae = note.desc_len >= 3 && (memcmp(note.desc, "yes", 3) == 0 || memcmp(note.desc, "bim", 3) == 0);
			break;
		case XEN_ELFNOTE_PHYS32_ENTRY:
			if (elf_note_number(&note, &number) && number <= UINT32_MAX) {
				elf->has_phys32_entry = TRUE;
				elf->phys32_entry = (uint32_t)number;
			}
			break;
		default:
			break;
		}
	}
	/*
	 * Linux names its OS and hypercall page whenever it knows Xen at all; beside a PVH entry these say nothing
	 * about PV. Without a PVH entry there is nothing but PV they can be for (Xen then enters at e_entry).
	 */
	elf->is_pv = has_entry || (has_pv_hint && !elf->has_phys32_entry);
}

gboolean kernel_elf_parse(const uint8_t *bytes, size_t len_bytes, const char *name, struct kernel_elf *elf,
			  GError **error)
{
	uint64_t first = UINT64_MAX, last = 0;
	struct elf_image image;

	*elf = (struct kernel_elf){.is_64bit = FALSE};
	if (!elf_open(&image, bytes, len_bytes, name, error) || !check_machine(&image, name, error))
		return FALSE;
	for (uint32_t i = 0; i < image.n_segments; i++) {
		struct elf_segment segment = elf_segment(&image, i);

		if (segment.type != PT_LOAD || segment.mem_bytes == 0)
			continue;
		first = MIN(first, segment.gpa);
		last = MAX(last, segment.gpa + segment.mem_bytes);
	}
	if (last == 0) {
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_FILE,
			    "%s: an ELF with nothing to load (an object file or a module?): give a linked kernel",
			    name);
		return FALSE;
	}
	elf->is_64bit = image.is_64bit;
	elf->machine = image.machine;
	elf->load_bytes = last - first;
	elf->load_end = last;
	read_xen_notes(&image, elf);
	return TRUE;
}
