// SPDX-License-Identifier: MIT
/*
 * A page that its lender does not have, told to the guest as a machine would tell it of memory that is broken: vector 18, at
 * the instruction, with the address in bank 0. Linux ends the process that used it, and goes on.
 *
 * Where the guest is not ready it would be a triple fault, or an interrupt would be lost: then nothing is done, and the
 * caller does something else. Source: arch/x86/kvm/x86.c, kvm_vcpu_x86_set_ue() and __vcpu_enter_guest().
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <linux/kvm.h>

/* What decides whether a vCPU can take one. */
struct machine_check_state {
	uint64_t cr4;
	uint64_t global_status, global_control, bank_control; /* MSRs 0x17a, 0x17b, 0x400 */
	struct kvm_vcpu_events events;
};
bool machine_check_possible(const struct machine_check_state *state);

/* Before the vCPU runs. FALSE: this KVM has no recoverable machine checks. */
bool machine_check_set_up(int vcpu_fd);
/* The vCPU's own thread, outside KVM_RUN. FALSE: not now; nothing was changed. */
bool machine_check_inject(int vcpu_fd, uint64_t gpa);
/* TRUE: one is being delivered, and that is what came upon a page. */
bool machine_check_in_delivery(int vcpu_fd);
