// SPDX-License-Identifier: MIT
/* What is refused before a guest is started. */
#include <elf.h>
#include <string.h>

#include <glib.h>

#include "images.h"
#include "shim/pv_check.h"
#include "vmm/error.h"

#define MIB (UINT64_C(1) << 20)

/* Measured in the lab: kernel's end in memory, its file, initrd, RAM that booted, RAM that did not. */
static void test_measured(void)
{
	static const struct {
		uint64_t load_end, kernel_bytes, initrd_bytes, boots_mib, fails_mib;
	} measured[] = {
		{ 0x3e00000, 53243444, 1100000, 194, 192 },
		{ 0x4800000, 62096432, 1100000, 332, 328 },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(measured); i++) {
		uint64_t named_mib =
			pv_memory_needed(measured[i].load_end, measured[i].kernel_bytes, measured[i].initrd_bytes) / MIB;

		g_assert_cmpuint(named_mib, >=, measured[i].boots_mib);
		g_assert_cmpuint(named_mib, >, measured[i].fails_mib);
		/* 16 MiB less is refused, and that is right: no measured size that boots lies there. */
		g_assert_cmpuint(named_mib - 16, <=, measured[i].fails_mib);
	}
}

static void test_needs_grow(void)
{
	for (unsigned int i = 0; i < 10000; i++) {
		uint64_t end = (uint64_t)g_test_rand_int_range(1, 1 << 16) << 12;
		uint64_t kernel = (uint64_t)g_test_rand_int_range(1, 1 << 28), initrd = (uint64_t)g_test_rand_int_range(0, 1 << 28);
		uint64_t needed = pv_memory_needed(end, kernel, initrd);

		g_assert_cmpuint(needed, >=, 2 * end + kernel + initrd);
		g_assert_cmpuint(needed % (4 * MIB), ==, 0);
		g_assert_cmpuint(pv_memory_needed(end, kernel + MIB, initrd), >=, needed);
		g_assert_cmpuint(pv_memory_needed(end + MIB, kernel, initrd), >=, needed);
	}
}

static void test_shim(void)
{
	static const char shim[] = "...shim used pages %#lx reserving %#lx free pages...", full[] = "...a Xen for the metal...";
	const struct boot_image good = { "xen-shim", (const uint8_t *)shim, sizeof(shim) };
	const struct boot_image bad = { "xen.gz", (const uint8_t *)full, sizeof(full) };
	g_autoptr(GError) error = NULL;

	g_assert_true(pv_check_shim(&good, NULL));
	g_assert_false(pv_check_shim(&bad, &error));
	g_assert_error(error, DOM1_ERROR, DOM1_STATUS_FILE);
	g_assert_nonnull(strstr(error->message, "xen.gz"));
	g_assert_null(strchr(error->message, '\n'));
}

static void expect_refused_shim(const GByteArray *bytes, size_t len_bytes, const char *reason)
{
	const struct boot_image image = { "NAME", bytes->data, len_bytes };
	g_autoptr(GError) error = NULL;

	g_assert_false(pv_check_shim(&image, &error));
	g_assert_error(error, DOM1_ERROR, DOM1_STATUS_FILE);
	g_assert_true(g_str_has_prefix(error->message, "NAME: "));
	if (!strstr(error->message, reason) || !strstr(error->message, "give the xen-shim of the package xen-utils"))
		g_error("\"%s\" lacks \"%s\", or the remedy", error->message, reason);
}

/* What is no shim is told what it is: mostly somebody has mixed up the options. */
static void test_no_shim(void)
{
	static const char text[] = "#!/bin/sh";
	g_autoptr(GByteArray) script = g_byte_array_new();
	g_autoptr(GByteArray) xen = image_shim();
	g_autoptr(GByteArray) arm64 = image_vmlinux(EM_AARCH64, 0, 1);
	g_autoptr(GByteArray) vmlinux = image_vmlinux(EM_X86_64, 0, 1);

	g_byte_array_append(script, (const guint8 *)text, sizeof(text));
	expect_refused_shim(script, script->len, "not even an ELF file");
	expect_refused_shim(xen, xen->len, "a Xen built without CONFIG_PV_SHIM");
	expect_refused_shim(xen, 60, "truncated");
	expect_refused_shim(arm64, arm64->len, "another machine than x86");
	expect_refused_shim(vmlinux, vmlinux->len, "an ELF file, but not a Xen shim");
}

/* The message names both ways out for a kernel that has Xen's other entry. */
static void test_no_pv(void)
{
	g_autoptr(GByteArray) shim = image_shim();
	const struct boot_inputs inputs = { .kernel = { "KERNEL", shim->data, shim->len } };
	g_autoptr(GError) error = NULL;

	g_assert_false(pv_check_kernel(&inputs, 512 * MIB, &error));
	g_assert_error(error, DOM1_ERROR, DOM1_STATUS_FILE);
	g_assert_nonnull(strstr(error->message, "build it with CONFIG_XEN_PV, or start it with --type pvh"));
}

/* What we cannot unpack is the shim's business. */
static void test_packed(void)
{
	static const uint8_t packed[] = { 0x89, 'L', 'Z', 'O', 0 };
	const struct boot_inputs inputs = { .kernel = { "lzo", packed, sizeof(packed) } };

	g_assert_true(pv_check_kernel(&inputs, 32 * MIB, NULL));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/pv_check/measured", test_measured);
	g_test_add_func("/pv_check/needs-grow", test_needs_grow);
	g_test_add_func("/pv_check/shim", test_shim);
	g_test_add_func("/pv_check/no-shim", test_no_shim);
	g_test_add_func("/pv_check/no-pv", test_no_pv);
	g_test_add_func("/pv_check/packed", test_packed);
	return g_test_run();
}
