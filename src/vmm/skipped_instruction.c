// SPDX-License-Identifier: MIT
#include "vmm/skipped_instruction.h"

#include <string.h>

/* Source: AMD's manual, volume 3, and svm_exit_handlers[] of Linux' arch/x86/kvm/svm/svm.c. */
static const struct opcode {
	uint8_t bytes[3];
	uint8_t n_bytes;
} SKIPPED[] = {
	{ { 0xf4 }, 1 },             /* hlt */
	{ { 0x90 }, 1 },             /* pause, behind its prefix */
	{ { 0x0f, 0x08 }, 2 },       /* invd */
	{ { 0x0f, 0x09 }, 2 },       /* wbinvd */
	{ { 0x0f, 0x30 }, 2 },       /* wrmsr */
	{ { 0x0f, 0x32 }, 2 },       /* rdmsr */
	{ { 0x0f, 0x33 }, 2 },       /* rdpmc */
	{ { 0x0f, 0xa2 }, 2 },       /* cpuid */
	{ { 0x0f, 0x01, 0xc1 }, 3 }, /* vmcall */
	{ { 0x0f, 0x01, 0xc8 }, 3 }, /* monitor */
	{ { 0x0f, 0x01, 0xc9 }, 3 }, /* mwait */
	{ { 0x0f, 0x01, 0xd1 }, 3 }, /* xsetbv */
	{ { 0x0f, 0x01, 0xd9 }, 3 }, /* vmmcall */
};

/* But for lock, with which none of them exists. */
static bool is_prefix(uint8_t byte, bool is_64bit)
{
	return memchr("\x26\x2e\x36\x3e\x64\x65\x66\x67\xf2\xf3", byte, 10) || (is_64bit && (byte & 0xf0) == 0x40);
}

size_t skipped_instruction_bytes(const uint8_t *bytes, size_t n_bytes, bool is_64bit)
{
	size_t start = 0;

	while (start < n_bytes && is_prefix(bytes[start], is_64bit))
		start++;
	for (size_t i = 0; i < sizeof(SKIPPED) / sizeof(SKIPPED[0]); i++) {
		size_t end = start + SKIPPED[i].n_bytes;

		if (end <= n_bytes && end <= INSTRUCTION_MAX_BYTES && memcmp(bytes + start, SKIPPED[i].bytes, SKIPPED[i].n_bytes) == 0)
			return end;
	}
	return 0;
}
