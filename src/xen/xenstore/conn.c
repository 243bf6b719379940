// SPDX-License-Identifier: MIT
/*
 * Theory of operation: a connection collects bytes until a request is whole, has it answered, and goes on. There is
 * never more than one request in the input buffer, and a request is begun only while less than the quota is pending in
 * the other direction. Room for the largest reply is made before a request is taken whole; so a request that is carried
 * out can always be answered, and what cannot be answered yet stays with the client.
 *
 * Callbacks of the host's watches run between two requests, and may free or reset the very connection: the loop looks
 * at the two marks they leave.
 */
#include <stdlib.h>
#include <string.h>

#include "xen/xenstore/internal.h"

struct xs_conn *xs_conn_new(struct xenstore *store, uint16_t domid, void (*notify)(void *opaque), void *opaque)
{
	struct xs_conn *conn = calloc(1, sizeof(*conn));

	if (!conn)
		return NULL;
	if (xs_out_init(&conn->out, store->quota.pending_events) != 0) {
		free(conn);
		return NULL;
	}
	conn->store = store;
	conn->domid = domid;
	conn->notify = notify;
	conn->opaque = opaque;
	conn->next = store->conns;
	conn->link = &store->conns;
	if (conn->next)
		conn->next->link = &conn->next;
	store->conns = conn;
	return conn;
}

void xs_conn_drop_watch(struct xs_conn *conn, struct xenstore_watch *watch)
{
	if (watch->lost)
		conn->n_lost--;
	conn->n_watches--;
	xs_out_drop_events(&conn->out, watch);
	xs_watch_free(conn->store, watch);
}

void xs_conn_drop_state(struct xs_conn *conn)
{
	struct xs_transaction *tx;

	xs_out_drop_events(&conn->out, NULL);
	while (conn->watches)
		xs_watch_free(conn->store, conn->watches);
	conn->n_watches = 0;
	conn->n_lost = 0;
	while ((tx = conn->transactions)) {
		conn->transactions = tx->next;
		xs_transaction_free(tx);
	}
	conn->n_transactions = 0;
}

void xs_conn_free(struct xs_conn *conn)
{
	if (!conn)
		return;
	if (!conn->freed) {
		xs_conn_drop_state(conn);
		*conn->link = conn->next;
		if (conn->next)
			conn->next->link = conn->link;
		conn->freed = true;
	}
	if (conn->feeding)
		return; /* xs_conn_feed() does the rest */
	xs_out_free(&conn->out);
	free(conn);
}

void xs_conn_reset(struct xs_conn *conn)
{
	xs_conn_drop_state(conn);
	xs_out_reset(&conn->out);
	conn->in_bytes = 0;
	conn->broken = false;
	conn->notify_due = false;
	conn->was_reset = true;
}

static void queue_event(struct xs_conn *conn, struct xenstore_watch *watch, const char *path)
{
	bool was_idle = xs_out_pending_bytes(&conn->out) == 0;
	size_t token_len = strlen(watch->token);
	const char *shown = path + watch->base_len_bytes;

	/* What would not fit into a message is said less precisely. WATCH itself had room for the watch's own path. */
	if (strlen(shown) + token_len + 2 > XENSTORE_PAYLOAD_MAX)
		shown = watch->path + watch->base_len_bytes;
	switch (xs_out_event(&conn->out, watch, shown, watch->token, conn->store->quota.pending_bytes)) {
	case XS_OUT_QUEUED:
		conn->counters.events++;
		conn->notify_due |= was_idle;
		break;
	case XS_OUT_REPEATED:
		conn->counters.events_repeated++;
		break;
	case XS_OUT_FULL:
		watch->lost = true;
		conn->n_lost++;
		break;
	}
}

void xs_conn_event(struct xs_conn *conn, struct xenstore_watch *watch, const char *path)
{
	if (!watch->lost)
		queue_event(conn, watch, path);
	if (watch->lost)
		conn->counters.events_coalesced++;
}

