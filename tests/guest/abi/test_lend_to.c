// SPDX-License-Identifier: MIT
/*
 * The guest as a lender (dom1/lend-abi.h). First what it must not be able to do; then it lends to another guest, whose hands
 * are a tool's (lend.h), and answers what that one's vCPUs ask for: which page they use says what they want of it.
 */
#include "guest.h"
#include "lend.h"

#include "dom1/lend-abi.h"

#define N_LENT        64u
#define WINDOW_GFN    (LEND_WINDOW_GPA / PAGE_BYTES)
#define WINDOW_NR     (LEND_WINDOW_BYTES / PAGE_BYTES)
#define POOL_GFN      (0x2000000u / PAGE_BYTES) /* RAM above what this guest needs */
#define CANARY        0xdeaddeaddeaddeadu
#define NOWHERE_GFN   0x80000u /* 2 GiB: there is none */

SPARE_PAGE(ring_page);
static struct dom1_lend_ring *ring = (struct dom1_lend_ring *)(void *)ring_page;
static uint32_t lease, port;

static volatile uint64_t *pool(unsigned int page)
{
	return (volatile uint64_t *)(uintptr_t)((POOL_GFN + page) * PAGE_BYTES);
}

static long lend_op(struct dom1_lend_op *op)
{
	return memory_op(DOM1_XENMEM_lend_op, op);
}

static long run(unsigned int what, uint64_t borrower_gfn, uint32_t nr, uint64_t lender_gfn, uint32_t flags, uint64_t id)
{
	struct dom1_lend_op op = { .op = (uint16_t)what, .domid = DOM1_LEND_BORROWER, .lease = lease, .nr = nr, .flags = flags,
				   .borrower_gfn = borrower_gfn, .lender_gfn = lender_gfn, .id = id };

	return lend_op(&op);
}

static bool is_offered(void)
{
	uint32_t leaf[4];

	cpuid(DOM1_CPUID_BASE, leaf);
	if (leaf[1] != DOM1_CPUID_SIGNATURE || leaf[2] != DOM1_CPUID_SIGNATURE || leaf[3] != DOM1_CPUID_SIGNATURE)
		return false;
	cpuid(DOM1_CPUID_FEATURES, leaf);
	return leaf[0] & DOM1_FEATURE_LEND_OP;
}

/* Before there is a lease. */
static void bad_calls(void)
{
	struct dom1_lend_op op = { .op = DOM1_LEND_QUERY, .domid = DOM1_LEND_BORROWER };

	CHECK("no structure", lend_op(nowhere()), -XEN_EFAULT);
	op.pad = 1;
	CHECK("bits of another time", lend_op(&op), -XEN_EINVAL);
	op.pad = 0;
	op.op = 99;
	CHECK("no such operation", lend_op(&op), -XEN_EOPNOTSUPP);
	op.op = DOM1_LEND_QUERY;
	op.domid = own_domid;
	CHECK("to itself", lend_op(&op), -XEN_EPERM);
	op.domid = NO_DOMAIN;
	CHECK("to a domain that it has no authority over", lend_op(&op), -XEN_EPERM);
	CHECK("a continuation", memory_op(DOM1_XENMEM_lend_op | 1u << 6, &op), -XEN_EINVAL);
	lease = 0;
	CHECK("map without a lease", run(DOM1_LEND_MAP, WINDOW_GFN, 1, POOL_GFN, 0, 0), -XEN_EPERM);
	CHECK("revoke without one", run(DOM1_LEND_REVOKE, WINDOW_GFN, 1, 0, 0, 0), -XEN_EPERM);
	CHECK("supply without one", run(DOM1_LEND_SUPPLY, WINDOW_GFN, 1, POOL_GFN, 0, 1), -XEN_EPERM);
	CHECK("fail without one", run(DOM1_LEND_FAIL, WINDOW_GFN, 1, 0, 0, 1), -XEN_EPERM);
	CHECK("give up without one", run(DOM1_LEND_DESTROY, 0, 0, 0, 0, 0), -XEN_EPERM);
	CHECK("a lease where no window begins", run(DOM1_LEND_CREATE, WINDOW_GFN + 1, WINDOW_NR, 0, 0, 0), -XEN_ENOENT);
	CHECK("half a window", run(DOM1_LEND_CREATE, WINDOW_GFN, WINDOW_NR / 2, 0, 0, 0), -XEN_ENOENT);
	CHECK("an action that there is not", run(DOM1_LEND_CREATE, WINDOW_GFN, WINDOW_NR, 0, 9, 0), -XEN_EINVAL);
	CHECK("somebody else's window", run(DOM1_LEND_CREATE, LEND_POST_GPA / PAGE_BYTES, LEND_POST_BYTES / PAGE_BYTES, 0, 0, 0),
	      -XEN_EBUSY);
	CHECK("a ring where there is no RAM", run(DOM1_LEND_BIND, 0, 0, NOWHERE_GFN, 0, 0), -XEN_EINVAL);
	CHECK("a ring around all addresses", run(DOM1_LEND_BIND, 0, 0, UINT64_MAX, 0, 0), -XEN_EINVAL);
}

