// SPDX-License-Identifier: MIT
/*
 * cpuid.c, from tables as KVM gives them and from random ones. The topology is read as a guest reads it, and must say
 * the same in every leaf that speaks of it: one package, a core for each vCPU, one thread a core.
 */
#include <string.h>

#include <glib.h>

#include "xen/abi.h"
#include <xen/arch-x86/cpuid.h>

#include "dom1/lend-abi.h"
#include "vmm/cpuid.h"

#define HAS_INDEX KVM_CPUID_FLAG_SIGNIFCANT_INDEX

enum vendor { INTEL, AMD };
/* Linux 6.2 stopped to tell the host's own topology: leaves 0xb and 0x1f have an empty index 0 and nothing else. */
enum topology { HOST_TOPOLOGY, NO_TOPOLOGY };

static uint32_t random_u32(void)
{
	return (uint32_t)g_test_rand_int();
}

static uint32_t random_below(uint32_t n)
{
	return random_u32() % n;
}

static struct kvm_cpuid2 *table_new(void)
{
	return g_malloc0(sizeof(struct kvm_cpuid2) + 512 * sizeof(struct kvm_cpuid_entry2));
}

static struct kvm_cpuid_entry2 *add(struct kvm_cpuid2 *table, uint32_t function, uint32_t index, uint32_t flags)
{
	struct kvm_cpuid_entry2 *entry = &table->entries[table->nent++];

	*entry = (struct kvm_cpuid_entry2){.function = function, .index = index, .flags = flags};
	entry->eax = random_u32();
	entry->ebx = random_u32();
	entry->ecx = random_u32();
	entry->edx = random_u32();
	return entry;
}

static void add_topology(struct kvm_cpuid2 *table, uint32_t function, enum topology topology)
{
	uint32_t n = topology == HOST_TOPOLOGY ? 2 + random_below(3) : 1;

	for (uint32_t i = 0; i < n; i++) {
		struct kvm_cpuid_entry2 *entry = add(table, function, i, HAS_INDEX);

		if (topology == NO_TOPOLOGY)
			entry->eax = entry->ebx = entry->ecx = entry->edx = 0;
	}
}

/* Random registers, but the functions and indexes that KVM has for this vendor. */
static struct kvm_cpuid2 *random_table(enum vendor vendor, enum topology topology)
{
	struct kvm_cpuid2 *table = table_new();
	struct kvm_cpuid_entry2 *first = add(table, 0, 0, 0);
	uint32_t n;

	first->eax = 0x1f;
	first->ebx = vendor == INTEL ? 0x756e6547 : 0x68747541;
	first->edx = vendor == INTEL ? 0x49656e69 : 0x69746e65;
	first->ecx = vendor == INTEL ? 0x6c65746e : 0x444d4163;
	add(table, 1, 0, 0);
	if (vendor == INTEL) {
		add(table, 2, 0, 0);
		for (uint32_t i = 0; i < 5; i++) {
			struct kvm_cpuid_entry2 *cache = add(table, 4, i, HAS_INDEX);

			if (i == 4)
				cache->eax = cache->ebx = cache->ecx = cache->edx = 0;
		}
	}
	for (uint32_t function = 5; function <= 7; function++)
		add(table, function, 0, function == 7 ? HAS_INDEX : 0);
	add(table, 7, 1, HAS_INDEX);
	add(table, 0xa, 0, 0);
	add_topology(table, 0xb, topology);
	n = 2 + random_below(30);
	for (uint32_t i = 0; i < n; i++)
		add(table, 0xd, i, HAS_INDEX);
	add_topology(table, 0x1f, topology);
	add(table, 0x40000000, 0, 0);
	add(table, 0x40000001, 0, 0);
	n = random_below(5);
	for (uint32_t i = 0; i < n; i++)
		add(table, 0x40000002 + i * 0x101 + random_below(0x100), 0, 0);
	add(table, 0x4000ffff, 0, 0);
	for (uint32_t function = 0x80000000; function <= 0x80000008; function++)
		add(table, function, 0, 0);
	table->entries[table->nent - 9].eax = 0x8000001f;
	if (vendor == AMD) {
		add(table, 0x8000000a, 0, 0);
		for (uint32_t i = 0; i < 5; i++)
			add(table, 0x8000001d, i, HAS_INDEX);
		add(table, 0x8000001e, 0, 0);
		add(table, 0x8000001f, 0, 0);
	}
	return table;
}

