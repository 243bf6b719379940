// SPDX-License-Identifier: MIT
/*
 * The event channels of a domain: the table of ports, as a pure core.
 *
 * An operation checks what Xen checks, changes the table, and returns 0 or a negative errno of <xen/errno.h>. It does
 * not deliver: evtchn_view() says of any port what the kernel must know of it, and the shell (evtchn_kvm.c) brings KVM
 * in line after each operation. So there is one description of "who gets the event", and no list of side effects.
 *
 *   guest sends on port --> KVM --+-- VIEW_PORT:    sets the port of the same guest (IPI, loopback), in the kernel
 *                                 +-- VIEW_EVENTFD: wakes a back end, in the kernel
 *                                 +-- VIEW_SERVED:  exit to us, the thread that sends does the back end's work
 *                                 +-- VIEW_NONE:    exit to us, evtchn_send() says what Xen would
 *
 * The 2-level ABI only: 4096 ports for a 64-bit guest, 1024 for one of 32 bits. Port 0 is never given.
 * Thread: under the domain's lock. Source: <xen/event_channel.h>.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "xen/abi.h"
#include <xen/event_channel.h>

#include "xen/domid.h"

#define EVTCHN_N_PORTS   4096u
#define EVTCHN_MAX_VCPUS 32u
#define EVTCHN_N_VIRQS   24u

enum evtchn_kind {
	EVTCHN_FREE,
	EVTCHN_UNBOUND,  /* waits for remote_domid to bind */
	EVTCHN_LOOPBACK, /* interdomain, both ends in this guest */
	EVTCHN_BACKEND,  /* interdomain, the other end is one of our back ends */
	EVTCHN_VIRQ,
	EVTCHN_IPI,
};

struct evtchn_port {
	uint8_t kind;
	bool reserved;         /* console and xenstore: made by the toolstack, reset leaves them bound, the thread that sends
				  serves them */
	uint16_t remote_domid; /* UNBOUND, LOOPBACK, BACKEND */
	uint16_t virq;
	uint16_t vcpu; /* who gets the events */
	uint32_t remote_port;
};

struct evtchn_table {
	unsigned int n_vcpus;
	uint32_t n_ports; /* a new port is below this: the ABI's limit, or less by the layout of shared_info or by wish */
	uint32_t first_free; /* no port between 0 and this one is free */
	struct evtchn_port ports[EVTCHN_N_PORTS];
	uint16_t virq_port[EVTCHN_MAX_VCPUS][EVTCHN_N_VIRQS]; /* 0: not bound */
};

struct evtchn_view {
	enum { EVTCHN_VIEW_NONE, EVTCHN_VIEW_PORT, EVTCHN_VIEW_EVENTFD, EVTCHN_VIEW_SERVED } target;
	bool ipi;            /* of VIEW_PORT */
	uint32_t port;       /* of VIEW_PORT: the one that becomes pending */
	uint16_t vcpu;       /* VIEW_PORT: who is told; VIEW_EVENTFD, VIEW_SERVED: who gets what the back end sends */
};

void evtchn_init(struct evtchn_table *table, unsigned int n_vcpus);

/* All take ports and vCPU numbers as the guest gave them. */
int evtchn_alloc_unbound(struct evtchn_table *table, uint32_t domid, uint32_t remote_domid, uint32_t *port);
int evtchn_bind_interdomain(struct evtchn_table *table, uint32_t remote_domid, uint32_t remote_port, uint32_t *port);
int evtchn_bind_virq(struct evtchn_table *table, uint32_t virq, uint32_t vcpu, uint32_t *port);
int evtchn_bind_ipi(struct evtchn_table *table, uint32_t vcpu, uint32_t *port);
int evtchn_bind_vcpu(struct evtchn_table *table, uint32_t port, uint32_t vcpu);
/* Fills all of the public structure but dom and port, which are the question. */
int evtchn_get_status(const struct evtchn_table *table, uint32_t port, struct evtchn_status *status);

/* *other: the far end of a loopback, which becomes unbound; 0 if there is none. */
int evtchn_close(struct evtchn_table *table, uint32_t port, uint32_t *other);

/* What Xen returns for a send that the kernel did not take. *deliver: the port of this guest to set; 0: none. */
int evtchn_send(const struct evtchn_table *table, uint32_t port, uint32_t *deliver);

/* FALSE for a port that is free or out of range. */
bool evtchn_is_bound(const struct evtchn_table *table, uint32_t port);

/* A back end (domain 0) takes an unbound port that waits for it. */
int evtchn_backend_bind(struct evtchn_table *table, uint32_t port);
/* The back end's end is closed: the guest's port waits for domain 0 again, as when Xen closes the far end of a channel. */
void evtchn_backend_unbind(struct evtchn_table *table, uint32_t port);
/* As bind, with a fresh port that the guest finds bound from the start, and that the thread serves that sends. */
int evtchn_backend_reserve(struct evtchn_table *table, uint32_t *port);

/*
 * The ports of a table that was saved, as they are now in table->ports, become those of a table in use: what follows from
 * them is filled in. FALSE: no table of this size ever had such ports. A back end's port must be a reserved one.
 */
bool evtchn_take_over(struct evtchn_table *table);

struct evtchn_view evtchn_view(const struct evtchn_table *table, uint32_t port);
