// SPDX-License-Identifier: MIT
#include "saved/memory.h"

#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "saved/file.h"
#include "vmm/read_whole.h"
#include "vmm/write_whole.h"

/* Little: a domain that came by a stream has looked by itself, and what is taken once stays. */
#define READ_BYTES (UINT64_C(64) << 10)
#define PAGE SAVED_PAGE_BYTES

bool saved_page_is_zero(const uint8_t *page)
{
	uint64_t first;

	memcpy(&first, page, sizeof(first));
	return first == 0 && memcmp(page, page + sizeof(first), PAGE - sizeof(first)) == 0;
}

static void sum_page(XXH3_state_t *sum, uint64_t gpa, const uint8_t *page)
{
	uint8_t address[8];

	for (unsigned int i = 0; i < sizeof(address); i++)
		address[i] = (uint8_t)(gpa >> 8 * i);
	(void)XXH3_64bits_update(sum, address, sizeof(address));
	(void)XXH3_64bits_update(sum, page, PAGE);
}

/* Pages that follow one another, to be written at once. */
struct run {
	int fd;
	uint64_t memory_offset;
	uint64_t gpa;
	const uint8_t *bytes;
	size_t len_bytes;
};

static int flush(struct run *run)
{
	int rc = run->len_bytes > 0 ? write_whole_at(run->fd, run->bytes, run->len_bytes, run->memory_offset + run->gpa) : 0;

	run->len_bytes = 0;
	return rc;
}

static int add_page(struct run *run, uint64_t gpa, const uint8_t *page)
{
	int rc = run->len_bytes > 0 && run->gpa + run->len_bytes != gpa ? flush(run) : 0;

	if (run->len_bytes == 0) {
		run->gpa = gpa;
		run->bytes = page;
	}
	run->len_bytes += PAGE;
	return rc;
}

/* [gpa, end_gpa) is in one chunk. */
static int write_chunk(struct run *run, const struct saved_range *range, uint64_t gpa, uint64_t end_gpa,
		       saved_is_left_out *is_left_out, const void *opaque, uint64_t *sum)
{
	XXH3_state_t state;
	bool has_pages = false;
	int rc = 0;

	(void)XXH3_64bits_reset(&state);
	for (; rc == 0 && gpa < end_gpa; gpa += PAGE) {
		const uint8_t *page = range->bytes + (gpa - range->gpa);

		if (saved_page_is_zero(page) || (is_left_out && is_left_out(opaque, gpa / PAGE)))
			continue;
		sum_page(&state, gpa, page);
		has_pages = true;
		rc = add_page(run, gpa, page);
	}
	if (has_pages)
		*sum = XXH3_64bits_digest(&state);
	return rc == 0 ? flush(run) : rc;
}

int saved_memory_write(int fd, uint64_t memory_offset, const struct saved_range *range, saved_is_left_out *is_left_out,
		       const void *opaque, uint64_t *sums, uint64_t *stored_bytes)
{
	struct run run = { .fd = fd, .memory_offset = memory_offset };
	const uint64_t range_end_gpa = range->gpa + range->len_bytes;
	int rc = 0;

	/* Two ranges never meet in a chunk: RAM ends, and begins again at 4 GiB. */
	for (uint64_t gpa = range->gpa; rc == 0 && gpa < range_end_gpa;) {
		uint64_t end_gpa = MIN((gpa / SAVED_CHUNK_BYTES + 1) * SAVED_CHUNK_BYTES, range_end_gpa);
		uint64_t n_chunk = gpa / SAVED_CHUNK_BYTES;

		rc = write_chunk(&run, range, gpa, end_gpa, is_left_out, opaque, &sums[n_chunk]);
		*stored_bytes += sums[n_chunk] ? end_gpa - gpa : 0;
		gpa = end_gpa;
	}
	return rc;
}

/* One chunk's sum, into *sum. */
static bool sum_chunk(const struct saved_file *file, uint64_t gpa, uint64_t end_gpa, uint8_t *bytes, uint64_t *sum)
{
	XXH3_state_t state;
	bool has_pages = false;

	(void)XXH3_64bits_reset(&state);
	while (gpa < end_gpa) {
		const size_t len_bytes = (size_t)MIN(READ_BYTES, end_gpa - gpa);

		if (!read_whole(file->fd, bytes, len_bytes, file->header.memory_offset + gpa))
			return false;
		for (size_t at = 0; at < len_bytes; at += PAGE) {
			if (saved_page_is_zero(bytes + at))
				continue;
			sum_page(&state, gpa + at, bytes + at);
			has_pages = true;
		}
		gpa += len_bytes;
	}
	*sum = has_pages ? XXH3_64bits_digest(&state) : 0;
	return true;
}

bool saved_memory_check(const struct saved_file *file, const uint64_t *sums, GError **error)
{
	g_autofree uint8_t *bytes = g_malloc(READ_BYTES);
	uint64_t sum;

	for (uint64_t gpa = 0; gpa < file->header.memory_bytes; gpa += SAVED_CHUNK_BYTES) {
		if (!sum_chunk(file, gpa, MIN(gpa + SAVED_CHUNK_BYTES, file->header.memory_bytes), bytes, &sum))
			return saved_refuse(error, file->path, "cannot read: %s", read_whole_reason());
		if (sum != sums[gpa / SAVED_CHUNK_BYTES])
			return saved_refuse(error, file->path, "damaged: the sum of memory at 0x%" G_GINT64_MODIFIER "x is wrong", gpa);
	}
	return true;
}
