// SPDX-License-Identifier: MIT
/* elf.c and kernel_image.c: good files, named bad files, every prefix, ten thousand mutations. */
#include "images.h"

#include <elf.h>
#include <string.h>

#include <archive.h>

#include "shim/elf.h"
#include "shim/kernel_image.h"
#include "vmm/error.h"

static void assert_file_error(GError *error)
{
	g_assert_error(error, DOM1_ERROR, DOM1_STATUS_FILE);
	/* One line that names the file. */
	g_assert_nonnull(strstr(error->message, "FILE"));
	g_assert_null(strchr(error->message, '\n'));
}

/* Reads each byte, so that a sanitizer sees a range that leaves the block. */
static void touch(const void *bytes, size_t len)
{
	const volatile uint8_t *p = bytes;

	for (size_t i = 0; i < len; i++)
		(void)p[i];
}

static void assert_inside(const uint8_t *bytes, size_t len, const void *part, size_t part_len)
{
	const uint8_t *p = part;

	g_assert_true(p >= bytes && part_len <= len && (size_t)(p - bytes) <= len - part_len);
	touch(part, part_len);
}

static gboolean check_elf(const uint8_t *bytes, size_t len, gconstpointer user)
{
	g_autoptr(GError) error = NULL;
	struct elf_notes notes;
	struct elf_image elf;
	struct elf_note note;
	unsigned int n_notes = 0;

	(void)user;
	if (!elf_open(&elf, bytes, len, "FILE", &error)) {
		assert_file_error(error);
		return FALSE;
	}
	g_assert_no_error(error);
	for (uint32_t i = 0; i < elf.n_segments; i++) {
		struct elf_segment segment = elf_segment(&elf, i);

		if (segment.type != PT_LOAD && segment.type != PT_NOTE)
			continue;
		g_assert_true(segment.file_bytes <= len && segment.offset <= len - segment.file_bytes);
		touch(bytes + segment.offset, (size_t)segment.file_bytes);
		if (segment.type == PT_LOAD) {
			g_assert_cmpuint(segment.file_bytes, <=, segment.mem_bytes);
			g_assert_cmpuint(segment.gpa + segment.mem_bytes, >=, segment.gpa);
		}
	}
	elf_notes_begin(&notes, &elf);
	while (elf_notes_next(&notes, &note)) {
		uint64_t number;

		assert_inside(bytes, len, note.owner, note.owner_len);
		assert_inside(bytes, len, note.desc, note.desc_len);
		(void)elf_note_number(&note, &number);
		/* It ends: each note takes 12 bytes of one of at most 65534 + 65535 containers. */
		g_assert_cmpuint(++n_notes, <, 1 << 24);
	}
	return TRUE;
}

static gboolean check_kernel_image(const uint8_t *bytes, size_t len, gconstpointer user)
{
	g_autoptr(GError) error = NULL;
	struct kernel_image image;

	(void)user;
	if (!kernel_image_parse(bytes, len, "FILE", &image, &error)) {
		assert_file_error(error);
		return FALSE;
	}
	g_assert_no_error(error);
	g_assert_cmpuint(image.payload_len_bytes, >, 0);
	assert_inside(bytes, len, bytes + image.payload_offset_bytes, image.payload_len_bytes);
	g_assert_true((image.container == KERNEL_ELF) == (image.compression == KERNEL_COMPRESSION_NONE));
	return TRUE;
}

static gboolean check_kernel_elf(const uint8_t *bytes, size_t len, gconstpointer user)
{
	g_autoptr(GError) error = NULL;
	struct kernel_elf elf;

	(void)user;
	if (!kernel_elf_parse(bytes, len, "FILE", &elf, &error)) {
		assert_file_error(error);
		return FALSE;
	}
	g_assert_no_error(error);
	g_assert_true(elf.machine == EM_X86_64 || elf.machine == EM_386);
	g_assert_cmpuint(elf.load_bytes, >, 0);
	g_assert_nonnull(memchr(elf.guest_os, '\0', sizeof(elf.guest_os)));
	g_assert_true(elf.has_xen_notes || (!elf.is_pv && !elf.has_phys32_entry && elf.guest_os[0] == '\0'));
	return TRUE;
}

static void damage(const GByteArray *image, image_check check)
{
	image_every_prefix(image, check, NULL);
	image_mutations(image, check, NULL);
}

/* The notes as sections: as in a kernel that is linked without PT_NOTE. */
static GByteArray *notes_in_sections(void)
{
	GByteArray *image = image_vmlinux(EM_X86_64, 0, 1);
	guint at = image->len;
	uint64_t offset, len;

	memcpy(&offset, image->data + 120 + 8, 8);
	memcpy(&len, image->data + 120 + 32, 8);
	image_put32(image, 120, PT_NULL);
	g_byte_array_set_size(image, at + 2 * 64);
	memset(image->data + at, 0, 2 * 64);
	image_put64(image, 40, at); /* e_shoff */
	image_put16(image, 58, 64);
	image_put16(image, 60, 2);
	image_put32(image, at + 64 + 4, SHT_NOTE);
	image_put64(image, at + 64 + 24, offset);
	image_put64(image, at + 64 + 32, len);
	image_put64(image, at + 64 + 48, 4);
	return image;
}

