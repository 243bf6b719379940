// SPDX-License-Identifier: MIT
/* Scheduling. Source: <xen/sched.h>; do_sched_op(), do_poll(), domain_watchdog() of Xen 4.17's common/sched/core.c. */
#include "guest.h"

#include <xen/event_channel.h>
#include <xen/hvm/hvm_op.h>
#include <xen/sched.h>
#include <xen/vcpu.h>

#define OP_UNKNOWN    99
#define POLL_MAX      128 /* ports, do_poll() */
#define PAST_NS       1000000
#define BLOCK_NS      300000000
#define LAPIC_SVR     0xfee000f0u
#define SVR_ENABLED   0x1ffu
#define WATCHDOG_S    60
#define WATCHDOGS_MAX 2 /* NR_DOMAIN_WATCHDOG_TIMERS */

static long poll(evtchn_port_t *ports, unsigned int n_ports, uint64_t timeout_ns)
{
	struct sched_poll request = { .nr_ports = n_ports, .timeout = timeout_ns };

	set_xen_guest_handle(request.ports, ports);
	return sched_op(SCHEDOP_poll, &request);
}

static void check_poll(void)
{
	struct evtchn_bind_ipi ipi = { .vcpu = 0 };
	struct evtchn_send send;
	evtchn_port_t ports[2], bad = 8 * sizeof(unsigned long) * 8 * sizeof(unsigned long);
	evtchn_port_t *across = across_pages(2 * sizeof(*across));

	CHECK("bind_ipi", event_channel_op(EVTCHNOP_bind_ipi, &ipi), 0);
	port_mask(ipi.port, true);
	port_clear(ipi.port);
	ports[0] = ipi.port;
	/* A time that is over: absolute in Xen. KVM takes it as a span, a short one. */
	CHECK("poll until a time in the past", poll(ports, 1, PAST_NS), 0);
	CHECK("poll of no port until then", poll(ports, 0, PAST_NS), 0);
	send.port = ipi.port;
	(void)event_channel_op(EVTCHNOP_send, &send);
	CHECK("poll of a pending port does not wait", poll(ports, 1, 0), 0);
	CHECK_TRUE("and leaves it pending", port_pending(ipi.port));
	ports[1] = ipi.port;
	CHECK("poll of two ports", poll(ports, 2, 0), 0);
	across[0] = across[1] = ipi.port;
	CHECK("poll of ports across two pages", poll(across, 2, 0), 0);
	CHECK("poll of too many ports", poll(ports, POLL_MAX + 1, PAST_NS), -XEN_EINVAL);
	CHECK("poll of a port out of range", poll(&bad, 1, PAST_NS), -XEN_EINVAL);
	CHECK("poll of ports nowhere", poll(nowhere(), 1, PAST_NS), -XEN_EFAULT);
	CHECK("poll from nowhere", sched_op(SCHEDOP_poll, nowhere()), -XEN_EFAULT);
	(void)event_channel_op(EVTCHNOP_close, &send);
}

/* vcpu_block_enable_events(): until an event is delivered, which a timer sends. */
static void check_block(void)
{
	struct xen_hvm_evtchn_upcall_vector vector = { .vcpu = 0, .vector = UPCALL_VECTOR };
	struct evtchn_bind_virq virq = { .virq = VIRQ_TIMER, .vcpu = 0 };
	struct vcpu_set_singleshot_timer timer = { .timeout_abs_ns = 0 };
	struct evtchn_close close;

	*(volatile uint32_t *)LAPIC_SVR = SVR_ENABLED;
	CHECK("set_evtchn_upcall_vector", hvm_op(HVMOP_set_evtchn_upcall_vector, &vector), 0);
	CHECK("bind_virq of the timer", event_channel_op(EVTCHNOP_bind_virq, &virq), 0);
	port_mask(virq.port, false);
	port_clear(virq.port);
	shared->vcpu_info[0].evtchn_pending_sel = 0;
	shared->vcpu_info[0].evtchn_upcall_pending = 0;
	take_upcalls();
	timer.timeout_abs_ns = system_time_ns() + BLOCK_NS;
	CHECK("a timer is set", vcpu_op(VCPUOP_set_singleshot_timer, 0, &timer), 0);
	__asm__ volatile("sti");
	long rc = sched_op(SCHEDOP_block, NULL);
	__asm__ volatile("cli");
	CHECK("block", rc, 0);
	CHECK_TRUE("waits for the event", port_pending(virq.port));
	CHECK("the vCPU hears of it", upcalls, 1);
	close.port = virq.port;
	(void)event_channel_op(EVTCHNOP_close, &close);
}

