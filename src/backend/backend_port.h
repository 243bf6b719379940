// SPDX-License-Identifier: MIT
/*
 * A back end's end of an event channel that the guest has made for it, as two eventfds. The table of operations is
 * there so that device back ends run without KVM, in tests.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/eventfd.h>

struct evtchn_backend;
struct xen_domain;

struct backend_port {
	const struct evtchn_backend *backend;
	int from_guest_fd, to_guest_fd; /* borrowed until unbind() */
};

/* Sends to the guest. */
static inline void backend_port_notify(const struct backend_port *port)
{
	(void)eventfd_write(port->to_guest_fd, 1);
}

/* As if the guest had sent: for a back end that has more to do but lets others go first. */
static inline void backend_port_wake(const struct backend_port *port)
{
	(void)eventfd_write(port->from_guest_fd, 1);
}

struct backend_port_ops {
	/* FALSE: the guest has no port of this number that waits for domain 0, or the host has no room. */
	bool (*bind)(void *opaque, uint32_t number, struct backend_port *port);
	/* Nobody looks at its descriptors any more. The guest may have closed it before. */
	void (*unbind)(void *opaque, struct backend_port *port);
};

extern const struct backend_port_ops BACKEND_PORT_XEN; /* opaque: struct xen_domain */
