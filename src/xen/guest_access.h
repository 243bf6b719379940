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

struct vcpu;

bool copy_from_guest(struct vcpu *vcpu, void *destination, uint64_t gva, size_t len_bytes);
bool copy_to_guest(struct vcpu *vcpu, uint64_t gva, const void *source, size_t len_bytes);
