// SPDX-License-Identifier: MIT
/*
 * Memory in a saved domain's file: pages at their guest-physical addresses, those that are zeros left out.
 *
 * The sum of each MiB is that of its pages that are not zeros, each with its address (8 bytes) before it; 0 where there is
 * none. A restore does not look at them, since it would have to read all memory for that: `dom1 saved --check` does.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#define SAVED_CHUNK_BYTES (UINT64_C(1) << 20)
#define SAVED_N_CHUNKS(memory_bytes) (((memory_bytes) + SAVED_CHUNK_BYTES - 1) / SAVED_CHUNK_BYTES)

struct saved_file;

/* Whole pages of memory, nobody of whom changes. */
struct saved_range {
	uint64_t gpa, len_bytes;
	const uint8_t *bytes;
};

/* Pages that the guest sees something else in than its memory; NULL: none. */
typedef bool saved_is_left_out(const void *opaque, uint64_t gfn);

/*
 * To a file that has nothing there. sums: of SAVED_N_CHUNKS, zeros before the first call. *stored_bytes grows. 0 or a
 * positive errno. System call: pwrite64.
 */
int saved_memory_write(int fd, uint64_t memory_offset, const struct saved_range *range, saved_is_left_out *is_left_out,
		       const void *opaque, uint64_t *sums, uint64_t *stored_bytes);

/* Reads all of it. n_sums: as many as there are chunks. FALSE and DOM1_STATUS_FILE. */
bool saved_memory_check(const struct saved_file *file, const uint64_t *sums, GError **error);

bool saved_page_is_zero(const uint8_t *page);
