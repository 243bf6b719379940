// SPDX-License-Identifier: MIT
#include "virtio/queue.h"

#include <assert.h>
#include <string.h>

#include <linux/virtio_ring.h>

#include "vmm/guest_memory.h"

static_assert(sizeof(struct vring_desc) == 16 && sizeof(struct vring_used_elem) == 8, "virtio 1.2, 2.7.5 and 2.7.8");

/* Rings are little-endian, and so is the machine. */
#define AVAILABLE_INDEX 2u
#define AVAILABLE_RING  4u
#define USED_INDEX      2u
#define USED_RING       4u

static uint64_t descriptors_bytes(const struct virtqueue *queue)
{
	return (uint64_t)queue->size * sizeof(struct vring_desc);
}

static uint64_t available_bytes(const struct virtqueue *queue)
{
	return AVAILABLE_RING + (uint64_t)queue->size * sizeof(uint16_t);
}

static uint64_t used_bytes(const struct virtqueue *queue)
{
	return USED_RING + (uint64_t)queue->size * sizeof(struct vring_used_elem);
}

static bool fits(uint64_t gpa, uint64_t alignment, uint64_t len_bytes)
{
	return gpa % alignment == 0 && gpa <= UINT64_MAX - len_bytes;
}

bool virtqueue_is_valid(const struct virtqueue *queue)
{
	return queue->size > 0 && queue->size <= VIRTQUEUE_MAX_SIZE && (queue->size & (queue->size - 1)) == 0 &&
	       fits(queue->descriptors_gpa, 16, descriptors_bytes(queue)) &&
	       fits(queue->driver_gpa, 2, available_bytes(queue)) && fits(queue->device_gpa, 4, used_bytes(queue));
}

/* An index or flags, which the guest changes under our eyes: a span of two bytes at an even address never straddles. */
static bool load16(const struct guest_memory *memory, uint64_t gpa, uint16_t *value)
{
	const uint16_t *shared = guest_memory_span(memory, gpa, sizeof(*shared));

	if (shared)
		*value = __atomic_load_n(shared, __ATOMIC_ACQUIRE);
	return shared != NULL;
}

static bool is_ready(const struct virtqueue *queue)
{
	return queue->enabled && !queue->broken;
}

/* FALSE: it makes no sense. */
static bool collect(const struct virtqueue *queue, const struct guest_memory *memory, struct virtqueue_chain *chain)
{
	uint16_t at = chain->head;

	chain->n_read = chain->n_write = 0;
	/* So many at most: also a chain that bites its tail ends. */
	while (chain->n_read + chain->n_write < VIRTQUEUE_MAX_PIECES) {
		struct vring_desc descriptor;

		if (at >= queue->size || !guest_memory_read(memory, queue->descriptors_gpa + at * sizeof(descriptor), &descriptor,
							    sizeof(descriptor)))
			return false;
		bool to_write = descriptor.flags & VRING_DESC_F_WRITE;

		if ((descriptor.flags & VRING_DESC_F_INDIRECT) || (!to_write && chain->n_write > 0))
			return false;
		chain->pieces[chain->n_read + chain->n_write] = (struct virtqueue_piece){ descriptor.addr, descriptor.len };
		if (to_write)
			chain->n_write++;
		else
			chain->n_read++;
		if (!(descriptor.flags & VRING_DESC_F_NEXT))
			return true;
		at = descriptor.next;
	}
	return false;
}

bool virtqueue_take(struct virtqueue *queue, const struct guest_memory *memory, struct virtqueue_chain *chain)
{
	uint16_t available;

	if (!is_ready(queue))
		return false;
	if (!load16(memory, queue->driver_gpa + AVAILABLE_INDEX, &available) ||
	    (uint16_t)(available - queue->next_available) > queue->size) {
		queue->broken = true;
		return false;
	}
	if (available == queue->next_available)
		return false;
	uint64_t entry = AVAILABLE_RING + (uint64_t)(queue->next_available % queue->size) * sizeof(uint16_t);
	if (!load16(memory, queue->driver_gpa + entry, &chain->head) || !collect(queue, memory, chain)) {
		queue->broken = true;
		return false;
	}
	queue->next_available++;
	return true;
}

void virtqueue_give(struct virtqueue *queue, const struct guest_memory *memory, const struct virtqueue_chain *chain,
		    uint32_t written_bytes)
{
	const struct vring_used_elem element = { .id = chain->head, .len = written_bytes };
	uint64_t entry = USED_RING + (uint64_t)(queue->next_used % queue->size) * sizeof(element);
	uint16_t *index = is_ready(queue) ? guest_memory_span(memory, queue->device_gpa + USED_INDEX, sizeof(*index)) : NULL;

	if (!index || !guest_memory_write(memory, queue->device_gpa + entry, &element, sizeof(element))) {
		queue->broken = true;
		return;
	}
	queue->next_used++;
	__atomic_store_n(index, queue->next_used, __ATOMIC_RELEASE);
}

bool virtqueue_wants_interrupt(struct virtqueue *queue, const struct guest_memory *memory)
{
	uint16_t flags;

	/* The index before, the flags after: else both sides could wait for each other. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!is_ready(queue) || !load16(memory, queue->driver_gpa, &flags))
		return false;
	return !(flags & VRING_AVAIL_F_NO_INTERRUPT);
}

/* Over n pieces, up to len_bytes. */
static bool copy(const struct virtqueue_piece *pieces, unsigned int n, const struct guest_memory *memory, uint8_t *to,
		 const uint8_t *from, size_t len_bytes)
{
	size_t done = 0;

	for (unsigned int i = 0; i < n && done < len_bytes; i++) {
		size_t part = pieces[i].len_bytes < len_bytes - done ? pieces[i].len_bytes : len_bytes - done;

		if (part == 0)
			continue;
		if (to ? !guest_memory_read(memory, pieces[i].gpa, to + done, part) :
			 !guest_memory_write(memory, pieces[i].gpa, from + done, part))
			return false;
		done += part;
	}
	return done == len_bytes;
}

bool virtqueue_read(const struct virtqueue_chain *chain, const struct guest_memory *memory, void *bytes, size_t len_bytes)
{
	return copy(chain->pieces, chain->n_read, memory, bytes, NULL, len_bytes);
}

bool virtqueue_write(const struct virtqueue_chain *chain, const struct guest_memory *memory, const void *bytes,
		     size_t len_bytes)
{
	return copy(chain->pieces + chain->n_read, chain->n_write, memory, NULL, bytes, len_bytes);
}
