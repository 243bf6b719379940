// SPDX-License-Identifier: MIT
/* What the targets of rings share: a thread that scribbles where both sides look. */
#pragma once

#include <pthread.h>
#include <stdbool.h>

#include "backend/fake_guest.h"
#include "bytes.h"

/* Writes some of the input into a shared page. */
static inline void set_bytes(struct input *input, uint8_t *page)
{
	const uint32_t offset = next32(input) % FAKE_PAGE, n = next(input) % 64;

	for (uint32_t i = 0; i < n && offset + i < FAKE_PAGE; i++)
		__atomic_store_n(&page[offset + i], next(input), __ATOMIC_RELAXED);
}

/* Of so many grants from the first on, one byte that the guest may change at any time. */
struct grants {
	const struct fake_guest *guest;
	uint32_t first_ref, n_refs;
};

/*
 * The marks of use are the back end's to set: were they written here, fake_guest_fini() could not tell. So of a grant, the
 * other flags and the frame.
 */
static inline uint8_t *grant_byte(const struct grants *grants, uint32_t which, uint8_t *mask)
{
	static const struct {
		uint8_t offset, mask;
	} parts[] = { { 0, GTF_type_mask | GTF_readonly }, { 4, 0xff }, { 5, 0xff }, { 2, 0xff } };
	const uint32_t ref = grants->first_ref + (which >> 2) % grants->n_refs;

	*mask = parts[which & 3].mask;
	return (uint8_t *)grants->guest->grant_frames + ref * sizeof(grant_entry_v1_t) + parts[which & 3].offset;
}

/* Changes bytes of rings behind their indexes, of pages and of grants, again and again, in an order that the seed gives. */
struct scribbler {
	struct grants grants;
	uint8_t **rings, **pages;
	unsigned int n_rings, n_pages;
	uint32_t seed;
	bool stop, runs;
	pthread_t thread;
};

static inline void *scribble(void *opaque)
{
	struct scribbler *scribbler = opaque;
	uint32_t random = scribbler->seed;

	while (!__atomic_load_n(&scribbler->stop, __ATOMIC_RELAXED)) {
		random = random * 1664525u + 1013904223u;
		const uint32_t what = random >> 30, where = random >> 8 & 0xfff, which = random >> 20 & 0xff;
		uint8_t mask = 0xff, *byte;

		if (what == 0)
			byte = &scribbler->rings[which % scribbler->n_rings][64 + where % (FAKE_PAGE - 64)];
		else if (what == 1)
			byte = grant_byte(&scribbler->grants, where, &mask);
		else
			byte = &scribbler->pages[which % scribbler->n_pages][where];
		__atomic_fetch_xor(byte, (uint8_t)(1u << (random >> 5 & 7)) & mask, __ATOMIC_RELAXED);
	}
	return NULL;
}

static inline void scribbler_start(struct scribbler *scribbler, uint32_t seed)
{
	if (scribbler->runs)
		return;
	scribbler->seed = seed;
	scribbler->runs = pthread_create(&scribbler->thread, NULL, scribble, scribbler) == 0;
}

static inline void scribbler_stop(struct scribbler *scribbler)
{
	__atomic_store_n(&scribbler->stop, true, __ATOMIC_RELAXED);
	if (scribbler->runs)
		pthread_join(scribbler->thread, NULL);
}
