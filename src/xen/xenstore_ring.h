// SPDX-License-Identifier: MIT
/*
 * The guest's connection to the xenstore: a page with two byte rings. Requests go into the store, replies and watch
 * events come out; a store that has no room for more replies stops reading requests, and the guest waits.
 *
 * Thread: the main thread, and a vCPU's in xenstore_ring_serve(); each with the store in hand (xenstore.h), which covers
 * the ring as well. Source: struct xenstore_domain_interface of <xen/io/xs_wire.h>.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct evtchn_backend;
struct guest_memory;
struct record;
struct trace;
struct xenstore;
struct inject_plan;
struct xenstore_ring;
struct xs_conn;

/*
 * NULL: out of memory. All arguments are borrowed. on_first_request is called before the guest's first
 * request is read: the last moment to write what the guest reads when it boots.
 */
struct xenstore_ring *xenstore_ring_new(struct xenstore *store, struct guest_memory *memory,
					const struct evtchn_backend *port, struct record *record, const struct trace *trace,
					void (*on_first_request)(void *opaque), void *opaque);
/*
 * The same for a guest that was saved: its connection came with the store, and its page is as it was. From the first turn of the
 * loop on it is served.
 */
struct xenstore_ring *xenstore_ring_restore(struct xenstore *store, struct xs_conn *conn, struct guest_memory *memory,
					    const struct evtchn_backend *port, struct record *record, const struct trace *trace,
					    void (*on_first_request)(void *opaque), void *opaque, bool had_request, bool is_broken);
/* With the store in hand. */
const struct xs_conn *xenstore_ring_conn(const struct xenstore_ring *ring, bool *had_request, bool *is_broken);

/* What is planned for the guest's transactions and answers happens. Before the first vCPU runs. Borrowed. */
void xenstore_ring_inject(struct xenstore_ring *ring, const struct inject_plan *plan);
void xenstore_ring_free(struct xenstore_ring *ring);

/*
 * The guest sent its event: its requests are answered in the thread of the vCPU that did. Waits for nobody. FALSE:
 * something is left for the main thread, and the port's from_guest_fd must become readable.
 */
bool xenstore_ring_serve(void *ring);
