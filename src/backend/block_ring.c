// SPDX-License-Identifier: MIT
#include "backend/block_ring.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#include "xen/ring.h"

#define HEADER_BYTES 64u

static_assert(offsetof(struct blkif_sring, ring) == HEADER_BYTES, "<xen/io/ring.h>");
static_assert(offsetof(struct blkif_sring, rsp_event) == 3 * sizeof(uint32_t), "<xen/io/ring.h>");

/* The four indexes of struct blkif_sring, in its order. */
enum { REQ_PROD, REQ_EVENT, RSP_PROD, RSP_EVENT };

static uint32_t *shared_index(const struct block_ring *ring, unsigned int index)
{
	return (uint32_t *)(void *)ring->pages[0] + index;
}

void block_ring_init(struct block_ring *ring, unsigned int n_pages)
{
	const unsigned int room = (n_pages * BLOCK_PAGE_BYTES - HEADER_BYTES) / ring->layout->slot_bytes;

	ring->n_slots = 1;
	while (ring->n_slots * 2 <= room)
		ring->n_slots *= 2;
	/* Zero in a new ring. One that was used by another back end goes on where that one stopped. */
	ring->taken = ring->answered = ring->published = ring_read(shared_index(ring, RSP_PROD));
}

/* Copies between our bytes and a slot; at most one page boundary lies in it. */
static void copy_slot(const struct block_ring *ring, uint32_t index, uint8_t *bytes, size_t len_bytes, bool to_guest)
{
	size_t offset = HEADER_BYTES + (size_t)(index & (ring->n_slots - 1)) * ring->layout->slot_bytes;

	while (len_bytes > 0) {
		size_t in_page = offset % BLOCK_PAGE_BYTES;
		size_t piece = len_bytes < BLOCK_PAGE_BYTES - in_page ? len_bytes : BLOCK_PAGE_BYTES - in_page;
		uint8_t *shared = ring->pages[offset / BLOCK_PAGE_BYTES] + in_page;

		if (to_guest)
			memcpy(shared, bytes, piece);
		else
			ring_copy_from(bytes, shared, piece);
		bytes += piece;
		offset += piece;
		len_bytes -= piece;
	}
}

enum block_ring_take block_ring_take(struct block_ring *ring, uint8_t *slot)
{
	uint32_t produced = ring_read(shared_index(ring, REQ_PROD));

	/* Against what was answered: a slot whose request is in flight is not free (XSA-39, RING_REQUEST_PROD_OVERFLOW). */
	if (produced - ring->answered > ring->n_slots || produced - ring->answered < ring->taken - ring->answered)
		return BLOCK_RING_BROKEN;
	if (produced == ring->taken)
		return BLOCK_RING_EMPTY;
	copy_slot(ring, ring->taken, slot, ring->layout->slot_bytes, false);
	ring->taken++;
	return BLOCK_RING_TAKEN;
}

bool block_ring_arm(struct block_ring *ring)
{
	ring_publish(shared_index(ring, REQ_EVENT), ring->taken + 1);
	return ring_read(shared_index(ring, REQ_PROD)) != ring->taken;
}

void block_ring_answer(struct block_ring *ring, uint64_t id, uint8_t operation, int16_t status)
{
	/* All of it, padding too: nothing of ours leaks (XSA-216). */
	uint8_t bytes[sizeof(struct blkif_response)] = { 0 };

	memcpy(bytes + offsetof(struct blkif_response, id), &id, sizeof(id));
	bytes[offsetof(struct blkif_response, operation)] = operation;
	memcpy(bytes + offsetof(struct blkif_response, status), &status, sizeof(status));
	copy_slot(ring, ring->answered, bytes, ring->layout->response_bytes, true);
	ring->answered++;
}

bool block_ring_publish(struct block_ring *ring)
{
	uint32_t before = ring->published;

	if (ring->answered == before)
		return false;
	ring->published = ring->answered;
	ring_publish(shared_index(ring, RSP_PROD), ring->answered);
	/* As RING_PUSH_RESPONSES_AND_CHECK_NOTIFY: told when the index it named is among these. */
	return ring->answered - ring_read(shared_index(ring, RSP_EVENT)) < ring->answered - before;
}