/* What a guest gets for this leaf: the entry, NULL if there is none. */
static const struct kvm_cpuid_entry2 *leaf(const struct kvm_cpuid2 *table, uint32_t function, uint32_t index)
{
	for (uint32_t i = 0; i < table->nent; i++) {
		const struct kvm_cpuid_entry2 *entry = &table->entries[i];

		if (entry->function == function && (!(entry->flags & HAS_INDEX) || entry->index == index))
			return entry;
	}
	return NULL;
}

static gboolean same_registers(const struct kvm_cpuid_entry2 *a, const struct kvm_cpuid_entry2 *b)
{
	return a->eax == b->eax && a->ebx == b->ebx && a->ecx == b->ecx && a->edx == b->edx;
}

static struct cpuid_facts random_facts(unsigned int n_vcpus)
{
	return (struct cpuid_facts){
		.vcpu = random_below(n_vcpus),
		.n_vcpus = n_vcpus,
		.tsc_khz = random_u32(),
		.xen_version = random_u32(),
		.hypercall_msr = random_u32(),
		.domid = (uint16_t)random_u32(),
	};
}

static void check_xen_leaves(const struct kvm_cpuid2 *table, const struct cpuid_facts *facts)
{
	const struct kvm_cpuid_entry2 *base = leaf(table, 0x40000000, 0);
	const struct kvm_cpuid_entry2 *entry;
	char signature[13] = "";

	g_assert_nonnull(base);
	memcpy(signature, &base->ebx, 4);
	memcpy(signature + 4, &base->ecx, 4);
	memcpy(signature + 8, &base->edx, 4);
	g_assert_cmpstr(signature, ==, "XenVMMXenVMM");
	g_assert_cmpuint(base->eax, >=, 0x40000004);
	for (uint32_t i = 0; i < table->nent; i++) {
		uint32_t function = table->entries[i].function;

		g_assert_true(function >> 16 != 0x4000 || function <= base->eax ||
			      (facts->features != 0 && function - DOM1_CPUID_BASE <= 1));
	}
	for (uint32_t function = 0x40000001; function <= base->eax; function++)
		g_assert_nonnull(leaf(table, function, 0));

	g_assert_cmpuint(leaf(table, 0x40000001, 0)->eax, ==, facts->xen_version);
	g_assert_cmpuint(leaf(table, 0x40000002, 0)->eax, ==, 1); /* pages of hypercalls */
	g_assert_cmpuint(leaf(table, 0x40000002, 0)->ebx, ==, facts->hypercall_msr);
	g_assert_cmpuint(leaf(table, 0x40000003, 0)->ecx, ==, facts->tsc_khz);
	/* KVM finds these two by their index and fills them. */
	g_assert_nonnull(leaf(table, 0x40000003, 1));
	g_assert_nonnull(leaf(table, 0x40000003, 2));
	g_assert_true(leaf(table, 0x40000003, 1) != leaf(table, 0x40000003, 2));
	entry = leaf(table, 0x40000004, 0);
	g_assert_true(entry->eax & XEN_HVM_CPUID_VCPU_ID_PRESENT);
	g_assert_cmpuint(entry->ebx, ==, facts->vcpu);
	g_assert_true(entry->eax & XEN_HVM_CPUID_DOMID_PRESENT);
	g_assert_cmpuint(entry->ecx, ==, facts->domid);
	g_assert_true(entry->eax & XEN_HVM_CPUID_UPCALL_VECTOR);
	/* Promises of a Xen that we are not. */
	g_assert_false(entry->eax & (XEN_HVM_CPUID_X2APIC_VIRT | XEN_HVM_CPUID_EXT_DEST_ID));
}

