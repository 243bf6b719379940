// SPDX-License-Identifier: MIT
/*
 * What an event does: bits of the 2-level ABI (common/event_2l.c of Xen 4.17), masks, and the vector by which a vCPU
 * hears of it. Source: <xen/event_channel.h>, <xen/hvm/hvm_op.h>.
 */
#include "guest.h"

#include <xen/event_channel.h>
#include <xen/hvm/hvm_op.h>
#include <xen/hvm/params.h>

#define BITS        (8 * sizeof(unsigned long))
#define LAPIC_SVR   0xfee000f0u
#define SVR_ENABLED 0x1ffu

static evtchn_port_t bind_ipi(void)
{
	struct evtchn_bind_ipi request = { .vcpu = 0 };

	CHECK("bind_ipi", event_channel_op(EVTCHNOP_bind_ipi, &request), 0);
	return request.port;
}

static void on_port(unsigned int operation, evtchn_port_t port)
{
	struct evtchn_close request = { .port = port };

	CHECK(operation == EVTCHNOP_send ? "send" : operation == EVTCHNOP_unmask ? "unmask" : "close",
	      event_channel_op(operation, &request), 0);
}

static volatile struct vcpu_info *vcpu_info(void)
{
	return &shared->vcpu_info[0];
}

static void quiet(evtchn_port_t port)
{
	port_clear(port);
	vcpu_info()->evtchn_pending_sel = 0;
	vcpu_info()->evtchn_upcall_pending = 0;
}

static bool told(evtchn_port_t port)
{
	return vcpu_info()->evtchn_upcall_pending && (vcpu_info()->evtchn_pending_sel >> port / BITS & 1);
}

/* evtchn_2l_set_pending(), evtchn_2l_unmask(). */
static void check_bits(void)
{
	evtchn_port_t port = bind_ipi();

	port_mask(port, false);
	quiet(port);
	on_port(EVTCHNOP_send, port);
	CHECK_TRUE("the port is pending", port_pending(port));
	CHECK_TRUE("the vCPU is told", told(port));
	vcpu_info()->evtchn_pending_sel = 0;
	vcpu_info()->evtchn_upcall_pending = 0;
	on_port(EVTCHNOP_send, port);
	CHECK_TRUE("a port that is pending tells nobody again", !told(port));
	quiet(port);
	port_mask(port, true);
	on_port(EVTCHNOP_send, port);
	CHECK_TRUE("a masked port becomes pending", port_pending(port));
	CHECK_TRUE("and the vCPU is not told", !told(port));
	on_port(EVTCHNOP_unmask, port);
	CHECK_TRUE("unmask takes the mask away", !port_masked(port));
	CHECK_TRUE("leaves it pending", port_pending(port));
	CHECK_TRUE("and the vCPU is told now", told(port));
	vcpu_info()->evtchn_pending_sel = 0;
	vcpu_info()->evtchn_upcall_pending = 0;
	on_port(EVTCHNOP_unmask, port);
	CHECK_TRUE("unmask of what is not masked tells nobody", !told(port));
	quiet(port);
	port_mask(port, true);
	on_port(EVTCHNOP_unmask, port);
	CHECK_TRUE("unmask of what is not pending tells nobody", !told(port));
	on_port(EVTCHNOP_close, port);
}

static unsigned int upcalls_within_ms(unsigned int limit_ms)
{
	uint64_t end_ns = system_time_ns() + (uint64_t)limit_ms * 1000000;

	__asm__ volatile("sti");
	while (upcalls == 0 && system_time_ns() < end_ns)
		__asm__ volatile("pause");
	__asm__ volatile("cli");
	return upcalls;
}

/* hvmop_set_evtchn_upcall_vector() and hvm_assert_evtchn_irq(): through the LAPIC, once for each rise of the bit. */
static void check_upcall_vector(void)
{
	struct xen_hvm_evtchn_upcall_vector request = { .vcpu = 0, .vector = UPCALL_VECTOR };
	evtchn_port_t port = bind_ipi();

	*(volatile uint32_t *)LAPIC_SVR = SVR_ENABLED;
	port_mask(port, false);
	quiet(port);
	CHECK("set_evtchn_upcall_vector", hvm_op(HVMOP_set_evtchn_upcall_vector, &request), 0);
	take_upcalls();
	on_port(EVTCHNOP_send, port);
	CHECK("an event raises the vector", upcalls_within_ms(1000), 1);
	upcalls = 0;
	on_port(EVTCHNOP_send, port);
	CHECK("while the vCPU is told there is no second one", upcalls_within_ms(20), 0);
	quiet(port);
	port_mask(port, true);
	on_port(EVTCHNOP_send, port);
	CHECK("a masked event raises nothing", upcalls_within_ms(20), 0);
	on_port(EVTCHNOP_unmask, port);
	CHECK("unmask raises the vector", upcalls_within_ms(1000), 1);
	quiet(port);
	on_port(EVTCHNOP_close, port);
}

void test_event_delivery(void)
{
	shared_info_map();
	check_bits();
	check_upcall_vector();
}
