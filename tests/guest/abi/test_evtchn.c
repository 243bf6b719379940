// SPDX-License-Identifier: MIT
/*
 * Event channels: the operations and their errors. Source: <xen/event_channel.h>; the functions named are those of
 * Xen 4.17's common/event_channel.c.
 */
#include "guest.h"

#include <xen/event_channel.h>

/* A 2-level table has as many ports as two words' bits say: <xen/event_channel.h>, EVTCHN_2L_NR_CHANNELS. */
#define N_PORTS     (8 * sizeof(unsigned long) * 8 * sizeof(unsigned long))
#define FREE_PORT   60 /* in the first bucket of Xen's table, which is always there, and not used by the checks */
#define BAD_VCPU    500
#define OP_INIT     11
#define OP_EXPAND   12
#define OP_PRIORITY 13
#define OP_UNKNOWN  14

static long alloc_unbound(unsigned int dom, unsigned int remote, evtchn_port_t *port)
{
	struct evtchn_alloc_unbound request = { .dom = (domid_t)dom, .remote_dom = (domid_t)remote };
	long rc = event_channel_op(EVTCHNOP_alloc_unbound, &request);

	*port = request.port;
	return rc;
}

static long bind_interdomain(unsigned int remote, evtchn_port_t remote_port, evtchn_port_t *port)
{
	struct evtchn_bind_interdomain request = { .remote_dom = (domid_t)remote, .remote_port = remote_port };
	long rc = event_channel_op(EVTCHNOP_bind_interdomain, &request);

	*port = request.local_port;
	return rc;
}

static long bind_virq(uint32_t virq, uint32_t vcpu, evtchn_port_t *port)
{
	struct evtchn_bind_virq request = { .virq = virq, .vcpu = vcpu };
	long rc = event_channel_op(EVTCHNOP_bind_virq, &request);

	*port = request.port;
	return rc;
}

static long bind_ipi(uint32_t vcpu, evtchn_port_t *port)
{
	struct evtchn_bind_ipi request = { .vcpu = vcpu };
	long rc = event_channel_op(EVTCHNOP_bind_ipi, &request);

	*port = request.port;
	return rc;
}

static long bind_vcpu(evtchn_port_t port, uint32_t vcpu)
{
	struct evtchn_bind_vcpu request = { .port = port, .vcpu = vcpu };

	return event_channel_op(EVTCHNOP_bind_vcpu, &request);
}

/* close, send and unmask take the port alone. */
static long on_port(unsigned int operation, evtchn_port_t port)
{
	struct evtchn_close request = { .port = port };

	return event_channel_op(operation, &request);
}

static long get_status(unsigned int dom, evtchn_port_t port, struct evtchn_status *status)
{
	*status = (struct evtchn_status){ .dom = (domid_t)dom, .port = port };
	return event_channel_op(EVTCHNOP_status, status);
}

/* evtchn_alloc_unbound(): who may give what to whom; get_free_port(): the lowest first. */
static void check_alloc_unbound(void)
{
	struct evtchn_status status;
	evtchn_port_t first, second, again, own, other;

	CHECK("alloc_unbound for self", alloc_unbound(DOMID_SELF, DOMID_SELF, &first), 0);
	CHECK("alloc_unbound for a back end", alloc_unbound(DOMID_SELF, BACKEND, &second), 0);
	CHECK("the lowest free port is given", second, first + 1);
	CHECK("status of an unbound port", get_status(DOMID_SELF, first, &status), 0);
	CHECK("it is unbound", status.status, EVTCHNSTAT_unbound);
	CHECK("it waits for this domain", status.u.unbound.dom, own_domid);
	CHECK("it is vCPU 0's", status.vcpu, 0);
	(void)get_status(DOMID_SELF, second, &status);
	CHECK("the other waits for the back end", status.u.unbound.dom, BACKEND);
	CHECK("close", on_port(EVTCHNOP_close, first), 0);
	CHECK("alloc_unbound with the domain's number", alloc_unbound(own_domid, own_domid, &again), 0);
	CHECK("a closed port is the next to be given", again, first);
	CHECK("send to an unbound port is dropped", on_port(EVTCHNOP_send, again), 0);
	CHECK("alloc_unbound in the back end's domain", alloc_unbound(BACKEND, DOMID_SELF, &other), -XEN_EPERM);
	CHECK("alloc_unbound in no domain", alloc_unbound(NO_DOMAIN, DOMID_SELF, &other), -XEN_ESRCH);
	/* Xen does not look whether the remote domain is there: it may come later. */
	CHECK("alloc_unbound for a domain that is not there", alloc_unbound(DOMID_SELF, NO_DOMAIN, &own), 0);
	(void)on_port(EVTCHNOP_close, own);
	(void)on_port(EVTCHNOP_close, second);
	(void)on_port(EVTCHNOP_close, again);
}

