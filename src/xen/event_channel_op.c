// SPDX-License-Identifier: MIT
/*
 * The hypercalls of event channels: decode, let the table decide, bring KVM in line, encode.
 * Source: <xen/event_channel.h>. FIFO event channels and physical interrupts are not offered.
 */
#include <stddef.h>
#include <string.h>

#include <glib.h>

#include "xen/abi.h"
#include <xen/event_channel.h>

#include "vmm/kvm.h"
#include "vmm/vm.h"
#include "xen/domain.h"
#include "xen/guest_access.h"
#include "xen/hypercall.h"
#include "xen/shared_info.h"


/* All arguments of all operations, as the guest lays them out. */
union arguments {
	struct evtchn_alloc_unbound alloc_unbound;
	struct evtchn_bind_interdomain bind_interdomain;
	struct evtchn_bind_virq bind_virq;
	struct evtchn_bind_ipi bind_ipi;
	struct evtchn_close close;
	struct evtchn_status status;
	struct evtchn_bind_vcpu bind_vcpu;
	struct evtchn_unmask unmask;
	struct evtchn_reset reset;
};

/* KVM refuses only when the host is out of memory: the port goes back, and the guest learns. */
static int64_t publish_new_port(struct xen_domain *xen, uint32_t port, uint32_t other_port)
{
	uint32_t ignored;

	if (evtchn_kvm_sync(xen->events_kvm, port) == 0 &&
	    (other_port == 0 || evtchn_kvm_sync(xen->events_kvm, other_port) == 0))
		return 0;
	(void)evtchn_close(&xen->events, port, &ignored);
	(void)evtchn_kvm_sync(xen->events_kvm, port);
	return -XEN_ENOMEM;
}

static int64_t close_port(struct xen_domain *xen, uint32_t port)
{
	uint32_t other;
	int rc = evtchn_close(&xen->events, port, &other);

	if (rc != 0)
		return rc;
	(void)evtchn_kvm_sync(xen->events_kvm, port);
	if (other)
		(void)evtchn_kvm_sync(xen->events_kvm, other);
	/* Whoever gets this port next must not find an event of its former life. */
	(void)shared_info_clear_pending(pages_shared_info(&xen->pages), port);
	return 0;
}

/*
 * With KVM's EVTCHN_SEND the kernel is the only one that sets pending bits. An event that waited behind the mask is
 * therefore taken back and sent again.
 */
static int64_t unmask(struct xen_domain *xen, uint32_t port)
{
	void *shared_info = pages_shared_info(&xen->pages);
	bool is_64bit = xen_domain_is_64bit(xen);

	/* A port from before the domain became one of 32 bits has no place in shared_info any more. */
	if (port >= shared_info_ports(is_64bit))
		return -XEN_EINVAL;
	if (shared_info_clear_mask(shared_info, is_64bit, port) && evtchn_is_bound(&xen->events, port) &&
	    shared_info_clear_pending(shared_info, port))
		evtchn_kvm_deliver(xen->events_kvm, port);
	return 0;
}

static int64_t reset(struct xen_domain *xen, uint32_t domid)
{
	if (domid_check(domid) != 0)
		return domid_check(domid);
	for (uint32_t port = 1; port < EVTCHN_N_PORTS; port++)
		if (evtchn_is_bound(&xen->events, port) && !xen->events.ports[port].reserved)
			(void)close_port(xen, port);
	return 0;
}

static int64_t bind_interdomain(struct xen_domain *xen, struct evtchn_bind_interdomain *request)
{
	int rc = evtchn_bind_interdomain(&xen->events, request->remote_dom, request->remote_port, &request->local_port);

	int64_t published = rc == 0 ? publish_new_port(xen, request->local_port, request->remote_port) : rc;
	/* The other side may have sent before there was anybody to hear it. */
	if (published == 0)
		evtchn_kvm_deliver(xen->events_kvm, request->local_port);
	return published;
}

/* What is sent to a loopback port comes from its other end: that one's route changes with it. */
static int64_t bind_vcpu(struct xen_domain *xen, const struct evtchn_bind_vcpu *request)
{
	int rc = evtchn_bind_vcpu(&xen->events, request->port, request->vcpu);

	if (rc != 0)
		return rc;
	const struct evtchn_port *port = &xen->events.ports[request->port];
	if (evtchn_kvm_sync(xen->events_kvm, request->port) != 0 ||
	    (port->kind == EVTCHN_LOOPBACK && evtchn_kvm_sync(xen->events_kvm, port->remote_port) != 0))
		return -XEN_ENOMEM;
	return 0;
}

