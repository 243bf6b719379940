// SPDX-License-Identifier: MIT
/*
 * A domain that maps its own grants. Source: <xen/grant_table.h>; map_grant_ref() and unmap_common() of Xen 4.17's
 * common/grant_table.c, arch/x86/hvm/grant_table.c. Where dom1 differs: docs/abi.md.
 */
#include "guest.h"

#include <xen/grant_table.h>
#include <xen/memory.h>

#define REF        20
#define REF_FREE   22
#define REF_MANY   30
#define REF_BAD    0x7fffffff
#define HANDLE_BAD 0x7fff
#define HOLE_GFN   0xd0000u
#define IN_USE     (GTF_reading | GTF_writing)
#define N_MANY     8

SPARE_PAGE(table);
SPARE_PAGE(statuses);
SPARE_PAGE(source);
SPARE_PAGE(window);
SPARE_PAGE(window_2);
static uint8_t many[2 * N_MANY][PAGE_BYTES] __attribute__((aligned(4096)));

static volatile struct grant_entry_v1 *entries = (void *)table;
static volatile union grant_entry_v2 *entries_v2 = (void *)table;

static xen_pfn_t gfn_of(const volatile void *page)
{
	return (unsigned long)(uintptr_t)page / PAGE_BYTES;
}

static void grant_gfn(unsigned int ref, unsigned int domid, xen_pfn_t gfn, uint16_t flags)
{
	entries[ref].domid = (domid_t)domid;
	entries[ref].frame = (uint32_t)gfn;
	__atomic_store_n(&entries[ref].flags, flags, __ATOMIC_SEQ_CST);
}

static void grant(unsigned int ref, const void *page, uint16_t flags)
{
	grant_gfn(ref, own_domid, gfn_of(page), flags);
}

static struct gnttab_map_grant_ref map_of(unsigned int ref, const void *at, uint32_t flags)
{
	return (struct gnttab_map_grant_ref){
		.host_addr = ADDRESS(at), .flags = flags, .ref = ref, .dom = own_domid, .status = 99,
	};
}

static int mapped(struct gnttab_map_grant_ref *map)
{
	return grant_table_op(GNTTABOP_map_grant_ref, map, 1) == 0 ? map->status : 1000;
}

static int map_flags(unsigned int ref, uint32_t flags)
{
	struct gnttab_map_grant_ref map = map_of(ref, window, flags);

	return mapped(&map);
}

static int unmapped(grant_handle_t handle, const void *at)
{
	struct gnttab_unmap_grant_ref unmap = { .host_addr = ADDRESS(at), .handle = handle, .status = 99 };

	return grant_table_op(GNTTABOP_unmap_grant_ref, &unmap, 1) == 0 ? unmap.status : 1000;
}

static long change(unsigned int operation, const void *page)
{
	xen_pfn_t gfn = gfn_of(page);
	struct xen_memory_reservation request = { .nr_extents = 1, .domid = DOMID_SELF };

	set_xen_guest_handle(request.extent_start, &gfn);
	return memory_op(operation, &request);
}

static uint8_t byte(const void *page)
{
	return *(const volatile uint8_t *)page;
}

static void set_byte(void *page, uint8_t value)
{
	*(volatile uint8_t *)page = value;
}

static void check_map(void)
{
	struct gnttab_map_grant_ref map = map_of(REF, window, GNTMAP_host_map);

	grant(REF, source, GTF_permit_access);
	memset(source, 0x42, PAGE_BYTES);
	CHECK("map_grant_ref", mapped(&map), GNTST_okay);
	CHECK("the page is in the window", byte(window), 0x42);
	CHECK("to its end", byte(window + PAGE_BYTES - 1), 0x42);
	set_byte(window, 0x43);
	CHECK("what is written there is in the page", byte(source), 0x43);
	set_byte(source, 0x44);
	CHECK("and the other way round", byte(window), 0x44);
	CHECK("the grant is in use", entries[REF].flags & IN_USE, IN_USE);
	CHECK("unmap_grant_ref at another place", unmapped(map.handle, window_2), GNTST_general_error);
	CHECK("unmap_grant_ref of nothing", unmapped(map.handle, NULL), GNTST_okay);
	CHECK("leaves it", byte(window), 0x44);
	CHECK("unmap_grant_ref", unmapped(map.handle, window), GNTST_okay);
	CHECK("the grant is not in use", entries[REF].flags & IN_USE, 0);
	CHECK("the page is not in the window", byte(window), 0);
	CHECK("it keeps what was written", byte(source), 0x44);
	CHECK("unmap_grant_ref of what is unmapped", unmapped(map.handle, window), GNTST_bad_handle);
}