/* Leaves that nobody has a reason to touch. */
static gboolean is_adjusted(uint32_t function)
{
	return function == 1 || function == 4 || function == 0xb || function == 0x1f || function == 0x80000001 ||
	       function == 0x80000008 || function == 0x8000000a || function == 0x8000001d || function == 0x8000001e;
}

static void check_leaves(const struct kvm_cpuid2 *table, const struct kvm_cpuid2 *supported)
{
	for (uint32_t i = 0; i < supported->nent; i++) {
		const struct kvm_cpuid_entry2 *from = &supported->entries[i], *to;

		if (from->function >> 16 == 0x4000 || is_adjusted(from->function))
			continue;
		to = leaf(table, from->function, from->index);
		g_assert_nonnull(to);
		g_assert_true(same_registers(from, to));
		g_assert_cmpuint(from->flags, ==, to->flags);
	}
	for (uint32_t i = 0; i < table->nent; i++)
		for (uint32_t j = 0; j < i; j++)
			g_assert_true(table->entries[i].function != table->entries[j].function ||
				      table->entries[i].index != table->entries[j].index);
}

static void check_features(const struct kvm_cpuid2 *table, const struct kvm_cpuid2 *supported)
{
	const struct kvm_cpuid_entry2 *one = leaf(table, 1, 0), *extended = leaf(table, 0x80000001, 0);
	const struct kvm_cpuid_entry2 *svm = leaf(table, 0x8000000a, 0);
	const uint32_t added = 1u << 21 | 1u << 24 | 1u << 31; /* x2APIC, TSC deadline, hypervisor */

	g_assert_cmpuint(one->eax, ==, leaf(supported, 1, 0)->eax);
	g_assert_cmpuint(one->ebx & 0xffff, ==, leaf(supported, 1, 0)->ebx & 0xffff);
	g_assert_cmpuint(one->ecx, ==, (leaf(supported, 1, 0)->ecx | added) & ~(1u << 5)); /* no VMX */
	g_assert_cmpuint(one->edx & ~(1u << 28), ==, leaf(supported, 1, 0)->edx & ~(1u << 28));
	g_assert_cmpuint(extended->ecx, ==, leaf(supported, 0x80000001, 0)->ecx & ~(1u << 2)); /* no SVM */
	g_assert_cmpuint(extended->edx, ==, leaf(supported, 0x80000001, 0)->edx);
	if (svm)
		g_assert_true((svm->eax | svm->ebx | svm->ecx | svm->edx) == 0);
}

/* Leaves 0xb and 0x1f, level by level, as the SDM tells software to read them. */
static void check_extended_topology(const struct kvm_cpuid2 *table, uint32_t function, const struct cpuid_facts *facts)
{
	uint32_t shift = 0, n_threads = 0, index = 0;

	for (;; index++) {
		const struct kvm_cpuid_entry2 *level = leaf(table, function, index);

		if (!level || (level->ecx >> 8 & 0xff) == 0)
			break;
		g_assert_cmpuint(level->ecx & 0xff, ==, index);
		g_assert_cmpuint(level->edx, ==, facts->vcpu);
		if ((level->ecx >> 8 & 0xff) == 1) {
			g_assert_cmpuint(level->eax & 0x1f, ==, 0); /* one thread a core */
			g_assert_cmpuint(level->ebx & 0xffff, ==, 1);
		}
		g_assert_cmpuint(level->eax & 0x1f, >=, shift);
		shift = level->eax & 0x1f;
		n_threads = level->ebx & 0xffff;
	}
	if (index == 0)
		return; /* the leaf says nothing: the others count */
	g_assert_cmpuint(n_threads, ==, facts->n_vcpus);
	/* All ids, 0 to n - 1, in one package. */
	g_assert_cmpuint((facts->n_vcpus - 1) >> shift, ==, 0);
}

