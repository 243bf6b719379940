// SPDX-License-Identifier: MIT
/*
 * A guest that does one thing to its host without end; the word of the option says which. It prints a line after each
 * power of two of rounds, so that the test sees that it goes on. What would end the guest itself is left out: it shuts
 * nothing down, and does not give away the pages that its code is in. tests/boot/hostile.sh looks at what becomes of
 * the host.
 */
#include "guest.h"
#include "hostile.h"

#include <xen/event_channel.h>
#include <xen/grant_table.h>
#include <xen/hvm/params.h>
#include <xen/io/console.h>
#include <xen/io/xs_wire.h>
#include <xen/memory.h>
#include <xen/sched.h>
#include <xen/vcpu.h>

#define SCRATCH_PAGES 4u
#define SPARE_GFN     0x3000u /* RAM at 48 MiB that nothing uses; the guest has 64 */
#define SPARE_GFNS    0x800u
#define N_REFS        64u
#define SLEEP_PORTS   0x600u /* sixteen of them, of the FADT: one turns the guest off */
#define PORTS         128u

static uint8_t scratch[SCRATCH_PAGES * PAGE_BYTES] __attribute__((aligned(4096)));
static uint8_t table[PAGE_BYTES] __attribute__((aligned(4096)));
static uint8_t places[2][PAGE_BYTES] __attribute__((aligned(4096)));
static uint64_t seed = 0x9e3779b97f4a7c15u;

/* xorshift64*, its upper half. */
uint32_t hostile_any(void)
{
	seed ^= seed >> 12;
	seed ^= seed << 25;
	seed ^= seed >> 27;
	return (uint32_t)(seed * 0x2545f4914f6cdd1du >> 32);
}

static uint32_t any(void)
{
	return hostile_any();
}

static unsigned long any_word(void)
{
	switch (any() & 3) {
	case 0:
		return any() & 63;
	case 1:
		return SPARE_GFN + any() % SPARE_GFNS;
	case 2:
		return DOMID_SELF;
	default:
		return (unsigned long)any() << (sizeof(unsigned long) * 4) | any();
	}
}

/* Mostly an address in the scratch pages, also one at the end of a page or of all of them. */
static unsigned long any_argument(void)
{
	switch (any() & 7) {
	case 0:
		return any_word();
	case 1:
		return -(unsigned long)(any() & 255);
	case 2:
		return any() & 63;
	case 3:
		return ADDRESS(scratch) + (any() % SCRATCH_PAGES + 1) * PAGE_BYTES - (any() & 63);
	default:
		return ADDRESS(scratch) + any() % SCRATCH_PAGES * PAGE_BYTES + (any() & 0xff8);
	}
}

static void any_bytes(void)
{
	unsigned long *at = (unsigned long *)(void *)(scratch + any() % (SCRATCH_PAGES * PAGE_BYTES - 256) / 8 * 8);

	for (unsigned int i = 0; i < 16; i++)
		at[i] = any_word();
}

/* It would end, wait for ever, or lose its own pages. */
static bool harms_itself(unsigned long number, unsigned long operation)
{
	switch (number) {
	case __HYPERVISOR_sched_op:
		return operation != SCHEDOP_yield;
	case __HYPERVISOR_vcpu_op:
		return operation == VCPUOP_down;
	case __HYPERVISOR_memory_op:
		return (operation & 63) == XENMEM_decrease_reservation;
	case __HYPERVISOR_event_channel_op:
		return operation == EVTCHNOP_reset || operation == EVTCHNOP_close;
	case __HYPERVISOR_multicall:
		return true;
	default:
		return false;
	}
}

static void storm_hypercalls(void)
{
	const unsigned long number = any() & 7 ? any() & 63 : any(), operation = any() & 15 ? any() & 31 : any();

	if ((any() & 7) == 0)
		any_bytes();
	if (!harms_itself(number, operation))
		(void)hypercall(number, operation, any_argument(), any_argument(), any_argument(), any_argument());
}

