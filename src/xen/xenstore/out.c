// SPDX-License-Identifier: MIT
/*
 * Theory of operation: messages lie in one buffer, ready to be sent. Beside it a ring of slots remembers where the
 * events are of which nothing was sent yet, for two reasons: a watch that is taken back takes its events with it, and
 * an event that says what a waiting one says already is not queued again.
 *
 *   bytes   | rest of a reply | event 7 | event 8 | reply | event 9 |
 *           head (= sent)                                           tail
 *
 * "Again" has a limit: a reply between the two. A client may conclude from the order of event and reply that the reply
 * is the newer news, so an event after a reply counts as new. Equal events are found through a small hash of chains
 * that run from the newest event back.
 */
#include "xen/xenstore/out.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "xen/xenstore/path.h"

static_assert(sizeof(struct xsd_sockmsg) == 16, "xs_wire.h");

#define FIRST_CAP (2 * XS_MESSAGE_MAX)

int xs_out_init(struct xs_out *out, unsigned int max_events)
{
	*out = (struct xs_out){ .max_events = max_events };
	out->bytes = malloc(FIRST_CAP);
	out->cap = FIRST_CAP;
	return out->bytes ? 0 : ENOMEM;
}

void xs_out_free(struct xs_out *out)
{
	free(out->bytes);
	free(out->slot);
}

void xs_out_reset(struct xs_out *out)
{
	out->sent += xs_out_pending_bytes(out);
	out->head = out->tail = 0;
	out->first_seq = out->next_seq;
}

bool xs_out_reserve(struct xs_out *out, size_t len_bytes)
{
	size_t pending = xs_out_pending_bytes(out);
	size_t cap = out->cap;
	uint8_t *bytes;

	if (out->cap - out->tail >= len_bytes)
		return true;
	/* Moving is paid for by the bytes that were sent since it last happened. */
	if (pending <= out->head && out->cap - pending >= len_bytes) {
		memcpy(out->bytes, out->bytes + out->head, pending);
		out->head = 0;
		out->tail = pending;
		return true;
	}
	while (cap - pending < len_bytes)
		cap *= 2;
	bytes = malloc(cap);
	if (!bytes)
		return false;
	memcpy(bytes, out->bytes + out->head, pending);
	free(out->bytes);
	out->bytes = bytes;
	out->cap = cap;
	out->head = 0;
	out->tail = pending;
	return true;
}

static void append(struct xs_out *out, const void *bytes, size_t len_bytes)
{
	if (len_bytes)
		memcpy(out->bytes + out->tail, bytes, len_bytes);
	out->tail += len_bytes;
}

void xs_out_reply(struct xs_out *out, const struct xsd_sockmsg *header, const void *payload)
{
	append(out, header, sizeof(*header));
	append(out, payload, header->len);
	out->replied = out->sent + xs_out_pending_bytes(out);
}

static struct xs_event_slot *slot_at(const struct xs_out *out, uint64_t seq)
{
	return &out->slot[seq & (out->cap_slots - 1)];
}

static bool slots_reserve(struct xs_out *out)
{
	unsigned int pending = xs_out_pending_events(out);
	unsigned int cap = out->cap_slots ? 2 * out->cap_slots : 16;
	struct xs_event_slot *slot;

	if (pending >= out->max_events)
		return false;
	if (pending < out->cap_slots)
		return true;
	slot = malloc(cap * sizeof(slot[0]));
	if (!slot)
		return false;
	for (uint64_t seq = out->first_seq; seq != out->next_seq; seq++)
		slot[seq & (cap - 1)] = *slot_at(out, seq);
	free(out->slot);
	out->slot = slot;
	out->cap_slots = cap;
	return true;
}

static void slot_link(struct xs_out *out, uint64_t seq)
{
	struct xs_event_slot *slot = slot_at(out, seq);
	uint64_t *bucket = &out->bucket[slot->hash % XS_OUT_BUCKETS];

	slot->prev_seq = *bucket;
	*bucket = seq + 1;
}

static bool is_repeated(const struct xs_out *out, const struct xenstore_watch *watch, const char *path,
			uint32_t hash)
{
	uint64_t seq = out->bucket[hash % XS_OUT_BUCKETS];

	while (seq > out->first_seq) {
		const struct xs_event_slot *slot = slot_at(out, seq - 1);
		const uint8_t *message = out->bytes + out->head + (slot->start - out->sent);
		const char *shown = (const char *)message + sizeof(struct xsd_sockmsg);

		if (slot->start < out->replied)
			return false;
		/* The token is the watch's. The NUL behind the path lies inside the message, whatever its length. */
		if (slot->watch == watch && slot->hash == hash && strcmp(shown, path) == 0)
			return true;
		seq = slot->prev_seq;
	}
	return false;
}

