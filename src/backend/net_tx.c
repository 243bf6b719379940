// SPDX-License-Identifier: MIT
#include "backend/net_tx.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#include "backend/net_frame.h"

static_assert(sizeof(struct netif_tx_request) == 12, "<xen/io/netif.h>");
static_assert(sizeof(struct netif_extra_info) == 8, "<xen/io/netif.h>");
static_assert(sizeof(struct netif_tx_response) == 4, "<xen/io/netif.h>");

static void fault(struct net_packet *packet, const char *why)
{
	if (!packet->fault)
		packet->fault = why;
}

static void note_slot(struct net_packet *packet, uint16_t id, bool extra)
{
	packet->slots[packet->n_slots].id = id;
	packet->slots[packet->n_slots++].extra = extra;
}

static void read_extra(struct net_packet *packet, const struct netif_extra_info *extra)
{
	note_slot(packet, 0, true);
	if (extra->type != XEN_NETIF_EXTRA_TYPE_GSO)
		fault(packet, "an extra info is of a kind that was not offered");
	else if (packet->gso_type != XEN_NETIF_GSO_TYPE_NONE)
		fault(packet, "it has two extra infos of one kind");
	else if (extra->u.gso.size == 0 ||
		 (extra->u.gso.type != XEN_NETIF_GSO_TYPE_TCPV4 && extra->u.gso.type != XEN_NETIF_GSO_TYPE_TCPV6))
		fault(packet, "its segments are of no size or of no kind");
	packet->gso_type = extra->u.gso.type;
	packet->gso_bytes = extra->u.gso.size;
}

static bool read_extras(struct slot_ring *ring, unsigned int *n_ready, struct net_packet *packet)
{
	struct netif_extra_info extra;

	do {
		if (*n_ready == 0)
			return false;
		--*n_ready;
		slot_ring_take(ring, &extra, sizeof(extra));
		read_extra(packet, &extra);
	} while (extra.flags & XEN_NETIF_EXTRA_FLAG_MORE);
	return true;
}

static void add_piece(struct net_packet *packet, const struct netif_tx_request *request)
{
	note_slot(packet, request->id, false);
	if (packet->n_pieces == NET_PIECES_MAX)
		fault(packet, "it has more than 18 pieces");
	else
		packet->pieces[packet->n_pieces++] = (struct net_piece){ request->gref, request->offset, request->size };
}

/* The first piece is what the others leave of the packet. */
static void settle_pieces(struct net_packet *packet)
{
	unsigned int left_bytes = packet->frame_bytes;

	for (unsigned int i = 1; i < packet->n_pieces; i++) {
		unsigned int len_bytes = packet->pieces[i].len_bytes;

		if (len_bytes >= left_bytes) {
			fault(packet, "its pieces are larger than the packet");
			return;
		}
		left_bytes -= len_bytes;
	}
	packet->pieces[0].len_bytes = (uint16_t)left_bytes;
	for (unsigned int i = 0; i < packet->n_pieces; i++)
		if (packet->pieces[i].len_bytes == 0 || packet->pieces[i].len_bytes > NET_PAGE_BYTES ||
		    packet->pieces[i].offset_bytes > NET_PAGE_BYTES - packet->pieces[i].len_bytes)
			fault(packet, "a piece is empty, or reaches beyond its page");
	if (packet->frame_bytes < NET_ETHERNET_BYTES)
		fault(packet, "it is shorter than its Ethernet header");
}

enum net_tx_take net_tx_take(struct slot_ring *ring, struct net_packet *packet)
{
	struct netif_tx_request request;
	unsigned int n_ready;

	switch (slot_ring_look(ring, &n_ready)) {
	case SLOT_RING_FILLED:
		break;
	case SLOT_RING_EMPTY:
		return NET_TX_EMPTY;
	default:
		return NET_TX_BROKEN;
	}
	packet->fault = NULL;
	packet->n_pieces = packet->n_slots = 0;
	packet->gso_type = XEN_NETIF_GSO_TYPE_NONE;
	slot_ring_take(ring, &request, sizeof(request));
	n_ready--;
	packet->frame_bytes = request.size;
	packet->csum_blank = request.flags & NETTXF_csum_blank;
	add_piece(packet, &request);
	if ((request.flags & NETTXF_extra_info) && !read_extras(ring, &n_ready, packet))
		return NET_TX_BROKEN;
	while (request.flags & NETTXF_more_data) {
		if (n_ready == 0)
			return NET_TX_BROKEN;
		n_ready--;
		slot_ring_take(ring, &request, sizeof(request));
		add_piece(packet, &request);
	}
	settle_pieces(packet);
	return NET_TX_PACKET;
}

void net_tx_answer(struct slot_ring *ring, const struct net_packet *packet, int16_t status)
{
	for (unsigned int i = 0; i < packet->n_slots; i++) {
		const struct netif_tx_response response = {
			.id = packet->slots[i].id,
			.status = packet->slots[i].extra ? NETIF_RSP_NULL : status,
		};

		slot_ring_answer(ring, &response, sizeof(response));
	}
}
