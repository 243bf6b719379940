// SPDX-License-Identifier: MIT
/*
 * Words of refusals that tests of single modules do not look at: each line names the file, says what is wrong with it, and
 * what to do.
 */
#include <elf.h>
#include <string.h>

#include <glib.h>

#include "images.h"
#include "shim/kernel_image.h"
#include "vmm/error.h"

static void expect_words(const GError *error, const char *reason, const char *remedy)
{
	g_assert_error(error, DOM1_ERROR, DOM1_STATUS_FILE);
	g_assert_true(g_str_has_prefix(error->message, "NAME: "));
	g_assert_null(strchr(error->message, '\n'));
	if (!strstr(error->message, reason) || !strstr(error->message, remedy))
		g_error("\"%s\" lacks \"%s\" or \"%s\"", error->message, reason, remedy);
}

/* As a file that was named. */
static void refused_file(const GByteArray *bytes, size_t len_bytes, const char *reason, const char *remedy)
{
	g_autofree uint8_t *exact = g_memdup2(bytes->data, len_bytes);
	g_autoptr(GError) error = NULL;
	struct kernel_image image;

	g_assert_false(kernel_image_parse(exact, len_bytes, "NAME", &image, &error));
	expect_words(error, reason, remedy);
}

/* As what was in the file. */
static void refused_elf(const GByteArray *bytes, const char *reason, const char *remedy)
{
	g_autoptr(GError) error = NULL;
	struct kernel_elf elf;

	g_assert_false(kernel_elf_parse(bytes->data, bytes->len, "NAME", &elf, &error));
	expect_words(error, reason, remedy);
}

static GByteArray *zeros(size_t len_bytes)
{
	GByteArray *bytes = g_byte_array_new();

	g_byte_array_set_size(bytes, (guint)len_bytes);
	memset(bytes->data, 0, len_bytes);
	return bytes;
}

static void test_foreign(void)
{
	static const struct {
		size_t offset;
		const char *magic;
		size_t len_bytes;
		const char *reason;
	} formats[] = {
		{ 0x38, "ARM\x64", 4, "an arm64 kernel (Image)" },
		{ 0x38, "RSC\x05", 4, "a RISC-V kernel (Image)" },
		{ 0x24, "\x18\x28\x6f\x01", 4, "a 32-bit arm kernel (zImage)" },
		{ 0, "\x27\x05\x19\x56", 4, "a U-Boot image (uImage)" },
		{ 0, "MZ\0\0zimg", 8, "a compressed EFI kernel of another machine (vmlinuz.efi)" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(formats); i++) {
		g_autoptr(GByteArray) bytes = zeros(4096);

		memcpy(bytes->data + formats[i].offset, formats[i].magic, formats[i].len_bytes);
		refused_file(bytes, bytes->len, formats[i].reason, "give a kernel built for x86-64");
	}
}

static void test_damaged(void)
{
	g_autoptr(GByteArray) bzimage = zeros(4096);
	g_autoptr(GByteArray) vmlinux = image_vmlinux(EM_X86_64, 0, 1);

	bzimage->data[0x1fe] = 0x55;
	bzimage->data[0x1ff] = 0xaa;
	memcpy(bzimage->data + 0x202, "HdrS", 4);
	refused_file(bzimage, 0x210, "a bzImage truncated inside its setup header (528 bytes)", "get the file again");
	refused_file(vmlinux, 20, "truncated inside the ELF header (20 bytes)", "get the file again");
	refused_file(vmlinux, 60, "truncated inside the ELF header (60 bytes)", "get the file again");
	refused_file(vmlinux, 100, "its table of ELF segments is not inside the file (100 bytes)", "get the file again");
	refused_file(vmlinux, vmlinux->len - 1, "ends past the end of the file", "get the file again");
	vmlinux->data[EI_CLASS] = 9;
	refused_file(vmlinux, vmlinux->len, "an ELF of unknown kind (class 9,", "the file is damaged");
	vmlinux->data[EI_CLASS] = ELFCLASS64;
	vmlinux->data[EI_DATA] = ELFDATA2MSB;
	refused_file(vmlinux, vmlinux->len, "a big-endian ELF", "give a file built for x86-64");
}

static void test_absurd(void)
{
	g_autoptr(GByteArray) vmlinux = image_vmlinux(EM_X86_64, 0, 1);
	g_autoptr(GByteArray) object = image_vmlinux(EM_X86_64, 0, 1);
	g_autoptr(GByteArray) text = zeros(100);

	/* Both segments, wherever the one to load is: more in the file than in memory. */
	for (size_t segment = 64; segment < 64 + 2 * 56; segment += 56)
		image_put64(vmlinux, segment + 40, 0);
	refused_elf(vmlinux, "has absurd sizes", "get the file again");
	for (size_t segment = 64; segment < 64 + 2 * 56; segment += 56)
		image_put32(object, segment, PT_NULL);
	refused_elf(object, "an ELF with nothing to load (an object file or a module?)", "give a linked kernel");
	refused_elf(text, "not an ELF file", "");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/shim/refusals/foreign", test_foreign);
	g_test_add_func("/shim/refusals/damaged", test_damaged);
	g_test_add_func("/shim/refusals/absurd", test_absurd);
	return g_test_run();
}
