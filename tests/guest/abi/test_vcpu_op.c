// SPDX-License-Identifier: MIT
/* What a guest does to its vCPUs. Source: <xen/vcpu.h>; do_vcpu_op(), map_vcpu_info() of Xen 4.17's common/domain.c. */
#include "guest.h"

#include <xen/event_channel.h>
#include <xen/hvm/hvm_vcpu.h>
#include <xen/memory.h>
#include <xen/sched.h>
#include <xen/vcpu.h>

#define BAD_VCPU   500
#define OP_UNKNOWN 99
#define OFFSET     128
#define HOLE_GFN   0xd0000u
#define MODE_BAD   7

/* <xen/vcpu.h> of Xen 4.18. */
#define OP_RUNSTATE_PHYS_AREA 14
#define OP_TIME_PHYS_AREA     15

SPARE_PAGE(info_page);
SPARE_PAGE(area_page);

/* An operation for a vCPU that there is not says so before it looks at its argument. */
static void check_numbers(void)
{
	CHECK("register_vcpu_info for no vCPU", vcpu_op(VCPUOP_register_vcpu_info, BAD_VCPU, nowhere()), -XEN_ENOENT);
	CHECK("is_up of no vCPU", vcpu_op(VCPUOP_is_up, BAD_VCPU, NULL), -XEN_ENOENT);
	CHECK("is_up of the highest number", vcpu_op(VCPUOP_is_up, ~0u, NULL), -XEN_ENOENT);
	CHECK("is_up of oneself", vcpu_op(VCPUOP_is_up, 0, NULL), 1);
	CHECK("up of no vCPU", vcpu_op(VCPUOP_up, BAD_VCPU, NULL), -XEN_ENOENT);
	CHECK("up of oneself", vcpu_op(VCPUOP_up, 0, NULL), 0);
	CHECK("initialise of no vCPU", vcpu_op(VCPUOP_initialise, BAD_VCPU, nowhere()), -XEN_ENOENT);
	CHECK("get_physid is for pinned ones", vcpu_op(VCPUOP_get_physid, 0, area_page), -XEN_EINVAL);
	CHECK("an operation that there is not", vcpu_op(OP_UNKNOWN, 0, NULL), -XEN_ENOSYS);
	CHECK("an operation that there is not, for no vCPU", vcpu_op(OP_UNKNOWN, BAD_VCPU, NULL), -XEN_ENOENT);
}

static void check_runstate(void)
{
	struct vcpu_runstate_info info = { .state = 99 };
	struct vcpu_register_runstate_memory_area area;
	volatile struct vcpu_runstate_info *written = (void *)area_page;
	struct vcpu_runstate_info *across = across_pages(sizeof(*across));

	CHECK("get_runstate_info", vcpu_op(VCPUOP_get_runstate_info, 0, &info), 0);
	CHECK("oneself is running", info.state, RUNSTATE_running);
	CHECK("get_runstate_info to nowhere", vcpu_op(VCPUOP_get_runstate_info, 0, nowhere()), -XEN_EFAULT);
	across->state = 99;
	CHECK("get_runstate_info across two pages", vcpu_op(VCPUOP_get_runstate_info, 0, across), 0);
	CHECK("is whole", across->state, RUNSTATE_running);
	memset(area_page, 0xff, PAGE_BYTES);
	area.addr.v = (void *)area_page;
	CHECK("register_runstate_memory_area", vcpu_op(VCPUOP_register_runstate_memory_area, 0, &area), 0);
	CHECK("the area is filled", written->state, RUNSTATE_running);
	CHECK_TRUE("with a time", written->state_entry_time != ~UINT64_C(0));
	CHECK("nothing beyond it is", area_page[sizeof(info)], 0xff);
	CHECK("register_runstate_memory_area from nowhere", vcpu_op(VCPUOP_register_runstate_memory_area, 0, nowhere()),
	      -XEN_EFAULT);
}

/* update_runstate_area() writes through the address, page by page. KVM takes one guest-physical address for all. */
static void check_runstate_across_pages(void)
{
	static uint8_t pages[2][PAGE_BYTES] __attribute__((aligned(4096)));
	struct vcpu_runstate_info *following = (void *)(pages[1] - sizeof(*following) / 2);
	struct vcpu_runstate_info *apart = across_pages(sizeof(*apart));
	struct vcpu_register_runstate_memory_area area;

	memset(following, 0xff, sizeof(*following));
	area.addr.v = following;
	CHECK("a runstate area across two pages", vcpu_op(VCPUOP_register_runstate_memory_area, 0, &area), 0);
	CHECK("its first half is filled", following->state, RUNSTATE_running);
	CHECK_TRUE("its second half is filled", following->time[RUNSTATE_offline] != ~UINT64_C(0));
	memset(apart, 0xff, sizeof(*apart));
	area.addr.v = apart;
	long rc = vcpu_op(VCPUOP_register_runstate_memory_area, 0, &area);
	if (rc == -XEN_EFAULT) {
		check_skipped("a runstate area across pages that do not follow", "KVM takes one address (docs/abi.md)");
		CHECK("it is not written to", apart->state, -1);
		return;
	}
	CHECK("a runstate area across pages that do not follow", rc, 0);
	CHECK("the first half of pages that do not follow", apart->state, RUNSTATE_running);
	CHECK_TRUE("their second half", apart->time[RUNSTATE_offline] != ~UINT64_C(0));
}

