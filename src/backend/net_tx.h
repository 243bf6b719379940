// SPDX-License-Identifier: MIT
/*
 * The transmit ring of the network protocol, as a pure core: slots go in, one checked packet comes out.
 *
 *      first request | extra infos ... | further requests ...
 *
 * The first request's size is that of the whole packet; what the others do not have is its own part. A packet lies in the
 * ring as a whole: a chain that goes on where the ring ends is a lie, and breaks the connection. What is only malformed is
 * answered with an error, slot by slot. Source: <xen/io/netif.h>, XSA-155, XSA-423, XSA-432, XSA-448.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "xen/abi.h"
#include <xen/io/netif.h>

#include "backend/slot_ring.h"

#define NET_PAGE_BYTES   4096u
#define NET_SLOTS_MAX    256u /* of a ring */
#define NET_PIECES_MAX   XEN_NETIF_NR_SLOTS_MIN
#define NET_TX_SLOT_BYTES ((unsigned int)sizeof(struct netif_tx_request))

struct net_piece {
	uint32_t ref;
	uint16_t offset_bytes, len_bytes; /* in its page */
};

struct net_packet {
	const char *fault; /* why it is not sent; NULL: it may be */
	struct net_piece pieces[NET_PIECES_MAX];
	unsigned int n_pieces;
	uint16_t frame_bytes;
	bool csum_blank;
	uint8_t gso_type; /* XEN_NETIF_GSO_TYPE_* */
	uint16_t gso_bytes;
	struct {
		uint16_t id;
		bool extra;
	} slots[NET_SLOTS_MAX]; /* that it took, to be answered */
	unsigned int n_slots;
};

enum net_tx_take { NET_TX_PACKET, NET_TX_EMPTY, NET_TX_BROKEN };
enum net_tx_take net_tx_take(struct slot_ring *ring, struct net_packet *packet);

/* All slots of a packet that was taken. */
void net_tx_answer(struct slot_ring *ring, const struct net_packet *packet, int16_t status);
