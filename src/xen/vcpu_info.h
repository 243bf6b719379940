// SPDX-License-Identifier: MIT
/*
 * Where a vCPU's vcpu_info lies: in shared_info from the start, or where the guest registered one.
 *
 * Thread: the vCPU's own.
 */
#pragma once

#include <stdint.h>

struct vcpu;

/* Xen's answer to VCPUOP_register_vcpu_info: 0 or a negative errno. */
int64_t vcpu_info_register(struct vcpu *vcpu, uint64_t gfn, uint32_t offset_bytes);

/* An event is marked and the vCPU has a vector: raise it. */
void vcpu_info_raise_if_pending(struct vcpu *vcpu);
