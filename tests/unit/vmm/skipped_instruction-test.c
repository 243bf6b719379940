// SPDX-License-Identifier: MIT
/* Lengths of the instructions that KVM steps over; everything else has none. */
#include <string.h>

#include <glib.h>

#include "vmm/skipped_instruction.h"

static const struct {
	const char *bytes;
	size_t n_bytes;
	size_t in_64_bits, in_32_bits;
} CASES[] = {
	{ "\x0f\x30", 2, 2, 2 },             /* wrmsr */
	{ "\x0f\x32\x90", 3, 2, 2 },         /* rdmsr, and another */
	{ "\x0f\xa2", 2, 2, 2 },             /* cpuid */
	{ "\x0f\x01\xc1", 3, 3, 3 },         /* vmcall */
	{ "\x0f\x01\xd9", 3, 3, 3 },         /* vmmcall */
	{ "\x0f\x01\xd1", 3, 3, 3 },         /* xsetbv */
	{ "\xf4", 1, 1, 1 },                 /* hlt */
	{ "\xf3\x90", 2, 2, 2 },             /* pause */
	{ "\x66\x2e\x0f\xa2", 4, 4, 4 },     /* prefixes without a meaning */
	{ "\x48\x0f\x30", 3, 3, 0 },         /* REX is dec in 32 bits */
	{ "\x0f", 1, 0, 0 },                 /* cut off */
	{ "\x0f\x01", 2, 0, 0 },
	{ "", 0, 0, 0 },
	{ "\x0f\x01\x10", 3, 0, 0 },         /* lgdt */
	{ "\xf0\x0f\xa2", 3, 0, 0 },         /* lock: #UD */
	{ "\x0f\x31", 2, 0, 0 },             /* rdtsc, which KVM leaves to the CPU */
	{ "\xa4", 1, 0, 0 },                 /* movsb */
	{ "\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x0f\xa2", 15, 15, 15 },
	{ "\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x0f\xa2", 16, 0, 0 }, /* too long */
};

static void test_lengths(void)
{
	for (size_t i = 0; i < G_N_ELEMENTS(CASES); i++) {
		/* Of its own size, so that a byte too many is seen by the sanitizer. */
		uint8_t *bytes = g_memdup2(CASES[i].bytes, CASES[i].n_bytes);

		g_assert_cmpuint(skipped_instruction_bytes(bytes, CASES[i].n_bytes, true), ==, CASES[i].in_64_bits);
		g_assert_cmpuint(skipped_instruction_bytes(bytes, CASES[i].n_bytes, false), ==, CASES[i].in_32_bits);
		g_free(bytes);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/vmm/skipped_instruction/lengths", test_lengths);
	return g_test_run();
}
