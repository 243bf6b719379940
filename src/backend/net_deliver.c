// SPDX-License-Identifier: MIT
/* From the link to the guest's receive ring. */
#include "backend/net_queue.h"

#include <string.h>

#include "backend/net_frame.h"
#include "backend/ring_claims.h"
#include "vmm/guest_memory.h"
#include "xen/domid.h"
#include "xen/grant.h"
#include "xen/ring.h"

/* Frames of one turn; then others have theirs. */
#define BUDGET_FRAMES       128u
#define WINDOW_ATTEMPTS_MAX 16u

static struct net_buffer *buffer_at(struct net_queue *queue, unsigned int n)
{
	return &queue->window[(queue->first + n) & (NET_WINDOW - 1)];
}

/* Under the grants' lock. */
static void claim(const struct ring_access *access, struct net_buffer *buffer)
{
	struct grant_page page;

	buffer->page = NULL;
	buffer->claimed = grant_acquire(access->grants, buffer->ref, BACKEND_DOMID, false, true, &page) == GNTST_okay;
	if (buffer->claimed && page.gfn <= UINT64_MAX / NET_PAGE_BYTES - 1)
		buffer->page = guest_memory_span(access->memory, page.gfn * NET_PAGE_BYTES, NET_PAGE_BYTES);
}

/* The first n of the window are the guest's again. */
static void release(struct net_queue *queue, unsigned int n)
{
	const struct ring_access *access = queue->connection->target->access;

	pthread_mutex_lock(access->grants_lock);
	for (unsigned int i = 0; i < n; i++)
		if (buffer_at(queue, i)->claimed)
			grant_release(access->grants, buffer_at(queue, i)->ref, false);
	pthread_mutex_unlock(access->grants_lock);
	queue->first += n;
	queue->n_held -= n;
}

void net_queue_drop_window(struct net_queue *queue)
{
	release(queue, queue->n_held);
}

/* A buffer that cannot be written spoils those before it, too: answers keep the order of the requests. */
static void answer_bad_window(struct net_queue *queue)
{
	for (unsigned int i = 0; i < queue->n_held; i++) {
		const struct netif_rx_response response = { .id = buffer_at(queue, i)->id, .status = NETIF_RSP_ERROR };

		slot_ring_answer(&queue->rx, &response, sizeof(response));
	}
	release(queue, queue->n_held);
	net_queue_changed(queue);
}

/* FALSE: the ring is broken. */
static bool fill_window(struct net_queue *queue, unsigned int n_wanted)
{
	const struct ring_access *access = queue->connection->target->access;
	unsigned int n_ready = 0;
	bool good = true;

	if (slot_ring_look(&queue->rx, &n_ready) == SLOT_RING_BROKEN) {
		net_queue_break(queue, "the receive ring has more requests than slots");
		return false;
	}
	pthread_mutex_lock(access->grants_lock);
	for (; queue->n_held < n_wanted && n_ready > 0; n_ready--) {
		struct net_buffer *buffer = buffer_at(queue, queue->n_held++);
		struct netif_rx_request request;

		slot_ring_take(&queue->rx, &request, sizeof(request));
		buffer->id = request.id;
		buffer->ref = request.gref;
		claim(access, buffer);
		good = good && buffer->page;
	}
	pthread_mutex_unlock(access->grants_lock);
	if (!good)
		answer_bad_window(queue);
	return true;
}

/* FALSE: the guest has not posted so many, and will tell when it has. */
static bool obtain_window(struct net_queue *queue, unsigned int n_wanted)
{
	/* A guest could post bad ones for as long as we look. */
	for (unsigned int attempts = 0; queue->n_held < n_wanted; attempts++) {
		if (attempts == WINDOW_ATTEMPTS_MAX) {
			net_queue_again(queue);
			return false;
		}
		if (!fill_window(queue, n_wanted))
			return false;
		if (queue->n_held < n_wanted && !slot_ring_arm(&queue->rx, n_wanted - queue->n_held))
			return false;
	}
	return true;
}