/* Under the lock. */
static int64_t operate(struct xen_domain *xen, uint64_t operation, union arguments *a)
{
	struct evtchn_table *events = &xen->events;
	int64_t rc;

	switch (operation) {
	case EVTCHNOP_alloc_unbound:
		rc = domid_check(a->alloc_unbound.dom);
		if (rc != 0)
			return rc;
		return evtchn_alloc_unbound(events, a->alloc_unbound.dom, a->alloc_unbound.remote_dom, &a->alloc_unbound.port);
	case EVTCHNOP_bind_interdomain:
		return bind_interdomain(xen, &a->bind_interdomain);
	case EVTCHNOP_bind_virq:
		return evtchn_bind_virq(events, a->bind_virq.virq, a->bind_virq.vcpu, &a->bind_virq.port);
	case EVTCHNOP_bind_ipi:
		rc = evtchn_bind_ipi(events, a->bind_ipi.vcpu, &a->bind_ipi.port);
		return rc == 0 ? publish_new_port(xen, a->bind_ipi.port, 0) : rc;
	case EVTCHNOP_bind_vcpu:
		return bind_vcpu(xen, &a->bind_vcpu);
	case EVTCHNOP_status:
		rc = domid_check(a->status.dom);
		return rc != 0 ? rc : evtchn_get_status(events, a->status.port, &a->status);
	case EVTCHNOP_close:
		return close_port(xen, a->close.port);
	case EVTCHNOP_unmask:
		return unmask(xen, a->unmask.port);
	case EVTCHNOP_reset:
		return reset(xen, a->reset.dom);
	default:
		return -XEN_ENOSYS;
	}
}

