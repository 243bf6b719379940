// SPDX-License-Identifier: MIT
/*
 * The borrower's side of memory lending: the windows of one domain, what is lent in them, and the vCPUs that wait for a
 * page. A state machine without system calls: it acts by a table of functions (lend/mapper.h) and reports by another.
 *
 *   lender    lend --------------> show() ------------------------------------> LIVE
 *             revoke ------------> close() or drop(), returns: nobody reaches it
 *   vCPU      touches it: KVM_RUN fails without an address --> space_report(): arm() all that is not, go on
 *             touches it again: traps with the address ------> space_report(): one request to the lender, wait
 *   lender    supply ------------> show(), perhaps another page; answer(): the vCPU does it again
 *             fail --------------> zeros, a fault in the guest, or the end of the domain
 *
 * Rules that hold whatever guest and lenders do; tests/unit/lend/test_space.c tries to break them:
 *  - When space_revoke_step() says that it is done, no page of the range is mapped with any right, until the range is
 *    lent again. It cannot fail: where the kernel refuses, more is taken back than was asked, at last the window.
 *  - A page is requested once at a time, a vCPU waits for one page at a time, and each request has one end: supply, fail,
 *    timeout, lend, or a revoke of the page, after which it is requested anew under another number. So a supply that
 *    crossed with a revoke brings nothing back.
 *  - Every call does work for at most the pages it is asked for, or of its budget.
 *
 * Thread: one at a time; its owner has a lock. Nothing here waits.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dom1/lend.h" /* enum lend_action */
#include "lend/mapper.h"
#include "lend/page_map.h"

#define SPACE_MAX_WINDOWS 8u
#define SPACE_MAX_VCPUS   32u
/* Above this, revoking is done in two steps: taking rights away is several times as fast as taking pages out. */
#define SPACE_QUICK_PAGES 64u

/* A lender is a number that its server gives. */
#define SPACE_NO_LENDER 0u
/* The gpa of a window that the guest does not see. */
#define SPACE_NOWHERE UINT64_MAX

/* How an access ended KVM_RUN. */
enum space_access {
	SPACE_ACCESS_UNKNOWN, /* without an address */
	SPACE_ACCESS_PAGE,    /* in a page of a window; the instruction is to be repeated */
	SPACE_ACCESS_READ,    /* the kernel's emulator stopped at it: it is completed with the bytes read, or written */
	SPACE_ACCESS_WRITE,
};

struct space_report {
	enum space_access access;
	unsigned int window; /* but for UNKNOWN */
	size_t page;
	size_t offset_bytes; /* READ and WRITE: within the page, as is the end */
	size_t len_bytes;    /* at most 8, where page_bytes is NULL */
	bool no_fault;    /* SPACE_FAULT would do harm: zeros instead */
	bool fault_undone; /* since it was answered, and could not be done */
	uint8_t bytes[8];
	uint8_t *page_bytes; /* NULL, or instead of them: up to a page, the owner's until there is an answer */
};

enum space_answer {
	SPACE_AGAIN,   /* go on: KVM_RUN repeats the instruction; after READ, with report.bytes */
	SPACE_NOTHING, /* UNKNOWN, and it was no window's doing */
	SPACE_FAULT,   /* inject a machine check for the page */
};

#define SPACE_NEED_WRITE LEND_FAULT_WRITE
#define SPACE_NEED_LOST  LEND_FAULT_LOST

struct space_need {
	uint64_t id; /* of this request; never 0, never twice */
	uint64_t seq;
	unsigned int window;
	size_t page;
	unsigned int flags;
	uint32_t vcpus; /* bit n: vCPU n waits for it */
};

struct space_events {
	void (*need)(void *opaque, unsigned int lender, const struct space_need *need);
	/* More than the lender asked for was taken back: the whole window. */
	void (*widened)(void *opaque, unsigned int lender, unsigned int window, uint64_t seq);
	/* report: with the bytes of a READ; page of a FAULT. */
	void (*answer)(void *opaque, unsigned int vcpu, enum space_answer answer, const struct space_report *report);
	/* The policy ends the domain, for this page. */
	void (*stop)(void *opaque, unsigned int window, size_t page);
	/* CLOCK_MONOTONIC, and how much of it the mapper has spent in the kernel; NULL: nobody wants to know. */
	uint64_t (*clock_ns)(void *opaque);
	uint64_t (*kernel_ns)(void *opaque);
	/* The kernel took nothing back, not even the window: nothing but the end of the process does. Does not return. */
	void (*stuck)(void *opaque, unsigned int window, int error);
};

struct space_counters {
	uint64_t lends, supplies, stale, revokes, revoked_pages, widened;
	uint64_t unknown, traps, emulated, needs, requests_again, spurious, sweeps;
	uint64_t zeros, faults, refused_faults, timeouts;
};

struct space_window {
	uint64_t gpa; /* or SPACE_NOWHERE */
	bool is_ram; /* a revoke waits until its owner says so: session_go_on(). Pages come and go one by one: in place, if they can */
	struct page_map map;
	struct lend_view views[PAGE_MAP_VIEWS]; /* those that pages have: map.view_counts */
	enum lend_action on_fail; /* never DEFAULT */
	enum lend_action on_fail_unclaimed; /* what on_fail is while nobody lends */
	unsigned int lender;
	unsigned int kept_for; /* no other lender may claim it; SPACE_NO_LENDER: any may */
	uint32_t timeout_ms; /* of a request; 0: none */
	unsigned int holds; /* revokes between begin and end: no page becomes live */
	uint64_t revoke_seq; /* of the last one */
	size_t closed_from; /* no page below is CLOSED */
	struct space_counters counters;
	uint64_t last_revoke_ns, last_revoke_kernel_ns, slowest_revoke_ns, slowest_revoke_kernel_ns, slowest_revoke_pages;
};

