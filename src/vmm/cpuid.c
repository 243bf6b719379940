// SPDX-License-Identifier: MIT
#include "vmm/cpuid.h"

#include <stdbool.h>
#include <string.h>

#include <glib.h>

#include "dom1/lend-abi.h"
#include "xen/abi.h"
#include <xen/arch-x86/cpuid.h>

#define HYPERVISOR_LEAVES      0x40000000u
#define HYPERVISOR_LEAVES_MASK 0xffff0000u

#define LEAF1_EBX_COUNT_SHIFT  16
#define LEAF1_EBX_APIC_SHIFT   24
#define LEAF1_ECX_VMX          (1u << 5)
#define LEAF1_ECX_X2APIC       (1u << 21)
#define LEAF1_ECX_TSC_DEADLINE (1u << 24)
#define LEAF1_ECX_HYPERVISOR   (1u << 31)
#define LEAF1_EDX_HTT          (1u << 28)
#define LEAF81_ECX_SVM         (1u << 2)
#define LEAFB_TYPE_SMT         (1u << 8)
#define LEAFB_TYPE_CORE        (2u << 8)
#define SVM_LEAF               0x8000000au
#define AMD_CACHE_LEAF         0x8000001du
#define AMD_CACHE_SHARED_BY    (0xfffu << 14)
#define AMD_TOPOLOGY_LEAF      0x8000001eu

#define XEN_HIGHEST_LEAF XEN_CPUID_LEAF(4)

static unsigned int bits_for(unsigned int n)
{
	unsigned int bits = 0;

	while ((1u << bits) < n)
		bits++;
	return bits;
}

/* One package, one thread a core: all that a guest may conclude is how many vCPUs there are. */
static void adjust_leaf(struct kvm_cpuid_entry2 *entry, const struct cpuid_facts *facts)
{
	switch (entry->function) {
	case 1:
		entry->ebx = (entry->ebx & 0xffff) | facts->n_vcpus << LEAF1_EBX_COUNT_SHIFT |
			     facts->vcpu << LEAF1_EBX_APIC_SHIFT;
		entry->ecx &= ~LEAF1_ECX_VMX;
		entry->ecx |= LEAF1_ECX_X2APIC | LEAF1_ECX_TSC_DEADLINE | LEAF1_ECX_HYPERVISOR;
		if (facts->n_vcpus > 1)
			entry->edx |= LEAF1_EDX_HTT;
		else
			entry->edx &= ~LEAF1_EDX_HTT;
		break;
	case 4:
		/* Cores of the package, and no cache shared between them. */
		entry->eax = (entry->eax & 0x3fff) | (facts->n_vcpus - 1) << 26;
		break;
	case 0x80000001:
		entry->ecx &= ~LEAF81_ECX_SVM;
		break;
	case 0x80000008:
		entry->ecx = bits_for(facts->n_vcpus) << 12 | (facts->n_vcpus - 1);
		break;
	case AMD_CACHE_LEAF:
		entry->eax &= ~AMD_CACHE_SHARED_BY;
		break;
	case AMD_TOPOLOGY_LEAF:
		entry->eax = facts->vcpu;
		entry->ebx = facts->vcpu;
		entry->ecx = 0;
		break;
	case SVM_LEAF:
		entry->eax = entry->ebx = entry->ecx = entry->edx = 0;
		break;
	default:
		break;
	}
}

static bool is_topology_leaf(uint32_t function)
{
	return function == 0xb || function == 0x1f;
}

static bool is_kept(const struct kvm_cpuid_entry2 *entry)
{
	return (entry->function & HYPERVISOR_LEAVES_MASK) != HYPERVISOR_LEAVES && !is_topology_leaf(entry->function);
}

