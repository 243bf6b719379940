// SPDX-License-Identifier: MIT
/*
 * A split virtqueue, the device's side: chains of descriptors out of guest memory, and back to the guest. Pure but for guest
 * memory.
 *
 * All of it is the guest's, who may change it at any time: each field is read once, into a local, and checked there. What a
 * chain names is kept by address, not by pointer, and is copied when it is used: so a page that has become another meanwhile
 * is used as it is then. Lent memory is no RAM: a descriptor that names some is as one that names nothing.
 *
 * A queue that makes no sense is broken, and stays so until the device is reset (virtio 1.2, 2.1.2: DEVICE_NEEDS_RESET).
 * Source: virtio 1.2, 2.7. No indirect descriptors and no event index: they are not offered.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct guest_memory;

#define VIRTQUEUE_MAX_SIZE   256u
#define VIRTQUEUE_MAX_PIECES 16u

struct virtqueue {
	uint16_t size; /* a power of two up to VIRTQUEUE_MAX_SIZE */
	bool enabled;
	bool broken;
	uint64_t descriptors_gpa, driver_gpa, device_gpa; /* aligned to 16, 2 and 4 */
	uint16_t next_available, next_used; /* run freely */
};

struct virtqueue_piece {
	uint64_t gpa;
	uint32_t len_bytes;
};

/* Pieces to read come before pieces to write. */
struct virtqueue_chain {
	uint16_t head;
	unsigned int n_read, n_write;
	struct virtqueue_piece pieces[VIRTQUEUE_MAX_PIECES];
};

/* What the guest has written of it; FALSE: no queue can be so. */
bool virtqueue_is_valid(const struct virtqueue *queue);

/* The next chain. FALSE: there is none, or the queue is broken now. */
bool virtqueue_take(struct virtqueue *queue, const struct guest_memory *memory, struct virtqueue_chain *chain);
/* Gives it back: written_bytes of its pieces to write were written. */
void virtqueue_give(struct virtqueue *queue, const struct guest_memory *memory, const struct virtqueue_chain *chain,
		    uint32_t written_bytes);
/* TRUE: the guest wants to be told of what was given back. */
bool virtqueue_wants_interrupt(struct virtqueue *queue, const struct guest_memory *memory);

/* From the start of what is to be read, and to the start of what is to be written. FALSE: it is too short, or nowhere. */
bool virtqueue_read(const struct virtqueue_chain *chain, const struct guest_memory *memory, void *bytes, size_t len_bytes);
bool virtqueue_write(const struct virtqueue_chain *chain, const struct guest_memory *memory, const void *bytes,
		     size_t len_bytes);
