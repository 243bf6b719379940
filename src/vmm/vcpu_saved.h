// SPDX-License-Identifier: MIT
/*
 * A vCPU's state, from KVM and to it. Thread: the vCPU's own, while it is out of KVM_RUN and rests (vcpu_call()).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <linux/kvm.h>

#include "saved/vcpu.h"

struct vcpu;

/* The MSRs that this host's KVM has: of KVM_GET_MSR_INDEX_LIST, and those that it does not list. */
struct vcpu_msr_list {
	uint32_t n;
	uint32_t index[SAVED_MAX_MSRS];
};
/* Main thread. kvm_fd: of /dev/kvm. FALSE: errno. */
bool vcpu_msr_list_read(struct vcpu_msr_list *list, int kvm_fd);

/* NULL, or what could not be read, static; errno says why. All that is left of the last exit must be done (vcpu_settle()). */
const char *vcpu_save(struct vcpu *vcpu, const struct vcpu_msr_list *msrs, struct saved_vcpu *saved);

/*
 * In this order, on a vCPU that has not run yet: before KVM's clock is set, and after it. host_tsc: at the moment at which the
 * saved one would go on. *msr: the one that was refused, for what is told.
 */
const char *vcpu_restore_tsc(struct vcpu *vcpu, const struct saved_vcpu *saved, int64_t tsc_lost);
const char *vcpu_restore(struct vcpu *vcpu, const struct saved_vcpu *saved, uint32_t *msr);
