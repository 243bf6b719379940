// SPDX-License-Identifier: MIT
/*
 * All vCPUs make hypercalls at once, each of a kind that changes what the others use too. Afterwards everything is as
 * before: no port is lost, no page is missing. Source: the families' own tests.
 */
#include "guest.h"

#include <xen/event_channel.h>
#include <xen/grant_table.h>
#include <xen/hvm/hvm_vcpu.h>
#include <xen/memory.h>
#include <xen/sched.h>
#include <xen/vcpu.h>

#define VCPUS_MAX 32
#define ROUNDS    150
#define REF       20
#define LIMIT_NS  60000000000ull

static uint8_t stacks[VCPUS_MAX][PAGE_BYTES] __attribute__((aligned(4096)));
static uint8_t pages[VCPUS_MAX][PAGE_BYTES] __attribute__((aligned(4096)));
/* Each is mapped once while every vCPU counts in it. */
static volatile uint32_t counted[ROUNDS][PAGE_BYTES / 4] __attribute__((aligned(4096)));
static uint8_t table[PAGE_BYTES] __attribute__((aligned(4096)));
static uint8_t window[PAGE_BYTES] __attribute__((aligned(4096)));
static volatile unsigned int begun, ended, mistakes;

static void expect(bool condition)
{
	if (!condition)
		__atomic_fetch_add(&mistakes, 1, __ATOMIC_SEQ_CST);
}

/* A loopback of its own, an event through it, and both ports closed. */
static void use_ports(void)
{
	struct evtchn_alloc_unbound alloc = { .dom = DOMID_SELF, .remote_dom = DOMID_SELF };
	struct evtchn_bind_interdomain bind = { .remote_dom = DOMID_SELF };
	struct evtchn_close close;

	expect(event_channel_op(EVTCHNOP_alloc_unbound, &alloc) == 0);
	bind.remote_port = alloc.port;
	expect(event_channel_op(EVTCHNOP_bind_interdomain, &bind) == 0);
	close.port = bind.local_port;
	expect(event_channel_op(EVTCHNOP_send, &close) == 0);
	expect(port_pending(alloc.port));
	expect(event_channel_op(EVTCHNOP_close, &close) == 0);
	close.port = alloc.port;
	expect(event_channel_op(EVTCHNOP_close, &close) == 0);
}

/* A page of its own goes and comes back. */
static void use_memory(unsigned int number)
{
	xen_pfn_t gfn = ADDRESS(pages[number]) / PAGE_BYTES;
	struct xen_memory_reservation request = { .nr_extents = 1, .domid = DOMID_SELF };

	set_xen_guest_handle(request.extent_start, &gfn);
	pages[number][7] = 1;
	expect(memory_op(XENMEM_decrease_reservation, &request) == 1);
	expect(memory_op(XENMEM_populate_physmap, &request) == 1);
	expect(((volatile uint8_t *)pages[number])[7] == 0);
}

/* A page moves when its grant is mapped first; what others write meanwhile must not be lost. */
static int map_counters(unsigned int round)
{
	volatile struct grant_entry_v1 *entry = (volatile struct grant_entry_v1 *)(void *)table + REF;
	struct gnttab_map_grant_ref map = {
		.host_addr = ADDRESS(window), .flags = GNTMAP_host_map, .ref = REF, .dom = own_domid, .status = 99,
	};
	struct gnttab_unmap_grant_ref unmap = { .host_addr = ADDRESS(window), .status = 99 };

	entry->domid = own_domid;
	entry->frame = (uint32_t)(ADDRESS(counted[round]) / PAGE_BYTES);
	__atomic_store_n(&entry->flags, GTF_permit_access, __ATOMIC_SEQ_CST);
	if (grant_table_op(GNTTABOP_map_grant_ref, &map, 1) != 0 || map.status != GNTST_okay)
		return map.status;
	unmap.handle = map.handle;
	return grant_table_op(GNTTABOP_unmap_grant_ref, &unmap, 1) == 0 ? unmap.status : 1000;
}

static void count_all(unsigned int number)
{
	for (unsigned int i = 0; i < ROUNDS; i++)
		counted[i][number]++;
}

static bool all_counted(unsigned int n_vcpus)
{
	bool all = true;

	for (unsigned int i = 0; i < ROUNDS; i++)
		for (unsigned int number = 0; number < n_vcpus; number++)
			all &= counted[i][number] == ROUNDS;
	return all;
}

static void work(void)
{
	unsigned int number = __atomic_fetch_add(&begun, 1, __ATOMIC_SEQ_CST);

	for (unsigned int i = 0; i < ROUNDS; i++) {
		use_ports();
		use_memory(number);
		count_all(number);
		/* Whoever came first: the entry is one vCPU's. */
		if (number == 0)
			expect(map_counters(i) == GNTST_okay);
		expect(vcpu_op(VCPUOP_is_up, number, NULL) >= 0);
	}
	__atomic_fetch_add(&ended, 1, __ATOMIC_SEQ_CST);
}

static void work_and_halt(void)
{
	work();
	for (;;)
		__asm__ volatile("cli; hlt");
}

static evtchn_port_t lowest_port(void)
{
	struct evtchn_alloc_unbound alloc = { .dom = DOMID_SELF, .remote_dom = DOMID_SELF };
	struct evtchn_close close;

	(void)event_channel_op(EVTCHNOP_alloc_unbound, &alloc);
	close.port = alloc.port;
	(void)event_channel_op(EVTCHNOP_close, &close);
	return alloc.port;
}

static long start(unsigned int vcpu)
{
	struct vcpu_hvm_context context;
	/* As after a call: the stack is aligned, less the address to return to. */
	const uint8_t *stack = stacks[vcpu] + PAGE_BYTES - 2 * sizeof(long) - sizeof(long);

#ifdef __x86_64__
	context_64(&context, work_and_halt, stack);
#else
	context_32(&context, work_and_halt, stack);
#endif
	long rc = vcpu_op(VCPUOP_initialise, vcpu, &context);
	return rc ? rc : vcpu_op(VCPUOP_up, vcpu, NULL);
}

void test_stress(void)
{
	unsigned int n_vcpus = count_vcpus();
	domid_t self = DOMID_SELF;

	shared_info_map();
	CHECK("grant frame 0", add_to_physmap(XENMAPSPACE_grant_table, 0, table), 0);
	/* The place of mappings is none of the domain's pages from the first on. */
	CHECK("a mapping", map_counters(0), GNTST_okay);
	long pages_before = memory_op(XENMEM_current_reservation, &self);
	evtchn_port_t port_before = lowest_port();
	for (unsigned int i = 1; i < n_vcpus; i++)
		CHECK("a vCPU starts", start(i), 0);
	work();
	for (uint64_t end_ns = system_time_ns() + LIMIT_NS; ended < n_vcpus && system_time_ns() < end_ns;)
		(void)sched_op(SCHEDOP_yield, NULL);
	CHECK("all vCPUs did their work", ended, n_vcpus);
	CHECK("no call went wrong", mistakes, 0);
	CHECK_TRUE("nothing that was written is lost", all_counted(n_vcpus));
	CHECK("no port is lost", lowest_port(), port_before);
	CHECK("no page is lost", memory_op(XENMEM_current_reservation, &self), pages_before);
}