/* What is allowed once stays allowed while it is in use: the entry is not looked at again. */
static void check_twice(void)
{
	struct gnttab_map_grant_ref map = map_of(REF, window, GNTMAP_host_map);
	struct gnttab_map_grant_ref again = map_of(REF, window_2, GNTMAP_host_map);

	grant(REF, source, GTF_permit_access);
	CHECK("map_grant_ref", mapped(&map), GNTST_okay);
	CHECK("at a place that shows a grant", map_flags(REF, GNTMAP_host_map), GNTST_general_error);
	CHECK("at a second place", mapped(&again), GNTST_okay);
	CHECK_TRUE("with another handle", again.handle != map.handle);
	set_byte(window_2, 0x51);
	CHECK("both are the page", byte(window), 0x51);
	CHECK("unmap_grant_ref of the first", unmapped(map.handle, window), GNTST_okay);
	CHECK("the grant is still in use", entries[REF].flags & IN_USE, IN_USE);
	CHECK("the second shows it", byte(window_2), 0x51);
	CHECK("unmap_grant_ref of the second", unmapped(again.handle, window_2), GNTST_okay);
	CHECK("the grant is not in use", entries[REF].flags & IN_USE, 0);
}

static void check_read_only(void)
{
	struct gnttab_map_grant_ref map = map_of(REF, window, GNTMAP_host_map | GNTMAP_readonly);

	grant(REF, source, GTF_permit_access | GTF_readonly);
	set_byte(source, 0x61);
	CHECK("map of a grant for reading, to write", map_flags(REF, GNTMAP_host_map), GNTST_general_error);
	CHECK("map of a grant for reading", mapped(&map), GNTST_okay);
	CHECK("the page is in the window", byte(window), 0x61);
	CHECK("the grant is read", entries[REF].flags & IN_USE, GTF_reading);
	set_byte(source, 0x62);
	CHECK("what changes is seen", byte(window), 0x62);
	/* Xen throws it away: p2m_grant_map_ro is of P2M_DISCARD_WRITE_TYPES. */
	set_byte(window, 0x63);
	CHECK("what is written there is not in the page", byte(source), 0x62);
	CHECK("unmap_grant_ref", unmapped(map.handle, window), GNTST_okay);
	CHECK("the grant is not in use", entries[REF].flags & IN_USE, 0);
}

/* Pages that come and go under a mapping. */
static void check_reservation(void)
{
	struct gnttab_map_grant_ref map = map_of(REF, window, GNTMAP_host_map);

	grant(REF, source, GTF_permit_access);
	set_byte(source, 0x71);
	CHECK("map_grant_ref", mapped(&map), GNTST_okay);
	CHECK("populate_physmap where a grant shows", change(XENMEM_populate_physmap, window), 0);
	CHECK("decrease_reservation there", change(XENMEM_decrease_reservation, window), 0);
	/* Xen ends the domain for it. */
	CHECK("grant frame 1 there", add_to_physmap(XENMAPSPACE_grant_table, 1, window), -XEN_EINVAL);
	CHECK("decrease_reservation of the page itself", change(XENMEM_decrease_reservation, source), 1);
	CHECK("the mapping keeps it", byte(window), 0x71);
	CHECK("populate_physmap", change(XENMEM_populate_physmap, source), 1);
	CHECK("gives a fresh page", byte(source), 0);
	set_byte(window, 0x72);
	CHECK("which is another one", byte(source), 0);
	CHECK("unmap_grant_ref", unmapped(map.handle, window), GNTST_okay);
	CHECK("populate_physmap where it was", change(XENMEM_populate_physmap, window), 1);
	CHECK("gives a fresh page", byte(window), 0);
}

static void check_errors(void)
{
	struct gnttab_map_grant_ref map = map_of(REF, window, GNTMAP_host_map);

	grant(REF, source, GTF_permit_access);
	CHECK("unmap_grant_ref of no handle", unmapped(HANDLE_BAD, window), GNTST_bad_handle);
	CHECK("unmap_grant_ref of the highest handle", unmapped(~0u, window), GNTST_bad_handle);
	CHECK("map of a grant beyond the table", map_flags(REF_BAD, GNTMAP_host_map), GNTST_bad_gntref);
	CHECK("map of a grant that is not given", map_flags(REF_FREE, GNTMAP_host_map), GNTST_general_error);
	CHECK("map to no place", map_flags(REF, 0), GNTST_bad_gntref);
	CHECK("map for a device", map_flags(REF, GNTMAP_host_map | GNTMAP_device_map), GNTST_general_error);
	CHECK("map into a page table", map_flags(REF, GNTMAP_host_map | GNTMAP_contains_pte), GNTST_general_error);
	map.dom = NO_DOMAIN;
	CHECK("map of no domain's grant", mapped(&map), GNTST_bad_domain);
	map = map_of(REF, source, GNTMAP_host_map);
	map.host_addr = (uint64_t)HOLE_GFN * PAGE_BYTES;
	CHECK("map into a hole", mapped(&map), GNTST_general_error);
	map.host_addr = ~UINT64_C(0);
	CHECK("map to the highest address", mapped(&map), GNTST_general_error);
	grant_gfn(REF, own_domid, HOLE_GFN, GTF_permit_access);
	CHECK("map of a hole", map_flags(REF, GNTMAP_host_map), GNTST_bad_page);
	grant(REF, table, GTF_permit_access);
	CHECK_TRUE("map of the table itself", map_flags(REF, GNTMAP_host_map) < 0);
	grant_gfn(REF, BACKEND, gfn_of(source), GTF_permit_access);
	CHECK("map of a grant to another", map_flags(REF, GNTMAP_host_map), GNTST_general_error);
	CHECK("the grant is not in use", entries[REF].flags & IN_USE, 0);
	CHECK("map of none", grant_table_op(GNTTABOP_map_grant_ref, nowhere(), 0), 0);
	CHECK("map of too many", grant_table_op(GNTTABOP_map_grant_ref, &map, ~0ul), -XEN_EINVAL);
	CHECK("map from nowhere", grant_table_op(GNTTABOP_map_grant_ref, nowhere(), 1), -XEN_EFAULT);
	CHECK("unmap from nowhere", grant_table_op(GNTTABOP_unmap_grant_ref, nowhere(), 1), -XEN_EFAULT);
}

