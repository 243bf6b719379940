// SPDX-License-Identifier: MIT
/*
 * Compiled for 32 bits, never run: every number of abi_layout.def for that word size, of shared_info.h and of
 * block_request.h, against Xen's own headers.
 */
#include "backend/block_request.h"
#include "xen/abi_layout_headers.h"
#include "xen/shared_info.h"

#define STRUCT(tag, bytes64, bytes32) _Static_assert(sizeof(struct tag) == (bytes32), #tag);
#define FIELD(tag, member, offset32, bytes32)                                                                         \
	_Static_assert(offsetof(struct tag, member) == (offset32) && sizeof(((struct tag *)0)->member) == (bytes32),  \
		       #tag "." #member);
#define END(tag)
#define SAME(type, bytes) _Static_assert(sizeof(type) == (bytes), #type);
#include "xen/abi_layout.def"

_Static_assert(offsetof(struct shared_info, evtchn_pending) == SHARED_INFO_PENDING_OFFSET, "evtchn_pending");
_Static_assert(offsetof(struct shared_info, evtchn_mask) == SHARED_INFO_MASK_OFFSET_32, "evtchn_mask");
_Static_assert(sizeof(((struct shared_info *)0)->evtchn_mask) * 8 == SHARED_INFO_PORTS_32, "ports");
_Static_assert(offsetof(struct vcpu_info, evtchn_pending_sel) == VCPU_INFO_SEL_OFFSET_32, "evtchn_pending_sel");

_Static_assert(sizeof(struct blkif_request) == BLOCK32_SLOT_BYTES, "blkif_request");
_Static_assert(sizeof(union blkif_sring_entry) == BLOCK32_SLOT_BYTES, "blkif_sring_entry");
_Static_assert(sizeof(struct blkif_response) == BLOCK32_RESPONSE_BYTES, "blkif_response");
_Static_assert(offsetof(struct blkif_response, status) == 10, "status");
_Static_assert(offsetof(struct blkif_request, id) == BLOCK32_ID, "id");
_Static_assert(offsetof(struct blkif_request_indirect, id) == BLOCK32_ID, "id");
_Static_assert(offsetof(struct blkif_request_discard, id) == BLOCK32_ID, "id");
_Static_assert(offsetof(struct blkif_request, sector_number) == BLOCK32_SECTOR, "sector_number");
_Static_assert(offsetof(struct blkif_request_indirect, sector_number) == BLOCK32_SECTOR, "sector_number");
_Static_assert(offsetof(struct blkif_request_discard, sector_number) == BLOCK32_SECTOR, "sector_number");
_Static_assert(offsetof(struct blkif_request, seg) == BLOCK32_SEGMENTS, "seg");
_Static_assert(offsetof(struct blkif_request_discard, nr_sectors) == BLOCK32_DISCARD_SECTORS, "nr_sectors");
_Static_assert(offsetof(struct blkif_request_indirect, indirect_grefs) == BLOCK32_INDIRECT_REFS, "indirect_grefs");
_Static_assert(offsetof(struct blkif_sring, ring) == 64, "ring");
