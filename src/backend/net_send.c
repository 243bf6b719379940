// SPDX-License-Identifier: MIT
/* From the guest's transmit ring to the link. */
#include "backend/net_queue.h"

#include <string.h>

#include "backend/net_frame.h"
#include "backend/ring_claims.h"
#include "vmm/guest_memory.h"
#include "xen/domid.h"
#include "xen/grant.h"
#include "xen/ring.h"

/* A packet on its way: the link's header, a copy of the frame's, and the guest's pages. */
struct sending {
	struct net_packet packet;
	uint8_t *bases[NET_PIECES_MAX];
	unsigned int n_claimed;
	uint8_t headers[NET_HEADERS_MAX];
	struct iovec iov[NET_PIECES_MAX + 2];
	unsigned int n_iov;
	struct net_offload offload;
};

static void release(const struct ring_access *access, struct sending *sending)
{
	pthread_mutex_lock(access->grants_lock);
	while (sending->n_claimed > 0)
		grant_release(access->grants, sending->packet.pieces[--sending->n_claimed].ref, true);
	pthread_mutex_unlock(access->grants_lock);
}

/* FALSE: a grant that is none, or of no RAM. What was claimed is to be released in any case. */
static bool claim(const struct ring_access *access, struct sending *sending)
{
	bool ok = true;

	sending->n_claimed = 0;
	pthread_mutex_lock(access->grants_lock);
	for (unsigned int i = 0; ok && i < sending->packet.n_pieces; i++) {
		const struct net_piece *piece = &sending->packet.pieces[i];
		struct grant_page page;

		ok = grant_acquire(access->grants, piece->ref, BACKEND_DOMID, true, true, &page) == GNTST_okay;
		if (!ok)
			break;
		sending->n_claimed++;
		ok = page.gfn <= UINT64_MAX / NET_PAGE_BYTES - 1;
		uint8_t *base = ok ? guest_memory_span(access->memory, page.gfn * NET_PAGE_BYTES, NET_PAGE_BYTES) : NULL;
		ok = base != NULL;
		sending->bases[i] = ok ? base + piece->offset_bytes : NULL;
	}
	pthread_mutex_unlock(access->grants_lock);
	return ok;
}

/* Pieces that lie side by side become one. */
static void add_piece(struct sending *sending, uint8_t *base, size_t len_bytes)
{
	struct iovec *last = &sending->iov[sending->n_iov - 1];

	/* The first is the link's. */
	if (sending->n_iov > 1 && (uint8_t *)last->iov_base + last->iov_len == base)
		last->iov_len += len_bytes;
	else
		sending->iov[sending->n_iov++] = (struct iovec){ base, len_bytes };
}

/* The frame but its first skip_bytes. */
static void add_pieces(struct sending *sending, size_t skip_bytes)
{
	for (unsigned int i = 0; i < sending->packet.n_pieces; i++) {
		size_t len_bytes = sending->packet.pieces[i].len_bytes;

		if (skip_bytes >= len_bytes) {
			skip_bytes -= len_bytes;
			continue;
		}
		add_piece(sending, sending->bases[i] + skip_bytes, len_bytes - skip_bytes);
		skip_bytes = 0;
	}
}

/* Headers in memory of ours, wherever the guest has split them: what was checked is what is sent (XSA-423). */
static size_t copy_headers(struct sending *sending)
{
	size_t have_bytes = 0;

	for (unsigned int i = 0; i < sending->packet.n_pieces && have_bytes < NET_HEADERS_MAX; i++) {
		size_t len_bytes = sending->packet.pieces[i].len_bytes;

		if (len_bytes > NET_HEADERS_MAX - have_bytes)
			len_bytes = NET_HEADERS_MAX - have_bytes;
		ring_copy_from(sending->headers + have_bytes, sending->bases[i], len_bytes);
		have_bytes += len_bytes;
	}
	return have_bytes;
}

static void put16(uint8_t *at, uint16_t value)
{
	memcpy(at, &value, sizeof(value));
}