static bool wants_segments(const struct net_connection *connection)
{
	return connection->features.gso_ipv4 || connection->features.gso_ipv6;
}

/* The kernel may still have frames from before it knew what this guest can do. */
static bool may_have(const struct net_connection *connection, const struct net_offload *offload)
{
	return offload->gso_type == XEN_NETIF_GSO_TYPE_NONE ||
	       (offload->gso_type == XEN_NETIF_GSO_TYPE_TCPV4 ? connection->features.gso_ipv4 : connection->features.gso_ipv6);
}

/* Which buffer of the window the n-th page of a frame is. */
static unsigned int nth(unsigned int n, bool has_segments)
{
	return n + (has_segments && n > 0);
}

static unsigned int aim(struct net_queue *queue, unsigned int n_pages, bool has_segments, struct iovec *iov)
{
	unsigned int n = 1;

	for (unsigned int i = 0; i < n_pages; i++)
		iov[n++] = (struct iovec){ buffer_at(queue, nth(i, has_segments))->page, NET_PAGE_BYTES };
	return n;
}

/* The guess was wrong: pages move to where they belong. */
static void move_pages(struct net_queue *queue, size_t frame_bytes, bool has_segments)
{
	const unsigned int n_pages = (unsigned int)((frame_bytes + NET_PAGE_BYTES - 1) / NET_PAGE_BYTES);

	for (unsigned int i = 1; i < n_pages; i++) {
		unsigned int n = has_segments ? n_pages - i : i;
		size_t len_bytes = n == n_pages - 1 ? frame_bytes - (size_t)n * NET_PAGE_BYTES : NET_PAGE_BYTES;

		memcpy(buffer_at(queue, nth(n, has_segments))->page, buffer_at(queue, nth(n, !has_segments))->page, len_bytes);
	}
	queue->connection->counters.rx_moved++;
}

static void answer_segments(struct net_queue *queue, const struct net_offload *offload)
{
	struct netif_extra_info extra = { .type = XEN_NETIF_EXTRA_TYPE_GSO };

	extra.u.gso.type = offload->gso_type;
	extra.u.gso.size = offload->gso_bytes;
	slot_ring_answer(&queue->rx, &extra, sizeof(extra));
}

static void answer_frame(struct net_queue *queue, size_t frame_bytes, const struct net_offload *offload)
{
	const bool has_segments = offload->gso_type != XEN_NETIF_GSO_TYPE_NONE;
	uint16_t flags = (uint16_t)((offload->csum_blank ? NETRXF_csum_blank | NETRXF_data_validated : 0) |
				    (offload->csum_valid ? NETRXF_data_validated : 0) | (has_segments ? NETRXF_extra_info : 0));
	unsigned int n_used = 0;

	for (size_t left_bytes = frame_bytes; left_bytes > 0;) {
		size_t len_bytes = left_bytes < NET_PAGE_BYTES ? left_bytes : NET_PAGE_BYTES;
		const struct netif_rx_response response = {
			.id = buffer_at(queue, n_used)->id,
			.flags = (uint16_t)(flags | (left_bytes > len_bytes ? NETRXF_more_data : 0)),
			.status = (int16_t)len_bytes,
		};

		slot_ring_answer(&queue->rx, &response, sizeof(response));
		if (n_used++ == 0 && has_segments) {
			answer_segments(queue, offload);
			n_used++;
		}
		flags = 0;
		left_bytes -= len_bytes;
	}
	release(queue, n_used);
	queue->connection->counters.rx_frames++;
	queue->connection->counters.rx_bytes += frame_bytes;
	net_queue_changed(queue);
}

/*
 * A front end finds where the checksum lies by itself, for TCP and UDP. Where it would not find the same place (the
 * host's kernel asks for it in tunnels, too), it is done here.
 */