static void test_elf_damage(void)
{
	g_autoptr(GByteArray) shim = image_shim();
	g_autoptr(GByteArray) vmlinux = image_vmlinux(EM_X86_64, 64, 1);
	g_autoptr(GByteArray) sections = notes_in_sections();

	damage(shim, check_elf);
	damage(vmlinux, check_elf);
	damage(sections, check_elf);
}

static void test_kernel_elf_damage(void)
{
	g_autoptr(GByteArray) vmlinux = image_vmlinux(EM_X86_64, 64, 1);
	g_autoptr(GByteArray) sections = notes_in_sections();

	damage(vmlinux, check_kernel_elf);
	damage(sections, check_kernel_elf);
}

static void test_kernel_image_damage(void)
{
	g_autoptr(GByteArray) vmlinux = image_vmlinux(EM_X86_64, 64, 1);
	g_autoptr(GByteArray) gzip = image_packed(vmlinux, ARCHIVE_FILTER_GZIP);
	g_autoptr(GByteArray) bzimage = image_bzimage(gzip, FALSE, 0);

	damage(vmlinux, check_kernel_image);
	damage(gzip, check_kernel_image);
	damage(bzimage, check_kernel_image);
}

static void assert_good_elf(const GByteArray *image)
{
	g_autoptr(GError) error = NULL;
	struct kernel_elf elf;

	g_assert_true(kernel_elf_parse(image->data, image->len, "FILE", &elf, &error));
	g_assert_no_error(error);
	g_assert_true(elf.is_64bit);
	g_assert_cmpuint(elf.machine, ==, EM_X86_64);
	g_assert_true(elf.has_xen_notes);
	g_assert_true(elf.is_pv);
	g_assert_true(elf.has_phys32_entry);
	g_assert_cmphex(elf.phys32_entry, ==, IMAGE_VMLINUX_PVH_ENTRY);
	g_assert_cmpstr(elf.guest_os, ==, "linux");
	g_assert_cmpuint(elf.load_bytes, ==, IMAGE_VMLINUX_MEM_BYTES);
}

static void test_kernel_elf_good(void)
{
	g_autoptr(GByteArray) vmlinux = image_vmlinux(EM_X86_64, 64, 1);
	g_autoptr(GByteArray) sections = notes_in_sections();

	assert_good_elf(vmlinux);
	assert_good_elf(sections);
}

/* Linux without PV names its OS and hypercall page all the same. */
static void test_kernel_elf_pvh_only(void)
{
	g_autoptr(GByteArray) vmlinux = image_vmlinux(EM_X86_64, 0, 1);
	struct kernel_elf elf;

	/* The second note is the PV entry: 12 + 4 + 8 bytes of the first lie before it. */
	g_assert_cmpuint(vmlinux->data[176 + 24 + 8], ==, 1);
	image_put32(vmlinux, 176 + 24 + 8, 5);
	g_assert_true(kernel_elf_parse(vmlinux->data, vmlinux->len, "FILE", &elf, NULL));
	g_assert_false(elf.is_pv);
	g_assert_true(elf.has_phys32_entry);
	/* Without the PVH entry as well (the last note), it can only be PV. */
	g_assert_cmpuint(vmlinux->data[176 + 24 + 24 + 24 + 8], ==, 18);
	image_put32(vmlinux, 176 + 24 + 24 + 24 + 8, 5);
	g_assert_true(kernel_elf_parse(vmlinux->data, vmlinux->len, "FILE", &elf, NULL));
	g_assert_true(elf.is_pv);
}

/* What a guest says of itself must not drive a terminal. */
static void test_kernel_elf_guest_os_printable(void)
{
	g_autoptr(GByteArray) vmlinux = image_vmlinux(EM_X86_64, 0, 1);
	struct kernel_elf elf;

	vmlinux->data[176 + 16] = 0x1b;
	g_assert_true(kernel_elf_parse(vmlinux->data, vmlinux->len, "FILE", &elf, NULL));
	g_assert_cmpstr(elf.guest_os, ==, "?inux");
}