/* evtchn_bind_interdomain(), and __evtchn_close() of one of two ends. */
static void check_interdomain(void)
{
	struct evtchn_status status;
	evtchn_port_t unbound, bound, other;

	(void)alloc_unbound(DOMID_SELF, DOMID_SELF, &unbound);
	CHECK("bind_interdomain to self", bind_interdomain(DOMID_SELF, unbound, &bound), 0);
	CHECK_TRUE("the new port is pending, for what was sent before", port_pending(bound));
	port_clear(bound);
	(void)get_status(DOMID_SELF, bound, &status);
	CHECK("status is interdomain", status.status, EVTCHNSTAT_interdomain);
	CHECK("with this domain", status.u.interdomain.dom, own_domid);
	CHECK("and the other port", status.u.interdomain.port, unbound);
	CHECK("bind to a port that is bound", bind_interdomain(DOMID_SELF, unbound, &other), -XEN_EINVAL);
	CHECK("bind to a free port", bind_interdomain(DOMID_SELF, FREE_PORT, &other), -XEN_EINVAL);
	CHECK("bind to port 0", bind_interdomain(DOMID_SELF, 0, &other), -XEN_EINVAL);
	CHECK("bind to a port out of range", bind_interdomain(DOMID_SELF, N_PORTS, &other), -XEN_EINVAL);
	CHECK("bind in no domain", bind_interdomain(NO_DOMAIN, unbound, &other), -XEN_ESRCH);
	CHECK("bind to nothing in the back end", bind_interdomain(BACKEND, N_PORTS - 1, &other), -XEN_EINVAL);
	CHECK("send on one end", on_port(EVTCHNOP_send, bound), 0);
	CHECK_TRUE("makes the other pending", port_pending(unbound));
	CHECK_TRUE("and not itself", !port_pending(bound));
	CHECK("send on the other end", on_port(EVTCHNOP_send, unbound), 0);
	CHECK_TRUE("makes the first pending", port_pending(bound));
	CHECK("close of one end", on_port(EVTCHNOP_close, bound), 0);
	CHECK_TRUE("a closed port is not pending", !port_pending(bound));
	(void)get_status(DOMID_SELF, bound, &status);
	CHECK("it is closed", status.status, EVTCHNSTAT_closed);
	(void)get_status(DOMID_SELF, unbound, &status);
	CHECK("the other end is unbound", status.status, EVTCHNSTAT_unbound);
	CHECK("and waits for the same domain", status.u.unbound.dom, own_domid);
	CHECK("it can be bound again", bind_interdomain(DOMID_SELF, unbound, &bound), 0);
	(void)on_port(EVTCHNOP_close, bound);
	(void)on_port(EVTCHNOP_close, unbound);
	/* The domain that an unbound port waits for is the only one: rchn->u.unbound.remote_domid. */
	(void)alloc_unbound(DOMID_SELF, BACKEND, &unbound);
	CHECK("bind to a port for the back end", bind_interdomain(DOMID_SELF, unbound, &other), -XEN_EINVAL);
	(void)on_port(EVTCHNOP_close, unbound);
}

/* evtchn_bind_virq(), evtchn_bind_ipi(). */
static void check_virq_and_ipi(void)
{
	struct evtchn_status status;
	evtchn_port_t virq, ipi, other;

	CHECK("bind_virq of VIRQ_DEBUG", bind_virq(VIRQ_DEBUG, 0, &virq), 0);
	CHECK("bind_virq twice", bind_virq(VIRQ_DEBUG, 0, &other), -XEN_EEXIST);
	CHECK("bind_virq of too high a number", bind_virq(NR_VIRQS, 0, &other), -XEN_EINVAL);
	CHECK("bind_virq for no vCPU", bind_virq(VIRQ_DEBUG, BAD_VCPU, &other), -XEN_ENOENT);
	CHECK("bind_virq of a global one for another vCPU", bind_virq(VIRQ_CONSOLE, 1, &other), -XEN_EINVAL);
	(void)get_status(DOMID_SELF, virq, &status);
	CHECK("status is virq", status.status, EVTCHNSTAT_virq);
	CHECK("and its number", status.u.virq, VIRQ_DEBUG);
	CHECK("send on a virq", on_port(EVTCHNOP_send, virq), -XEN_EINVAL);
	CHECK("close of a virq", on_port(EVTCHNOP_close, virq), 0);
	CHECK("bind_virq after close", bind_virq(VIRQ_DEBUG, 0, &virq), 0);
	CHECK("bind_ipi", bind_ipi(0, &ipi), 0);
	CHECK("bind_ipi for no vCPU", bind_ipi(BAD_VCPU, &other), -XEN_ENOENT);
	CHECK("a second IPI of the same vCPU", bind_ipi(0, &other), 0);
	(void)get_status(DOMID_SELF, ipi, &status);
	CHECK("status is ipi", status.status, EVTCHNSTAT_ipi);
	port_clear(ipi);
	CHECK("send on an IPI", on_port(EVTCHNOP_send, ipi), 0);
	CHECK_TRUE("makes itself pending", port_pending(ipi));
	/* evtchn_bind_vcpu(): those that belong to a vCPU do not move. */
	CHECK("bind_vcpu of an IPI", bind_vcpu(ipi, 0), -XEN_EINVAL);
	CHECK("bind_vcpu of a vCPU's own virq", bind_vcpu(virq, 0), -XEN_EINVAL);
	(void)on_port(EVTCHNOP_close, virq);
	(void)on_port(EVTCHNOP_close, ipi);
	(void)on_port(EVTCHNOP_close, other);
}

