// SPDX-License-Identifier: MIT
#include "xen/evtchn.h"

#include <assert.h>
#include <string.h>

static_assert(NR_VIRQS == EVTCHN_N_VIRQS, "<xen/xen.h>");

void evtchn_init(struct evtchn_table *table, unsigned int n_vcpus)
{
	assert(n_vcpus > 0 && n_vcpus <= EVTCHN_MAX_VCPUS);
	memset(table, 0, sizeof(*table));
	table->n_vcpus = n_vcpus;
	table->n_ports = EVTCHN_N_PORTS;
	table->first_free = 1;
}

bool evtchn_is_bound(const struct evtchn_table *table, uint32_t port)
{
	return port < EVTCHN_N_PORTS && table->ports[port].kind != EVTCHN_FREE;
}

static struct evtchn_port *bound_port(struct evtchn_table *table, uint32_t port)
{
	return evtchn_is_bound(table, port) ? &table->ports[port] : NULL;
}

/* Lowest free port first: a PV guest of 32 bits can use the first 1024 only. */
static struct evtchn_port *take_port(struct evtchn_table *table, enum evtchn_kind kind, uint32_t *port)
{
	uint32_t i = table->first_free;

	while (i < EVTCHN_N_PORTS && table->ports[i].kind != EVTCHN_FREE)
		i++;
	if (i >= table->n_ports || i >= EVTCHN_N_PORTS)
		return NULL;
	table->first_free = i + 1;
	table->ports[i] = (struct evtchn_port){ .kind = (uint8_t)kind };
	*port = i;
	return &table->ports[i];
}

int evtchn_alloc_unbound(struct evtchn_table *table, uint32_t domid, uint32_t remote_domid, uint32_t *port)
{
	if (!domid_is_self(domid))
		return -XEN_EPERM;
	struct evtchn_port *taken = take_port(table, EVTCHN_UNBOUND, port);
	if (!taken)
		return -XEN_ENOSPC;
	/* Xen does not look whether there is such a domain. The number has 16 bits in its structure. */
	taken->remote_domid = domid_is_self((uint16_t)remote_domid) ? GUEST_DOMID : (uint16_t)remote_domid;
	return 0;
}

int evtchn_bind_interdomain(struct evtchn_table *table, uint32_t remote_domid, uint32_t remote_port, uint32_t *port)
{
	/* Back ends offer no ports to the guest: there is nothing in domain 0 to bind to. */
	if (!domid_is_self(remote_domid))
		return remote_domid == BACKEND_DOMID ? -XEN_EINVAL : -XEN_ESRCH;

	struct evtchn_port *remote = bound_port(table, remote_port);
	if (!remote || remote->kind != EVTCHN_UNBOUND || remote->remote_domid != GUEST_DOMID)
		return -XEN_EINVAL;

	struct evtchn_port *taken = take_port(table, EVTCHN_LOOPBACK, port);
	if (!taken)
		return -XEN_ENOSPC;
	taken->remote_domid = GUEST_DOMID;
	taken->remote_port = remote_port;
	remote->kind = EVTCHN_LOOPBACK;
	remote->remote_port = *port;
	return 0;
}

/* The rest of the virtual interrupts are global: bound once, by vCPU 0, and movable. */
static bool virq_is_per_vcpu(uint32_t virq)
{
	return virq == VIRQ_TIMER || virq == VIRQ_DEBUG || virq == VIRQ_XENOPROF || virq == VIRQ_XENPMU;
}

/* Where a bound virtual interrupt is listed: global ones under vCPU 0, wherever their events go. */
static unsigned int virq_owner(const struct evtchn_port *port)
{
	return virq_is_per_vcpu(port->virq) ? port->vcpu : 0;
}

