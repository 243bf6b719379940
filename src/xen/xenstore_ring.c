// SPDX-License-Identifier: MIT
#include "xen/xenstore_ring.h"

#include <assert.h>
#include <string.h>
#include <unistd.h>

#include <glib-unix.h>

#include "xen/abi.h"
#include <xen/io/xs_wire.h>

#include "inject/inject.h"
#include "vmm/event_source.h"
#include "vmm/guest_memory.h"
#include "vmm/record.h"
#include "vmm/trace.h"
#include "xen/evtchn.h"
#include "xen/evtchn_kvm.h"
#include "xen/ring.h"
#include "xen/xenstore/saved.h"
#include "xen/xenstore/xenstore.h"

/* A guest that asks without end lets the console and the host have their turn after so many pieces. */
#define ROUNDS_MAX 64

struct xenstore_ring {
	struct xenstore *store;
	struct xenstore_domain_interface *page;
	const struct evtchn_backend *port;
	struct record *record;
	struct xs_conn *conn;
	struct trace_xenstore requests_trace, replies_trace;
	void (*on_first_request)(void *opaque);
	void *opaque;
	guint source;
	bool had_request;
	bool broken;

	/* Faults on purpose; NULL: none. */
	struct inject_point *commits, *answers;
	size_t answer_left_bytes; /* of the message that is being sent */
	bool answer_may_go;       /* the next message has had its delay */
	guint late_source;        /* and this wakes us when it is over */
};

static_assert(XENSTORE_RING_SIZE == 1024, "<xen/io/xs_wire.h>");

static void break_ring(struct xenstore_ring *ring, uint32_t error)
{
	ring->broken = true;
	ring_publish(&ring->page->error, error);
}

static bool refuse_commit(void *opaque)
{
	struct xenstore_ring *ring = opaque;

	return inject_point_pass(ring->commits, UINT32_MAX).error != 0;
}

static gboolean on_late(gpointer opaque)
{
	struct xenstore_ring *ring = opaque;

	ring->late_source = 0;
	ring->answer_may_go = true;
	evtchn_backend_wake(ring->port);
	return G_SOURCE_REMOVE;
}

/* How much of what is pending may be sent now: to the end of the message at most; 0: it is late. */
static size_t hold_answer(struct xenstore_ring *ring, const void *pending, size_t pending_bytes)
{
	struct xsd_sockmsg header;

	if (ring->answer_left_bytes == 0) {
		if (ring->late_source || pending_bytes < sizeof(header))
			return 0;
		const uint64_t delay_us = ring->answer_may_go ? 0 : inject_point_pass(ring->answers, UINT32_MAX).delay_us;
		if (delay_us) {
			ring->late_source = g_timeout_add((guint)((delay_us + 999) / 1000), on_late, ring);
			return 0;
		}
		memcpy(&header, pending, sizeof(header));
		ring->answer_left_bytes = sizeof(header) + header.len;
		ring->answer_may_go = false;
	}
	return MIN(pending_bytes, ring->answer_left_bytes);
}

static void forget_answers(struct xenstore_ring *ring)
{
	if (ring->late_source)
		g_source_remove(ring->late_source);
	ring->late_source = 0;
	ring->answer_left_bytes = 0;
	ring->answer_may_go = false;
}

/* TRUE: something was moved. */
static bool move_requests(struct xenstore_ring *ring)
{
	struct xenstore_domain_interface *page = ring->page;
	uint32_t producer = ring_read(&page->req_prod);
	uint32_t consumer = ring_read(&page->req_cons);
	uint8_t bytes[XENSTORE_RING_SIZE];
	uint32_t offset_bytes, len_bytes;

	if (!ring_readable(producer, consumer, XENSTORE_RING_SIZE, &offset_bytes, &len_bytes)) {
		break_ring(ring, XENSTORE_ERROR_RINGIDX);
		return false;
	}
	if (len_bytes == 0)
		return false;
	/* A copy: the store parses what cannot change under its hands. */
	ring_copy_from(bytes, page->req + offset_bytes, len_bytes);
	size_t taken_bytes = xs_conn_feed(ring->conn, bytes, len_bytes);
	if (trace_wants(ring->requests_trace.trace, TRACE_XENSTORE))
		trace_xenstore_bytes(&ring->requests_trace, bytes, taken_bytes);
	if (xs_conn_broken(ring->conn))
		break_ring(ring, XENSTORE_ERROR_PROTO);
	if (taken_bytes == 0)
		return false;
	ring_publish(&page->req_cons, consumer + (uint32_t)taken_bytes);
	return true;
}

