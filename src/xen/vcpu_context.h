// SPDX-License-Identifier: MIT
/*
 * Starting a vCPU by its registers instead of INIT and SIPI. Source: <xen/hvm/hvm_vcpu.h>. The translation into KVM's
 * registers is pure.
 */
#pragma once

#include <stdbool.h>

#include <linux/kvm.h>

struct vcpu_hvm_context;

/* Changes what the context speaks of and leaves the rest. FALSE for a context that Xen refuses. */
bool vcpu_context_translate(const struct vcpu_hvm_context *context, struct kvm_regs *regs, struct kvm_sregs *sregs);
