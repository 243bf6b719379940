// SPDX-License-Identifier: MIT
/*
 * Timers of a vCPU: they fire on the port of VIRQ_TIMER. Source: <xen/vcpu.h>, <xen/xen.h> (set_timer_op); do_vcpu_op()
 * of Xen 4.17's common/domain.c, do_set_timer_op() of common/sched/core.c.
 */
#include "guest.h"

#include <xen/event_channel.h>
#include <xen/vcpu.h>

#define MS          1000000ull
#define SOON        (20 * MS)
#define LATER_MS    2000
#define QUIET_MS    50
#define TOO_SHORT   (MS - 1) /* set_periodic_timer: at least 1 ms */
#define BAD_VCPU    500

static evtchn_port_t port;

static long set_singleshot(unsigned int vcpu, uint64_t timeout_ns, uint32_t flags)
{
	struct vcpu_set_singleshot_timer timer = { .timeout_abs_ns = timeout_ns, .flags = flags };

	return vcpu_op(VCPUOP_set_singleshot_timer, vcpu, &timer);
}

static long set_periodic(unsigned int vcpu, uint64_t period_ns)
{
	struct vcpu_set_periodic_timer timer = { .period_ns = period_ns };

	return vcpu_op(VCPUOP_set_periodic_timer, vcpu, &timer);
}

/* In 32-bit mode a number of 64 bits is two arguments, the low half first. */
static long set_timer(uint64_t timeout_ns)
{
#ifdef __x86_64__
	return hypercall(__HYPERVISOR_set_timer_op, timeout_ns, 0, 0, 0, 0);
#else
	return hypercall(__HYPERVISOR_set_timer_op, (uint32_t)timeout_ns, (uint32_t)(timeout_ns >> 32), 0, 0, 0);
#endif
}

static void check_singleshot(void)
{
	struct vcpu_set_singleshot_timer *across = across_pages(sizeof(*across));
	uint64_t start;
	long rc;

	port_clear(port);
	start = system_time_ns();
	CHECK("set_singleshot_timer", set_singleshot(0, start + SOON, 0), 0);
	CHECK_TRUE("it fires", wait_for_port(port, LATER_MS));
	CHECK_TRUE("not too early", system_time_ns() >= start + SOON);
	port_clear(port);
	CHECK_TRUE("and once", !wait_for_port(port, QUIET_MS));
	CHECK("set_singleshot_timer for a time in the past", set_singleshot(0, 1, 0), 0);
	CHECK_TRUE("it fires at once", wait_for_port(port, LATER_MS));
	port_clear(port);
	/* <xen/vcpu.h>: -ETIME, "but can be ignored by the hypervisor". */
	rc = set_singleshot(0, 1, VCPU_SSHOTTMR_future);
	CHECK_TRUE("with the flag that forbids the past",
		   rc == -XEN_ETIME || (rc == 0 && wait_for_port(port, LATER_MS)));
	port_clear(port);
	CHECK("set_singleshot_timer to be stopped", set_singleshot(0, system_time_ns() + SOON, 0), 0);
	CHECK("stop_singleshot_timer", vcpu_op(VCPUOP_stop_singleshot_timer, 0, NULL), 0);
	CHECK_TRUE("it does not fire", !wait_for_port(port, QUIET_MS));
	CHECK("stop_singleshot_timer again", vcpu_op(VCPUOP_stop_singleshot_timer, 0, NULL), 0);
	across->timeout_abs_ns = system_time_ns() + SOON;
	CHECK("set_singleshot_timer across two pages", vcpu_op(VCPUOP_set_singleshot_timer, 0, across), 0);
	CHECK_TRUE("it fires", wait_for_port(port, LATER_MS));
	port_clear(port);
	CHECK("set_singleshot_timer from nowhere", vcpu_op(VCPUOP_set_singleshot_timer, 0, nowhere()), -XEN_EFAULT);
	if (count_vcpus() > 1) {
		/* "if ( v != current ) return -EINVAL" */
		CHECK("set_singleshot_timer of another vCPU", set_singleshot(1, 1, 0), -XEN_EINVAL);
		CHECK("stop_singleshot_timer of another", vcpu_op(VCPUOP_stop_singleshot_timer, 1, NULL), -XEN_EINVAL);
	}
}

static void check_periodic(void)
{
	port_clear(port);
	CHECK("set_periodic_timer", set_periodic(0, SOON), 0);
	for (int i = 0; i < 3; i++) {
		CHECK_TRUE("it fires", wait_for_port(port, LATER_MS));
		port_clear(port);
	}
	CHECK("stop_periodic_timer", vcpu_op(VCPUOP_stop_periodic_timer, 0, NULL), 0);
	port_clear(port);
	CHECK_TRUE("it does not fire any more", !wait_for_port(port, QUIET_MS));
	CHECK("stop_periodic_timer again", vcpu_op(VCPUOP_stop_periodic_timer, 0, NULL), 0);
	CHECK("set_periodic_timer too short", set_periodic(0, TOO_SHORT), -XEN_EINVAL);
	CHECK("set_periodic_timer of 0", set_periodic(0, 0), -XEN_EINVAL);
	CHECK("set_periodic_timer for ever", set_periodic(0, ~0ull), -XEN_EINVAL);
	CHECK("set_periodic_timer from nowhere", vcpu_op(VCPUOP_set_periodic_timer, 0, nowhere()), -XEN_EFAULT);
	CHECK("set_periodic_timer of no vCPU", set_periodic(BAD_VCPU, SOON), -XEN_ENOENT);
}

static void check_set_timer_op(void)
{
	uint64_t start = system_time_ns();

	port_clear(port);
	CHECK("set_timer_op", set_timer(start + SOON), 0);
	CHECK_TRUE("it fires", wait_for_port(port, LATER_MS));
	CHECK_TRUE("not too early", system_time_ns() >= start + SOON);
	port_clear(port);
	CHECK("set_timer_op to be stopped", set_timer(system_time_ns() + SOON), 0);
	CHECK("set_timer_op with 0", set_timer(0), 0);
	CHECK_TRUE("it does not fire", !wait_for_port(port, QUIET_MS));
	CHECK("set_timer_op for a time in the past", set_timer(1), 0);
	CHECK_TRUE("it fires at once", wait_for_port(port, LATER_MS));
}

void test_timers(void)
{
	struct evtchn_bind_virq bind = { .virq = VIRQ_TIMER, .vcpu = 0 };

	shared_info_map();
	CHECK("set_singleshot_timer without a port", set_singleshot(0, 1, 0), 0);
	/* Once VIRQ_TIMER has a port, KVM answers these by itself, and calls it -EINVAL. */
	CHECK("set_singleshot_timer of no vCPU", set_singleshot(BAD_VCPU, 1, 0), -XEN_ENOENT);
	CHECK("stop_singleshot_timer of no vCPU", vcpu_op(VCPUOP_stop_singleshot_timer, BAD_VCPU, NULL), -XEN_ENOENT);
	CHECK("stop_singleshot_timer without a port", vcpu_op(VCPUOP_stop_singleshot_timer, 0, NULL), 0);
	CHECK("set_timer_op without a port", set_timer(system_time_ns() + SOON), 0);
	(void)set_timer(0);
	CHECK("bind_virq of VIRQ_TIMER", event_channel_op(EVTCHNOP_bind_virq, &bind), 0);
	port = bind.port;
	check_singleshot();
	check_periodic();
	check_set_timer_op();
}
