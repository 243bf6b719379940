// SPDX-License-Identifier: MIT
/*
 * The CPUID leaves of a vCPU: what KVM supports, with Xen's leaves instead of KVM's own. Pure.
 *
 * The vendor stays the host's: the guest chooses VMCALL or VMMCALL by it. Nested virtualization is not offered.
 * Source of the Xen leaves: <xen/arch-x86/cpuid.h>.
 */
#pragma once

#include <stdint.h>

#include <linux/kvm.h>

struct cpuid_facts {
	unsigned int vcpu; /* number, Xen id and APIC id: the same */
	unsigned int n_vcpus;
	uint32_t tsc_khz;
	uint32_t xen_version; /* major << 16 | minor */
	uint32_t hypercall_msr;
	uint16_t domid;
	uint32_t features; /* DOM1_FEATURE_*; 0: there are no leaves of dom1 */
};

#define CPUID_MAX_ENTRIES 256u

/* g_malloc'ed copy of supported, changed; NULL if it would have more than CPUID_MAX_ENTRIES. */
struct kvm_cpuid2 *cpuid_build(const struct kvm_cpuid2 *supported, const struct cpuid_facts *facts);
