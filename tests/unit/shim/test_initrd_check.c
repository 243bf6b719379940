// SPDX-License-Identifier: MIT
/* What Linux takes as an initrd is let through, what it would panic about is refused, and others are asked nothing. */
#include <elf.h>
#include <string.h>

#include <glib.h>

#include "images.h"
#include "shim/initrd_check.h"
#include "vmm/error.h"

#define FILE_BYTES 4096

static gboolean check(const GByteArray *kernel, const uint8_t *bytes, size_t len_bytes, GError **error)
{
	/* Exact copies: a sanitizer sees who reads on. */
	g_autofree uint8_t *exact = g_memdup2(bytes, len_bytes);
	const struct boot_image kernel_image = { "KERNEL", kernel->data, kernel->len };
	const struct boot_image initrd = { "INITRD", exact, len_bytes };

	return initrd_check(&kernel_image, &initrd, error);
}

static void expect_refused(const GByteArray *kernel, const uint8_t *bytes, size_t len_bytes)
{
	g_autoptr(GError) error = NULL;

	g_assert_false(check(kernel, bytes, len_bytes, &error));
	g_assert_error(error, DOM1_ERROR, DOM1_STATUS_FILE);
	g_assert_true(g_str_has_prefix(error->message, "INITRD: no initrd that Linux knows"));
	g_assert_null(strchr(error->message, '\n'));
}

static void test_formats(void)
{
	static const struct {
		size_t offset, len_bytes;
		const char *magic;
		gboolean after_zeros;
	} formats[] = {
		{ 0, 6, "070701", TRUE },	    { 0, 2, "\x1f\x8b", TRUE },	  { 0, 3, "BZh", TRUE },
		{ 0, 3, "\x5d\x00\x00", TRUE },    { 0, 6, "\xfd" "7zXZ", TRUE }, { 0, 4, "\x89LZO", TRUE },
		{ 0, 4, "\x02\x21\x4c\x18", TRUE }, { 0, 4, "\x28\xb5\x2f\xfd", TRUE },
		{ 0, 4, "hsqs", TRUE },	    { 1080, 2, "\x53\xef", FALSE }, { 0, 4, "\x45\x3d\xcd\x28", TRUE },
	};
	g_autoptr(GByteArray) linux_kernel = image_vmlinux(EM_X86_64, 0, 1);

	for (size_t i = 0; i < G_N_ELEMENTS(formats); i++)
		for (size_t zeros = 0; zeros <= (formats[i].after_zeros ? 516 : 0); zeros += 4) {
			uint8_t bytes[FILE_BYTES] = { 0 };
			size_t end = zeros + formats[i].offset + formats[i].len_bytes;

			memcpy(bytes + end - formats[i].len_bytes, formats[i].magic, formats[i].len_bytes);
			g_assert_true(check(linux_kernel, bytes, FILE_BYTES, NULL));
			g_assert_true(check(linux_kernel, bytes, end, NULL));
			/* It ends before the second byte of its magic number. */
			expect_refused(linux_kernel, bytes, end - formats[i].len_bytes + 1);
		}
}

static void test_garbage(void)
{
	static const char *const texts[] = { "not an initrd", "<html>404</html>", "0707", "PK\x03\x04", "version https://git-lfs" };
	g_autoptr(GByteArray) linux_kernel = image_vmlinux(EM_X86_64, 0, 1);
	g_autofree uint8_t *zeros = g_malloc0(FILE_BYTES);

	for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
		expect_refused(linux_kernel, (const uint8_t *)texts[i], strlen(texts[i]));
	expect_refused(linux_kernel, zeros, FILE_BYTES);
	/* None was given. */
	g_assert_true(check(linux_kernel, zeros, 0, NULL));
}

/* Another system's module may be anything, and of a kernel that stays packed nobody knows. */
static void test_not_linux(void)
{
	static const uint8_t packed[] = "\x89LZO packed", text[] = "set root=(memdisk)";
	g_autoptr(GByteArray) other = image_vmlinux(EM_X86_64, 0, 1);
	g_autoptr(GByteArray) unread = g_byte_array_new();
	uint8_t *name = memmem(other->data, other->len, "linux", 5);

	g_assert_nonnull(name);
	memcpy(name, "mini\0", 5);
	g_assert_true(check(other, text, sizeof(text), NULL));
	g_byte_array_append(unread, packed, sizeof(packed));
	g_assert_true(check(unread, text, sizeof(text), NULL));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/initrd_check/formats", test_formats);
	g_test_add_func("/initrd_check/garbage", test_garbage);
	g_test_add_func("/initrd_check/not-linux", test_not_linux);
	return g_test_run();
}