static void check_topology(const struct kvm_cpuid2 *table, const struct cpuid_facts *facts, enum vendor vendor)
{
	const struct kvm_cpuid_entry2 *one = leaf(table, 1, 0), *entry;

	g_assert_cmpuint(one->ebx >> 24, ==, facts->vcpu);
	g_assert_cmpuint(one->ebx >> 16 & 0xff, ==, facts->n_vcpus);
	g_assert_cmpuint(one->edx >> 28 & 1, ==, facts->n_vcpus > 1);
	check_extended_topology(table, 0xb, facts);
	check_extended_topology(table, 0x1f, facts);
	for (uint32_t i = 0; (entry = leaf(table, 4, i)) && (entry->eax & 0x1f) != 0; i++) {
		g_assert_cmpuint((entry->eax >> 26) + 1, ==, facts->n_vcpus);
		g_assert_cmpuint(entry->eax >> 14 & 0xfff, ==, 0);
	}
	if (vendor != AMD)
		return;
	entry = leaf(table, 0x80000008, 0);
	g_assert_cmpuint((entry->ecx & 0xff) + 1, ==, facts->n_vcpus);
	g_assert_cmpuint((facts->n_vcpus - 1) >> (entry->ecx >> 12 & 0xf), ==, 0);
	entry = leaf(table, 0x8000001e, 0);
	g_assert_cmpuint(entry->eax, ==, facts->vcpu);
	g_assert_cmpuint(entry->ebx & 0xff, ==, facts->vcpu); /* core: one each */
	g_assert_cmpuint(entry->ebx >> 8 & 0xff, ==, 0);      /* threads a core, less 1 */
	g_assert_cmpuint(entry->ecx & 0x7ff, ==, 0);          /* node 0 of 1 */
}

static void check_all_counts(enum topology topology)
{
	for (unsigned int n = 1; n <= 32; n++)
		for (unsigned int round = 0; round < 20; round++) {
			enum vendor vendor = round % 2 ? AMD : INTEL;
			g_autofree struct kvm_cpuid2 *supported = random_table(vendor, topology);
			size_t len_bytes = sizeof(*supported) + supported->nent * sizeof(supported->entries[0]);
			g_autofree struct kvm_cpuid2 *before = g_memdup2(supported, len_bytes);
			struct cpuid_facts facts = random_facts(n);
			g_autofree struct kvm_cpuid2 *table = cpuid_build(supported, &facts);

			g_assert_nonnull(table);
			g_assert_cmpint(memcmp(before, supported, len_bytes), ==, 0);
			g_assert_cmpuint(table->nent, <=, CPUID_MAX_ENTRIES);
			g_assert_true(same_registers(leaf(table, 0, 0), leaf(supported, 0, 0))); /* the vendor */
			check_leaves(table, supported);
			check_features(table, supported);
			check_xen_leaves(table, &facts);
			check_topology(table, &facts, vendor);
		}
}

static void test_host_topology(void)
{
	check_all_counts(HOST_TOPOLOGY);
}

static void test_no_topology(void)
{
	check_all_counts(NO_TOPOLOGY);
}

/* What differs between two vCPUs is their ids, and nothing else. */
static void test_vcpus_differ_in_ids_only(void)
{
	for (unsigned int round = 0; round < 50; round++) {
		g_autofree struct kvm_cpuid2 *supported = random_table(round % 2 ? AMD : INTEL, HOST_TOPOLOGY);
		struct cpuid_facts facts = random_facts(32), other_facts = facts;
		g_autofree struct kvm_cpuid2 *table = NULL, *other = NULL;

		other_facts.vcpu = (facts.vcpu + 1 + random_below(31)) % 32;
		table = cpuid_build(supported, &facts);
		other = cpuid_build(supported, &other_facts);
		g_assert_cmpuint(table->nent, ==, other->nent);
		for (uint32_t i = 0; i < table->nent; i++) {
			const struct kvm_cpuid_entry2 *a = &table->entries[i], *b = &other->entries[i];
			gboolean has_id = a->function == 1 || a->function == 0xb || a->function == 0x1f ||
					  a->function == 0x8000001e || a->function == 0x40000004;

			g_assert_cmpuint(a->function, ==, b->function);
			g_assert_true(same_registers(a, b) != has_id);
		}
	}
}