#define NO_PORT UINT8_MAX
#define SHAPE(operation, port_field, answers)                                                                         \
	{                                                                                                             \
		sizeof(struct evtchn_##operation), offsetof(struct evtchn_##operation, port_field), answers, #operation \
	}

static int64_t set_timer_port(struct vcpu *target, void *argument)
{
	struct kvm_xen_vcpu_attr attr = {
		.type = KVM_XEN_VCPU_ATTR_TYPE_TIMER,
		.u.timer = { .port = *(uint32_t *)argument, .priority = KVM_IRQ_ROUTING_XEN_EVTCHN_PRIO_2LEVEL },
	};

	return kvm_set_xen_vcpu_attr(target->fd, &attr) == 0 ? 0 : -XEN_EINVAL;
}

/*
 * A vCPU's timer is the kernel's as soon as it knows the port: from then on set_singleshot_timer does not exit. Not
 * under the lock: another vCPU has to do its own.
 */
static int64_t sync_timers(struct xen_domain *xen, struct vcpu *vcpu)
{
	int64_t rc = 0;

	for (unsigned int i = 0; i < vcpu->vm->n_vcpus && rc == 0; i++) {
		struct vcpu *target = &vcpu->vm->vcpus[i];

		pthread_mutex_lock(&xen->lock);
		uint32_t port = xen->events.virq_port[i][VIRQ_TIMER];
		bool changed = port != xen->timer_port[i];
		xen->timer_port[i] = port;
		pthread_mutex_unlock(&xen->lock);
		if (changed)
			rc = vcpu_call(target, vcpu, set_timer_port, &port, -XEN_EAGAIN);
	}
	return rc;
}

static int64_t event_channel_op(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call)
{
	static const struct {
		uint8_t len_bytes;
		uint8_t port_offset; /* of the port in the argument, for the trace */
		bool answers;
		const char *name;
	} shapes[] = {
		[EVTCHNOP_bind_interdomain] = SHAPE(bind_interdomain, local_port, true),
		[EVTCHNOP_bind_virq] = SHAPE(bind_virq, port, true),
		[EVTCHNOP_close] = SHAPE(close, port, false),
		[EVTCHNOP_status] = SHAPE(status, port, true),
		[EVTCHNOP_alloc_unbound] = SHAPE(alloc_unbound, port, true),
		[EVTCHNOP_bind_ipi] = SHAPE(bind_ipi, port, true),
		[EVTCHNOP_bind_vcpu] = SHAPE(bind_vcpu, port, false),
		[EVTCHNOP_unmask] = SHAPE(unmask, port, false),
		[EVTCHNOP_reset] = { sizeof(struct evtchn_reset), NO_PORT, false, "reset" },
	};
	const uint32_t operation = (uint32_t)call->arguments[0]; /* one of OPS */
	union arguments arguments = { 0 };

	if (!copy_from_guest(vcpu, &arguments, call->arguments[1], shapes[operation].len_bytes))
		return -XEN_EFAULT;

	uint32_t layout_ports = shared_info_ports(xen_domain_is_64bit(xen));
	pthread_mutex_lock(&xen->lock);
	xen->events.n_ports = MIN(xen->max_ports, layout_ports);
	int64_t rc = operate(xen, operation, &arguments);
	pthread_mutex_unlock(&xen->lock);
	if (rc == 0 && (operation == EVTCHNOP_bind_virq || operation == EVTCHNOP_close || operation == EVTCHNOP_reset))
		rc = sync_timers(xen, vcpu);
	if (rc == 0 && shapes[operation].answers &&
	    !copy_to_guest(vcpu, call->arguments[1], &arguments, shapes[operation].len_bytes))
		return -XEN_EFAULT;
	if (trace_wants(&vcpu->vm->trace, TRACE_EVTCHN)) {
		uint32_t port = 0;

		if (shapes[operation].port_offset != NO_PORT)
			memcpy(&port, (const uint8_t *)&arguments + shapes[operation].port_offset, sizeof(port));
		trace_evtchn(&vcpu->vm->trace, vcpu->number, shapes[operation].name, port, rc);
	}
	if (operation != EVTCHNOP_unmask)
		record_phase(vcpu->vm->record, PHASE_KERNEL_ENTERED, NULL);
	return rc;
}

/* What KVM did not take: a served port, one that it does not know, or a call in a multicall. */
static int64_t send_event(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call)
{
	const struct evtchn_backend *served = NULL;
	struct evtchn_send request;
	uint32_t deliver;

	if (!copy_from_guest(vcpu, &request, call->arguments[1], sizeof(request)))
		return -XEN_EFAULT;
	pthread_mutex_lock(&xen->lock);
	int rc = evtchn_send(&xen->events, request.port, &deliver);
	if (rc == 0 && deliver)
		evtchn_kvm_deliver(xen->events_kvm, deliver);
	else if (rc == 0)
		served = evtchn_kvm_sent(xen->events_kvm, request.port);
	pthread_mutex_unlock(&xen->lock);
	if (served)
		evtchn_backend_serve(served);
	if (trace_wants(&vcpu->vm->trace, TRACE_EVTCHN))
		trace_evtchn(&vcpu->vm->trace, vcpu->number, "send", request.port, rc);
	record_phase(vcpu->vm->record, PHASE_KERNEL_ENTERED, NULL);
	return rc;
}

#define OP(operation) HYPERCALL_OP(EVTCHNOP_, operation, event_channel_op, NULL)

static const struct hypercall_op OPS[] = {
	OP(bind_interdomain),
	OP(bind_virq),
	HYPERCALL_REFUSE(EVTCHNOP_, bind_pirq, XEN_EINVAL, "there are no physical interrupts"),
	OP(close),
	HYPERCALL_OP(EVTCHNOP_, send, send_event, "KVM answers it for every bound port but the xenstore's"),
	OP(status),
	OP(alloc_unbound),
	OP(bind_ipi),
	OP(bind_vcpu),
	OP(unmask),
	HYPERCALL_OP(EVTCHNOP_, reset, event_channel_op, "console and xenstore stay bound"),
	HYPERCALL_NOT_HERE(EVTCHNOP_, init_control, XEN_ENOSYS, "the 2-level ABI only, which is KVM's"),
	HYPERCALL_NOT_HERE(EVTCHNOP_, expand_array, XEN_ENOSYS, "the 2-level ABI only"),
	HYPERCALL_NOT_HERE(EVTCHNOP_, set_priority, XEN_ENOSYS, "the 2-level ABI only"),
};

HYPERCALL_FAMILY(event_channel_op, OPS);
