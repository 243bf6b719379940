// SPDX-License-Identifier: MIT
#include "backend/console_ring.h"

#include <assert.h>
#include <string.h>

#include "xen/abi.h"
#include <xen/io/console.h>

#include "xen/ring.h"

#define OUT_BYTES sizeof(((struct xencons_interface *)0)->out)
#define IN_BYTES  sizeof(((struct xencons_interface *)0)->in)

static_assert(sizeof(((struct xencons_interface *)0)->out) == 2048, "<xen/io/console.h>");
static_assert(sizeof(((struct xencons_interface *)0)->in) == 1024, "<xen/io/console.h>");

size_t console_ring_take(struct console_ring *ring, uint8_t *buffer, size_t room_bytes)
{
	struct xencons_interface *page = ring->page;
	uint32_t producer = ring_read(&page->out_prod);
	uint32_t consumer = ring_read(&page->out_cons);
	uint32_t offset_bytes, len_bytes;
	size_t taken_bytes = 0;

	/* Twice at most: up to the end of the ring, and from its beginning. */
	while (!ring->broken && taken_bytes < room_bytes && consumer != producer) {
		if (!ring_readable(producer, consumer, OUT_BYTES, &offset_bytes, &len_bytes)) {
			ring->broken = true;
			return 0;
		}
		if (len_bytes > room_bytes - taken_bytes)
			len_bytes = (uint32_t)(room_bytes - taken_bytes);
		ring_copy_from(buffer + taken_bytes, page->out + offset_bytes, len_bytes);
		taken_bytes += len_bytes;
		consumer += len_bytes;
	}
	if (taken_bytes)
		ring_publish(&page->out_cons, consumer);
	return taken_bytes;
}

size_t console_ring_put(struct console_ring *ring, const uint8_t *bytes, size_t len_bytes)
{
	struct xencons_interface *page = ring->page;
	uint32_t producer = ring_read(&page->in_prod);
	uint32_t consumer = ring_read(&page->in_cons);
	uint32_t offset_bytes, room_bytes;
	size_t put_bytes = 0;

	while (!ring->broken && put_bytes < len_bytes) {
		if (!ring_writable(producer, consumer, IN_BYTES, &offset_bytes, &room_bytes)) {
			ring->broken = true;
			return 0;
		}
		if (room_bytes == 0)
			break;
		if (room_bytes > len_bytes - put_bytes)
			room_bytes = (uint32_t)(len_bytes - put_bytes);
		memcpy(page->in + offset_bytes, bytes + put_bytes, room_bytes);
		put_bytes += room_bytes;
		producer += room_bytes;
	}
	if (put_bytes)
		ring_publish(&page->in_prod, producer);
	return put_bytes;
}

size_t console_ring_room(struct console_ring *ring)
{
	uint32_t filled = ring_read(&ring->page->in_prod) - ring_read(&ring->page->in_cons);

	if (filled > IN_BYTES)
		ring->broken = true;
	return ring->broken ? 0 : IN_BYTES - filled;
}
