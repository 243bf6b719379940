// SPDX-License-Identifier: MIT
/*
 * The outgoing stream of one connection: replies and watch events in the order in which they arose, bounded, without
 * useless repetition.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <xen/io/xs_wire.h>

#define XS_MESSAGE_MAX (sizeof(struct xsd_sockmsg) + XENSTORE_PAYLOAD_MAX)

struct xenstore_watch;

struct xs_event_slot {
	struct xenstore_watch *watch;
	uint64_t start;      /* offset in the stream */
	uint64_t prev_seq;   /* the previous one in the same bucket, plus 1; 0: none */
	uint32_t size_bytes; /* with the header */
	uint32_t hash;
};

#define XS_OUT_BUCKETS 64

struct xs_out {
	uint8_t *bytes;      /* pending: [head, tail) */
	size_t cap, head, tail;
	uint64_t sent;       /* stream offset of bytes[head] */
	uint64_t replied;    /* stream offset behind the last reply */

	struct xs_event_slot *slot; /* a ring of the events no byte of which was sent; indexed by sequence number */
	unsigned int cap_slots;     /* power of two */
	unsigned int max_events;
	uint64_t first_seq, next_seq;
	uint64_t bucket[XS_OUT_BUCKETS]; /* the newest event's sequence number plus 1 */
};

enum xs_out_result { XS_OUT_QUEUED, XS_OUT_REPEATED, XS_OUT_FULL };

/* There is always room for one reply when nothing is pending. Returns 0 or ENOMEM. */
int xs_out_init(struct xs_out *out, unsigned int max_events);
void xs_out_free(struct xs_out *out);
void xs_out_reset(struct xs_out *out);

/* Makes room; false when memory is out. */
bool xs_out_reserve(struct xs_out *out, size_t len_bytes);

/* Room must have been reserved. */
void xs_out_reply(struct xs_out *out, const struct xsd_sockmsg *header, const void *payload);

/* Refuses (FULL) when there are max_events already, or max_bytes are pending, or memory is out. */
enum xs_out_result xs_out_event(struct xs_out *out, struct xenstore_watch *watch, const char *path,
				const char *token, size_t max_bytes);

/* Takes the wholly unsent events of that watch back; NULL: of every watch. */
void xs_out_drop_events(struct xs_out *out, const struct xenstore_watch *watch);

void xs_out_sent(struct xs_out *out, size_t len_bytes);

/*
 * For who brings a saved stream back (saved.c): what was pending, into one that is fresh; replied_bytes of it end with its last
 * reply. Then its events, in their order, each where it begins in what was pending. FALSE: it is none, or memory is out.
 */
bool xs_out_take(struct xs_out *out, const void *pending, size_t len_bytes, size_t replied_bytes);
bool xs_out_take_event(struct xs_out *out, struct xenstore_watch *watch, size_t start_bytes, size_t size_bytes);
/* The n-th of them, from 0 to xs_out_pending_events(). */
const struct xs_event_slot *xs_out_event_slot(const struct xs_out *out, unsigned int n);

static inline size_t xs_out_pending_bytes(const struct xs_out *out)
{
	return out->tail - out->head;
}

static inline unsigned int xs_out_pending_events(const struct xs_out *out)
{
	return (unsigned int)(out->next_seq - out->first_seq);
}