/* Lists of calls that do nothing much, as long as they may be, and longer. */
static void storm_multicall(void)
{
	static struct multicall_entry calls[1024];

	for (unsigned int i = 0; i < 1024; i++)
		calls[i] =
			(struct multicall_entry){.op = __HYPERVISOR_xen_version, .args = {any() & 15, any_argument()}};
	(void)hypercall(__HYPERVISOR_multicall, ADDRESS(calls), any() & 1 ? 1024 : any(), 0, 0, 0);
}

static void storm_ports(void)
{
	const uint16_t port = (uint16_t)any();
	uint32_t value = any();

	if (port - SLEEP_PORTS < 16u || port + 4u - SLEEP_PORTS < 20u)
		return;
	switch (any() % 6) {
	case 0:
		__asm__ volatile("outb %%al, %%dx" : : "a"(value), "d"(port));
		break;
	case 1:
		__asm__ volatile("outw %%ax, %%dx" : : "a"(value), "d"(port));
		break;
	case 2:
		__asm__ volatile("outl %%eax, %%dx" : : "a"(value), "d"(port));
		break;
	case 3:
		__asm__ volatile("inb %%dx, %%al" : "+a"(value) : "d"(port));
		break;
	case 4:
		__asm__ volatile("inw %%dx, %%ax" : "+a"(value) : "d"(port));
		break;
	default:
		__asm__ volatile("inl %%dx, %%eax" : "+a"(value) : "d"(port));
	}
}

/* From behind RAM and paging.c's window to where the CPU has its local APIC. */
static void storm_mmio(void)
{
	const unsigned long from = 0x50000000, end = 0xf0000000;
	volatile uint32_t *at = (volatile uint32_t *)(from + any() % (end - from) / 4 * 4);

	if (any() & 1)
		*at = any();
	else
		(void)*at;
}

/*
 * Reads of any; writes only of those that hypervisors have, for the others may be the CPU's: with addresses that do no
 * harm here.
 */
static void storm_msrs(void)
{
	static const uint32_t bases[] = {0, 0x174, 0x400, 0x800, 0x40000000, 0x4b564d00, 0xc0000080, 0xc0010000};
	const uint32_t msr =
		(any() & 7) == 0 ? any() : bases[any() % (sizeof(bases) / sizeof(bases[0]))] + (any() & 255);
	const bool hypervisors = (msr >= 0x40000000 && msr < 0x40000100) || (msr >= 0x4b564d00 && msr < 0x4b564e00);

	traps_skip_bytes = 2; /* RDMSR and WRMSR */
	if (hypervisors && (any() & 1))
		write_msr(msr, any() & 1 ? ADDRESS(scratch) | (any() & 63) : (uint64_t)any() << 32 | any());
	else
		(void)read_msr(msr);
	traps_skip_bytes = 0;
}

static void storm_events(void)
{
	struct evtchn_send send;
	struct evtchn_close close;
	struct evtchn_unmask unmask;
	struct evtchn_status status = {.dom = DOMID_SELF};
	struct evtchn_bind_ipi ipi = {.vcpu = any() & 1};
	struct evtchn_alloc_unbound unbound = {.dom = DOMID_SELF, .remote_dom = any() & 1 ? DOMID_SELF : BACKEND};
	struct evtchn_bind_interdomain pair = {.remote_dom = DOMID_SELF, .remote_port = any() % PORTS};

	(void)event_channel_op(EVTCHNOP_bind_ipi, &ipi);
	(void)event_channel_op(EVTCHNOP_alloc_unbound, &unbound);
	(void)event_channel_op(EVTCHNOP_bind_interdomain, &pair);
	for (unsigned int i = 0; i < 16; i++) {
		send.port = unmask.port = status.port = any() % PORTS;
		(void)event_channel_op(EVTCHNOP_send, &send);
		(void)event_channel_op(EVTCHNOP_unmask, &unmask);
		(void)event_channel_op(EVTCHNOP_status, &status);
	}
	/* Not the first two: of the store and of the console. */
	close.port = 3 + any() % (PORTS - 3);
	(void)event_channel_op(EVTCHNOP_close, &close);
}