int evtchn_bind_virq(struct evtchn_table *table, uint32_t virq, uint32_t vcpu, uint32_t *port)
{
	if (virq >= EVTCHN_N_VIRQS || (!virq_is_per_vcpu(virq) && vcpu != 0))
		return -XEN_EINVAL;
	if (vcpu >= table->n_vcpus)
		return -XEN_ENOENT;
	if (table->virq_port[vcpu][virq])
		return -XEN_EEXIST;

	struct evtchn_port *taken = take_port(table, EVTCHN_VIRQ, port);
	if (!taken)
		return -XEN_ENOSPC;
	taken->virq = (uint16_t)virq;
	taken->vcpu = (uint16_t)vcpu;
	table->virq_port[vcpu][virq] = (uint16_t)*port;
	return 0;
}

int evtchn_bind_ipi(struct evtchn_table *table, uint32_t vcpu, uint32_t *port)
{
	if (vcpu >= table->n_vcpus)
		return -XEN_ENOENT;

	struct evtchn_port *taken = take_port(table, EVTCHN_IPI, port);
	if (!taken)
		return -XEN_ENOSPC;
	taken->vcpu = (uint16_t)vcpu;
	return 0;
}

int evtchn_bind_vcpu(struct evtchn_table *table, uint32_t port, uint32_t vcpu)
{
	struct evtchn_port *bound = bound_port(table, port);

	if (vcpu >= table->n_vcpus)
		return -XEN_ENOENT;
	if (!bound)
		return -XEN_EINVAL;
	switch (bound->kind) {
	case EVTCHN_VIRQ:
		if (virq_is_per_vcpu(bound->virq))
			return -XEN_EINVAL;
		break;
	case EVTCHN_UNBOUND:
	case EVTCHN_LOOPBACK:
	case EVTCHN_BACKEND:
		break;
	default:
		return -XEN_EINVAL;
	}
	bound->vcpu = (uint16_t)vcpu;
	return 0;
}

int evtchn_get_status(const struct evtchn_table *table, uint32_t port, struct evtchn_status *status)
{
	if (port >= table->n_ports)
		return -XEN_EINVAL;

	const struct evtchn_port *entry = &table->ports[port];
	status->vcpu = entry->vcpu;
	memset(&status->u, 0, sizeof(status->u));
	switch (entry->kind) {
	case EVTCHN_FREE:
		status->status = EVTCHNSTAT_closed;
		break;
	case EVTCHN_UNBOUND:
		status->status = EVTCHNSTAT_unbound;
		status->u.unbound.dom = entry->remote_domid;
		break;
	case EVTCHN_LOOPBACK:
	case EVTCHN_BACKEND:
		status->status = EVTCHNSTAT_interdomain;
		status->u.interdomain.dom = entry->remote_domid;
		status->u.interdomain.port = entry->remote_port;
		break;
	case EVTCHN_VIRQ:
		status->status = EVTCHNSTAT_virq;
		status->u.virq = entry->virq;
		break;
	default:
		status->status = EVTCHNSTAT_ipi;
		break;
	}
	return 0;
}

int evtchn_close(struct evtchn_table *table, uint32_t port, uint32_t *other)
{
	struct evtchn_port *bound = bound_port(table, port);

	*other = 0;
	if (!bound)
		return -XEN_EINVAL;
	if (bound->kind == EVTCHN_VIRQ)
		table->virq_port[virq_owner(bound)][bound->virq] = 0;
	if (bound->kind == EVTCHN_LOOPBACK) {
		struct evtchn_port *remote = &table->ports[bound->remote_port];

		/* Bound to itself is impossible: the far end is always another port. */
		remote->kind = EVTCHN_UNBOUND;
		remote->remote_port = 0;
		*other = bound->remote_port;
	}
	*bound = (struct evtchn_port){ .kind = EVTCHN_FREE };
	if (port < table->first_free)
		table->first_free = port;
	return 0;
}

int evtchn_send(const struct evtchn_table *table, uint32_t port, uint32_t *deliver)
{
	*deliver = 0;
	if (!evtchn_is_bound(table, port))
		return -XEN_EINVAL;
	switch (table->ports[port].kind) {
	case EVTCHN_LOOPBACK:
		*deliver = table->ports[port].remote_port;
		return 0;
	case EVTCHN_IPI:
		*deliver = port;
		return 0;
	case EVTCHN_UNBOUND:
	case EVTCHN_BACKEND:
		return 0;
	default:
		return -XEN_EINVAL;
	}
}