static bool move_replies(struct xenstore_ring *ring)
{
	struct xenstore_domain_interface *page = ring->page;
	uint32_t producer = ring_read(&page->rsp_prod);
	uint32_t consumer = ring_read(&page->rsp_cons);
	uint32_t offset_bytes, room_bytes;
	size_t pending_bytes;
	const void *pending = xs_conn_pending(ring->conn, &pending_bytes);

	if (!ring_writable(producer, consumer, XENSTORE_RING_SIZE, &offset_bytes, &room_bytes)) {
		break_ring(ring, XENSTORE_ERROR_RINGIDX);
		return false;
	}
	if (ring->answers)
		pending_bytes = hold_answer(ring, pending, pending_bytes);
	size_t len_bytes = MIN(pending_bytes, room_bytes);
	if (len_bytes == 0)
		return false;
	if (ring->answers)
		ring->answer_left_bytes -= len_bytes;
	memcpy(page->rsp + offset_bytes, pending, len_bytes);
	ring_publish(&page->rsp_prod, producer + (uint32_t)len_bytes);
	if (trace_wants(ring->replies_trace.trace, TRACE_XENSTORE))
		trace_xenstore_bytes(&ring->replies_trace, pending, len_bytes);
	xs_conn_sent(ring->conn, len_bytes);
	return true;
}

static void clear_page(struct xenstore_domain_interface *page)
{
	ring_publish(&page->req_cons, 0);
	ring_publish(&page->req_prod, 0);
	ring_publish(&page->rsp_cons, 0);
	ring_publish(&page->rsp_prod, 0);
	ring_publish(&page->error, XENSTORE_ERROR_NONE);
	ring_publish(&page->connection, XENSTORE_CONNECTED);
}

static void reconnect_if_asked(struct xenstore_ring *ring)
{
	if (ring_read(&ring->page->connection) != XENSTORE_RECONNECT)
		return;
	xs_conn_reset(ring->conn);
	ring->requests_trace.filled_bytes = ring->replies_trace.filled_bytes = 0;
	ring->broken = false;
	forget_answers(ring);
	clear_page(ring->page);
	evtchn_backend_notify(ring->port);
}

/* FALSE: there is more to do. */
static bool pump(struct xenstore_ring *ring)
{
	unsigned int rounds = 0;
	bool moved = true;

	reconnect_if_asked(ring);
	while (moved && !ring->broken && rounds < ROUNDS_MAX) {
		moved = move_requests(ring);
		if (!ring->broken)
			moved |= move_replies(ring);
		rounds += moved;
	}
	if (rounds > 0)
		evtchn_backend_notify(ring->port);
	return rounds < ROUNDS_MAX;
}

bool xenstore_ring_serve(void *opaque)
{
	struct xenstore_ring *ring = opaque;

	/* What is late waits in the main thread. */
	if (ring->answers || !xenstore_visit(ring->store))
		return false;
	/* What is to be written before the first request is the main thread's to write. */
	bool is_done = ring->had_request && pump(ring);
	bool is_settled = xenstore_visit_end(ring->store);
	return is_done && is_settled;
}

/* syscalls(main): read */
static gboolean on_port(gint fd, GIOCondition condition, gpointer opaque)
{
	struct xenstore_ring *ring = opaque;
	uint64_t count;
	ssize_t got = read(fd, &count, sizeof(count));

	(void)condition, (void)got;
	xenstore_lock(ring->store);
	xenstore_settle(ring->store);
	if (!ring->had_request && ring_read(&ring->page->req_prod) != ring_read(&ring->page->req_cons)) {
		ring->had_request = true;
		ring->on_first_request(ring->opaque);
		record_phase(ring->record, PHASE_FIRST_XENSTORE, NULL);
	}
	if (!pump(ring))
		evtchn_backend_wake(ring->port);
	xenstore_unlock(ring->store);
	return G_SOURCE_CONTINUE;
}

