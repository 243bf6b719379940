// SPDX-License-Identifier: MIT
/* Several hypercalls in one. Source: <xen/xen.h>, struct multicall_entry; Xen 4.17's common/multicall.c. */
#include "guest.h"

#include <xen/sched.h>
#include <xen/version.h>

#define NUMBER_UNKNOWN 60

static long multicall(struct multicall_entry *entries, unsigned long n)
{
	return hypercall(__HYPERVISOR_multicall, ADDRESS(entries), n, 0, 0, 0);
}

static struct multicall_entry version(unsigned long operation)
{
	struct multicall_entry entry = { .op = __HYPERVISOR_xen_version, .result = 0x55 };

	entry.args[0] = operation;
	return entry;
}

/* A result is as wide as the caller's word; errors are negative in it. */
static long result_of(const struct multicall_entry *entry)
{
	return (long)entry->result;
}

void test_multicall(void)
{
	struct multicall_entry entries[4] = {
		version(XENVER_version),
		{ .op = NUMBER_UNKNOWN },
		version(XENVER_pagesize),
		{ .op = __HYPERVISOR_sched_op },
	};
	struct multicall_entry nested = { .op = __HYPERVISOR_multicall, .args = { ADDRESS(entries), 1 } };
	struct multicall_entry *across = across_pages(2 * sizeof(*across));

	entries[3].args[0] = SCHEDOP_yield;
	entries[3].result = 9;
	CHECK("multicall of four", multicall(entries, 4), 0);
	CHECK("its first result", result_of(&entries[0]), xen_version(XENVER_version, NULL));
	CHECK("a number that there is not", result_of(&entries[1]), -XEN_ENOSYS);
	CHECK("what follows is done all the same", result_of(&entries[2]), PAGE_BYTES);
	CHECK("its last result", result_of(&entries[3]), 0);
	entries[0].result = 9;
	CHECK("multicall of none", multicall(entries, 0), 0);
	CHECK("does nothing", result_of(&entries[0]), 9);
	CHECK("multicall of none from nowhere", multicall(nowhere(), 0), 0);
	CHECK("multicall from nowhere", multicall(nowhere(), 1), -XEN_EFAULT);
	/* "Multicall reentry is disallowed." */
	CHECK("a multicall in a multicall", multicall(&nested, 1), 0);
	CHECK("is refused", result_of(&nested), -XEN_EINVAL);
	CHECK("the inner one was not done", result_of(&entries[0]), 9);
	across[0] = version(XENVER_pagesize);
	across[1] = version(XENVER_version);
	CHECK("multicall across two pages", multicall(across, 2), 0);
	CHECK("its first result", result_of(&across[0]), PAGE_BYTES);
	CHECK("its second result", result_of(&across[1]), xen_version(XENVER_version, NULL));
}
