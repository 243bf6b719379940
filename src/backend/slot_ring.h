// SPDX-License-Identifier: MIT
/*
 * A ring of one page, as Xen's ring.h lays it out, as a pure core: takes requests, gives responses.
 *
 * How far we are is kept here and never read back from the guest. A slot is copied once (XSA-155), and what was copied is
 * what is checked. Requests may be held for as long as their holder likes, and are answered in the order of their slots.
 * Source: <xen/io/ring.h>.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SLOT_RING_PAGE_BYTES   4096u
#define SLOT_RING_HEADER_BYTES 64u

struct slot_ring {
	uint8_t *page;           /* shared with the guest */
	unsigned int slot_bytes; /* of the larger of request and response */
	unsigned int n_slots;    /* a power of two */
	uint32_t taken;          /* requests */
	uint32_t answered;       /* responses, perhaps not yet published */
	uint32_t published;
};

/* A ring that another back end used goes on where that one stopped. */
void slot_ring_init(struct slot_ring *ring, uint8_t *page, unsigned int slot_bytes);

enum slot_ring_state { SLOT_RING_FILLED, SLOT_RING_EMPTY, SLOT_RING_BROKEN };
/* n_ready: requests that may be taken. BROKEN: more than there are slots, or fewer than were there before. */
enum slot_ring_state slot_ring_look(const struct slot_ring *ring, unsigned int *n_ready);
/* The next one, of those that look() told of. len_bytes is slot_bytes at most. */
void slot_ring_take(struct slot_ring *ring, void *slot, size_t len_bytes);

/* Asks to be told when n more requests than were taken are there. TRUE: they are already. */
bool slot_ring_arm(struct slot_ring *ring, unsigned int n);

/* In the order of requests; publish() shows it to the guest. Never more of them than were taken. */
void slot_ring_answer(struct slot_ring *ring, const void *response, size_t len_bytes);
/* TRUE: the guest wants to be told of it. */
bool slot_ring_publish(struct slot_ring *ring);
/* TRUE: it still wants to. n: published responses that it has not taken when it last looked, as far as it is to be believed. */
bool slot_ring_awaited(const struct slot_ring *ring, unsigned int *n);