static void check_bind_vcpu(void)
{
	const bool two = count_vcpus() > 1;
	struct evtchn_status status;
	evtchn_port_t unbound, bound, virq;

	(void)alloc_unbound(DOMID_SELF, DOMID_SELF, &unbound);
	(void)bind_interdomain(DOMID_SELF, unbound, &bound);
	CHECK("bind_vcpu to no vCPU", bind_vcpu(bound, BAD_VCPU), -XEN_ENOENT);
	CHECK("bind_vcpu of a free port", bind_vcpu(FREE_PORT, 0), -XEN_EINVAL);
	CHECK("bind_vcpu of a port out of range", bind_vcpu(N_PORTS, 0), -XEN_EINVAL);
	CHECK("bind_vcpu to the same vCPU", bind_vcpu(bound, 0), 0);
	if (two) {
		CHECK("bind_vcpu to another vCPU", bind_vcpu(bound, 1), 0);
		(void)get_status(DOMID_SELF, bound, &status);
		CHECK("status tells the vCPU", status.vcpu, 1);
		CHECK("bind_vcpu of an unbound port", bind_vcpu(unbound, 1), 0);
		CHECK("bind_virq of a global one", bind_virq(VIRQ_CONSOLE, 0, &virq), 0);
		CHECK("bind_vcpu of a global virq", bind_vcpu(virq, 1), 0);
		CHECK("its second binding", bind_virq(VIRQ_CONSOLE, 0, &virq), -XEN_EEXIST);
		/* Xen raises it at the vCPU that it was moved to: shared_info has a place for each. */
		port_clear(bound);
		port_mask(bound, false);
		shared->vcpu_info[1].evtchn_upcall_pending = 0;
		shared->vcpu_info[1].evtchn_pending_sel = 0;
		(void)on_port(EVTCHNOP_send, unbound);
		CHECK_TRUE("an event arrives at the new vCPU", shared->vcpu_info[1].evtchn_upcall_pending);
	}
	(void)on_port(EVTCHNOP_close, unbound);
	(void)on_port(EVTCHNOP_close, bound);
}

/* Ports that are reserved, free or out of range: port_is_valid(), __evtchn_close(), evtchn_send(), evtchn_unmask(). */
static void check_bad_ports(void)
{
	struct evtchn_status status;

	CHECK("close of port 0", on_port(EVTCHNOP_close, 0), -XEN_EINVAL);
	CHECK("close of a free port", on_port(EVTCHNOP_close, FREE_PORT), -XEN_EINVAL);
	CHECK("close of a port out of range", on_port(EVTCHNOP_close, N_PORTS), -XEN_EINVAL);
	CHECK("close of the highest number", on_port(EVTCHNOP_close, ~0u), -XEN_EINVAL);
	CHECK("send on port 0", on_port(EVTCHNOP_send, 0), -XEN_EINVAL);
	CHECK("send on a free port", on_port(EVTCHNOP_send, FREE_PORT), -XEN_EINVAL);
	CHECK("send on a port out of range", on_port(EVTCHNOP_send, N_PORTS), -XEN_EINVAL);
	CHECK("send on the highest number", on_port(EVTCHNOP_send, ~0u), -XEN_EINVAL);
	CHECK("unmask of a port out of range", on_port(EVTCHNOP_unmask, N_PORTS), -XEN_EINVAL);
	/* evtchn_port_unmask() does nothing for what is not bound, and says nothing. */
	CHECK("unmask of a free port", on_port(EVTCHNOP_unmask, FREE_PORT), 0);
	CHECK("status of a port out of range", get_status(DOMID_SELF, N_PORTS, &status), -XEN_EINVAL);
	CHECK("status of the highest number", get_status(DOMID_SELF, ~0u, &status), -XEN_EINVAL);
	CHECK("status of port 0", get_status(DOMID_SELF, 0, &status), 0);
	CHECK("it is closed", status.status, EVTCHNSTAT_closed);
	CHECK("status in the back end's domain", get_status(BACKEND, 1, &status), -XEN_EPERM);
	CHECK("status in no domain", get_status(NO_DOMAIN, 1, &status), -XEN_ESRCH);
	CHECK("status with the domain's number", get_status(own_domid, 1, &status), 0);
	/* The toolstack made it: domain 0 is at the other end. */
	CHECK("xenstore's port is bound", status.status, EVTCHNSTAT_interdomain);
	CHECK("to the back end", status.u.interdomain.dom, BACKEND);
}