/* A request of a sensible kind with a long value or a path of chance; answers are thrown away as they come. */
static void storm_xenstore(void)
{
	static const uint32_t types[] = {XS_WRITE,
					 XS_MKDIR,
					 XS_WATCH,
					 XS_UNWATCH,
					 XS_READ,
					 XS_DIRECTORY,
					 XS_RM,
					 XS_TRANSACTION_START,
					 XS_TRANSACTION_END,
					 XS_GET_PERMS,
					 XS_SET_PERMS};
	static volatile struct xenstore_domain_interface *ring;
	static evtchn_port_t port;
	struct {
		struct xsd_sockmsg header;
		char body[256];
	} request;
	struct evtchn_send send;
	const uint32_t len = any() & 255;

	if (!ring) {
		ring = (void *)(uintptr_t)(parameter(HVM_PARAM_STORE_PFN) * PAGE_BYTES);
		port = (evtchn_port_t)parameter(HVM_PARAM_STORE_EVTCHN);
	}
	request.header = (struct xsd_sockmsg){.type = any() & 31 ? types[any() % 11] : any(),
					      .req_id = any(),
					      .tx_id = any() & 3 ? 0 : any() & 7,
					      .len = len};
	for (uint32_t i = 0; i < len; i++)
		request.body[i] = "data/0123456789abcdef\0"[i < 5 ? i : 5 + any() % 17];
	for (uint32_t i = 0; i < sizeof(request.header) + len; i++) {
		while (ring->req_prod - ring->req_cons >= XENSTORE_RING_SIZE) {
			send.port = port;
			ring->rsp_cons = ring->rsp_prod;
			(void)event_channel_op(EVTCHNOP_send, &send);
			(void)sched_op(SCHEDOP_yield, NULL);
		}
		ring->req[MASK_XENSTORE_IDX(ring->req_prod)] = ((const char *)&request)[i];
		__asm__ volatile("" : : : "memory");
		ring->req_prod++;
	}
	ring->rsp_cons = ring->rsp_prod;
	send.port = port;
	(void)event_channel_op(EVTCHNOP_send, &send);
}

/* The indexes of the store's and the console's rings say anything at all. */
static void storm_rings(void)
{
	volatile struct xenstore_domain_interface *store =
		(void *)(uintptr_t)(parameter(HVM_PARAM_STORE_PFN) * PAGE_BYTES);
	volatile struct xencons_interface *console = (void *)(uintptr_t)(parameter(HVM_PARAM_CONSOLE_PFN) * PAGE_BYTES);
	struct evtchn_send send = {
		.port = (evtchn_port_t)parameter(any() & 1 ? HVM_PARAM_STORE_EVTCHN : HVM_PARAM_CONSOLE_EVTCHN)};

	for (unsigned int i = 0; i < 64; i++) {
		((volatile uint8_t *)store)[any() % sizeof(*store)] = (uint8_t)any();
		store->req_prod = any();
		store->rsp_cons = any();
		console->out_prod = any();
		console->in_cons = any();
		(void)event_channel_op(EVTCHNOP_send, &send);
	}
}

