// SPDX-License-Identifier: MIT
#include "vmm/layout.h"

#include <inttypes.h>
#include <stdbool.h>

#include "vmm/error.h"

#define MIB             (UINT64_C(1) << 20)
#define ALIGNMENT_BYTES (2 * MIB)
/* Grant table entries of version 1 hold a 32-bit frame number: a page above 16 TiB could not be granted. */
#define RAM_MAX_BYTES   (UINT64_C(1) << 43)

static void add_entry(struct layout *layout, uint64_t gpa, uint64_t end_gpa, enum memory_map_type type)
{
	if (end_gpa <= gpa)
		return;
	g_assert(layout->n_map < LAYOUT_MAX_MAP_ENTRIES);
	layout->map[layout->n_map++] = (struct memory_map_entry){ gpa, end_gpa - gpa, type };
}

/* It holds a whole section. */
static void place_overlay(struct layout *layout, uint64_t gpa)
{
	layout->overlay_gpa = gpa;
	layout->overlay_end_gpa = (gpa + 2 * LAYOUT_SECTION_BYTES - 1) / LAYOUT_SECTION_BYTES * LAYOUT_SECTION_BYTES;
}

gboolean layout_init(struct layout *layout, uint64_t ram_bytes, uint64_t max_low_ram_bytes, GError **error)
{
	if (ram_bytes < LAYOUT_LOW_RAM_MIN || ram_bytes > RAM_MAX_BYTES || ram_bytes % ALIGNMENT_BYTES != 0) {
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_USAGE,
			    "--memory: %" PRIu64 " MiB: must be a multiple of 2 MiB from %" PRIu64 " MiB to %" PRIu64 " GiB",
			    ram_bytes / MIB, LAYOUT_LOW_RAM_MIN / MIB, RAM_MAX_BYTES / (1024 * MIB));
		return FALSE;
	}
	if (max_low_ram_bytes < LAYOUT_LOW_RAM_MIN || max_low_ram_bytes > LAYOUT_LOW_RAM_MAX ||
	    max_low_ram_bytes % ALIGNMENT_BYTES != 0) {
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_USAGE,
			    "--low-memory: %" PRIu64 " MiB: must be a multiple of 2 MiB from %" PRIu64 " to %" PRIu64 " MiB",
			    max_low_ram_bytes / MIB, LAYOUT_LOW_RAM_MIN / MIB, LAYOUT_LOW_RAM_MAX / MIB);
		return FALSE;
	}

	*layout = (struct layout){ .ram_bytes = ram_bytes };
	layout->low_ram_top_gpa = MIN(ram_bytes, max_low_ram_bytes);
	layout->console_gpa = layout->low_ram_top_gpa;
	layout->xenstore_gpa = layout->console_gpa + LAYOUT_PAGE_BYTES;
	layout->special_end_gpa = layout->xenstore_gpa + LAYOUT_PAGE_BYTES;
	layout->low_window_end_gpa = layout->low_ram_top_gpa + LAYOUT_LOW_WINDOW_BYTES;
	layout->high_ram_top_gpa = LAYOUT_4GIB + (ram_bytes - layout->low_ram_top_gpa);
	place_overlay(layout, layout->high_ram_top_gpa);

	add_entry(layout, 0, LAYOUT_EBDA_GPA, MEMORY_MAP_RAM);
	add_entry(layout, LAYOUT_EBDA_GPA, LAYOUT_LOW_HOLE_END, MEMORY_MAP_RESERVED);
	add_entry(layout, LAYOUT_LOW_HOLE_END, layout->low_ram_top_gpa, MEMORY_MAP_RAM);
	add_entry(layout, layout->console_gpa, layout->special_end_gpa, MEMORY_MAP_RESERVED);
	add_entry(layout, LAYOUT_4GIB, layout->high_ram_top_gpa, MEMORY_MAP_RAM);
	return TRUE;
}

/* Above all that is there, aligned as large pages of the host would like it. */
static uint64_t window_place(const struct layout *layout)
{
	const struct memory_map_entry *last = &layout->map[layout->n_map - 1];

	return MAX(layout->overlay_end_gpa, last->gpa + last->len_bytes);
}

static gboolean is_free(const struct layout *layout, uint64_t gpa, uint64_t len_bytes)
{
	bool low = gpa >= layout->low_window_end_gpa && gpa < LAYOUT_DEVICES_GPA && len_bytes <= LAYOUT_DEVICES_GPA - gpa;

	for (size_t i = 0; i < layout->n_map; i++)
		if (gpa < layout->map[i].gpa + layout->map[i].len_bytes && layout->map[i].gpa < gpa + len_bytes)
			return FALSE;
	return low || gpa >= layout->high_ram_top_gpa;
}

