// SPDX-License-Identifier: MIT
/*
 * Requests of the block protocol, as a pure core: the bytes of one ring slot go in, a checked request comes out.
 *
 * The bytes are a copy of ours (XSA-155): what is checked cannot change any more. 32-bit and 64-bit front ends lay the
 * same fields out differently; one table of offsets knows both. Sectors are of 512 bytes, also where a disk's are larger.
 * Source: <xen/io/blkif.h>, <xen/io/protocols.h>.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "xen/abi.h"
#include <xen/io/blkif.h>

#define BLOCK_SECTOR_BYTES   512u
#define BLOCK_PAGE_BYTES     4096u
#define BLOCK_SEGMENT_BYTES  8u
/* Of one request: 1 MiB. Linux asks for 32 unless its parameter says more. One indirect page holds 512. */
#define BLOCK_SEGMENTS_MAX   256u
#define BLOCK_SLOT_BYTES_MAX 112u

/* Of the i386 ABI, which aligns 64-bit words to 4 bytes. tests/unit/xen/abi32.c compares them with Xen's header. */
#define BLOCK32_SLOT_BYTES      108u
#define BLOCK32_RESPONSE_BYTES  12u
#define BLOCK32_ID              4u
#define BLOCK32_SECTOR          12u
#define BLOCK32_SEGMENTS        20u
#define BLOCK32_DISCARD_SECTORS 20u
#define BLOCK32_INDIRECT_REFS   24u

struct block_layout {
	unsigned int slot_bytes, response_bytes;
	unsigned int id, sector, segments;   /* of struct blkif_request */
	unsigned int discard_sectors;        /* of struct blkif_request_discard */
	unsigned int indirect_refs;          /* of struct blkif_request_indirect */
};
extern const struct block_layout BLOCK_LAYOUT_64, BLOCK_LAYOUT_32;

/* What the disk can do. */
struct block_limits {
	uint64_t n_sectors;
	bool read_only;
	bool discard;
};

struct block_request {
	uint64_t id;       /* the guest's own, given back */
	uint8_t operation; /* given back; of an indirect request the one that it carries */
	uint8_t action;    /* BLKIF_OP_READ, _WRITE, _FLUSH_DISKCACHE, _DISCARD */
	uint64_t sector;
	uint64_t n_sectors; /* of a discard */
	unsigned int n_segments;
	bool indirect;     /* the segments lie in granted pages, not in the slot */
	uint32_t indirect_ref[BLKIF_MAX_INDIRECT_PAGES_PER_REQUEST];
};

struct block_segment {
	uint32_t ref;
	uint16_t offset_bytes; /* in its page */
	uint16_t len_bytes;
};

/* BLKIF_RSP_OKAY, or what is to be answered; id and operation are set in any case. */
int16_t block_request_decode(const struct block_layout *layout, const uint8_t *slot, const struct block_limits *limits,
			     struct block_request *request);

/* The n-th of a slot's own segments. */
const uint8_t *block_request_segment(const struct block_layout *layout, const uint8_t *slot, unsigned int n);

/* FALSE: first behind last, or beyond the page. bytes: a copy of BLOCK_SEGMENT_BYTES. */
bool block_segment_decode(const uint8_t *bytes, struct block_segment *segment);

/* Whether the sectors lie on the disk; no sum of a guest's numbers wraps here. */
bool block_range_is_good(const struct block_limits *limits, uint64_t sector, uint64_t n_sectors);