static void storm_grants(void)
{
	grant_entry_v1_t *entries = (void *)table;
	struct gnttab_map_grant_ref map = {.host_addr = ADDRESS(places[0]),
					   .flags = GNTMAP_host_map | (any() & 1 ? GNTMAP_readonly : 0),
					   .ref = any() % N_REFS,
					   .dom = DOMID_SELF};
	struct gnttab_unmap_grant_ref unmap = {.host_addr = map.host_addr};
	struct gnttab_swap_grant_ref swap = {any() % N_REFS, any() % N_REFS};
	struct gnttab_copy copy = {.len = (uint16_t)(any() & 4095), .flags = any() & 3};

	for (unsigned int i = 0; i < 8; i++)
		entries[8 + any() % (N_REFS - 8)] = (grant_entry_v1_t){
			.flags = (uint16_t)(any() & 0x37), .domid = own_domid, .frame = SPARE_GFN + any() % SPARE_GFNS};
	if (grant_table_op(GNTTABOP_map_grant_ref, &map, 1) == 0 && map.status == GNTST_okay) {
		unmap.handle = any() & 7 ? map.handle : any();
		places[0][any() % PAGE_BYTES] = 1;
		(void)grant_table_op(GNTTABOP_unmap_grant_ref, &unmap, 1);
	}
	copy.source.domid = copy.dest.domid = DOMID_SELF;
	copy.source.u.ref = any() % N_REFS;
	copy.dest.u.ref = any() % N_REFS;
	if (!(copy.flags & GNTCOPY_dest_gref))
		copy.dest.u.gmfn = SPARE_GFN;
	(void)grant_table_op(GNTTABOP_copy, &copy, 1);
	(void)grant_table_op(GNTTABOP_swap_grant_ref, &swap, 1);
}

/* shared_info and frames of the grant table now here, now there. */
static void storm_pages(void)
{
	(void)add_to_physmap(XENMAPSPACE_shared_info, 0, places[any() & 1]);
	(void)add_to_physmap(XENMAPSPACE_grant_table, any() & 7,
			     (const void *)(uintptr_t)((SPARE_GFN + any() % SPARE_GFNS) * PAGE_BYTES));
}

/* Pages given back and taken, a few and many. */
static void storm_memory(void)
{
	static unsigned long gfns[512];
	struct xen_memory_reservation request = {.nr_extents = any() & 511, .domid = DOMID_SELF};

	for (unsigned int i = 0; i < 512; i++)
		gfns[i] = SPARE_GFN + any() % SPARE_GFNS;
	set_xen_guest_handle(request.extent_start, gfns);
	(void)memory_op(any() & 1 ? XENMEM_decrease_reservation : XENMEM_populate_physmap, &request);
}

/* As any program in a guest may. */
static void storm_user(void)
{
	(void)user_hypercall(any() & 63, any() & 31, any_argument());
}

static void storm_console(void)
{
	print("0123456789 0123456789 0123456789 0123456789\n");
}

static void storm_nothing(void)
{
	for (unsigned int i = 0; i < 1000; i++)
		(void)any();
}

static const struct {
	const char *name;
	void (*round)(void);
	bool silent; /* it has spoilt its console */
} STORMS[] = {
	{"nothing", storm_nothing, false},     {"hypercalls", storm_hypercalls, false},
	{"multicall", storm_multicall, false}, {"ports", storm_ports, false},
	{"mmio", storm_mmio, false},           {"msrs", storm_msrs, false},
	{"events", storm_events, false},       {"xenstore", storm_xenstore, false},
	{"rings", storm_rings, true},          {"grants", storm_grants, false},
	{"pages", storm_pages, false},         {"memory", storm_memory, false},
	{"user", storm_user, false},           {"console", storm_console, false},
	{"placed", storm_placed, false},      {"resets", storm_resets, false},
};

static bool is_option(const char *name)
{
	const char *word = option();

	while (*name && *name == *word)
		name++, word++;
	return *name == *word;
}

void test_hostile(void)
{
	for (unsigned int i = 0; i < sizeof(STORMS) / sizeof(STORMS[0]); i++) {
		if (!is_option(STORMS[i].name))
			continue;
		any_bytes();
		(void)add_to_physmap(XENMAPSPACE_grant_table, 0, table);
		for (unsigned long n = 1;; n++) {
			STORMS[i].round();
			if ((n & (n - 1)) == 0 && !STORMS[i].silent) {
				print("rounds ");
				print_number((long long)n);
				print("\n");
			}
		}
	}
	print("no storm has this name\n");
	finish("ERROR");
}