static void test_bzimage_good(void)
{
	static const struct {
		const char *magic;
		size_t magic_len;
		enum kernel_compression compression;
	} cases[] = {
		{"\x1f\x8b\x08", 3, KERNEL_COMPRESSION_GZIP},
		{"BZh9", 4, KERNEL_COMPRESSION_BZIP2},
		{"\x5d\0\0\x80", 4, KERNEL_COMPRESSION_LZMA},
		{"\xfd"
		 "7zXZ\0",
		 6, KERNEL_COMPRESSION_XZ},
		{"\x89LZO\0\r\n", 7, KERNEL_COMPRESSION_LZO},
		{"\x02\x21\x4c\x18", 4, KERNEL_COMPRESSION_LZ4},
		{"\x28\xb5\x2f\xfd", 4, KERNEL_COMPRESSION_ZSTD},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		gboolean trailer = cases[i].compression != KERNEL_COMPRESSION_GZIP;
		g_autoptr(GByteArray) payload = g_byte_array_new();
		g_autoptr(GByteArray) bzimage = NULL;
		g_autoptr(GError) error = NULL;
		struct kernel_image image;

		g_byte_array_append(payload, (const guint8 *)cases[i].magic, (guint)cases[i].magic_len);
		g_byte_array_set_size(payload, 100);
		image_put32(payload, 96, 0x12345); /* gzip: its own */
		bzimage = image_bzimage(payload, trailer, 0x12345);
		g_assert_true(kernel_image_parse(bzimage->data, bzimage->len, "FILE", &image, &error));
		g_assert_no_error(error);
		g_assert_cmpint(image.container, ==, KERNEL_BZIMAGE);
		g_assert_cmpint(image.compression, ==, cases[i].compression);
		g_assert_cmpuint(image.payload_offset_bytes, ==, 1024 + 0x40);
		g_assert_cmpuint(image.payload_len_bytes, ==, 100);
		g_assert_cmphex(image.unpacked_bytes, ==, 0x12345);
	}
}

static void assert_refused(const GByteArray *image, const char *word)
{
	g_autoptr(GError) error = NULL;
	struct kernel_image parsed;

	g_assert_false(kernel_image_parse(image->data, image->len, "FILE", &parsed, &error));
	assert_file_error(error);
	if (strstr(error->message, word) == NULL)
		g_error("\"%s\" lacks \"%s\"", error->message, word);
}

static void test_other_machines(void)
{
	g_autoptr(GByteArray) arm64 = image_vmlinux(EM_AARCH64, 0, 1);
	g_autoptr(GByteArray) big_endian = image_vmlinux(EM_X86_64, 0, 1);
	g_autoptr(GByteArray) unknown = image_vmlinux(0xbeef, 0, 1);
	g_autoptr(GByteArray) raw = g_byte_array_new();

	assert_refused(arm64, "arm64");
	assert_refused(arm64, "x86-64");
	assert_refused(unknown, "48879");
	big_endian->data[5] = ELFDATA2MSB;
	big_endian->data[18] = 0;
	big_endian->data[19] = EM_S390;
	assert_refused(big_endian, "s390");

	g_byte_array_set_size(raw, 4096);
	memset(raw->data, 0, raw->len);
	assert_refused(raw, "not a kernel");
	memcpy(raw->data, "MZ", 2);
	assert_refused(raw, "unified kernel image");
	memcpy(raw->data + 0x38, "ARM\x64", 4);
	assert_refused(raw, "arm64");
	memcpy(raw->data + 0x38, "RSC\x05", 4);
	assert_refused(raw, "RISC-V");
}

static void test_bzimage_bad(void)
{
	g_autoptr(GByteArray) payload = g_byte_array_new();
	g_autoptr(GByteArray) old = NULL;
	g_autoptr(GByteArray) truncated = NULL;
	g_autoptr(GByteArray) odd = NULL;

	g_byte_array_append(payload, (const guint8 *)"\x28\xb5\x2f\xfd rest", 9);
	old = image_bzimage(payload, TRUE, 100);
	image_put16(old, 0x206, 0x207);
	assert_refused(old, "2.07");
	truncated = image_bzimage(payload, TRUE, 100);
	g_byte_array_set_size(truncated, 1024 + 0x40 + 9);
	assert_refused(truncated, "truncated");
	payload->data[0] = 0;
	odd = image_bzimage(payload, TRUE, 100);
	assert_refused(odd, "unknown compression");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/shim/elf/every-prefix-and-mutation", test_elf_damage);
	g_test_add_func("/shim/kernel-elf/every-prefix-and-mutation", test_kernel_elf_damage);
	g_test_add_func("/shim/kernel-image/every-prefix-and-mutation", test_kernel_image_damage);
	g_test_add_func("/shim/kernel-elf/good", test_kernel_elf_good);
	g_test_add_func("/shim/kernel-elf/pvh-only", test_kernel_elf_pvh_only);
	g_test_add_func("/shim/kernel-elf/guest-os-is-printable", test_kernel_elf_guest_os_printable);
	g_test_add_func("/shim/kernel-image/bzimage", test_bzimage_good);
	g_test_add_func("/shim/kernel-image/bzimage-bad", test_bzimage_bad);
	g_test_add_func("/shim/kernel-image/other-machines", test_other_machines);
	return g_test_run();
}