static void check_watchdog(void)
{
	struct sched_watchdog request = { .id = 0, .timeout = WATCHDOG_S };
	uint32_t ids[WATCHDOGS_MAX];

	for (unsigned int i = 0; i < WATCHDOGS_MAX; i++) {
		request.id = 0;
		ids[i] = (uint32_t)sched_op(SCHEDOP_watchdog, &request);
		CHECK("a new watchdog has the next number", ids[i], i + 1);
	}
	CHECK("one watchdog too many", sched_op(SCHEDOP_watchdog, &request), -XEN_ENOSPC);
	request.id = ids[0];
	CHECK("a watchdog is poked", sched_op(SCHEDOP_watchdog, &request), 0);
	request.id = WATCHDOGS_MAX + 1;
	CHECK("a watchdog that cannot be", sched_op(SCHEDOP_watchdog, &request), -XEN_EINVAL);
	request.timeout = 0;
	for (unsigned int i = 0; i < WATCHDOGS_MAX; i++) {
		request.id = ids[i];
		CHECK("a watchdog is removed", sched_op(SCHEDOP_watchdog, &request), 0);
	}
	CHECK("a watchdog that is not there", sched_op(SCHEDOP_watchdog, &request), -XEN_EINVAL);
	request.timeout = WATCHDOG_S;
	CHECK("nor can it be poked", sched_op(SCHEDOP_watchdog, &request), -XEN_EINVAL);
	CHECK("a watchdog from nowhere", sched_op(SCHEDOP_watchdog, nowhere()), -XEN_EFAULT);
}

static void check_others(void)
{
	struct sched_remote_shutdown remote = { .domain_id = NO_DOMAIN, .reason = SHUTDOWN_poweroff };
	struct sched_shutdown code = { .reason = SHUTDOWN_poweroff };
	struct sched_pin_override pin = { .pcpu = -1 };

	CHECK("yield", sched_op(SCHEDOP_yield, NULL), 0);
	CHECK("remote_shutdown of no domain", sched_op(SCHEDOP_remote_shutdown, &remote), -XEN_ESRCH);
	/* xsm_schedop_shutdown(XSM_DM_PRIV) */
	remote.domain_id = BACKEND;
	CHECK("remote_shutdown of the back end's domain", sched_op(SCHEDOP_remote_shutdown, &remote), -XEN_EPERM);
	CHECK("remote_shutdown from nowhere", sched_op(SCHEDOP_remote_shutdown, nowhere()), -XEN_EFAULT);
	/* What a later end without a reason shall mean; this guest's end gives its own. */
	CHECK("shutdown_code", sched_op(SCHEDOP_shutdown_code, &code), 0);
	CHECK("shutdown_code from nowhere", sched_op(SCHEDOP_shutdown_code, nowhere()), -XEN_EFAULT);
	/* A suspend that does not take place returns 1, as when it is cancelled (docs/abi.md). */
	code.reason = SHUTDOWN_suspend;
	CHECK("shutdown for suspend", sched_op(SCHEDOP_shutdown, &code), 1);
	CHECK("shutdown from nowhere", sched_op(SCHEDOP_shutdown, nowhere()), -XEN_EFAULT);
	CHECK("pin_override is the hardware domain's", sched_op(SCHEDOP_pin_override, &pin), -XEN_EPERM);
	CHECK("an operation that there is not", sched_op(OP_UNKNOWN, nowhere()), -XEN_ENOSYS);
	CHECK("the highest operation", sched_op(~0u, nowhere()), -XEN_ENOSYS);
}

void test_sched_op(void)
{
	shared_info_map();
	check_poll();
	check_block();
	check_watchdog();
	check_others();
}
