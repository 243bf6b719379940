// SPDX-License-Identifier: MIT
#include "xen/reservation.h"

#include <stdlib.h>
#include <string.h>

#include "vmm/layout.h"

#define HOLE_GFN     (LAYOUT_LOW_HOLE_GPA / LAYOUT_PAGE_BYTES)
#define HOLE_END_GFN (LAYOUT_LOW_HOLE_END / LAYOUT_PAGE_BYTES)
#define NO_INDEX     UINT64_MAX

bool reservation_init(struct reservation *reservation, const struct layout *layout)
{
	*reservation = (struct reservation){
		.low_gfns = layout->low_ram_top_gpa / LAYOUT_PAGE_BYTES,
		.high_gfn = LAYOUT_4GIB / LAYOUT_PAGE_BYTES,
		.high_gfns = (layout->high_ram_top_gpa - LAYOUT_4GIB) / LAYOUT_PAGE_BYTES,
	};
	uint64_t n = reservation->low_gfns + reservation->high_gfns;

	reservation->total_pages = n - (HOLE_END_GFN - HOLE_GFN);
	reservation->absent = calloc(n / 8 + 1, 1);
	return reservation->absent != NULL;
}

void reservation_fini(struct reservation *reservation)
{
	free(reservation->absent);
	reservation->absent = NULL;
}

static uint64_t index_of(const struct reservation *reservation, uint64_t gfn)
{
	/* ACPI tables and the like: backed, but not the domain's to give away. */
	if (gfn >= HOLE_GFN && gfn < HOLE_END_GFN)
		return NO_INDEX;
	if (gfn < reservation->low_gfns)
		return gfn;
	if (gfn >= reservation->high_gfn && gfn - reservation->high_gfn < reservation->high_gfns)
		return gfn - reservation->high_gfn + reservation->low_gfns;
	return NO_INDEX;
}

static bool is_absent(const struct reservation *reservation, uint64_t index)
{
	return reservation->absent[index / 8] >> index % 8 & 1;
}

bool reservation_has(const struct reservation *reservation, uint64_t gfn)
{
	uint64_t index = index_of(reservation, gfn);

	return index != NO_INDEX && !is_absent(reservation, index);
}

static bool change(struct reservation *reservation, uint64_t gfn, unsigned int order, bool give_up)
{
	uint64_t n = UINT64_C(1) << order;

	if (gfn > UINT64_MAX - n)
		return false;
	for (uint64_t i = 0; i < n; i++) {
		uint64_t index = index_of(reservation, gfn + i);

		if (index == NO_INDEX || is_absent(reservation, index) == give_up)
			return false;
	}
	for (uint64_t i = 0; i < n; i++) {
		uint64_t index = index_of(reservation, gfn + i);

		reservation->absent[index / 8] ^= (uint8_t)(1u << index % 8);
	}
	if (give_up)
		reservation->absent_pages += n;
	else
		reservation->absent_pages -= n;
	return true;
}

bool reservation_give_up(struct reservation *reservation, uint64_t gfn, unsigned int order)
{
	return change(reservation, gfn, order, true);
}

bool reservation_take_back(struct reservation *reservation, uint64_t gfn, unsigned int order)
{
	return change(reservation, gfn, order, false);
}

size_t reservation_bytes(const struct reservation *reservation)
{
	return (reservation->low_gfns + reservation->high_gfns) / 8 + 1;
}

bool reservation_take_absent(struct reservation *reservation, const uint8_t *absent, size_t len_bytes)
{
	const uint64_t n = reservation->low_gfns + reservation->high_gfns;
	uint64_t n_absent = 0;

	if (len_bytes != reservation_bytes(reservation) || absent[n / 8] >> n % 8)
		return false;
	for (uint64_t i = 0; i < n; i++) {
		if (!(absent[i / 8] >> i % 8 & 1))
			continue;
		if (i >= HOLE_GFN && i < HOLE_END_GFN)
			return false;
		n_absent++;
	}
	memcpy(reservation->absent, absent, len_bytes);
	reservation->absent_pages = n_absent;
	return true;
}