/* AMD's leaf 0x8000001d is what leaf 4 is for Intel: level 1 and 2 belong to a core, and a core has one thread. */
static void test_amd_caches_are_not_shared_by_threads(void)
{
	g_autofree struct kvm_cpuid2 *supported = random_table(AMD, HOST_TOPOLOGY);
	struct cpuid_facts facts = random_facts(4);

	for (uint32_t i = 0; i < supported->nent; i++) {
		struct kvm_cpuid_entry2 *entry = &supported->entries[i];

		/* A host with two threads a core: L1d, L1i, L2, L3, end. */
		const uint32_t eax[] = {0x4121, 0x4122, 0x4143, 0x3c163, 0};
		if (entry->function == 0x8000001d)
			entry->eax = eax[entry->index];
	}
	g_autofree struct kvm_cpuid2 *table = cpuid_build(supported, &facts);
	for (uint32_t i = 0; i < 3; i++)
		g_assert_cmpuint(leaf(table, 0x8000001d, i)->eax >> 14 & 0xfff, ==, 0);
}

/* dom1's own leaves are there where they say something. */
static void test_own_leaves(void)
{
	struct cpuid_facts facts = random_facts(4);
	g_autofree struct kvm_cpuid2 *supported = table_new();

	facts.features = 0;
	g_autofree struct kvm_cpuid2 *without = cpuid_build(supported, &facts);
	g_assert_null(leaf(without, DOM1_CPUID_BASE, 0));
	facts.features = DOM1_FEATURE_LEND_OP;
	g_autofree struct kvm_cpuid2 *with = cpuid_build(supported, &facts);
	check_xen_leaves(with, &facts);
	const struct kvm_cpuid_entry2 *base = leaf(with, DOM1_CPUID_BASE, 0);
	g_assert_cmphex(base->ebx, ==, DOM1_CPUID_SIGNATURE);
	g_assert_cmphex(base->ecx, ==, DOM1_CPUID_SIGNATURE);
	g_assert_cmphex(base->edx, ==, DOM1_CPUID_SIGNATURE);
	g_assert_cmphex(base->eax, ==, DOM1_CPUID_FEATURES);
	g_assert_cmphex(leaf(with, DOM1_CPUID_FEATURES, 0)->eax, ==, DOM1_FEATURE_LEND_OP);
}

static void test_bounds(void)
{
	const struct cpuid_facts facts = random_facts(4);
	unsigned int n_refused = 0, n_built = 0;

	for (uint32_t n = 0; n < 512; n++) {
		/* Of the exact size: the sanitizer sees a read too far. */
		struct kvm_cpuid2 *supported = g_malloc0(sizeof(*supported) + n * sizeof(supported->entries[0]));

		for (uint32_t i = 0; i < n; i++)
			add(supported, 0x80000000 | random_u32(), 0, 0);
		g_autofree struct kvm_cpuid2 *table = cpuid_build(supported, &facts);
		if (table) {
			n_built++;
			g_assert_cmpuint(table->nent, <=, CPUID_MAX_ENTRIES);
			check_xen_leaves(table, &facts);
		} else {
			n_refused++;
			g_assert_cmpuint(n, >=, CPUID_MAX_ENTRIES - 16);
		}
		g_free(supported);
	}
	g_assert_cmpuint(n_built, >, 0);
	g_assert_cmpuint(n_refused, >, 0);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/cpuid/host-topology", test_host_topology);
	g_test_add_func("/cpuid/no-topology", test_no_topology);
	g_test_add_func("/cpuid/vcpus-differ-in-ids-only", test_vcpus_differ_in_ids_only);
	g_test_add_func("/cpuid/amd-caches-are-not-shared-by-threads", test_amd_caches_are_not_shared_by_threads);
	g_test_add_func("/cpuid/own-leaves", test_own_leaves);
	g_test_add_func("/cpuid/bounds", test_bounds);
	return g_test_run();
}
