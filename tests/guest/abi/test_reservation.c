// SPDX-License-Identifier: MIT
/*
 * How much memory the domain has: XENMEM_decrease_reservation and its family say how many extents were done, never why
 * not more. Source: <xen/memory.h>; decrease_reservation(), populate_physmap() of Xen 4.17's common/memory.c.
 */
#include "guest.h"

#include <xen/memory.h>

#define N_PAGES     4
#define LARGE_ORDER 9
#define LARGE_BYTES (PAGE_BYTES << LARGE_ORDER)
#define BAD_ORDER   20 /* above domu_max_order */
#define HOLE_GFN    0xd0000u
#define OLD         0x77

static uint8_t pages[N_PAGES][PAGE_BYTES] __attribute__((aligned(4096)));
/* Large, and not in the image: what is not touched costs nothing. */
static uint8_t large[2 * LARGE_BYTES] __attribute__((aligned(4096)));

static long change(unsigned int operation, unsigned int domid, void *list, unsigned long n, unsigned int order)
{
	struct xen_memory_reservation request = { .nr_extents = n, .extent_order = order, .domid = (domid_t)domid };

	set_xen_guest_handle(request.extent_start, list);
	return memory_op(operation, &request);
}

#define DECREASE(list, n, order) change(XENMEM_decrease_reservation, DOMID_SELF, list, n, order)
#define POPULATE(list, n, order) change(XENMEM_populate_physmap, DOMID_SELF, list, n, order)

static long count(unsigned int operation, unsigned int domid)
{
	domid_t argument = (domid_t)domid;

	return memory_op(operation, &argument);
}

static void check_counts(void)
{
	long current = count(XENMEM_current_reservation, DOMID_SELF);

	CHECK_TRUE("current_reservation is in pages", current > (16 << 20) / (long)PAGE_BYTES);
	CHECK("the same with the domain's number", count(XENMEM_current_reservation, own_domid), current);
	CHECK_TRUE("maximum_reservation is not less", count(XENMEM_maximum_reservation, DOMID_SELF) >= current);
	CHECK_TRUE("maximum_gpfn is beyond this program",
		   count(XENMEM_maximum_gpfn, DOMID_SELF) > (long)(ADDRESS(large) / PAGE_BYTES));
	CHECK("current_reservation of no domain", count(XENMEM_current_reservation, NO_DOMAIN), -XEN_ESRCH);
	CHECK("current_reservation of the back end's", count(XENMEM_current_reservation, BACKEND), -XEN_EPERM);
	CHECK("maximum_reservation of no domain", count(XENMEM_maximum_reservation, NO_DOMAIN), -XEN_ESRCH);
	CHECK("maximum_gpfn of no domain", count(XENMEM_maximum_gpfn, NO_DOMAIN), -XEN_ESRCH);
	CHECK("current_reservation from nowhere", memory_op(XENMEM_current_reservation, nowhere()), -XEN_EFAULT);
	CHECK("maximum_reservation from nowhere", memory_op(XENMEM_maximum_reservation, nowhere()), -XEN_EFAULT);
	CHECK("maximum_gpfn from nowhere", memory_op(XENMEM_maximum_gpfn, nowhere()), -XEN_EFAULT);
}

static bool is_zero(const volatile uint8_t *page)
{
	for (unsigned int i = 0; i < PAGE_BYTES; i++)
		if (page[i] != 0)
			return false;
	return true;
}

static void check_pages(void)
{
	long before = count(XENMEM_current_reservation, DOMID_SELF);
	xen_pfn_t gfns[N_PAGES];

	for (unsigned int i = 0; i < N_PAGES; i++) {
		gfns[i] = ADDRESS(pages[i]) / PAGE_BYTES;
		memset(pages[i], OLD, PAGE_BYTES);
	}
	CHECK("decrease_reservation of four pages", DECREASE(gfns, N_PAGES, 0), N_PAGES);
	CHECK("the domain has four less", count(XENMEM_current_reservation, DOMID_SELF), before - N_PAGES);
	CHECK("decrease_reservation of what is gone", DECREASE(gfns, N_PAGES, 0), 0);
	CHECK("populate_physmap of four pages", POPULATE(gfns, N_PAGES, 0), N_PAGES);
	CHECK("the domain has as many as before", count(XENMEM_current_reservation, DOMID_SELF), before);
	CHECK_TRUE("they are fresh", is_zero(pages[0]) && is_zero(pages[N_PAGES - 1]));
	/* guest_remove_page(): the first that fails ends it. */
	gfns[2] = HOLE_GFN;
	CHECK("decrease_reservation with a hole third", DECREASE(gfns, N_PAGES, 0), 2);
	CHECK("populate_physmap of the two", POPULATE(gfns, 2, 0), 2);
	CHECK("the number is right again", count(XENMEM_current_reservation, DOMID_SELF), before);
}