enum xs_out_result xs_out_event(struct xs_out *out, struct xenstore_watch *watch, const char *path,
				const char *token, size_t max_bytes)
{
	size_t path_len = strlen(path), token_len = strlen(token);
	struct xsd_sockmsg header = { .type = XS_WATCH_EVENT, .len = (uint32_t)(path_len + token_len + 2) };
	size_t size = sizeof(header) + header.len;
	uint32_t hash = xs_hash(path, path_len);

	if (is_repeated(out, watch, path, hash))
		return XS_OUT_REPEATED;
	/* One event fits always, however small the limit is. */
	if (xs_out_pending_bytes(out) > 0 && xs_out_pending_bytes(out) + size > max_bytes)
		return XS_OUT_FULL;
	if (!slots_reserve(out) || !xs_out_reserve(out, size))
		return XS_OUT_FULL;
	*slot_at(out, out->next_seq) = (struct xs_event_slot){
		.watch = watch,
		.start = out->sent + xs_out_pending_bytes(out),
		.size_bytes = (uint32_t)size,
		.hash = hash,
	};
	slot_link(out, out->next_seq++);
	append(out, &header, sizeof(header));
	append(out, path, path_len + 1);
	append(out, token, token_len + 1);
	return XS_OUT_QUEUED;
}

/* Moves [from, until) down to *to. */
static void keep(struct xs_out *out, size_t *to, size_t from, size_t until)
{
	if (*to != from)
		memmove(out->bytes + *to, out->bytes + from, until - from);
	*to += until - from;
}

void xs_out_drop_events(struct xs_out *out, const struct xenstore_watch *watch)
{
	size_t from = out->head, to = out->head, replied_cut = 0;
	uint64_t kept = out->first_seq;

	for (uint64_t seq = out->first_seq; seq != out->next_seq; seq++) {
		struct xs_event_slot slot = *slot_at(out, seq);
		size_t at = out->head + (size_t)(slot.start - out->sent);

		keep(out, &to, from, at);
		from = at;
		if (!watch || slot.watch == watch) {
			from += slot.size_bytes;
			if (slot.start < out->replied)
				replied_cut += slot.size_bytes;
			continue;
		}
		slot.start = out->sent + (to - out->head);
		*slot_at(out, kept++) = slot;
	}
	keep(out, &to, from, out->tail);
	out->tail = to;
	out->replied -= replied_cut;
	out->next_seq = kept;
	memset(out->bucket, 0, sizeof(out->bucket));
	for (uint64_t seq = out->first_seq; seq != out->next_seq; seq++)
		slot_link(out, seq);
}

void xs_out_sent(struct xs_out *out, size_t len_bytes)
{
	if (len_bytes > xs_out_pending_bytes(out))
		len_bytes = xs_out_pending_bytes(out);
	out->head += len_bytes;
	out->sent += len_bytes;
	if (out->head == out->tail)
		out->head = out->tail = 0;
	while (out->first_seq != out->next_seq && slot_at(out, out->first_seq)->start < out->sent)
		out->first_seq++;
}

const struct xs_event_slot *xs_out_event_slot(const struct xs_out *out, unsigned int n)
{
	return slot_at(out, out->first_seq + n);
}

bool xs_out_take(struct xs_out *out, const void *pending, size_t len_bytes, size_t replied_bytes)
{
	if (replied_bytes > len_bytes || !xs_out_reserve(out, len_bytes))
		return false;
	append(out, pending, len_bytes);
	out->replied = replied_bytes;
	return true;
}

bool xs_out_take_event(struct xs_out *out, struct xenstore_watch *watch, size_t start_bytes, size_t size_bytes)
{
	const size_t end_bytes = out->next_seq == out->first_seq ? 0 :
				 slot_at(out, out->next_seq - 1)->start + slot_at(out, out->next_seq - 1)->size_bytes;
	const uint8_t *message = out->bytes + out->head + start_bytes;

	/* is_repeated() looks for a NUL in it. */
	if (start_bytes < end_bytes || start_bytes > out->tail || size_bytes > out->tail - start_bytes ||
	    size_bytes <= sizeof(struct xsd_sockmsg) || size_bytes > XS_MESSAGE_MAX || message[size_bytes - 1] != 0 || !slots_reserve(out))
		return false;
	const char *path = (const char *)message + sizeof(struct xsd_sockmsg);
	*slot_at(out, out->next_seq) = (struct xs_event_slot){
		.watch = watch,
		.start = start_bytes,
		.size_bytes = (uint32_t)size_bytes,
		.hash = xs_hash(path, strlen(path)),
	};
	slot_link(out, out->next_seq++);
	return true;
}
