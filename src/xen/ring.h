// SPDX-License-Identifier: MIT
/*
 * Rings shared with a guest: the one place that reads and writes their fields.
 *
 * A guest may change a shared field between two reads of it (XSA-155). So each field is read once, into a local, by
 * ring_read() or ring_copy_from(), and what was read is checked before use. tests/unit/read_watch.h sees that the compiled
 * code does so. Indexes run freely and wrap at 2^32; the producer is never
 * more than the ring's size ahead of the consumer, unless the guest lies.
 *
 * Barriers: a consumer reads the producer's index with acquire before it reads the data, and publishes its own with
 * release after it; a producer the other way round.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint32_t ring_read(const uint32_t *shared)
{
	return __atomic_load_n(shared, __ATOMIC_ACQUIRE);
}

/*
 * Structures and bytes. Not memcpy(), which may read a byte twice, as its ends overlap, and which a compiler that sees both
 * sides may leave out, and read at each use instead.
 */
static inline void ring_copy_from(void *destination, const void *shared, size_t len_bytes)
{
	const uint8_t *from = shared;
	uint8_t *to = destination;
	size_t piece_bytes;

	for (; len_bytes > 0; len_bytes -= piece_bytes, from += piece_bytes, to += piece_bytes) {
		if (len_bytes >= sizeof(uint64_t) && (uintptr_t)from % sizeof(uint64_t) == 0) {
			uint64_t word = __atomic_load_n((const uint64_t *)(const void *)from, __ATOMIC_RELAXED);
			memcpy(to, &word, piece_bytes = sizeof(word));
		} else if (len_bytes >= sizeof(uint32_t) && (uintptr_t)from % sizeof(uint32_t) == 0) {
			uint32_t word = __atomic_load_n((const uint32_t *)(const void *)from, __ATOMIC_RELAXED);
			memcpy(to, &word, piece_bytes = sizeof(word));
		} else {
			*to = __atomic_load_n(from, __ATOMIC_RELAXED);
			piece_bytes = 1;
		}
	}
}

/* Full barrier behind it: who publishes an index goes on to look at the other side's. */
static inline void ring_publish(uint32_t *shared, uint32_t value)
{
	__atomic_store_n(shared, value, __ATOMIC_RELEASE);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/*
 * Bytes in a ring of size_bytes (a power of two) that may be taken in one piece from consumer on. FALSE when the
 * indexes are a lie.
 */
static inline bool ring_readable(uint32_t producer, uint32_t consumer, uint32_t size_bytes, uint32_t *offset_bytes,
				 uint32_t *len_bytes)
{
	uint32_t filled = producer - consumer;

	if (filled > size_bytes)
		return false;
	*offset_bytes = consumer & (size_bytes - 1);
	*len_bytes = filled < size_bytes - *offset_bytes ? filled : size_bytes - *offset_bytes;
	return true;
}

/* The same for the free bytes from producer on. */
static inline bool ring_writable(uint32_t producer, uint32_t consumer, uint32_t size_bytes, uint32_t *offset_bytes,
				 uint32_t *len_bytes)
{
	uint32_t filled = producer - consumer;

	if (filled > size_bytes)
		return false;
	*offset_bytes = producer & (size_bytes - 1);
	uint32_t room = size_bytes - filled;
	*len_bytes = room < size_bytes - *offset_bytes ? room : size_bytes - *offset_bytes;
	return true;
}
