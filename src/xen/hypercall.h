// SPDX-License-Identifier: MIT
/*
 * From KVM's exit to the operation a guest asked for. One file an operation family (memory_op.c, hvm_op.c, ...), each
 * with the signature below. Arguments are guest-virtual addresses and numbers as the guest gave them.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct vcpu;
struct xen_domain;

struct hypercall {
	uint64_t number;
	uint64_t arguments[6];
	uint32_t cpl;
	bool is_64bit;
};

/* In the vCPU's own thread. The result is what the guest finds in its register: 0 or more, or a negative Xen errno. */
int64_t hypercall_dispatch(struct vcpu *vcpu, const struct hypercall *call);

/* First thing in a vCPU's thread: its vcpu_info is in shared_info until it registers another. */
void hypercall_vcpu_starts(struct vcpu *vcpu);

typedef int64_t (*hypercall_fn)(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call);

int64_t hypercall_memory_op(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call);
int64_t hypercall_xen_version(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call);
int64_t hypercall_console_io(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call);
int64_t hypercall_grant_table_op(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call);
int64_t hypercall_vcpu_op(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call);
int64_t hypercall_sched_op(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call);
int64_t hypercall_event_channel_op(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call);
int64_t hypercall_hvm_op(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call);
