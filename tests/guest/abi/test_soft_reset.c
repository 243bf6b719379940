// SPDX-License-Identifier: MIT
/*
 * Soft reset: the call returns, memory is as it was, and what the guest had set up is gone. Source: SHUTDOWN_soft_reset of
 * <xen/sched.h>; domain_soft_reset() of Xen 4.17's common/domain.c, arch_domain_soft_reset() of its arch/x86/domain.c.
 */
#include "guest.h"

#include <xen/event_channel.h>
#include <xen/grant_table.h>
#include <xen/hvm/hvm_op.h>
#include <xen/hvm/params.h>
#include <xen/memory.h>
#include <xen/sched.h>
#include <xen/vcpu.h>

#define MARK 0x5au

SPARE_PAGE(info_page);
SPARE_PAGE(grant_page);
SPARE_PAGE(kept_page);

static uint32_t status_of(evtchn_port_t port)
{
	struct evtchn_status status = { .dom = DOMID_SELF, .port = port };

	return event_channel_op(EVTCHNOP_status, &status) == 0 ? status.status : ~0u;
}

static evtchn_port_t param(uint32_t index)
{
	struct xen_hvm_param request = { .domid = DOMID_SELF, .index = index };

	return hvm_op(HVMOP_get_param, &request) == 0 ? (evtchn_port_t)request.value : 0;
}

static long register_info(void)
{
	struct vcpu_register_vcpu_info request = { .mfn = ADDRESS(info_page) / PAGE_BYTES };

	return vcpu_op(VCPUOP_register_vcpu_info, 0, &request);
}

static bool is_zero(const uint8_t *page)
{
	unsigned int sum = 0;

	for (unsigned int i = 0; i < PAGE_BYTES; i++)
		sum |= page[i];
	return sum == 0;
}

static uint32_t grant_version(void)
{
	struct gnttab_get_version request = { .dom = DOMID_SELF };

	return grant_table_op(GNTTABOP_get_version, &request, 1) == 0 ? request.version : 0;
}

static evtchn_port_t set_up(void)
{
	struct evtchn_bind_ipi ipi = { .vcpu = 0 };
	struct evtchn_bind_virq timer = { .virq = VIRQ_TIMER, .vcpu = 0 };
	struct gnttab_set_version version = { .version = 2 };
	struct sched_watchdog watchdog = { .id = 0, .timeout = 60 };
	struct evtchn_close close = { .port = param(HVM_PARAM_STORE_EVTCHN) };

	CHECK("bind_ipi", event_channel_op(EVTCHNOP_bind_ipi, &ipi), 0);
	CHECK("bind_virq", event_channel_op(EVTCHNOP_bind_virq, &timer), 0);
	CHECK("the xenstore's port is closed", event_channel_op(EVTCHNOP_close, &close), 0);
	CHECK("register_vcpu_info", register_info(), 0);
	CHECK("a second time", register_info(), -XEN_EINVAL);
	CHECK("set_version", grant_table_op(GNTTABOP_set_version, &version, 1), 0);
	CHECK("a grant frame is placed", add_to_physmap(XENMAPSPACE_grant_table, 0, grant_page), 0);
	memset(grant_page, MARK, PAGE_BYTES);
	CHECK("a watchdog", sched_op(SCHEDOP_watchdog, &watchdog), 1);
	return ipi.port;
}

static void check_is_reset(evtchn_port_t port)
{
	CHECK("the port is closed", status_of(port), EVTCHNSTAT_closed);
	CHECK("the timer's too", status_of(port + 1), EVTCHNSTAT_closed);
	CHECK("the xenstore's port is there", status_of(param(HVM_PARAM_STORE_EVTCHN)), EVTCHNSTAT_interdomain);
	CHECK("the console's too", status_of(param(HVM_PARAM_CONSOLE_EVTCHN)), EVTCHNSTAT_interdomain);
	CHECK_TRUE("shared_info has left RAM behind", is_zero((const uint8_t *)shared));
	CHECK_TRUE("a grant frame too", is_zero(grant_page));
	CHECK("grants are of version 1", grant_version(), 1);
	CHECK_TRUE("memory is as it was", kept_page[0] == MARK && kept_page[PAGE_BYTES - 1] == MARK);
}

/* What is set up anew works, and what was there before hears nothing of it. */
static void check_works(void)
{
	struct evtchn_bind_ipi ipi = { .vcpu = 0 };
	struct evtchn_send send;

	memset(info_page, 0, PAGE_BYTES);
	shared_info_map();
	CHECK("bind_ipi", event_channel_op(EVTCHNOP_bind_ipi, &ipi), 0);
	CHECK_TRUE("nothing is pending", !port_pending(ipi.port));
	port_mask(ipi.port, false);
	send.port = ipi.port;
	CHECK("send", event_channel_op(EVTCHNOP_send, &send), 0);
	CHECK_TRUE("is delivered", port_pending(ipi.port));
	CHECK_TRUE("the old vcpu_info is forgotten", is_zero(info_page));
	CHECK("to vcpu_info in shared_info", shared->vcpu_info[0].evtchn_upcall_pending, 1);
	(void)event_channel_op(EVTCHNOP_close, &send);
}

void test_soft_reset(void)
{
	struct sched_shutdown request = { .reason = SHUTDOWN_soft_reset };

	memset(kept_page, MARK, PAGE_BYTES);
	shared_info_map();
	for (unsigned int i = 0; i < 3; i++) {
		evtchn_port_t port = set_up();

		CHECK("a soft reset returns", sched_op(SCHEDOP_shutdown, &request), 0);
		check_is_reset(port);
		check_works();
	}
}