static void bad_ranges(void)
{
	struct dom1_lend_op op = { .op = DOM1_LEND_MAP, .domid = DOM1_LEND_BORROWER, .lease = 7, .nr = 1,
				   .borrower_gfn = WINDOW_GFN, .lender_gfn = POOL_GFN };

	CHECK("another lease's number", lend_op(&op), -XEN_EPERM);
	op.lease = UINT32_MAX;
	CHECK("a number that is none", lend_op(&op), -XEN_EPERM);
	CHECK("no pages", run(DOM1_LEND_MAP, WINDOW_GFN, 0, POOL_GFN, 0, 0), -XEN_EINVAL);
	CHECK("below the lease", run(DOM1_LEND_MAP, WINDOW_GFN - 1, 1, POOL_GFN, 0, 0), -XEN_EINVAL);
	CHECK("across its end", run(DOM1_LEND_MAP, WINDOW_GFN + WINDOW_NR - 1, 2, POOL_GFN, 0, 0), -XEN_EINVAL);
	CHECK("as many as a number can say", run(DOM1_LEND_MAP, WINDOW_GFN, UINT32_MAX, POOL_GFN, 0, 0), -XEN_EINVAL);
	CHECK("what is no RAM", run(DOM1_LEND_MAP, WINDOW_GFN, 1, NOWHERE_GFN, 0, 0), -XEN_EINVAL);
	CHECK("RAM and what follows it", run(DOM1_LEND_MAP, WINDOW_GFN, WINDOW_NR, POOL_GFN, 0, 0), -XEN_EINVAL);
	CHECK("around all addresses", run(DOM1_LEND_MAP, WINDOW_GFN, 2, UINT64_MAX, 0, 0), -XEN_EINVAL);
	CHECK("flags of another time", run(DOM1_LEND_MAP, WINDOW_GFN, 1, POOL_GFN, 8, 0), -XEN_EINVAL);
	CHECK("an answer to nothing", run(DOM1_LEND_SUPPLY, WINDOW_GFN, 1, POOL_GFN, 0, 12345), -XEN_EAGAIN);
	CHECK("no to nothing", run(DOM1_LEND_FAIL, WINDOW_GFN, 1, 0, 0, 12345), -XEN_EAGAIN);
	CHECK("flags of a revoke", run(DOM1_LEND_REVOKE, WINDOW_GFN, 1, 0, 1, 0), -XEN_EINVAL);
}

static void begin(void)
{
	struct dom1_lend_op op = { .op = DOM1_LEND_BIND, .lender_gfn = ADDRESS(ring_page) / PAGE_BYTES };

	CHECK("a ring", lend_op(&op), 0);
	port = op.port;
	CHECK("once", lend_op(&op), -XEN_EBUSY);
	op = (struct dom1_lend_op){ .op = DOM1_LEND_CREATE, .domid = DOM1_LEND_BORROWER, .nr = WINDOW_NR, .flags = DOM1_LEND_ZERO,
				    .borrower_gfn = WINDOW_GFN };
	CHECK("a lease", lend_op(&op), 0);
	lease = op.lease;
	CHECK("once", lend_op(&op), -XEN_EBUSY);
	bad_ranges();
	for (unsigned int i = 0; i < 2 * N_LENT; i++)
		pool(i)[0] = LEND_TO_TAG(i);
	CHECK("pages", run(DOM1_LEND_MAP, WINDOW_GFN, LEND_TO_FIRST, POOL_GFN, DOM1_LEND_WRITABLE, 0), 0);
	CHECK("over what is lent", run(DOM1_LEND_MAP, WINDOW_GFN, 1, POOL_GFN, 0, 0), -XEN_EEXIST);
}