struct space_fault {
	bool used;
	bool announced;
	struct space_need need;
	uint64_t deadline_ns; /* 0: none */
};

enum space_vcpu_state {
	SPACE_VCPU_RUNS,
	SPACE_VCPU_SWEEP,    /* waits until all is armed */
	SPACE_VCPU_FAULT,    /* waits for a page */
	SPACE_VCPU_HELD,     /* waits for the end of a revoke */
};

struct space_vcpu {
	enum space_vcpu_state state;
	struct space_report report;
	uint64_t seen_changes; /* when it last came without a reason that could be seen */
	unsigned int suspicions; /* how often in a row */
	unsigned int suspect_flags; /* what its next request is marked with */
};

/* One turn over all windows that arms what is unarmed, for vCPUs that came without an address. */
struct space_sweep {
	bool active;
	unsigned int window;
	size_t page;
	unsigned int take_back;      /* states of pages that are revoked first */
	uint32_t vcpus;              /* who waits for the end of this turn */
	unsigned int next_take_back; /* and of the next one */
	uint32_t next_vcpus;
};

struct space {
	struct space_window windows[SPACE_MAX_WINDOWS];
	unsigned int n_windows;
	struct space_vcpu vcpus[SPACE_MAX_VCPUS];
	unsigned int n_vcpus;
	struct space_fault faults[SPACE_MAX_VCPUS];
	struct space_sweep sweep;
	uint64_t seq;     /* of revokes */
	uint64_t last_id; /* of requests */
	uint64_t changes; /* of what pages show */
	size_t max_mappings; /* of all windows */
	bool can_fault;      /* the owner injects machine checks */
	uint64_t now_ns;     /* of any clock; the caller sets it before it calls */
	const struct lend_mapper *mapper;
	void *mapper_opaque;
	const struct space_events *events;
	void *events_opaque;
};

/* max_mappings: how many the windows may take in all. */
void space_init(struct space *space, unsigned int n_vcpus, size_t max_mappings, const struct lend_mapper *mapper,
		void *mapper_opaque, const struct space_events *events, void *events_opaque);
void space_fini(struct space *space);
/* Nothing is mapped there yet. on_fail: until somebody claims it. FALSE: no memory. */
bool space_add_window(struct space *space, uint64_t gpa, size_t n_pages, enum lend_action on_fail);
/* From now on it is there, or SPACE_NOWHERE. Who asks space_find() meanwhile is the caller's concern. */
void space_place_window(struct space *space, unsigned int window, uint64_t gpa);
/* TRUE: gpa lies in a window. */
bool space_find(const struct space *space, uint64_t gpa, unsigned int *window, size_t *page);

/*
 * Lenders. Results are 0 or a positive errno:
 *   ENOENT no such window; EBUSY another lender's, or nothing is left to claim; EPERM not this lender's; EINVAL a range
 *   outside the window or empty; EEXIST lent or filled already; EAGAIN a revoke is going on; ESTALE revoked since;
 *   ENOSPC too many mappings; EOPNOTSUPP faults cannot be injected here; else what the kernel says of the file.
 */
int space_claim(struct space *space, unsigned int window, unsigned int lender, enum lend_action on_fail,
		uint32_t timeout_ms);
/* After a revoke of the whole window. Who waits gets what the window's policy says. */
int space_release(struct space *space, unsigned int window, unsigned int lender);

/* seq: 0, or that of the lender's last knowledge: ESTALE when the window has seen a revoke since. */
int space_lend(struct space *space, unsigned int lender, unsigned int window, size_t page, size_t n_pages, int fd,
	       uint64_t fd_offset_bytes, bool writable, uint64_t seq);
/* The answer to request id, whose page must be in the range. */
int space_supply(struct space *space, unsigned int lender, uint64_t id, unsigned int window, size_t page, size_t n_pages,
		 int fd, uint64_t fd_offset_bytes, bool writable);
int space_fail(struct space *space, unsigned int lender, uint64_t id, enum lend_action action);

/* 0 where the lender may revoke the range. */
int space_check(struct space *space, unsigned int lender, unsigned int window, size_t page, size_t n_pages);

struct space_revoke {
	unsigned int window;
	size_t first, end, at;
	uint64_t seq;
	bool widened;
};
/* From begin to end no page of the window becomes live, and requests wait. end() may come any time after the last step. */
int space_revoke_begin(struct space *space, unsigned int lender, unsigned int window, size_t page, size_t n_pages,
		       struct space_revoke *revoke);
/* Looks at max_pages at most. TRUE: all is done, nobody reaches the range. */
bool space_revoke_step(struct space *space, struct space_revoke *revoke, size_t max_pages);
void space_revoke_end(struct space *space, const struct space_revoke *revoke);

/* vCPUs. Each report is followed by one answer, at once or later. */
void space_report(struct space *space, unsigned int vcpu, const struct space_report *report);
/*
 * Where the report leads to nothing but a request to the window's lender, it is made: nothing is mapped or taken back, and
 * there is no answer yet. FALSE: nothing was done, the report is one for space_report().
 */
bool space_report_absent(struct space *space, unsigned int vcpu, const struct space_report *report);
/*
 * The guest starts anew: no vCPU runs, and none waits for what it asked. All windows are empty, and their lenders are told
 * as if more had been taken back than they asked for.
 */
void space_reset(struct space *space);

/* Does what is to be done behind the back of guests and lenders; FALSE: nothing is left. */
bool space_work(struct space *space, size_t max_pages);
/* Fails what has waited for too long. The next time to look, or 0. */
uint64_t space_expire(struct space *space);