gboolean layout_add_window(struct layout *layout, uint64_t *gpa, uint64_t len_bytes, uint64_t end_gpa, GError **error)
{
	size_t at = layout->n_map;

	g_assert(layout->n_map < LAYOUT_MAX_MAP_ENTRIES && len_bytes > 0);
	if (*gpa == 0)
		*gpa = window_place(layout);
	if (*gpa >= end_gpa || len_bytes > end_gpa - *gpa ||
	    (*gpa >= LAYOUT_4GIB && end_gpa - *gpa - len_bytes < 2 * LAYOUT_SECTION_BYTES)) {
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_USAGE,
			    "--lend-window: %" PRIu64 " MiB at 0x%" PRIx64 ", and %" PRIu64 " MiB for grant frames above it, end above 0x%" PRIx64
			    ", the last address of this host's CPUs",
			    len_bytes / MIB, *gpa, 2 * LAYOUT_SECTION_BYTES / MIB, end_gpa - 1);
		return FALSE;
	}
	if (!is_free(layout, *gpa, len_bytes)) {
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_USAGE,
			    "--lend-window: %" PRIu64 " MiB at 0x%" PRIx64 " lie over something else: without gpa= it begins at 0x%" PRIx64,
			    len_bytes / MIB, *gpa, window_place(layout));
		return FALSE;
	}
	/* The map is in order. */
	for (; at > 0 && layout->map[at - 1].gpa > *gpa; at--)
		layout->map[at] = layout->map[at - 1];
	layout->map[at] = (struct memory_map_entry){ *gpa, len_bytes, MEMORY_MAP_RESERVED };
	layout->n_map++;
	/* Where Linux looks for room it begins above the last entry. */
	const struct memory_map_entry *last = &layout->map[layout->n_map - 1];
	place_overlay(layout, MAX(layout->high_ram_top_gpa, last->gpa + last->len_bytes));
	return TRUE;
}

static uint64_t round_up(uint64_t value, uint64_t grain)
{
	return (value + grain - 1) / grain * grain;
}

gboolean layout_add_bridge(struct layout *layout, const uint64_t *bar_bytes, uint64_t *bar_gpas, size_t n, uint64_t end_gpa,
			   GError **error)
{
	uint64_t largest_bytes = LAYOUT_BRIDGE_REGISTERS_BYTES, all_bytes = LAYOUT_BRIDGE_REGISTERS_BYTES;

	g_assert(layout->bridge_bytes == 0);
	/* Each is aligned to its own size: in the worst case that costs as much again. */
	for (size_t i = 0; i < n && all_bytes <= end_gpa; i++) {
		all_bytes += 2 * MIN(bar_bytes[i], end_gpa);
		largest_bytes = MAX(largest_bytes, MIN(bar_bytes[i], end_gpa));
	}
	uint64_t gpa = round_up(round_up(window_place(layout), LAYOUT_SECTION_BYTES) + LAYOUT_SECTION_BYTES, largest_bytes);
	if (gpa >= end_gpa || 2 * all_bytes > end_gpa - gpa) {
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_USAGE,
			    "--lend-window: PCI devices need %" PRIu64 " MiB of addresses from 0x%" PRIx64 " on, and 0x%" PRIx64
			    " is the last of this host's CPUs",
			    2 * all_bytes / MIB, gpa, end_gpa - 1);
		return FALSE;
	}
	layout->bridge_gpa = gpa;
	layout->bridge_bytes = 2 * all_bytes;
	gpa += LAYOUT_BRIDGE_REGISTERS_BYTES;
	for (size_t i = 0; i < n; i++) {
		bar_gpas[i] = round_up(gpa, bar_bytes[i]);
		gpa = bar_gpas[i] + bar_bytes[i];
	}
	g_assert(gpa <= layout->bridge_gpa + layout->bridge_bytes);
	return TRUE;
}

uint64_t layout_ram_kib(const struct layout *layout)
{
	uint64_t kib = 0;

	for (size_t i = 0; i < layout->n_map; i++)
		if (layout->map[i].type == MEMORY_MAP_RAM)
			kib += layout->map[i].len_bytes / LAYOUT_PAGE_BYTES * (LAYOUT_PAGE_BYTES / 1024);
	return kib;
}