/* All that was lent is taken back, and spoilt: what the borrower finds then is lent anew, from the second half. */
static void take_back(void)
{
	struct dom1_lend_op op = { .op = DOM1_LEND_REVOKE, .domid = DOM1_LEND_BORROWER, .lease = lease, .nr = LEND_TO_FIRST,
				   .borrower_gfn = WINDOW_GFN };

	CHECK("what the borrower wrote", pool(2)[1], LEND_TO_WRITTEN);
	CHECK("revoke", lend_op(&op), 0);
	CHECK_TRUE("it has a number", op.seq > 0);
	for (unsigned int i = 0; i < LEND_TO_FIRST; i++)
		for (unsigned int word = 0; word < PAGE_BYTES / 8; word++)
			pool(i)[word] = CANARY;
}

static unsigned int stale(void)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < LEND_TO_FIRST; i++)
		for (unsigned int word = 0; word < PAGE_BYTES / 8; word++)
			n += pool(i)[word] != CANARY;
	return n;
}

static void answer(const struct dom1_lend_fault *fault)
{
	uint64_t page = fault->borrower_gfn - WINDOW_GFN;
	unsigned int place = N_LENT + (unsigned int)(page % N_LENT);

	CHECK("a fault of the lease", fault->lease, lease);
	if (page == LEND_TO_NOTHING) {
		CHECK("there is none", run(DOM1_LEND_FAIL, fault->borrower_gfn, 1, 0, DOM1_LEND_ZERO, fault->id), 0);
		return;
	}
	if (page == LEND_TO_TAKE_BACK)
		take_back();
	pool(place)[0] = page == LEND_TO_STALE ? stale() : LEND_TO_TAG(place);
	CHECK("an answer",
	      run(DOM1_LEND_SUPPLY, fault->borrower_gfn, 1, POOL_GFN + place, DOM1_LEND_WRITABLE, fault->id), 0);
	CHECK("twice", run(DOM1_LEND_SUPPLY, fault->borrower_gfn, 1, POOL_GFN + place, DOM1_LEND_WRITABLE, fault->id), -XEN_EAGAIN);
}

/* Until the borrower says that it is enough, or is no more. */
static void lend(bool until_dead)
{
	struct dom1_lend_op op;

	for (;;) {
		(void)wait_for_port(port, 100);
		port_clear(port);
		while (ring->cons != __atomic_load_n(&ring->prod, __ATOMIC_ACQUIRE)) {
			struct dom1_lend_fault fault = ring->entries[ring->cons % DOM1_LEND_RING_ENTRIES];

			ring->cons++;
			if (fault.borrower_gfn == WINDOW_GFN + LEND_TO_END && !until_dead) {
				CHECK("no stale writes", stale(), 0);
				CHECK("it is given up", run(DOM1_LEND_DESTROY, 0, 0, 0, 0, 0), 0);
				CHECK("once", run(DOM1_LEND_DESTROY, 0, 0, 0, 0, 0), -XEN_EPERM);
				return;
			}
			answer(&fault);
		}
		op = (struct dom1_lend_op){ .op = DOM1_LEND_QUERY, .domid = DOM1_LEND_BORROWER, .lease = lease };
		long rc = lend_op(&op);
		if (rc == 0)
			continue;
		CHECK("the borrower is no more", rc, -XEN_ESRCH);
		CHECK("nothing is lent to it", run(DOM1_LEND_MAP, WINDOW_GFN, 1, POOL_GFN, 0, 0), -XEN_ESRCH);
		CHECK("nor can be revoked", run(DOM1_LEND_REVOKE, WINDOW_GFN, 1, 0, 0, 0), -XEN_ESRCH);
		CHECK_TRUE("as was expected", until_dead);
		return;
	}
}

/* Options: 1: the borrower ends. Without a borrower the call is refused. */
void test_lend_to(void)
{
	if (!is_offered()) {
		CHECK("the call is refused", run(DOM1_LEND_QUERY, 0, 0, 0, 0, 0), -XEN_EPERM);
		return;
	}
	shared_info_map();
	bad_calls();
	begin();
	print("lending\n");
	lend(option_number() == 1);
}