static void settle_checksum(const struct net_connection *connection, const struct iovec *pages, unsigned int n_pages,
			    size_t frame_bytes, struct net_offload *offload)
{
	uint8_t bytes[NET_HEADERS_MAX];
	size_t have_bytes = frame_bytes < sizeof(bytes) ? frame_bytes : sizeof(bytes);
	struct net_headers headers;

	ring_copy_from(bytes, pages[0].iov_base, have_bytes);
	if (connection->features.csum && net_headers_parse(bytes, have_bytes, frame_bytes, &headers) && headers.l4_at == offload->csum_from &&
	    headers.csum_at == offload->csum_at)
		return;
	offload->csum_blank = false;
	if (offload->csum_from >= frame_bytes || offload->csum_at + 2u > NET_PAGE_BYTES || offload->csum_at + 2u > frame_bytes)
		return;
	uint16_t sum = net_sum_fold(net_sum_pieces(pages, n_pages, offload->csum_from, frame_bytes - offload->csum_from));
	const uint16_t checksum = (uint16_t)(sum == UINT16_MAX ? UINT16_MAX : ~sum);
	memcpy((uint8_t *)pages[0].iov_base + offload->csum_at, &checksum, sizeof(checksum));
}

static void deliver(struct net_queue *queue, const struct iovec *pages, unsigned int n_pages, size_t frame_bytes,
		    struct net_offload *offload)
{
	const bool has_segments = offload->gso_type != XEN_NETIF_GSO_TYPE_NONE;

	if (offload->csum_blank && !has_segments)
		settle_checksum(queue->connection, pages, n_pages, frame_bytes, offload);
	if (frame_bytes > NET_PAGE_BYTES) {
		if (has_segments != queue->expect_segments)
			move_pages(queue, frame_bytes, has_segments);
		queue->expect_segments = has_segments;
	}
	answer_frame(queue, frame_bytes, offload);
}

/* How much a stream's frame may want of a guest. */
static size_t frame_max(const struct net_connection *connection)
{
	return connection->sg ? NET_FRAME_PAGES * NET_PAGE_BYTES : NET_PAGE_BYTES;
}

/* FALSE: there is no frame any more, or no room for it. */
static bool receive_frame(struct net_queue *queue, unsigned int *n_pages)
{
	struct net_connection *connection = queue->connection;
	struct net_link *link = connection->target->link;
	struct iovec iov[NET_FRAME_PAGES + 2];
	struct net_offload offload;
	size_t bytes;

	/* Without a large frame of another kind in between, segments may come next. */
	if (!obtain_window(queue, *n_pages + wants_segments(connection)))
		return false;
	unsigned int n_iov = aim(queue, *n_pages, queue->expect_segments, iov);
	if (!link->stream)
		iov[n_iov++] = (struct iovec){ connection->overflow, sizeof(connection->overflow) };
	switch (net_link_receive(link, queue->number, iov, n_iov, *n_pages * NET_PAGE_BYTES, &offload, &bytes)) {
	case NET_FRAME:
		if (may_have(connection, &offload))
			deliver(queue, iov + 1, *n_pages, bytes, &offload);
		else
			connection->counters.rx_dropped++;
		break;
	case NET_MORE_ROOM:
		if (bytes > frame_max(connection))
			net_link_skip(link);
		else
			*n_pages = (unsigned int)((bytes + NET_PAGE_BYTES - 1) / NET_PAGE_BYTES);
		return true;
	case NET_LOST:
		connection->counters.rx_dropped++;
		break;
	case NET_ENDED:
		net_queue_ended(queue);
		return false;
	default:
		queue->host_ready = false;
		return false;
	}
	if (link->stream)
		*n_pages = 1;
	return true;
}

void net_queue_deliver(struct net_queue *queue)
{
	struct net_connection *connection = queue->connection;
	/* A tap's frame is cut where the room ends; a stream says first how long it is. */
	unsigned int n_pages = connection->sg && !connection->target->link->stream ? NET_FRAME_PAGES : 1;

	for (unsigned int budget = BUDGET_FRAMES; queue->host_ready && !connection->stopping && !connection->broken; budget--) {
		if (budget == 0) {
			net_queue_again(queue);
			return;
		}
		if (!receive_frame(queue, &n_pages))
			return;
	}
}
