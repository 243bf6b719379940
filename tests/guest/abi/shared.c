// SPDX-License-Identifier: MIT
/* shared_info, the bits of ports in it, and the time that it tells. Source: <xen/xen.h>. */
#include "guest.h"

#include <xen/memory.h>
#include <xen/sched.h>
#include <xen/vcpu.h>

#define BITS (8 * sizeof(unsigned long))

SPARE_PAGE(shared_page);
struct shared_info *shared = (struct shared_info *)shared_page;

long add_to_physmap(unsigned int space, unsigned long index, const void *at)
{
	struct xen_add_to_physmap request = {
		.domid = DOMID_SELF,
		.space = space,
		.idx = index,
		.gpfn = ADDRESS(at) / PAGE_BYTES,
	};

	return memory_op(XENMEM_add_to_physmap, &request);
}

void shared_info_map(void)
{
	if (add_to_physmap(XENMAPSPACE_shared_info, 0, shared_page) != 0) {
		print("shared_info cannot be mapped\n");
		finish("ERROR");
	}
	/* The console's back end sends events whenever it likes: tests unmask what they wait for. */
	memset(shared->evtchn_mask, 0xff, sizeof(shared->evtchn_mask));
}

bool port_pending(unsigned int port)
{
	return __atomic_load_n(&shared->evtchn_pending[port / BITS], __ATOMIC_SEQ_CST) >> port % BITS & 1;
}

void port_clear(unsigned int port)
{
	__atomic_fetch_and(&shared->evtchn_pending[port / BITS], ~(1ul << port % BITS), __ATOMIC_SEQ_CST);
}

bool port_masked(unsigned int port)
{
	return __atomic_load_n(&shared->evtchn_mask[port / BITS], __ATOMIC_SEQ_CST) >> port % BITS & 1;
}

void port_mask(unsigned int port, bool masked)
{
	if (masked)
		__atomic_fetch_or(&shared->evtchn_mask[port / BITS], 1ul << port % BITS, __ATOMIC_SEQ_CST);
	else
		__atomic_fetch_and(&shared->evtchn_mask[port / BITS], ~(1ul << port % BITS), __ATOMIC_SEQ_CST);
}

/* 64 bits times 32 bits, shifted down by 32, without a library. */
static uint64_t scale(uint64_t value, uint32_t factor)
{
	return (value >> 32) * factor + ((value & 0xffffffffu) * factor >> 32);
}

uint64_t system_time_ns(void)
{
	const volatile struct vcpu_time_info *time = &shared->vcpu_info[0].time;
	uint64_t delta, base;
	uint32_t version;

	do {
		version = time->version;
		__asm__ volatile("lfence" : : : "memory");
		delta = read_tsc() - time->tsc_timestamp;
		delta = time->tsc_shift >= 0 ? delta << time->tsc_shift : delta >> -time->tsc_shift;
		delta = scale(delta, time->tsc_to_system_mul);
		base = time->system_time;
		__asm__ volatile("lfence" : : : "memory");
	} while (version != time->version || (version & 1));
	return base + delta;
}

bool wait_for_port(unsigned int port, unsigned int limit_ms)
{
	uint64_t end_ns = system_time_ns() + (uint64_t)limit_ms * 1000000;

	while (!port_pending(port) && system_time_ns() < end_ns)
		(void)sched_op(SCHEDOP_yield, NULL);
	return port_pending(port);
}

void take_upcalls(void)
{
	__asm__ volatile("sti; nop; nop; cli" : : : "memory");
	upcalls = 0;
}

/* is_up of a vCPU that there is not: -ENOENT. */
unsigned int count_vcpus(void)
{
	unsigned int n = 1;

	while (vcpu_op(VCPUOP_is_up, n, NULL) >= 0)
		n++;
	return n;
}