/* Several in one call; the third one fails, and the others do not mind. */
static void check_many(void)
{
	static struct gnttab_map_grant_ref maps[N_MANY];
	static struct gnttab_unmap_grant_ref unmaps[N_MANY];
	bool good = true;

	for (unsigned int i = 0; i < N_MANY; i++) {
		set_byte(many[i], (uint8_t)(i + 1));
		grant(REF_MANY + i, many[i], GTF_permit_access);
		maps[i] = map_of(REF_MANY + i, many[N_MANY + i], GNTMAP_host_map);
	}
	entries[REF_MANY + 2].flags = 0;
	CHECK("map_grant_ref of eight", grant_table_op(GNTTABOP_map_grant_ref, maps, N_MANY), 0);
	CHECK("the third fails", maps[2].status, GNTST_general_error);
	for (unsigned int i = 0; i < N_MANY; i++) {
		good &= i == 2 || (maps[i].status == GNTST_okay && byte(many[N_MANY + i]) == i + 1);
		unmaps[i].host_addr = maps[i].host_addr;
		unmaps[i].handle = i == 2 ? HANDLE_BAD : maps[i].handle;
	}
	CHECK_TRUE("the others show", good);
	CHECK("unmap_grant_ref of eight", grant_table_op(GNTTABOP_unmap_grant_ref, unmaps, N_MANY), 0);
	CHECK("the third fails", unmaps[2].status, GNTST_bad_handle);
	CHECK("the last does not", unmaps[N_MANY - 1].status, GNTST_okay);
}

/* Entries may not move, nor become others, under a mapping. */
static void check_pinned(void)
{
	struct gnttab_map_grant_ref map = map_of(REF, window, GNTMAP_host_map);
	struct gnttab_swap_grant_ref swap = { .ref_a = REF, .ref_b = REF_FREE, .status = 99 };
	struct gnttab_set_version set = { .version = 2 };

	grant(REF, source, GTF_permit_access);
	CHECK("map_grant_ref", mapped(&map), GNTST_okay);
	CHECK("swap_grant_ref of what is mapped", grant_table_op(GNTTABOP_swap_grant_ref, &swap, 1), 0);
	CHECK("its status", swap.status, GNTST_eagain);
	CHECK("set_version while something is mapped", grant_table_op(GNTTABOP_set_version, &set, 1), -XEN_EBUSY);
	CHECK("unmap_grant_ref", unmapped(map.handle, window), GNTST_okay);
}

/* Version 2 tells in the status frames that a page is in use. */
static void check_version_2(void)
{
	struct gnttab_map_grant_ref map = map_of(REF, window, GNTMAP_host_map);
	struct gnttab_set_version set = { .version = 2 };
	volatile grant_status_t *status = (void *)statuses;

	CHECK("set_version 2", grant_table_op(GNTTABOP_set_version, &set, 1), 0);
	CHECK("status frame 0", add_to_physmap(XENMAPSPACE_grant_table, XENMAPIDX_grant_table_status, statuses), 0);
	entries_v2[REF].full_page.hdr.domid = own_domid;
	entries_v2[REF].full_page.frame = gfn_of(source);
	__atomic_store_n(&entries_v2[REF].full_page.hdr.flags, GTF_permit_access, __ATOMIC_SEQ_CST);
	set_byte(source, 0x21);
	CHECK("map_grant_ref of version 2", mapped(&map), GNTST_okay);
	CHECK("the page is in the window", byte(window), 0x21);
	CHECK("the status says it", status[REF], IN_USE);
	CHECK("unmap_grant_ref", unmapped(map.handle, window), GNTST_okay);
	CHECK("the status is quiet", status[REF], 0);
}

void test_grant_map(void)
{
	CHECK("grant frame 0", add_to_physmap(XENMAPSPACE_grant_table, 0, table), 0);
	check_map();
	check_twice();
	check_read_only();
	check_reservation();
	check_errors();
	check_many();
	check_pinned();
	check_version_2();
}
