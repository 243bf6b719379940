// SPDX-License-Identifier: MIT
/*
 * The grant table of a domain, as a pure core: entries and checks on the bytes of the shared frames.
 *
 * The guest writes the frames while we read them. Each field of an entry is read once. That a page is in use is told to
 * the guest in the entry itself (version 1: by compare-and-swap on flags and domid; version 2: in the status frames), so
 * a guest that takes a grant back sees whether it came too late. While a grant is in use, what was read of it at first
 * is what holds: a pin remembers it.
 *
 * Thread: under the domain's lock. Source: <xen/grant_table.h>.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "xen/abi.h"
#include <xen/grant_table.h>

struct trace;

#define GRANT_ENTRIES_V1_PER_FRAME     512u
#define GRANT_ENTRIES_V2_PER_FRAME     256u
#define GRANT_STATUS_PER_FRAME         2048u
#define GRANT_STATUS_FRAMES(n_frames)                                                                                 \
	(((n_frames) * GRANT_ENTRIES_V2_PER_FRAME + GRANT_STATUS_PER_FRAME - 1) / GRANT_STATUS_PER_FRAME)

struct grant_pin {
	uint64_t gfn;
	uint16_t domid;
	uint16_t offset_bytes, len_bytes; /* the part of the page that is granted */
	uint16_t readers, writers;
};

struct grant_table {
	void *shared; /* max_frames pages */
	uint16_t *status;
	unsigned int max_frames;
	unsigned int n_frames; /* as many as the guest asked for, at least one */
	unsigned int version, max_version;
	struct grant_pin *pins; /* one an entry of version 1, the more numerous ones */
	const struct trace *trace; /* of each use of a grant; NULL: nobody wants that. Borrowed */
};

/* A page that a grant gives access to. */
struct grant_page {
	uint64_t gfn;
	uint16_t offset_bytes, len_bytes;
};

/* shared and status are borrowed, and zero. FALSE when memory is out. */
bool grant_table_init(struct grant_table *table, void *shared, void *status, unsigned int max_frames,
		      unsigned int max_version);
void grant_table_fini(struct grant_table *table);

static inline uint32_t grant_table_entries(const struct grant_table *table)
{
	return table->n_frames * (table->version == 1 ? GRANT_ENTRIES_V1_PER_FRAME : GRANT_ENTRIES_V2_PER_FRAME);
}

/* The guest's table is to have n_frames at least. FALSE: more than it may have. */
bool grant_table_grow(struct grant_table *table, unsigned int n_frames);

/* 0 or a negative errno. Entries but the reserved ones are cleared. */
int grant_table_set_version(struct grant_table *table, unsigned int version);

/*
 * GNTST_*. domid wants to use the grant; whole_page: for a mapping, which can show nothing less. Each success needs a
 * grant_release() with the same read_only.
 */
int16_t grant_acquire(struct grant_table *table, uint32_t ref, uint16_t domid, bool read_only, bool whole_page,
		      struct grant_page *page);
void grant_release(struct grant_table *table, uint32_t ref, bool read_only);

/* Whether a domain but domid may use the page, or does. Looks at all entries. */
bool grant_gives_to_another(const struct grant_table *table, uint64_t gfn, uint16_t domid);

/* GNTST_*. Two entries change places; neither may be in use. */
int16_t grant_swap(struct grant_table *table, uint32_t a, uint32_t b);