static void check_time_area(void)
{
	struct vcpu_register_time_memory_area area;
	volatile struct vcpu_time_info *written = (void *)(area_page + 1024);

	memset(area_page + 1024, 0, 64);
	area.addr.v = (void *)(area_page + 1024);
	CHECK("register_vcpu_time_memory_area", vcpu_op(VCPUOP_register_vcpu_time_memory_area, 0, &area), 0);
	/* It is written when the vCPU goes on at the latest: force_update_vcpu_system_time(). */
	CHECK_TRUE("the area is filled", written->tsc_to_system_mul != 0);
	CHECK_TRUE("as in shared_info", written->tsc_to_system_mul == shared->vcpu_info[0].time.tsc_to_system_mul);
	CHECK("register_vcpu_time_memory_area from nowhere",
	      vcpu_op(VCPUOP_register_vcpu_time_memory_area, 0, nowhere()), -XEN_EFAULT);
}

static long register_phys(unsigned int operation, uint64_t gpa)
{
	return vcpu_op(operation, 0, &gpa);
}

/* map_guest_area() of Xen 4.18: in one page, aligned, and RAM. */
static void check_phys_area(const char *what, unsigned int operation, size_t len_bytes, const volatile uint32_t *filled)
{
	uint64_t gpa = ADDRESS(area_page);

	print(what);
	print("\n");
	memset(area_page, 0, PAGE_BYTES);
	CHECK("a physical area that crosses a page", register_phys(operation, gpa + PAGE_BYTES - len_bytes + 8),
	      -XEN_ENXIO);
	CHECK("one that is not aligned", register_phys(operation, gpa + 2), -XEN_ENXIO);
	CHECK("one in a hole", register_phys(operation, (uint64_t)HOLE_GFN * PAGE_BYTES), -XEN_EINVAL);
	CHECK("one from nowhere", vcpu_op(operation, 0, nowhere()), -XEN_EFAULT);
	CHECK("one of a vCPU that there is not", vcpu_op(operation, 999, &gpa), -XEN_ENOENT);
	CHECK("a physical area", register_phys(operation, gpa), 0);
	(void)sched_op(SCHEDOP_yield, NULL);
	CHECK_TRUE("it is filled", *filled != 0);
	CHECK("it is taken away", register_phys(operation, ~UINT64_C(0)), 0);
	memset(area_page, 0, PAGE_BYTES);
	for (unsigned int i = 0; i < 100; i++)
		(void)sched_op(SCHEDOP_yield, NULL);
	CHECK("and not written any more", *filled, 0);
}

static void check_phys_areas(void)
{
	const volatile struct vcpu_runstate_info *runstate = (void *)area_page;
	const volatile struct vcpu_time_info *time = (void *)area_page;

	check_phys_area("time:", OP_TIME_PHYS_AREA, sizeof(*time), &time->tsc_to_system_mul);
	check_phys_area("runstate:", OP_RUNSTATE_PHYS_AREA, sizeof(*runstate),
			(const volatile uint32_t *)&runstate->state_entry_time);
}

static long register_vcpu_info(unsigned int vcpu, uint64_t gfn, uint32_t offset)
{
	struct vcpu_register_vcpu_info request = { .mfn = gfn, .offset = offset };

	return vcpu_op(VCPUOP_register_vcpu_info, vcpu, &request);
}

