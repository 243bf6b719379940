// SPDX-License-Identifier: MIT
/*
 * KVM's copy of the event-channel table. After an operation on a port, evtchn_kvm_sync() compares what the kernel
 * knows with evtchn_view() and changes what differs.
 *
 *   guest --EVTCHNOP_send--> KVM --eventfd--> back end           no exit
 *   back end --eventfd (irqfd)--> route of type XEN_EVTCHN --> pending bit and upcall vector, in the kernel
 *
 * A change of routes replaces KVM's whole table and waits for SRCU; it happens when a back end connects or the guest
 * moves its port to another vCPU, never on a data path.
 *
 * Thread: under the domain's lock, but for evtchn_backend_notify(), which is for any thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "xen/evtchn.h"

struct evtchn_kvm;

/* The back end's side of a port. Owned by evtchn_kvm, valid until it is released or all are freed, even when the guest closes it. */
struct evtchn_backend {
	int from_guest_fd; /* eventfd: readable when the guest sent */
	int to_guest_fd;   /* eventfd: write to it to send */
	uint32_t port;
};

/* NULL when memory is out. vm_fd and table are borrowed. */
struct evtchn_kvm *evtchn_kvm_new(int vm_fd, struct evtchn_table *table);
void evtchn_kvm_free(struct evtchn_kvm *kvm);

/* 0 or a positive errno of the host. */
int evtchn_kvm_sync(struct evtchn_kvm *kvm, uint32_t port);

/* NULL: no back end has this port. */
const struct evtchn_backend *evtchn_kvm_backend(const struct evtchn_kvm *kvm, uint32_t port);

/*
 * The back end looks at it no more: a port that is closed, or unbound and synced, gives its descriptors back. Else a guest
 * that connects again and again would use up the host's.
 */
void evtchn_kvm_release(struct evtchn_kvm *kvm, const struct evtchn_backend *backend);

/* Sets a port of the guest pending and tells its vCPU. */
void evtchn_kvm_deliver(const struct evtchn_kvm *kvm, uint32_t port);

void evtchn_backend_notify(const struct evtchn_backend *backend);

/* As if the guest had sent: for a back end that has more to do but lets others go first. */
void evtchn_backend_wake(const struct evtchn_backend *backend);
