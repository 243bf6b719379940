// SPDX-License-Identifier: MIT
/*
 * Which of its pages the domain has: all of its RAM at first; a balloon gives pages back and takes them again. Pure.
 *
 * Only counting is done here: what a page given up contains is the host's from then on.
 * Thread: under the domain's lock. Source: XENMEM_*_reservation and XENMEM_populate_physmap of <xen/memory.h>.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct layout;

struct reservation {
	uint64_t low_gfns, high_gfn, high_gfns; /* RAM: below the hole under 4 GiB, and above 4 GiB */
	uint64_t total_pages;
	uint64_t absent_pages;
	uint8_t *absent; /* a bit for each gfn of both ranges */
};

/* FALSE when memory is out. */
bool reservation_init(struct reservation *reservation, const struct layout *layout);
void reservation_fini(struct reservation *reservation);

/* 2^order pages from gfn on, all of which the domain must have. FALSE, and nothing changed, if it has not. */
bool reservation_give_up(struct reservation *reservation, uint64_t gfn, unsigned int order);
/* The opposite: none of which it may have. */
bool reservation_take_back(struct reservation *reservation, uint64_t gfn, unsigned int order);

/* A page that the domain has. FALSE for what is not RAM. */
bool reservation_has(const struct reservation *reservation, uint64_t gfn);

/* Of the field absent. */
size_t reservation_bytes(const struct reservation *reservation);
/* That of a domain with the same memory, which was saved. FALSE: it is not. */
bool reservation_take_absent(struct reservation *reservation, const uint8_t *absent, size_t len_bytes);

static inline uint64_t reservation_pages(const struct reservation *reservation)
{
	return reservation->total_pages - reservation->absent_pages;
}
