// SPDX-License-Identifier: MIT
/*
 * The console's ring page as two byte queues. Pure: no descriptors, no events. Source: <xen/io/console.h>.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct xencons_interface;

struct console_ring {
	struct xencons_interface *page; /* shared with the guest */
	bool broken; /* the guest's indexes were a lie; nothing is read or written any more */
};

/* Moves up to room_bytes from the guest's output into buffer; returns how many. */
size_t console_ring_take(struct console_ring *ring, uint8_t *buffer, size_t room_bytes);

/* Moves up to len_bytes of bytes into the guest's input; returns how many. */
size_t console_ring_put(struct console_ring *ring, const uint8_t *bytes, size_t len_bytes);

/* Free bytes of the guest's input. */
size_t console_ring_room(struct console_ring *ring);
