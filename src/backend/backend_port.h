// SPDX-License-Identifier: MIT
/*
 * A back end's end of an event channel that the guest has made for it, as two eventfds. The table of operations is
 * there so that device back ends run without KVM, in tests.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct evtchn_backend;
struct xen_domain;

struct backend_port {
	const struct evtchn_backend *backend;
	int from_guest_fd, to_guest_fd; /* borrowed until unbind() */
};

struct backend_port_ops {
	/* FALSE: the guest has no port of this number that waits for domain 0, or the host has no room. */
	bool (*bind)(void *opaque, uint32_t number, struct backend_port *port);
	/* Nobody looks at its descriptors any more. The guest may have closed it before. */
	void (*unbind)(void *opaque, struct backend_port *port);
};

extern const struct backend_port_ops BACKEND_PORT_XEN; /* opaque: struct xen_domain */
