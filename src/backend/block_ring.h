// SPDX-License-Identifier: MIT
/*
 * A block ring, as a pure core on the bytes of its pages: takes requests, gives responses.
 *
 * What is ours (how far we are) is kept here and never read back from the guest. Slots begin behind the header in page 0
 * and may cross from one page to the next, which lie anywhere. Source: <xen/io/ring.h>, <xen/io/blkif.h>.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "backend/block_request.h"

#define BLOCK_RING_ORDER_MAX 4u
#define BLOCK_RING_PAGES_MAX (1u << BLOCK_RING_ORDER_MAX)

struct block_ring {
	uint8_t *pages[BLOCK_RING_PAGES_MAX]; /* shared with the guest */
	const struct block_layout *layout;
	unsigned int n_slots; /* a power of two */
	uint32_t taken;       /* requests */
	uint32_t answered;    /* responses, perhaps not yet published */
	uint32_t published;
};

/* Sets n_slots and where a ring that is in use already goes on; pages and layout are set. */
void block_ring_init(struct block_ring *ring, unsigned int n_pages);

enum block_ring_take { BLOCK_RING_TAKEN, BLOCK_RING_EMPTY, BLOCK_RING_BROKEN };
/* BROKEN: more requests than there are slots. slot has room for BLOCK_SLOT_BYTES_MAX. */
enum block_ring_take block_ring_take(struct block_ring *ring, uint8_t *slot);

/* Asks to be told of the next request. TRUE: there is one already. */
bool block_ring_arm(struct block_ring *ring);

/* Of a request that was taken; publish() shows it to the guest. */
void block_ring_answer(struct block_ring *ring, uint64_t id, uint8_t operation, int16_t status);
/* TRUE: the guest wants to be told of it. */
bool block_ring_publish(struct block_ring *ring);
