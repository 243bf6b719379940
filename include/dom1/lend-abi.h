/* SPDX-License-Identifier: MIT */
/*
 * Experimental: by which a guest lends its RAM to another domain, as a program does by dom1/lend.h. Only where the guest was
 * started with dom1 run --lend-to; then CPUID says so. It may change until there is a version 1.
 *
 * A lease is a window of the borrower's (dom1 run --lend-window). What is shown in it is RAM of the caller's, which goes on
 * using it. When REVOKE has returned 0 nobody reaches the pages through the lease. A vCPU of the borrower's that uses a page
 * that is not there waits: the caller finds a fault in its ring, and answers by SUPPLY, with any page of its own, or by
 * FAIL. Before the caller gives a page up, or maps it by a grant, which moves it, it is to revoke it: else the borrower sees
 * zeros, or goes on seeing where it was.
 *
 * The call is __HYPERVISOR_memory_op with DOM1_XENMEM_lend_op and a pointer to struct dom1_lend_op, of the same layout in
 * 32-bit and 64-bit guests. Frame numbers are guest-physical addresses by 4096. It returns 0 or a negative errno of Xen:
 *   EPERM        not this caller: no --lend-to, another domid, not its lease
 *   ESRCH        the borrower has ended, or the connection to it; everything was revoked
 *   EFAULT       no structure there
 *   EINVAL       a range outside the lease or of what is not the caller's RAM now, no pages, flags that there are not
 *   ENOENT       CREATE: no window begins there and has that length
 *   EBUSY        CREATE: somebody else lends in it; BIND: twice; MAP, SUPPLY: a page that the caller maps by a grant
 *   EEXIST       something is shown there: revoke it first
 *   EAGAIN       SUPPLY, FAIL: the fault was answered meanwhile, or a revoke made it void: there may be a new one
 *   ENOSPC       too many pieces
 *   EOPNOTSUPP   no such operation; the borrower cannot take machine checks
 */
#ifndef DOM1_LEND_ABI_H
#define DOM1_LEND_ABI_H

#include <stdint.h>

/* CPUID: these leaves, if EBX, ECX and EDX of the first are "dom1dom1dom1"; EAX of the second: features. */
#define DOM1_CPUID_BASE         0x40000100u
#define DOM1_CPUID_SIGNATURE    0x316d6f64u
#define DOM1_CPUID_FEATURES     (DOM1_CPUID_BASE + 1)
#define DOM1_FEATURE_LEND_OP    (1u << 0)

#define DOM1_XENMEM_lend_op     60 /* above all that Xen has, and below 64, as memory_op wants it */
#define DOM1_LEND_BORROWER      2  /* domid of the domain that --lend-to names */

enum {
	DOM1_LEND_CREATE,  /* borrower_gfn, nr: a window; flags: one of DOM1_LEND_ZERO and on -> lease */
	DOM1_LEND_MAP,     /* lease, borrower_gfn, nr, lender_gfn; flags: DOM1_LEND_WRITABLE */
	DOM1_LEND_REVOKE,  /* lease, borrower_gfn, nr -> seq; flags: DOM1_LEND_WIDENED */
	DOM1_LEND_SUPPLY,  /* lease, borrower_gfn, nr, lender_gfn, id; flags: DOM1_LEND_WRITABLE */
	DOM1_LEND_FAIL,    /* lease, borrower_gfn, id; flags: one of DOM1_LEND_ZERO and on, 0: that of CREATE */
	DOM1_LEND_DESTROY, /* lease: all of it is revoked, and it is given up */
	DOM1_LEND_BIND,    /* lender_gfn: a page for struct dom1_lend_ring, which is cleared -> port */
	DOM1_LEND_QUERY,   /* lease -> borrower_gfn, nr, seq, lent_pages, waiting */
};

#define DOM1_LEND_WRITABLE 1u
#define DOM1_LEND_WIDENED  1u /* all of the lease was revoked, which is more than was asked */
/* What the borrower gets for a page that the lender does not have. 0: what --lend-window says. */
#define DOM1_LEND_ZERO     1u /* zeros */
#define DOM1_LEND_FAULT    2u /* a machine check */
#define DOM1_LEND_STOP     3u /* its end */

struct dom1_lend_op {
	uint16_t op;    /* DOM1_LEND_* */
	uint16_t domid; /* DOM1_LEND_BORROWER; BIND: 0 */
	uint32_t lease;
	uint32_t nr;    /* pages */
	uint32_t flags;
	uint64_t borrower_gfn, lender_gfn;
	uint64_t id;  /* of the fault */
	uint64_t seq; /* of the lease's last revoke */
	uint64_t lent_pages, waiting; /* pages that are shown; vCPUs that wait */
	uint32_t port;
	uint32_t pad; /* 0 */
};

#define DOM1_LEND_RING_ENTRIES 64u

struct dom1_lend_fault {
	uint64_t id, seq;
	uint64_t borrower_gfn;
	uint32_t lease;
	uint32_t flags; /* 1: a write to what was lent to be read only; 2: what was lent could not be used */
	uint32_t vcpus; /* bit n: vCPU n of the borrower waits */
	uint32_t pad;
};

/*
 * dom1 writes entries and prod, the guest cons. Both run freely; an entry lies at its number modulo DOM1_LEND_RING_ENTRIES.
 * The port's event comes when prod has changed. There are as many faults at a time as the borrower has vCPUs, and the entries
 * of those that a revoke made void. A guest that lets 64 wait behind a full ring has the next ones failed.
 */
struct dom1_lend_ring {
	uint32_t prod, cons;
	uint32_t pad[14];
	struct dom1_lend_fault entries[DOM1_LEND_RING_ENTRIES];
};

#endif
