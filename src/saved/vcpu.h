// SPDX-License-Identifier: MIT
/*
 * A vCPU of a saved domain: what KVM's ioctls give, in the structures of <linux/kvm.h>, whose layout is the kernel's ABI.
 * Pure; src/vmm/vcpu_saved.h has the ioctls.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>
#include <linux/kvm.h>

#include "saved/bytes.h"
#include "vmm/cpuid.h"

#define SAVED_MAX_MSRS 512u

/* Every struct that goes into the file as it is: a member of struct saved_vcpu. */
#define SAVED_VCPU_STRUCTS(X)                                                                                         \
	X(mp_state)                                                                                                    \
	X(regs)                                                                                                        \
	X(sregs)                                                                                                       \
	X(xcrs)                                                                                                        \
	X(xsave)                                                                                                       \
	X(debugregs)                                                                                                   \
	X(events)                                                                                                      \
	X(lapic)

struct saved_vcpu {
	struct kvm_mp_state mp_state;
	struct kvm_regs regs;
	struct kvm_sregs2 sregs;
	struct kvm_xcrs xcrs;
	struct kvm_xsave xsave;
	struct kvm_debugregs debugregs;
	struct kvm_vcpu_events events;
	struct kvm_lapic_state lapic;
	uint64_t tsc_offset; /* the guest's TSC is the host's plus this */
	uint32_t n_msrs, n_cpuid;
	struct kvm_msr_entry msrs[SAVED_MAX_MSRS];
	struct kvm_cpuid_entry2 cpuid[CPUID_MAX_ENTRIES];

	/* Xen's. Addresses are guest-physical, KVM_XEN_INVALID_GPA: there is none. */
	bool has_own_vcpu_info; /* not in shared_info: at vcpu_info_gpa */
	bool is_initialised;
	uint8_t upcall_vector;
	uint64_t vcpu_info_gpa, time_gpa, runstate_gpa;
	bool has_runstate; /* the host keeps them */
	uint64_t runstate[6]; /* state, its beginning, and the times of four states: struct kvm_xen_vcpu_attr */
	uint32_t timer_port; /* 0: KVM has no timer for it */
	uint64_t timer_expires_ns; /* of Xen's system time; 0: it is not set */
};

void saved_vcpu_write(GByteArray *to, const struct saved_vcpu *vcpu);
bool saved_vcpu_read(struct saved_vcpu *vcpu, struct saved_cursor from);

/*
 * The first feature that the vCPU has seen and that now has not, for a person; g_free(). NULL: it has all. now: what a vCPU of
 * the same number would see on this host.
 */
char *saved_vcpu_lacks(const struct saved_vcpu *vcpu, const struct kvm_cpuid2 *now);