/* do_event_channel_op(): unknown operations, and FIFO channels, which this hypervisor does not offer. */
static void check_operations(void)
{
	struct evtchn_bind_pirq pirq = { .pirq = 0xffff };
	struct evtchn_status *across = across_pages(sizeof(*across));

	CHECK("init_control (FIFO)", event_channel_op(OP_INIT, nowhere()), -XEN_ENOSYS);
	CHECK("expand_array (FIFO)", event_channel_op(OP_EXPAND, nowhere()), -XEN_ENOSYS);
	CHECK("set_priority (FIFO)", event_channel_op(OP_PRIORITY, nowhere()), -XEN_ENOSYS);
	CHECK("an operation that there is not", event_channel_op(OP_UNKNOWN, nowhere()), -XEN_ENOSYS);
	CHECK("the highest operation", event_channel_op(~0u, nowhere()), -XEN_ENOSYS);
	CHECK("bind_pirq of no interrupt", event_channel_op(EVTCHNOP_bind_pirq, &pirq), -XEN_EINVAL);
	CHECK("alloc_unbound from nowhere", event_channel_op(EVTCHNOP_alloc_unbound, nowhere()), -XEN_EFAULT);
	CHECK("close from nowhere", event_channel_op(EVTCHNOP_close, nowhere()), -XEN_EFAULT);
	CHECK("send from nowhere", event_channel_op(EVTCHNOP_send, nowhere()), -XEN_EFAULT);
	CHECK("status from nowhere", event_channel_op(EVTCHNOP_status, nowhere()), -XEN_EFAULT);
	CHECK("unmask from nowhere", event_channel_op(EVTCHNOP_unmask, nowhere()), -XEN_EFAULT);
	CHECK("reset from nowhere", event_channel_op(EVTCHNOP_reset, nowhere()), -XEN_EFAULT);
	CHECK("status across two pages", get_status(DOMID_SELF, 1, across), 0);
	CHECK("is whole", across->status, EVTCHNSTAT_interdomain);
	CHECK("up to its end", across->u.interdomain.dom, BACKEND);
}

/* evtchn_reset(): closes all but what Xen and the toolstack hold. Last, and with a table that is full. */
static void check_full_and_reset(void)
{
	struct evtchn_reset request = { .dom = BACKEND };
	struct evtchn_status status;
	evtchn_port_t port = 0, highest = 0, first;
	long rc;

	(void)alloc_unbound(DOMID_SELF, DOMID_SELF, &first);
	for (;;) {
		rc = alloc_unbound(DOMID_SELF, DOMID_SELF, &port);
		if (rc != 0)
			break;
		highest = port;
	}
	CHECK("when all ports are taken", rc, -XEN_ENOSPC);
	CHECK_TRUE("no port is beyond the words' bits", highest < N_PORTS);
	/* The domain's max_event_channels, when the test has set it. */
	if (option_number())
		CHECK("the highest port", highest, option_number());
	CHECK("reset of the back end's domain", event_channel_op(EVTCHNOP_reset, &request), -XEN_EPERM);
	request.dom = NO_DOMAIN;
	CHECK("reset of no domain", event_channel_op(EVTCHNOP_reset, &request), -XEN_ESRCH);
	request.dom = DOMID_SELF;
	CHECK("reset", event_channel_op(EVTCHNOP_reset, &request), 0);
	(void)get_status(DOMID_SELF, highest, &status);
	CHECK("closes ports", status.status, EVTCHNSTAT_closed);
	CHECK("which are given again", alloc_unbound(DOMID_SELF, DOMID_SELF, &port), 0);
	CHECK("from the lowest", port, first);
}

void test_event_channel_op(void)
{
	shared_info_map();
	check_alloc_unbound();
	check_interdomain();
	check_virq_and_ipi();
	check_bind_vcpu();
	check_bad_ports();
	check_operations();
	check_full_and_reset();
}