/* The host's levels say nothing about the guest: two of its own, for each such leaf that there is. */
static void add_topology(struct kvm_cpuid2 *cpuid, uint32_t function, const struct cpuid_facts *facts)
{
	const struct kvm_cpuid_entry2 levels[] = {
		{ .function = function, .index = 0, .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX, .ebx = 1,
		  .ecx = LEAFB_TYPE_SMT, .edx = facts->vcpu },
		{ .function = function, .index = 1, .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
		  .eax = bits_for(facts->n_vcpus), .ebx = facts->n_vcpus, .ecx = LEAFB_TYPE_CORE | 1, .edx = facts->vcpu },
	};

	memcpy(&cpuid->entries[cpuid->nent], levels, sizeof(levels));
	cpuid->nent += G_N_ELEMENTS(levels);
}

static void add_xen_leaves(struct kvm_cpuid2 *cpuid, const struct cpuid_facts *facts)
{
	const struct kvm_cpuid_entry2 leaves[] = {
		{ .function = XEN_CPUID_LEAF(0), .eax = XEN_HIGHEST_LEAF, .ebx = XEN_CPUID_SIGNATURE_EBX,
		  .ecx = XEN_CPUID_SIGNATURE_ECX, .edx = XEN_CPUID_SIGNATURE_EDX },
		{ .function = XEN_CPUID_LEAF(1), .eax = facts->xen_version },
		{ .function = XEN_CPUID_LEAF(2), .eax = 1, .ebx = facts->hypercall_msr },
		/* Time. KVM itself fills scale and offset into the leaves of index 1 and 2. */
		{ .function = XEN_CPUID_LEAF(3), .index = 0, .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX, .ecx = facts->tsc_khz },
		{ .function = XEN_CPUID_LEAF(3), .index = 1, .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX },
		{ .function = XEN_CPUID_LEAF(3), .index = 2, .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX },
		{ .function = XEN_CPUID_LEAF(4),
		  .eax = XEN_HVM_CPUID_VCPU_ID_PRESENT | XEN_HVM_CPUID_DOMID_PRESENT | XEN_HVM_CPUID_UPCALL_VECTOR,
		  .ebx = facts->vcpu, .ecx = facts->domid },
	};

	memcpy(&cpuid->entries[cpuid->nent], leaves, sizeof(leaves));
	cpuid->nent += G_N_ELEMENTS(leaves);
}

static void add_own_leaves(struct kvm_cpuid2 *cpuid, const struct cpuid_facts *facts)
{
	const struct kvm_cpuid_entry2 leaves[] = {
		{ .function = DOM1_CPUID_BASE, .eax = DOM1_CPUID_FEATURES, .ebx = DOM1_CPUID_SIGNATURE,
		  .ecx = DOM1_CPUID_SIGNATURE, .edx = DOM1_CPUID_SIGNATURE },
		{ .function = DOM1_CPUID_FEATURES, .eax = facts->features },
	};

	memcpy(&cpuid->entries[cpuid->nent], leaves, sizeof(leaves));
	cpuid->nent += G_N_ELEMENTS(leaves);
}

struct kvm_cpuid2 *cpuid_build(const struct kvm_cpuid2 *supported, const struct cpuid_facts *facts)
{
	enum { ROOM = 14 }; /* for Xen's leaves, our own, and two topologies */
	bool has_leaf_b = false, has_leaf_1f = false;
	struct kvm_cpuid2 *cpuid;

	if (supported->nent + ROOM > CPUID_MAX_ENTRIES)
		return NULL;
	cpuid = g_malloc0(sizeof(*cpuid) + (supported->nent + ROOM) * sizeof(cpuid->entries[0]));
	for (uint32_t i = 0; i < supported->nent; i++) {
		has_leaf_b |= supported->entries[i].function == 0xb;
		has_leaf_1f |= supported->entries[i].function == 0x1f;
		if (!is_kept(&supported->entries[i]))
			continue;
		cpuid->entries[cpuid->nent] = supported->entries[i];
		adjust_leaf(&cpuid->entries[cpuid->nent], facts);
		cpuid->nent++;
	}
	if (has_leaf_b)
		add_topology(cpuid, 0xb, facts);
	if (has_leaf_1f)
		add_topology(cpuid, 0x1f, facts);
	add_xen_leaves(cpuid, facts);
	if (facts->features)
		add_own_leaves(cpuid, facts);
	return cpuid;
}