/* FALSE: the headers are not of a frame for which this can be done. */
static bool prepare_offload(const struct net_connection *connection, struct sending *sending)
{
	const struct net_packet *packet = &sending->packet;
	const bool has_segments = packet->gso_type != XEN_NETIF_GSO_TYPE_NONE;
	struct net_offload *offload = &sending->offload;
	struct net_headers headers;
	size_t have_bytes = copy_headers(sending);

	if (!net_headers_parse(sending->headers, have_bytes, packet->frame_bytes, &headers))
		return false;
	if (has_segments && (connection->target->link->stream || !headers.tcp || packet->frame_bytes <= headers.end ||
			     headers.ipv6 != (packet->gso_type == XEN_NETIF_GSO_TYPE_TCPV6)))
		return false;
	*offload = (struct net_offload){ .csum_blank = true, .gso_type = packet->gso_type, .cwr = headers.cwr,
					 .gso_bytes = packet->gso_bytes, .csum_from = headers.l4_at, .csum_at = headers.csum_at,
					 .headers_bytes = headers.end };
	sending->iov[sending->n_iov++] = (struct iovec){ sending->headers, have_bytes };
	add_pieces(sending, have_bytes);
	/* The sum of the pseudo header is ours: guests leave all kinds of things there. */
	put16(sending->headers + headers.csum_at, 0);
	uint64_t sum = net_sum_pseudo(sending->headers, &headers);
	if (connection->target->link->stream) {
		sum += net_sum_pieces(sending->iov + 1, sending->n_iov - 1, headers.l4_at, headers.l4_bytes);
		uint16_t checksum = (uint16_t)~net_sum_fold(sum);
		/* UDP: zero would mean that there is none. */
		put16(sending->headers + headers.csum_at, checksum == 0 && !headers.tcp ? UINT16_MAX : checksum);
	} else {
		put16(sending->headers + headers.csum_at, net_sum_fold(sum));
	}
	return true;
}

/* What the guest is answered. */
static int16_t send_packet(struct net_queue *queue, struct sending *sending)
{
	struct net_connection *connection = queue->connection;
	const struct net_packet *packet = &sending->packet;

	if (packet->fault || !claim(connection->target->access, sending))
		return NETIF_RSP_ERROR;
	sending->n_iov = 1;
	sending->offload = (struct net_offload){ 0 };
	if (!packet->csum_blank && packet->gso_type == XEN_NETIF_GSO_TYPE_NONE)
		add_pieces(sending, 0);
	else if (!prepare_offload(connection, sending))
		return NETIF_RSP_ERROR;
	switch (net_link_send(connection->target->link, queue->number, sending->iov, sending->n_iov, packet->frame_bytes,
			      &sending->offload)) {
	case NET_SENT_FULL:
		net_queue_await_room(queue);
		return NETIF_RSP_OKAY;
	case NET_SENT:
		return NETIF_RSP_OKAY;
	case NET_DROPPED:
		return NETIF_RSP_DROPPED;
	default:
		return NETIF_RSP_ERROR;
	}
}

static void count(struct net_counters *counters, const struct net_packet *packet, int16_t status)
{
	if (status == NETIF_RSP_OKAY) {
		counters->tx_frames++;
		counters->tx_bytes += packet->frame_bytes;
	} else if (status == NETIF_RSP_DROPPED) {
		counters->tx_dropped++;
	} else {
		counters->tx_refused++;
	}
}

void net_queue_send(struct net_queue *queue)
{
	struct net_connection *connection = queue->connection;
	struct sending sending;
	int16_t status;

	sending.n_claimed = 0;
	for (unsigned int budget = queue->tx.n_slots; !connection->stopping && !connection->broken && !connection->tx_full;) {
		switch (net_tx_take(&queue->tx, &sending.packet)) {
		case NET_TX_PACKET:
			status = send_packet(queue, &sending);
			if (sending.n_claimed > 0)
				release(connection->target->access, &sending);
			count(&connection->counters, &sending.packet, status);
			net_tx_answer(&queue->tx, &sending.packet, status);
			net_queue_changed(queue);
			if (--budget == 0) {
				net_queue_again(queue);
				return;
			}
			break;
		case NET_TX_EMPTY:
			if (!slot_ring_arm(&queue->tx, 1))
				return;
			break;
		default:
			net_queue_break(queue, "the transmit ring has more requests than slots, or half a packet");
			return;
		}
	}
}