int evtchn_backend_bind(struct evtchn_table *table, uint32_t port)
{
	struct evtchn_port *bound = bound_port(table, port);

	if (!bound || bound->kind != EVTCHN_UNBOUND || bound->remote_domid != BACKEND_DOMID)
		return -XEN_EINVAL;
	bound->kind = EVTCHN_BACKEND;
	/* Back ends have no table of ports of their own: the guest sees its own number on the far side. */
	bound->remote_port = port;
	return 0;
}

void evtchn_backend_unbind(struct evtchn_table *table, uint32_t port)
{
	struct evtchn_port *bound = bound_port(table, port);

	if (!bound || bound->kind != EVTCHN_BACKEND || bound->reserved)
		return;
	bound->kind = EVTCHN_UNBOUND;
	bound->remote_port = 0;
}

int evtchn_backend_reserve(struct evtchn_table *table, uint32_t *port)
{
	int rc = evtchn_alloc_unbound(table, DOMID_SELF, BACKEND_DOMID, port);

	if (rc == 0)
		rc = evtchn_backend_bind(table, *port);
	if (rc == 0)
		table->ports[*port].reserved = true;
	return rc;
}

/* TRUE: the port may be as it is, and its virtual interrupt is listed. */
static bool take_over_port(struct evtchn_table *table, uint32_t number)
{
	const struct evtchn_port *port = &table->ports[number];
	uint16_t *virq_port;

	if (port->vcpu >= table->n_vcpus || (port->reserved && port->kind != EVTCHN_BACKEND))
		return false;
	switch (port->kind) {
	case EVTCHN_UNBOUND:
	case EVTCHN_IPI:
		return true;
	case EVTCHN_LOOPBACK:
		return port->remote_port < EVTCHN_N_PORTS && port->remote_port != number &&
		       table->ports[port->remote_port].kind == EVTCHN_LOOPBACK &&
		       table->ports[port->remote_port].remote_port == number;
	case EVTCHN_BACKEND:
		return port->reserved && port->remote_port == number;
	case EVTCHN_VIRQ:
		if (port->virq >= EVTCHN_N_VIRQS)
			return false;
		virq_port = &table->virq_port[virq_owner(port)][port->virq];
		if (*virq_port)
			return false;
		*virq_port = (uint16_t)number;
		return true;
	default:
		return false;
	}
}

bool evtchn_take_over(struct evtchn_table *table)
{
	memset(table->virq_port, 0, sizeof(table->virq_port));
	table->first_free = 1;
	if (table->n_ports == 0 || table->n_ports > EVTCHN_N_PORTS || table->ports[0].kind != EVTCHN_FREE)
		return false;
	for (uint32_t port = 1; port < EVTCHN_N_PORTS; port++)
		if (table->ports[port].kind != EVTCHN_FREE && !take_over_port(table, port))
			return false;
	return true;
}

struct evtchn_view evtchn_view(const struct evtchn_table *table, uint32_t port)
{
	struct evtchn_view view = { .target = EVTCHN_VIEW_NONE };

	if (!evtchn_is_bound(table, port))
		return view;

	const struct evtchn_port *entry = &table->ports[port];
	switch (entry->kind) {
	case EVTCHN_IPI:
		view.target = EVTCHN_VIEW_PORT;
		view.ipi = true;
		view.port = port;
		view.vcpu = entry->vcpu;
		break;
	case EVTCHN_LOOPBACK:
		view.target = EVTCHN_VIEW_PORT;
		view.port = entry->remote_port;
		view.vcpu = table->ports[entry->remote_port].vcpu;
		break;
	case EVTCHN_BACKEND:
		view.target = entry->reserved ? EVTCHN_VIEW_SERVED : EVTCHN_VIEW_EVENTFD;
		view.vcpu = entry->vcpu;
		break;
	default:
		break;
	}
	return view;
}