static void check_large(void)
{
	long before = count(XENMEM_current_reservation, DOMID_SELF);
	uint8_t *aligned = (uint8_t *)((ADDRESS(large) + LARGE_BYTES - 1) & ~(unsigned long)(LARGE_BYTES - 1));
	xen_pfn_t gfn = ADDRESS(aligned) / PAGE_BYTES;

	aligned[0] = aligned[LARGE_BYTES - 1] = OLD;
	CHECK("decrease_reservation of 2 MiB", DECREASE(&gfn, 1, LARGE_ORDER), 1);
	CHECK("the domain has 2 MiB less", count(XENMEM_current_reservation, DOMID_SELF), before - (1 << LARGE_ORDER));
	CHECK("populate_physmap of 2 MiB", POPULATE(&gfn, 1, LARGE_ORDER), 1);
	CHECK("the number is right again", count(XENMEM_current_reservation, DOMID_SELF), before);
	CHECK_TRUE("they are fresh", is_zero(aligned) && is_zero(aligned + LARGE_BYTES - PAGE_BYTES));
	/* max_order(): too large is none done, and no error. */
	CHECK("decrease_reservation of too large an extent", DECREASE(&gfn, 1, BAD_ORDER), 0);
	CHECK("populate_physmap of too large an extent", POPULATE(&gfn, 1, BAD_ORDER), 0);
	CHECK("decrease_reservation of an absurd order", DECREASE(&gfn, 1, 200), 0);
}

/* do_memory_op(): whatever is wrong, also what is forbidden, is "none done". */
static void check_errors(void)
{
	xen_pfn_t gfns[2] = { ADDRESS(pages[0]) / PAGE_BYTES, ADDRESS(pages[1]) / PAGE_BYTES };

	CHECK("decrease_reservation from nowhere", memory_op(XENMEM_decrease_reservation, nowhere()), 0);
	CHECK("populate_physmap from nowhere", memory_op(XENMEM_populate_physmap, nowhere()), 0);
	CHECK("increase_reservation from nowhere", memory_op(XENMEM_increase_reservation, nowhere()), 0);
	CHECK("decrease_reservation in no domain", change(XENMEM_decrease_reservation, NO_DOMAIN, gfns, 2, 0), 0);
	CHECK("decrease_reservation in the back end's", change(XENMEM_decrease_reservation, BACKEND, gfns, 2, 0), 0);
	CHECK("populate_physmap in the back end's", change(XENMEM_populate_physmap, BACKEND, gfns, 2, 0), 0);
	CHECK("decrease_reservation of a list nowhere", DECREASE(nowhere(), 2, 0), 0);
	CHECK("populate_physmap of a list nowhere", POPULATE(nowhere(), 2, 0), 0);
	CHECK("decrease_reservation of nothing", DECREASE(gfns, 0, 0), 0);
	/* Too many to count in the operation's upper bits when Xen interrupts itself. */
	CHECK("decrease_reservation of too many", DECREASE(gfns, 0x7ffffffful, 0), 0);
}

/* A list across two pages, one that ends where nothing is mapped, and one that is begun in the middle. */
static void check_lists(void)
{
	xen_pfn_t *across = across_pages(2 * sizeof(*across));
	struct xen_memory_reservation request = { .nr_extents = 3, .domid = DOMID_SELF };
	xen_pfn_t gfns[3] = { HOLE_GFN, ADDRESS(pages[1]) / PAGE_BYTES, ADDRESS(pages[2]) / PAGE_BYTES };

	across[0] = ADDRESS(pages[0]) / PAGE_BYTES;
	across[1] = ADDRESS(pages[1]) / PAGE_BYTES;
	CHECK("decrease_reservation of a list across two pages", DECREASE(across, 2, 0), 2);
	CHECK("populate_physmap of it", POPULATE(across, 2, 0), 2);
#if HAS_PAGING
	static uint8_t last[PAGE_BYTES] __attribute__((aligned(4096)));
	xen_pfn_t *end = (xen_pfn_t *)(void *)((uint8_t *)window_map(10, last, true) + PAGE_BYTES) - 2;

	window_unmap(11);
	end[0] = across[0];
	end[1] = across[1];
	CHECK("decrease_reservation of a list that breaks off", DECREASE(end, 3, 0), 2);
	CHECK("populate_physmap of it", POPULATE(end, 3, 0), 2);
#endif
	set_xen_guest_handle(request.extent_start, gfns);
	CHECK("decrease_reservation from extent 1 on", memory_op(XENMEM_decrease_reservation | 1u << 6, &request), 3);
	CHECK("populate_physmap from extent 1 on", memory_op(XENMEM_populate_physmap | 1u << 6, &request), 3);
	CHECK("decrease_reservation from beyond the end",
	      memory_op(XENMEM_decrease_reservation | 5u << 6, &request), 5);
}

void test_reservation(void)
{
	check_counts();
	check_pages();
	check_large();
	check_errors();
	check_lists();
}