/* Called from inside the store: the ring is served when the store is done. */
static void on_pending(void *opaque)
{
	struct xenstore_ring *ring = opaque;

	evtchn_backend_wake(ring->port);
}

/* The store's connection is the caller's to give it. */
static struct xenstore_ring *make_ring(struct xenstore *store, struct guest_memory *memory, const struct evtchn_backend *port,
				       struct record *record, const struct trace *trace, void (*on_first_request)(void *opaque),
				       void *opaque)
{
	struct xenstore_ring *ring = g_new0(struct xenstore_ring, 1);

	ring->page = guest_memory_span(memory, guest_memory_layout(memory)->xenstore_gpa, LAYOUT_PAGE_BYTES);
	g_assert(ring->page);
	ring->store = store;
	ring->port = port;
	ring->record = record;
	ring->requests_trace = (struct trace_xenstore){ .trace = trace, .from_guest = true };
	ring->replies_trace = (struct trace_xenstore){ .trace = trace };
	ring->on_first_request = on_first_request;
	ring->opaque = opaque;
	return ring;
}

struct xenstore_ring *xenstore_ring_restore(struct xenstore *store, struct xs_conn *conn, struct guest_memory *memory,
					    const struct evtchn_backend *port, struct record *record, const struct trace *trace,
					    void (*on_first_request)(void *opaque), void *opaque, bool had_request, bool is_broken)
{
	struct xenstore_ring *ring = make_ring(store, memory, port, record, trace, on_first_request, opaque);

	ring->conn = conn;
	ring->had_request = had_request;
	ring->broken = is_broken;
	xs_conn_notify(conn, on_pending, ring);
	ring->source = event_source_add(port->from_guest_fd, G_IO_IN, on_port, ring);
	evtchn_backend_wake(port);
	return ring;
}

const struct xs_conn *xenstore_ring_conn(const struct xenstore_ring *ring, bool *had_request, bool *is_broken)
{
	*had_request = ring->had_request;
	*is_broken = ring->broken;
	return ring->conn;
}

struct xenstore_ring *xenstore_ring_new(struct xenstore *store, struct guest_memory *memory,
					const struct evtchn_backend *port, struct record *record, const struct trace *trace,
					void (*on_first_request)(void *opaque), void *opaque)
{
	struct xenstore_ring *ring = make_ring(store, memory, port, record, trace, on_first_request, opaque);

	ring->conn = xs_conn_new(store, GUEST_DOMID, on_pending, ring);
	if (!ring->conn) {
		g_free(ring);
		return NULL;
	}
	/* After a soft reset it is as the old kernel left it. */
	clear_page(ring->page);
	ring_publish(&ring->page->server_features, XENSTORE_SERVER_FEATURE_RECONNECTION | XENSTORE_SERVER_FEATURE_ERROR);
	ring->source = event_source_add(port->from_guest_fd, G_IO_IN, on_port, ring);
	return ring;
}

void xenstore_ring_inject(struct xenstore_ring *ring, const struct inject_plan *plan)
{
	static const struct inject_abilities refusal = { .fail = true, .fail_effect = INJECT_COMMITS_REFUSED };
	static const struct inject_abilities lateness = { .delay = true, .delay_effect = INJECT_ANSWERS_DELAYED };

	ring->commits = inject_point_new(plan, INJECT_XENSTORE, "commits", 0, &refusal);
	ring->answers = inject_point_new(plan, INJECT_XENSTORE, "answers", 0, &lateness);
	if (ring->commits)
		xs_conn_refuse_commits(ring->conn, refuse_commit, ring);
}

void xenstore_ring_free(struct xenstore_ring *ring)
{
	if (!ring)
		return;
	g_source_remove(ring->source);
	forget_answers(ring);
	inject_point_free(ring->commits);
	inject_point_free(ring->answers);
	xs_conn_free(ring->conn);
	g_free(ring);
}
