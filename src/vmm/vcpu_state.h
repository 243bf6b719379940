// SPDX-License-Identifier: MIT
#pragma once

#include <stdbool.h>

struct vcpu;

/*
 * Whether Xen would call it up. One that waits for INIT and SIPI is down, and so is one that halts with interrupts off:
 * hvm_hlt(). Linux parks CPUs so. The vCPU's own thread.
 */
bool vcpu_is_up(const struct vcpu *vcpu);

/* The second of these: VCPUOP_up takes it on where it is. */
bool vcpu_is_parked(const struct vcpu *vcpu);
