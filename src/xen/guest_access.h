// SPDX-License-Identifier: MIT
/*
 * Arguments of hypercalls. A guest passes guest-virtual addresses of its present address space; a structure may
 * straddle pages. FALSE: not mapped, or not RAM; the hypercall's answer is -EFAULT.
 *
 * Thread: the vCPU's own.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "xen/abi_layout.h"

struct hypercall;
struct vcpu;

bool copy_from_guest(struct vcpu *vcpu, void *destination, uint64_t gva, size_t len_bytes);
bool copy_to_guest(struct vcpu *vcpu, uint64_t gva, const void *source, size_t len_bytes);

/* Structures whose layout depends on the word size of the call. native is of the structure's own type. */
bool read_guest_struct(struct vcpu *vcpu, const struct hypercall *call, enum abi_layout layout, uint64_t gva, void *native);
bool write_guest_struct(struct vcpu *vcpu, const struct hypercall *call, enum abi_layout layout, uint64_t gva,
			const void *native);

/* Element index of an array of words (frame numbers, xen_ulong_t) at gva. */
bool read_guest_word(struct vcpu *vcpu, const struct hypercall *call, uint64_t gva, uint64_t index, uint64_t *value);
bool write_guest_word(struct vcpu *vcpu, const struct hypercall *call, uint64_t gva, uint64_t index, uint64_t value);
