// SPDX-License-Identifier: MIT
/*
 * Instructions that KVM carries out by their effect alone, and then steps over: cpuid, the MSRs, hypercalls, and the like. Where
 * a CPU does not say how long one was (AMD without NRIPS, and QEMU's emulation of any), KVM reads it again for the step, and
 * where it cannot read it, the effect has been and the step is missing.
 *
 * Pure: bytes in, a length out.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define INSTRUCTION_MAX_BYTES 15u

/*
 * How many of the n_bytes at the instruction's place are such an instruction; 0: it is another one, or n_bytes end before
 * it. is_64bit: whether REX prefixes exist.
 */
size_t skipped_instruction_bytes(const uint8_t *bytes, size_t n_bytes, bool is_64bit);
