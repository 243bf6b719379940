// SPDX-License-Identifier: MIT
/*
 * Compiled for 32 bits, never run: every number of abi_layout.def for that word size, and of shared_info.h, against
 * Xen's own headers.
 */
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
