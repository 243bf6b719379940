// SPDX-License-Identifier: MIT
/*
 * Two storms of test_hostile.c that need a second vCPU: it sends events without end, which KVM answers by itself in the pages of
 * the hypervisor's, while the first one moves those pages elsewhere, or has the domain reset.
 */
#include "guest.h"
#include "hostile.h"

#include <xen/event_channel.h>
#include <xen/hvm/hvm_vcpu.h>
#include <xen/hvm/params.h>
#include <xen/memory.h>
#include <xen/sched.h>
#include <xen/vcpu.h>

#define N_PLACES   4u
#define N_PORTS    8u
#define IS_A_LOOP  1023u
#define RESETS_ASK 7u

static uint8_t stack[PAGE_BYTES] __attribute__((aligned(4096)));
static uint8_t places[N_PLACES][PAGE_BYTES] __attribute__((aligned(4096)));
static volatile bool is_up, resets_too;
static volatile unsigned int first_port;

/* Events for the first vCPU and for itself, of ports that may have gone; now and then the console's and the store's. */
static void load(void)
{
	struct sched_shutdown reset = {.reason = SHUTDOWN_soft_reset};
	struct evtchn_send send;
	struct evtchn_unmask unmask;

	is_up = true;
	for (unsigned int n = 0;; n++) {
		send.port = unmask.port = (n & 63) == 0 ? 1 + (n >> 6 & 1) : first_port + n % N_PORTS;
		(void)event_channel_op(EVTCHNOP_send, &send);
		(void)event_channel_op(EVTCHNOP_unmask, &unmask);
		if (resets_too && n % IS_A_LOOP == 0)
			(void)sched_op(SCHEDOP_shutdown, &reset);
	}
}

static void bind_ports(void)
{
	struct evtchn_bind_ipi ipi;

	for (unsigned int i = 0; i < N_PORTS; i++) {
		ipi = (struct evtchn_bind_ipi){.vcpu = i & 1};
		if (event_channel_op(EVTCHNOP_bind_ipi, &ipi) == 0 && i == 0)
			first_port = ipi.port;
	}
}

static void start_load(void)
{
	static struct vcpu_hvm_context context;
	/* As after a call: the stack is aligned, less the address to return to. */
	const uint8_t *top = stack + PAGE_BYTES - 2 * sizeof(long) - sizeof(long);

	if (is_up)
		return;
	bind_ports();
#ifdef __x86_64__
	context_64(&context, load, top);
#else
	context_32(&context, load, top);
#endif
	if (vcpu_op(VCPUOP_initialise, 1, &context) != 0 || vcpu_op(VCPUOP_up, 1, NULL) != 0) {
		print("there is no second vCPU\n");
		finish("ERROR");
	}
	while (!is_up)
		(void)sched_op(SCHEDOP_yield, NULL);
}

/* A place in one of the pages, that also may be none, or reach over a page's end, or be in RAM that nothing uses. */
static uint64_t any_place(void)
{
	switch (hostile_any() & 7) {
	case 0:
		return hostile_any();
	case 1:
		return ADDRESS(places[hostile_any() % N_PLACES]) + PAGE_BYTES - (hostile_any() & 63);
	default:
		return ADDRESS(places[hostile_any() % N_PLACES]) + (hostile_any() & 0xf80);
	}
}

static void place_all(void)
{
	struct vcpu_register_vcpu_info info;
	struct vcpu_register_runstate_memory_area runstate = {.addr.p = any_place()};
	struct vcpu_register_time_memory_area time = {.addr.p = any_place()};
	const uint64_t gpa = any_place();

	info = (struct vcpu_register_vcpu_info){.mfn = gpa / PAGE_BYTES, .offset = gpa % PAGE_BYTES};
	(void)add_to_physmap(XENMAPSPACE_shared_info, 0, places[hostile_any() % N_PLACES]);
	(void)vcpu_op(VCPUOP_register_vcpu_info, hostile_any() & 1, &info);
	(void)vcpu_op(VCPUOP_register_runstate_memory_area, hostile_any() & 1, &runstate);
	(void)vcpu_op(VCPUOP_register_vcpu_time_memory_area, hostile_any() & 1, &time);
}

void storm_placed(void)
{
	start_load();
	place_all();
}

/* Both vCPUs ask for it, also while it is being done, and one before all is set up again. */
void storm_resets(void)
{
	struct sched_shutdown reset = {.reason = SHUTDOWN_soft_reset};

	start_load();
	resets_too = true;
	(void)sched_op(SCHEDOP_shutdown, &reset);
	if ((hostile_any() & RESETS_ASK) == 0)
		(void)sched_op(SCHEDOP_shutdown, &reset);
	bind_ports();
	place_all();
}
