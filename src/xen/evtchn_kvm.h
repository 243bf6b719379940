// SPDX-License-Identifier: MIT
/*
 * KVM's copy of the event-channel table. After an operation on a port, evtchn_kvm_sync() compares what the kernel
 * knows with evtchn_view() and changes what differs.
 *
 *   guest --EVTCHNOP_send--> KVM --eventfd--> back end           no exit
 *   guest --EVTCHNOP_send--> exit --> evtchn_backend_serve()     for the console and the xenstore: the vCPU's thread
 *                                                                gives the answer, and no other has to wake up
 *   back end --eventfd (irqfd)--> route of type XEN_EVTCHN --> pending bit and upcall vector, in the kernel
 *
 * A change of routes replaces KVM's whole table and waits for SRCU; it happens when a back end connects or the guest
 * moves its port to another vCPU, never on a data path.
 *
 * Thread: under the domain's lock, but for the functions of a back end, which are for any thread, and hold no lock.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "xen/evtchn.h"

struct evtchn_kvm;
struct inject_plan;

/* The back end's side of a port. Owned by evtchn_kvm, valid until it is released or all are freed, even when the guest closes it. */
struct evtchn_backend {
	int from_guest_fd; /* eventfd: readable when the guest sent */
	int to_guest_fd;   /* eventfd: write to it to send */
	uint32_t port;
	/* Of a served port: see evtchn_kvm_serve(). */
	bool (*serve)(void *opaque);
	void *opaque;
};

/* NULL when memory is out. vm_fd and table are borrowed. */
struct evtchn_kvm *evtchn_kvm_new(int vm_fd, struct evtchn_table *table);
void evtchn_kvm_free(struct evtchn_kvm *kvm);
/* Events of the ports that get a back end from now on have the fate that is planned. Borrowed. */
void evtchn_kvm_inject(struct evtchn_kvm *kvm, const struct inject_plan *plan);

/* 0 or a positive errno of the host. */
int evtchn_kvm_sync(struct evtchn_kvm *kvm, uint32_t port);

/* NULL: no back end has this port. */
const struct evtchn_backend *evtchn_kvm_backend(const struct evtchn_kvm *kvm, uint32_t port);

/*
 * What a vCPU's thread runs when the guest sends on a served port; before the first vCPU runs. serve waits for nobody. It
 * returns FALSE when something is left to do, for which from_guest_fd then becomes readable.
 */
void evtchn_kvm_serve(struct evtchn_kvm *kvm, uint32_t port, bool (*serve)(void *opaque), void *opaque);

/*
 * The guest sent on a port, and KVM did not take it. A back end is woken; that of a served port is returned, for
 * evtchn_backend_serve(), which wants no lock held. NULL: nothing is left to do.
 */
const struct evtchn_backend *evtchn_kvm_sent(const struct evtchn_kvm *kvm, uint32_t port);

/*
 * The back end looks at it no more: a port that is closed, or unbound and synced, gives its descriptors back. Else a guest
 * that connects again and again would use up the host's.
 */
void evtchn_kvm_release(struct evtchn_kvm *kvm, const struct evtchn_backend *backend);

/* Sets a port of the guest pending and tells its vCPU. */
void evtchn_kvm_deliver(const struct evtchn_kvm *kvm, uint32_t port);

void evtchn_backend_notify(const struct evtchn_backend *backend);

/* The guest sent on a served port. In the thread of the vCPU that did. */
void evtchn_backend_serve(const struct evtchn_backend *backend);

/* As if the guest had sent: for a back end that has more to do but lets others go first. */
void evtchn_backend_wake(const struct evtchn_backend *backend);