/* map_vcpu_info(): contents go along, and everything is pending, so that nothing is lost. */
static void check_vcpu_info(void)
{
	const uint64_t gfn = ADDRESS(info_page) / PAGE_BYTES;
	volatile struct vcpu_info *info = (void *)(info_page + OFFSET);
	uint32_t mul = shared->vcpu_info[0].time.tsc_to_system_mul;

	memset(info_page, 0xff, PAGE_BYTES);
	CHECK("register_vcpu_info from nowhere", vcpu_op(VCPUOP_register_vcpu_info, 0, nowhere()), -XEN_EFAULT);
	CHECK("register_vcpu_info beyond a page", register_vcpu_info(0, gfn, PAGE_BYTES - 63), -XEN_EINVAL);
	CHECK("register_vcpu_info at an absurd offset", register_vcpu_info(0, gfn, ~0u), -XEN_EINVAL);
	CHECK("register_vcpu_info in a hole", register_vcpu_info(0, HOLE_GFN, 0), -XEN_EINVAL);
	CHECK("register_vcpu_info at the highest page", register_vcpu_info(0, ~UINT64_C(0), 0), -XEN_EINVAL);
	shared->vcpu_info[0].evtchn_pending_sel = 0;
	shared->vcpu_info[0].evtchn_upcall_pending = 0;
	CHECK("register_vcpu_info", register_vcpu_info(0, gfn, OFFSET), 0);
	CHECK("the time is there", info->time.tsc_to_system_mul, mul);
	CHECK("the vCPU is told", info->evtchn_upcall_pending, 1);
	CHECK_TRUE("of all words", info->evtchn_pending_sel == ~0ul);
	CHECK("what lies before is not touched", info_page[OFFSET - 1], 0xff);
	CHECK("what lies behind is not touched", info_page[OFFSET + sizeof(*info)], 0xff);
	CHECK("register_vcpu_info twice", register_vcpu_info(0, gfn, OFFSET), -XEN_EINVAL);
	CHECK("at another place neither", register_vcpu_info(0, gfn, 0), -XEN_EINVAL);
}

/* HVM: without a handle as argument. The NMI comes with the next entry. */
static void check_nmi(void)
{
	nmis = 0;
	CHECK("send_nmi to oneself", vcpu_op(VCPUOP_send_nmi, 0, NULL), 0);
	for (unsigned int i = 0; i < 100000 && nmis == 0; i++)
		__asm__ volatile("pause");
	CHECK("it arrives", nmis, 1);
	CHECK("send_nmi takes no argument", vcpu_op(VCPUOP_send_nmi, 0, area_page), -XEN_EINVAL);
}

/* Events of a vCPU whose vcpu_info was moved are told at the new place, also while it is down. */
static void check_event_of_second(void)
{
	volatile struct vcpu_info *info = (void *)(info_page + OFFSET + 64);
	struct evtchn_bind_ipi ipi = { .vcpu = 1 };
	struct evtchn_send send;

	CHECK("the second vCPU is told of all", info->evtchn_upcall_pending, 1);
	CHECK("bind_ipi of the second vCPU", event_channel_op(EVTCHNOP_bind_ipi, &ipi), 0);
	info->evtchn_upcall_pending = 0;
	info->evtchn_pending_sel = 0;
	port_mask(ipi.port, false);
	port_clear(ipi.port);
	send.port = ipi.port;
	CHECK("send to it", event_channel_op(EVTCHNOP_send, &send), 0);
	CHECK_TRUE("the port is pending", port_pending(ipi.port));
	CHECK("it is told at the new place", info->evtchn_upcall_pending, 1);
	CHECK("of the right word", info->evtchn_pending_sel, 1ul << ipi.port / (8 * sizeof(unsigned long)));
	(void)event_channel_op(EVTCHNOP_close, &send);
}

/* arch_initialise_vcpu() of x86: the structure is looked at, a second time is -EEXIST. */
static void check_second_vcpu(void)
{
	struct vcpu_hvm_context context = { .mode = MODE_BAD };
	struct vcpu_runstate_info runstate = { .state = 99 };

	if (count_vcpus() < 2) {
		print("(one vCPU: no checks of a second one)\n");
		return;
	}
	CHECK("is_up of one that was not started", vcpu_op(VCPUOP_is_up, 1, NULL), 0);
	CHECK("its runstate", vcpu_op(VCPUOP_get_runstate_info, 1, &runstate), 0);
	CHECK("is offline", runstate.state, RUNSTATE_offline);
	CHECK("up of one that is not initialised", vcpu_op(VCPUOP_up, 1, NULL), -XEN_EINVAL);
	CHECK("initialise from nowhere", vcpu_op(VCPUOP_initialise, 1, nowhere()), -XEN_EFAULT);
	CHECK("initialise in a mode that there is not", vcpu_op(VCPUOP_initialise, 1, &context), -XEN_EINVAL);
	CHECK("register_vcpu_info of one that is down",
	      register_vcpu_info(1, ADDRESS(info_page) / PAGE_BYTES, OFFSET + 64), 0);
	check_event_of_second();
	CHECK("initialise of oneself", vcpu_op(VCPUOP_initialise, 0, &context), -XEN_EEXIST);
}

void test_vcpu_op(void)
{
	shared_info_map();
	check_numbers();
	check_runstate();
	check_runstate_across_pages();
	check_time_area();
	check_phys_areas();
	check_vcpu_info();
	check_second_vcpu();
	check_nmi();
}
