// SPDX-License-Identifier: MIT
/*
 * LEND/1, the protocol of lend.sock; docs/lend-protocol.md is its description. A stream of messages, each a header and so
 * many bytes as it says; structures in the machine's byte order, every field at its natural place. One descriptor comes with
 * the first byte of LEND and of SUPPLY, and none with anything else. The header is vhost-user's.
 *
 * The lender asks, and gets one reply to each request, in their order; the domain sends events in between.
 */
#pragma once

#include <assert.h>
#include <stdint.h>

#define LEND_WIRE_VERSION 1u

enum lend_request {
	LEND_HELLO = 0x4c01,        /* lend_hello -> lend_hello_reply; the first one */
	LEND_CLAIM = 0x4c02,        /* lend_claim -> lend_claim_reply */
	LEND_RELEASE = 0x4c03,      /* lend_window -> lend_reply: all of it is revoked, and the window is free */
	LEND_LEND = 0x4c04,         /* lend_pages, descriptor -> lend_reply */
	LEND_REVOKE = 0x4c05,       /* lend_ranges -> lend_reply, when nobody reaches them */
	LEND_SUPPLY = 0x4c06,       /* lend_pages with the fault's id, descriptor -> lend_reply */
	LEND_FAIL = 0x4c07,         /* lend_fail -> lend_reply */
	LEND_QUERY = 0x4c08,        /* lend_window -> lend_query_reply; of any window */
	LEND_REVOKE_BEGIN = 0x4c09, /* lend_ranges, one -> lend_reply: as REVOKE, and nothing is lent there until the end */
	LEND_REVOKE_END = 0x4c0a,   /* lend_window -> lend_reply */

	LEND_EVENT_FAULT = 0x4c81,   /* lend_fault_event: an answer is wanted */
	LEND_EVENT_WIDENED = 0x4c82, /* lend_window_event: more was revoked than was asked, the whole window */
	LEND_EVENT_GONE = 0x4c83,    /* nothing: the domain is ending, nobody reaches anything any more */
};

/* Of lend_header.flags. */
#define LEND_FLAGS_VERSION 1u
#define LEND_FLAG_REPLY    4u
#define LEND_FLAGS_IGNORED 8u /* vhost-user's NEED_REPLY: there always is one */

#define LEND_ANY_WINDOW UINT32_MAX
#define LEND_MAX_RANGES 64u

/* Of lend_pages.flags. */
#define LEND_PAGES_FLAG_WRITE 1u
/* Of lend_reply.flags. */
#define LEND_REPLY_WIDENED 1u

struct lend_header {
	uint32_t request, flags, len_bytes; /* of what follows */
};

struct lend_hello {
	uint32_t version, reserved;
	uint64_t features; /* none yet */
};
struct lend_hello_reply {
	uint32_t error, version;
	uint64_t features;
	uint32_t page_bytes, n_windows, max_ranges, domid;
};

struct lend_claim {
	uint32_t window; /* or LEND_ANY_WINDOW: the first free one */
	uint32_t on_fail; /* 0: the window's own; 1 zeros, 2 a fault in the guest, 3 the end of the domain */
	uint32_t timeout_ms; /* of a fault without an answer; 0: none */
	uint32_t reserved;
};
struct lend_claim_reply {
	uint32_t error, window;
	uint64_t gpa, len_bytes, seq;
};

struct lend_window {
	uint32_t window, reserved;
};

struct lend_pages {
	uint64_t id;  /* of the fault; LEND: 0 */
	uint64_t seq; /* LEND: 0, or refused when the window saw a revoke after this */
	uint32_t window, flags;
	uint64_t offset_bytes, len_bytes; /* in the window */
	uint64_t fd_offset_bytes;
};

struct lend_range {
	uint64_t offset_bytes, len_bytes;
};
struct lend_ranges {
	uint32_t window, n_ranges;
	struct lend_range ranges[LEND_MAX_RANGES]; /* n_ranges of them are sent */
};
#define LEND_RANGES_BYTES(n) (8u + (n) * (uint32_t)sizeof(struct lend_range))

struct lend_fail {
	uint64_t id;
	uint32_t action; /* as lend_claim.on_fail */
	uint32_t reserved;
};

struct lend_reply {
	uint32_t error; /* 0, or an errno of Linux */
	uint32_t flags;
	uint64_t seq; /* of the last revoke in that window */
};

struct lend_query_reply {
	uint32_t error, window;
	uint64_t gpa, len_bytes, seq;
	uint32_t claimed, on_fail;
	uint64_t lent_pages, zero_pages, mappings;
	uint64_t lends, supplies, stale, revokes, revoked_pages, widened;
	uint64_t faults, zeros, machine_checks, timeouts, traps, unknown, emulated, waiting;
	/* From the request to its reply, and how much of it was in the kernel's calls. */
	uint64_t last_revoke_ns, last_revoke_kernel_ns, slowest_revoke_ns, slowest_revoke_kernel_ns;
	uint64_t slowest_revoke_pages;
};

struct lend_fault_event {
	uint64_t id, seq;
	uint32_t window;
	uint32_t flags; /* 1: lent to be read only, and probably written to; 2: what was lent could not be used */
	uint64_t offset_bytes, len_bytes;
	uint32_t vcpus, reserved; /* bit n: vCPU n waits */
};

struct lend_window_event {
	uint32_t window, reserved;
	uint64_t seq;
};

static_assert(sizeof(struct lend_header) == 12, "LEND/1");
static_assert(sizeof(struct lend_hello) == 16 && sizeof(struct lend_hello_reply) == 32, "LEND/1");
static_assert(sizeof(struct lend_claim) == 16 && sizeof(struct lend_claim_reply) == 32, "LEND/1");
static_assert(sizeof(struct lend_pages) == 48 && sizeof(struct lend_fail) == 16 && sizeof(struct lend_reply) == 16, "LEND/1");
static_assert(sizeof(struct lend_ranges) == LEND_RANGES_BYTES(LEND_MAX_RANGES), "LEND/1");
static_assert(sizeof(struct lend_query_reply) == 216, "LEND/1");
static_assert(sizeof(struct lend_fault_event) == 48 && sizeof(struct lend_window_event) == 16, "LEND/1");
