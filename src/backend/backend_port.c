// SPDX-License-Identifier: MIT
#include "backend/backend_port.h"

#include "xen/domain.h"

static bool bind_port(void *opaque, uint32_t number, struct backend_port *port)
{
	struct xen_domain *xen = opaque;
	bool ok = false;

	pthread_mutex_lock(&xen->lock);
	if (evtchn_backend_bind(&xen->events, number) == 0) {
		ok = evtchn_kvm_sync(xen->events_kvm, number) == 0;
		if (!ok)
			evtchn_backend_unbind(&xen->events, number);
	}
	const struct evtchn_backend *backend = ok ? evtchn_kvm_backend(xen->events_kvm, number) : NULL;
	pthread_mutex_unlock(&xen->lock);
	if (backend)
		*port = (struct backend_port){ backend, backend->from_guest_fd, backend->to_guest_fd };
	return backend != NULL;
}

static void unbind_port(void *opaque, struct backend_port *port)
{
	struct xen_domain *xen = opaque;
	const uint32_t number = port->backend->port;

	pthread_mutex_lock(&xen->lock);
	/* The guest may have closed it, and made another of the same number. */
	if (evtchn_kvm_backend(xen->events_kvm, number) == port->backend) {
		evtchn_backend_unbind(&xen->events, number);
		(void)evtchn_kvm_sync(xen->events_kvm, number);
	}
	evtchn_kvm_release(xen->events_kvm, port->backend);
	pthread_mutex_unlock(&xen->lock);
	port->backend = NULL;
}

const struct backend_port_ops BACKEND_PORT_XEN = { bind_port, unbind_port };
