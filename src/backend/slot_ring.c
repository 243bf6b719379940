// SPDX-License-Identifier: MIT
#include "backend/slot_ring.h"

#include <assert.h>
#include <string.h>

#include "xen/ring.h"

/* The four indexes at the start of the page, in their order. */
enum { REQ_PROD, REQ_EVENT, RSP_PROD, RSP_EVENT };

static uint32_t *shared_index(const struct slot_ring *ring, unsigned int index)
{
	return (uint32_t *)(void *)ring->page + index;
}

static uint8_t *slot_at(const struct slot_ring *ring, uint32_t index)
{
	return ring->page + SLOT_RING_HEADER_BYTES + (size_t)(index & (ring->n_slots - 1)) * ring->slot_bytes;
}

void slot_ring_init(struct slot_ring *ring, uint8_t *page, unsigned int slot_bytes)
{
	const unsigned int room = (SLOT_RING_PAGE_BYTES - SLOT_RING_HEADER_BYTES) / slot_bytes;

	*ring = (struct slot_ring){ .page = page, .slot_bytes = slot_bytes, .n_slots = 1 };
	while (ring->n_slots * 2 <= room)
		ring->n_slots *= 2;
	ring->taken = ring->answered = ring->published = ring_read(shared_index(ring, RSP_PROD));
}

enum slot_ring_state slot_ring_look(const struct slot_ring *ring, unsigned int *n_ready)
{
	const uint32_t filled = ring_read(shared_index(ring, REQ_PROD)) - ring->answered;
	const uint32_t held = ring->taken - ring->answered;

	/* Against what was answered: a slot whose request is held is not free (XSA-39). */
	if (filled > ring->n_slots || filled < held)
		return SLOT_RING_BROKEN;
	*n_ready = filled - held;
	return *n_ready > 0 ? SLOT_RING_FILLED : SLOT_RING_EMPTY;
}

void slot_ring_take(struct slot_ring *ring, void *slot, size_t len_bytes)
{
	assert(len_bytes <= ring->slot_bytes);
	ring_copy_from(slot, slot_at(ring, ring->taken++), len_bytes);
}

bool slot_ring_arm(struct slot_ring *ring, unsigned int n)
{
	ring_publish(shared_index(ring, REQ_EVENT), ring->taken + n);
	return ring_read(shared_index(ring, REQ_PROD)) - ring->taken >= n;
}

void slot_ring_answer(struct slot_ring *ring, const void *response, size_t len_bytes)
{
	uint8_t *slot = slot_at(ring, ring->answered++);

	assert(ring->taken - ring->answered <= ring->n_slots && len_bytes <= ring->slot_bytes);
	memcpy(slot, response, len_bytes);
	/* All of it, padding too: nothing of what was there before comes back (XSA-216). */
	memset(slot + len_bytes, 0, ring->slot_bytes - len_bytes);
}

bool slot_ring_publish(struct slot_ring *ring)
{
	const uint32_t before = ring->published;

	if (ring->answered == before)
		return false;
	ring->published = ring->answered;
	ring_publish(shared_index(ring, RSP_PROD), ring->answered);
	/* As RING_PUSH_RESPONSES_AND_CHECK_NOTIFY: told when the index it named is among these. */
	return ring->answered - ring_read(shared_index(ring, RSP_EVENT)) < ring->answered - before;
}

bool slot_ring_awaited(const struct slot_ring *ring, unsigned int *n)
{
	/* It names the first that it has not taken, or a later one. */
	const uint32_t behind = ring->published - ring_read(shared_index(ring, RSP_EVENT));

	*n = behind < ring->n_slots ? behind + 1 : 0;
	return behind < ring->n_slots;
}