void xs_conn_catch_up(struct xs_conn *conn)
{
	struct xenstore_watch *watch = conn->watches;
	unsigned int room = conn->store->quota.pending_events / 2;

	/* Not before half of the room is free: else each event sent would cost a scan of the watches. */
	if (conn->n_lost == 0 || xs_out_pending_events(&conn->out) > room ||
	    xs_out_pending_bytes(&conn->out) > conn->store->quota.pending_bytes / 2)
		return;
	for (; watch; watch = watch->next) {
		if (!watch->lost)
			continue;
		watch->lost = false;
		conn->n_lost--;
		queue_event(conn, watch, watch->path);
		if (watch->lost)
			break;
	}
}

/* How many more bytes the request in conn->in needs to be whole, as far as its header is known. */
static size_t missing_bytes(const struct xs_conn *conn)
{
	struct xsd_sockmsg header;

	if (conn->in_bytes < sizeof(header))
		return sizeof(header) - conn->in_bytes;
	memcpy(&header, conn->in, sizeof(header));
	return sizeof(header) + header.len - conn->in_bytes;
}

/* Takes the next piece; returns its length, 0 if nothing can be taken now. */
static size_t take(struct xs_conn *conn, const uint8_t *bytes, size_t len_bytes)
{
	struct xsd_sockmsg header;
	size_t n = missing_bytes(conn);
	size_t pending = xs_out_pending_bytes(&conn->out);

	if (conn->in_bytes == 0 && pending > 0 && pending >= conn->store->quota.pending_bytes)
		return 0;
	if (n > len_bytes)
		n = len_bytes;
	memcpy(conn->in + conn->in_bytes, bytes, n);
	conn->in_bytes += n;
	if (conn->in_bytes < sizeof(header))
		return n;
	memcpy(&header, conn->in, sizeof(header));
	if (header.len > XENSTORE_PAYLOAD_MAX) {
		conn->broken = true;
		conn->in_bytes = 0;
		xs_conn_drop_state(conn);
		return n;
	}
	if (missing_bytes(conn) > 0)
		return n;
	if (!xs_out_reserve(&conn->out, XS_MESSAGE_MAX)) {
		conn->in_bytes -= n;
		return 0;
	}
	conn->notify_due |= pending == 0;
	conn->counters.requests++;
	xs_wire_dispatch(conn);
	conn->in_bytes = 0;
	return n;
}

size_t xs_conn_feed(struct xs_conn *conn, const void *bytes, size_t len_bytes)
{
	struct xenstore *store = conn->store;
	size_t taken = 0, n;

	if (conn->feeding)
		return 0;
	xs_store_enter(store);
	conn->feeding = true;
	conn->was_reset = false;
	while (taken < len_bytes && !conn->broken) {
		n = take(conn, (const uint8_t *)bytes + taken, len_bytes - taken);
		if (n == 0)
			break;
		taken += n;
		xs_store_run_host_events(store);
		if (conn->freed || conn->was_reset)
			break;
	}
	/* What was offered belongs to the stream that ended. */
	if (conn->broken || conn->freed || conn->was_reset)
		taken = len_bytes;
	conn->feeding = false;
	if (conn->freed)
		xs_conn_free(conn);
	xs_store_leave(store);
	return taken;
}

void xs_conn_refuse_commits(struct xs_conn *conn, bool (*refuse_commit)(void *opaque), void *opaque)
{
	conn->refuse_commit = refuse_commit;
	conn->refuse_opaque = opaque;
}

bool xs_conn_broken(const struct xs_conn *conn)
{
	return conn->broken;
}

const void *xs_conn_pending(const struct xs_conn *conn, size_t *len_bytes)
{
	*len_bytes = xs_out_pending_bytes(&conn->out);
	return conn->out.bytes + conn->out.head;
}

void xs_conn_sent(struct xs_conn *conn, size_t len_bytes)
{
	xs_out_sent(&conn->out, len_bytes);
	xs_conn_catch_up(conn);
	conn->notify_due = false; /* whoever sends is awake */
}

struct xs_conn_counters xs_conn_counters(const struct xs_conn *conn)
{
	return conn->counters;
}
