// SPDX-License-Identifier: MIT
#include "backend/block_request.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

static_assert(sizeof(struct blkif_request) == 112 && offsetof(struct blkif_request, seg) == 24, "<xen/io/blkif.h>");
static_assert(offsetof(struct blkif_request_discard, nr_sectors) == 24, "<xen/io/blkif.h>");
static_assert(offsetof(struct blkif_request_indirect, indirect_grefs) == 28, "<xen/io/blkif.h>");
static_assert(offsetof(struct blkif_request_indirect, id) == offsetof(struct blkif_request, id), "<xen/io/blkif.h>");
static_assert(sizeof(struct blkif_response) == 16 && offsetof(struct blkif_response, status) == 10, "<xen/io/blkif.h>");
static_assert(sizeof(struct blkif_request_segment) == BLOCK_SEGMENT_BYTES, "<xen/io/blkif.h>");
static_assert(BLOCK_SEGMENTS_MAX <= BLOCK_PAGE_BYTES / BLOCK_SEGMENT_BYTES * BLKIF_MAX_INDIRECT_PAGES_PER_REQUEST, "");

const struct block_layout BLOCK_LAYOUT_64 = {
	.slot_bytes = sizeof(struct blkif_request),
	.response_bytes = sizeof(struct blkif_response),
	.id = offsetof(struct blkif_request, id),
	.sector = offsetof(struct blkif_request, sector_number),
	.segments = offsetof(struct blkif_request, seg),
	.discard_sectors = offsetof(struct blkif_request_discard, nr_sectors),
	.indirect_refs = offsetof(struct blkif_request_indirect, indirect_grefs),
};

const struct block_layout BLOCK_LAYOUT_32 = {
	.slot_bytes = BLOCK32_SLOT_BYTES,
	.response_bytes = BLOCK32_RESPONSE_BYTES,
	.id = BLOCK32_ID,
	.sector = BLOCK32_SECTOR,
	.segments = BLOCK32_SEGMENTS,
	.discard_sectors = BLOCK32_DISCARD_SECTORS,
	.indirect_refs = BLOCK32_INDIRECT_REFS,
};

static uint64_t read_u64(const uint8_t *bytes)
{
	uint64_t value;

	memcpy(&value, bytes, sizeof(value));
	return value;
}

static uint32_t read_u32(const uint8_t *bytes)
{
	uint32_t value;

	memcpy(&value, bytes, sizeof(value));
	return value;
}

static uint16_t read_u16(const uint8_t *bytes)
{
	uint16_t value;

	memcpy(&value, bytes, sizeof(value));
	return value;
}

bool block_range_is_good(const struct block_limits *limits, uint64_t sector, uint64_t n_sectors)
{
	return sector <= limits->n_sectors && n_sectors <= limits->n_sectors - sector;
}

static int16_t decode_transfer(const struct block_limits *limits, struct block_request *request, unsigned int max_segments)
{
	if (request->action == BLKIF_OP_WRITE && limits->read_only)
		return BLKIF_RSP_ERROR;
	if (request->n_segments == 0 || request->n_segments > max_segments)
		return BLKIF_RSP_ERROR;
	return BLKIF_RSP_OKAY;
}

static int16_t decode_indirect(const struct block_layout *layout, const uint8_t *slot, const struct block_limits *limits,
			       struct block_request *request)
{
	const unsigned int per_page = BLOCK_PAGE_BYTES / BLOCK_SEGMENT_BYTES;

	request->indirect = true;
	/* It is answered as what it carries: Linux gives up a disk that answers "indirect" (blkif_interrupt()). */
	request->operation = request->action = slot[1];
	request->n_segments = read_u16(slot + 2);
	if (request->action != BLKIF_OP_READ && request->action != BLKIF_OP_WRITE)
		return BLKIF_RSP_ERROR;
	int16_t status = decode_transfer(limits, request, BLOCK_SEGMENTS_MAX);
	for (unsigned int i = 0; status == BLKIF_RSP_OKAY && i < (request->n_segments + per_page - 1) / per_page; i++)
		request->indirect_ref[i] = read_u32(slot + layout->indirect_refs + i * sizeof(uint32_t));
	return status;
}

static int16_t decode_discard(const struct block_layout *layout, const uint8_t *slot, const struct block_limits *limits,
			      struct block_request *request)
{
	request->n_segments = 0;
	request->n_sectors = read_u64(slot + layout->discard_sectors);
	if (limits->read_only)
		return BLKIF_RSP_ERROR;
	/* Secure discard is not offered; the flag means nothing then. */
	if (!limits->discard)
		return BLKIF_RSP_EOPNOTSUPP;
	if (request->n_sectors == 0 || !block_range_is_good(limits, request->sector, request->n_sectors))
		return BLKIF_RSP_ERROR;
	return BLKIF_RSP_OKAY;
}

int16_t block_request_decode(const struct block_layout *layout, const uint8_t *slot, const struct block_limits *limits,
			     struct block_request *request)
{
	*request = (struct block_request){
		.operation = slot[0],
		.action = slot[0],
		.id = read_u64(slot + layout->id),
		.sector = read_u64(slot + layout->sector),
		.n_segments = slot[1],
	};
	switch (request->operation) {
	case BLKIF_OP_READ:
	case BLKIF_OP_WRITE:
		return decode_transfer(limits, request, BLKIF_MAX_SEGMENTS_PER_REQUEST);
	case BLKIF_OP_FLUSH_DISKCACHE:
		/* Not offered for a disk that is not written. With segments it is a write behind a flush. */
		if (limits->read_only)
			return BLKIF_RSP_EOPNOTSUPP;
		/* Without one it is of the whole disk; Linux says sector -1 then, and gives up flushing when that is refused. */
		if (request->n_segments == 0)
			request->sector = 0;
		return request->n_segments <= BLKIF_MAX_SEGMENTS_PER_REQUEST ? BLKIF_RSP_OKAY : BLKIF_RSP_ERROR;
	case BLKIF_OP_DISCARD:
		return decode_discard(layout, slot, limits, request);
	case BLKIF_OP_INDIRECT:
		return decode_indirect(layout, slot, limits, request);
	default:
		return BLKIF_RSP_EOPNOTSUPP;
	}
}

const uint8_t *block_request_segment(const struct block_layout *layout, const uint8_t *slot, unsigned int n)
{
	return slot + layout->segments + (size_t)n * BLOCK_SEGMENT_BYTES;
}

bool block_segment_decode(const uint8_t *bytes, struct block_segment *segment)
{
	uint8_t first = bytes[4], last = bytes[5];

	if (first > last || last >= BLOCK_PAGE_BYTES / BLOCK_SECTOR_BYTES)
		return false;
	*segment = (struct block_segment){
		.ref = read_u32(bytes),
		.offset_bytes = (uint16_t)(first * BLOCK_SECTOR_BYTES),
		.len_bytes = (uint16_t)((last - first + 1u) * BLOCK_SECTOR_BYTES),
	};
	return true;
}
