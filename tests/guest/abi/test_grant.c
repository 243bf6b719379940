// SPDX-License-Identifier: MIT
/*
 * Grant tables, version 1: a domain that grants to itself. Source: <xen/grant_table.h>; functions of Xen 4.17's
 * common/grant_table.c. Entries 0 to 7 are the toolstack's: GNTTAB_NR_RESERVED_ENTRIES. Mappings: test_grant_map.c.
 */
#include "guest.h"

#include <xen/grant_table.h>
#include <xen/memory.h>

#define REF         20
#define REF_2       21
#define REF_FREE    22
#define REF_BAD     0x7fffffff
#define COUNT_BAD   ~0ul
#define OP_UNKNOWN  99
#define FRAMES_BAD  0xffff
#define HOLE_GFN    0xd0000u

SPARE_PAGE(table);
SPARE_PAGE(source);
SPARE_PAGE(target);

static volatile struct grant_entry_v1 *entries = (void *)table;

static xen_pfn_t gfn_of(const void *page)
{
	return ADDRESS(page) / PAGE_BYTES;
}

static void grant(unsigned int ref, unsigned int domid, const void *page, uint16_t flags)
{
	entries[ref].domid = (domid_t)domid;
	entries[ref].frame = (uint32_t)gfn_of(page);
	__atomic_store_n(&entries[ref].flags, flags, __ATOMIC_SEQ_CST);
}

static void check_query_size(void)
{
	struct gnttab_query_size query = { .dom = DOMID_SELF };

	CHECK("query_size", grant_table_op(GNTTABOP_query_size, &query, 1), 0);
	CHECK("its status", query.status, GNTST_okay);
	CHECK_TRUE("frames there may be", query.max_nr_frames >= 4 && query.nr_frames <= query.max_nr_frames);
	CHECK("query_size of two", grant_table_op(GNTTABOP_query_size, &query, 2), -XEN_EINVAL);
	CHECK("query_size of none", grant_table_op(GNTTABOP_query_size, &query, 0), -XEN_EINVAL);
	CHECK("query_size from nowhere", grant_table_op(GNTTABOP_query_size, nowhere(), 1), -XEN_EFAULT);
	query.dom = NO_DOMAIN;
	CHECK("query_size of no domain", grant_table_op(GNTTABOP_query_size, &query, 1), 0);
	CHECK("its status", query.status, GNTST_bad_domain);
	query.dom = BACKEND;
	CHECK("query_size of the back end's", grant_table_op(GNTTABOP_query_size, &query, 1), 0);
	CHECK("its status", query.status, GNTST_permission_denied);
}

static void check_setup_table(void)
{
	xen_pfn_t frames[2];
	struct gnttab_setup_table setup = { .dom = DOMID_SELF, .nr_frames = 1 };

	set_xen_guest_handle(setup.frame_list, frames);
	CHECK("setup_table", grant_table_op(GNTTABOP_setup_table, &setup, 1), 0);
	CHECK("its status", setup.status, GNTST_okay);
	setup.nr_frames = FRAMES_BAD;
	CHECK("setup_table of too many", grant_table_op(GNTTABOP_setup_table, &setup, 1), 0);
	CHECK("its status", setup.status, GNTST_general_error);
	setup.nr_frames = 1;
	setup.dom = NO_DOMAIN;
	CHECK("setup_table of no domain", grant_table_op(GNTTABOP_setup_table, &setup, 1), 0);
	CHECK("its status", setup.status, GNTST_bad_domain);
	CHECK("setup_table of two", grant_table_op(GNTTABOP_setup_table, &setup, 2), -XEN_EINVAL);
	CHECK("setup_table from nowhere", grant_table_op(GNTTABOP_setup_table, nowhere(), 1), -XEN_EFAULT);
}

static void check_version(void)
{
	struct gnttab_get_version get = { .dom = DOMID_SELF };
	struct gnttab_set_version set = { .version = 3 };

	CHECK("get_version", grant_table_op(GNTTABOP_get_version, &get, 1), 0);
	CHECK("is 1", get.version, 1);
	CHECK("set_version 3", grant_table_op(GNTTABOP_set_version, &set, 1), -XEN_EINVAL);
	set.version = 1;
	CHECK("set_version 1", grant_table_op(GNTTABOP_set_version, &set, 1), 0);
	/* do_grant_table_op(): of the operations without a list only three look at the count. */
	CHECK("set_version of two", grant_table_op(GNTTABOP_set_version, &set, 2), 0);
	CHECK("set_version from nowhere", grant_table_op(GNTTABOP_set_version, nowhere(), 1), -XEN_EFAULT);
	get.dom = NO_DOMAIN;
	CHECK("get_version of no domain", grant_table_op(GNTTABOP_get_version, &get, 1), -XEN_ESRCH);
	get.dom = BACKEND;
	CHECK("get_version of the back end's", grant_table_op(GNTTABOP_get_version, &get, 1), -XEN_EPERM);
}

/* Sixteen bytes from one page to another; which side is a grant is in flags. */
static struct gnttab_copy copy_of(uint16_t flags)
{
	struct gnttab_copy copy = { .len = 16, .flags = flags, .status = 99 };

	copy.source.domid = copy.dest.domid = DOMID_SELF;
	if (flags & GNTCOPY_source_gref)
		copy.source.u.ref = REF;
	else
		copy.source.u.gmfn = gfn_of(source);
	if (flags & GNTCOPY_dest_gref)
		copy.dest.u.ref = REF_2;
	else
		copy.dest.u.gmfn = gfn_of(target);
	return copy;
}

static int status_of(struct gnttab_copy *copy)
{
	return grant_table_op(GNTTABOP_copy, copy, 1) == 0 ? copy->status : 1000;
}

static bool copied(uint16_t flags)
{
	struct gnttab_copy copy = copy_of(flags);

	memset(source, 0x31, 16);
	memset(target, 0, 16);
	return status_of(&copy) == GNTST_okay && memcmp(source, target, 16) == 0;
}

/* gnttab_copy_one(), gnttab_copy_buf(), acquire_grant_for_copy(). */
static void check_copy(void)
{
	struct gnttab_copy copy = copy_of(0);

	grant(REF, own_domid, source, GTF_permit_access | GTF_readonly);
	grant(REF_2, own_domid, target, GTF_permit_access);
	CHECK_TRUE("copy from page to page", copied(0));
	CHECK_TRUE("copy from a grant", copied(GNTCOPY_source_gref));
	CHECK_TRUE("copy to a grant", copied(GNTCOPY_dest_gref));
	CHECK_TRUE("copy from grant to grant", copied(GNTCOPY_source_gref | GNTCOPY_dest_gref));
	CHECK("no one reads or writes them now",
	      (entries[REF].flags | entries[REF_2].flags) & (GTF_reading | GTF_writing), 0);
	copy.source.offset = PAGE_BYTES - 8;
	CHECK("copy beyond the source's page", status_of(&copy), GNTST_bad_copy_arg);
	copy = copy_of(0);
	copy.dest.offset = PAGE_BYTES - 15;
	CHECK("copy beyond the target's page", status_of(&copy), GNTST_bad_copy_arg);
	copy = copy_of(0);
	copy.dest.offset = PAGE_BYTES - 16;
	CHECK("copy up to the end of a page", status_of(&copy), GNTST_okay);
	copy = copy_of(0);
	copy.source.domid = BACKEND;
	CHECK("copy of a page that is not the caller's", status_of(&copy), GNTST_permission_denied);
	copy = copy_of(GNTCOPY_source_gref);
	copy.source.u.ref = REF_BAD;
	CHECK("copy from a grant beyond the table", status_of(&copy), GNTST_bad_gntref);
	copy = copy_of(GNTCOPY_source_gref);
	copy.source.u.ref = REF_FREE;
	CHECK("copy from a grant that is not given", status_of(&copy), GNTST_general_error);
	copy = copy_of(GNTCOPY_source_gref);
	copy.source.domid = NO_DOMAIN;
	CHECK("copy from a grant of no domain", status_of(&copy), GNTST_bad_domain);
	grant(REF, BACKEND, source, GTF_permit_access);
	copy = copy_of(GNTCOPY_source_gref);
	CHECK("copy from a grant to another", status_of(&copy), GNTST_general_error);
	grant(REF_2, own_domid, target, GTF_permit_access | GTF_readonly);
	copy = copy_of(GNTCOPY_dest_gref);
	CHECK("copy to a grant for reading", status_of(&copy), GNTST_general_error);
	copy = copy_of(0);
	copy.dest.u.gmfn = HOLE_GFN;
	CHECK_TRUE("copy to a hole", status_of(&copy) < 0);
}

static void check_copies(void)
{
	struct gnttab_copy copies[3] = { copy_of(0), copy_of(0), copy_of(0) };
	struct gnttab_copy *across = across_pages(sizeof(*across));

	copies[1].len = PAGE_BYTES + 1;
	CHECK("three copies", grant_table_op(GNTTABOP_copy, copies, 3), 0);
	CHECK("the first is done", copies[0].status, GNTST_okay);
	CHECK("the second cannot", copies[1].status, GNTST_bad_copy_arg);
	CHECK("the third is done", copies[2].status, GNTST_okay);
	*across = copy_of(0);
	CHECK("a copy with arguments across two pages", grant_table_op(GNTTABOP_copy, across, 1), 0);
	CHECK("is done", across->status, GNTST_okay);
	CHECK("no copy", grant_table_op(GNTTABOP_copy, nowhere(), 0), 0);
	CHECK("a copy from nowhere", grant_table_op(GNTTABOP_copy, nowhere(), 1), -XEN_EFAULT);
	CHECK("a number of copies below 0", grant_table_op(GNTTABOP_copy, copies, COUNT_BAD), -XEN_EINVAL);
}

static int swapped(unsigned int a, unsigned int b)
{
	struct gnttab_swap_grant_ref swap = { .ref_a = a, .ref_b = b, .status = 99 };

	return grant_table_op(GNTTABOP_swap_grant_ref, &swap, 1) == 0 ? swap.status : 1000;
}

/* gnttab_swap_grant_ref() */
static void check_swap(void)
{
	grant(REF, own_domid, source, GTF_permit_access);
	grant(REF_2, BACKEND, target, GTF_permit_access | GTF_readonly);
	CHECK("swap_grant_ref", swapped(REF, REF_2), GNTST_okay);
	CHECK("one entry is the other", entries[REF].frame, gfn_of(target));
	CHECK("with its domain", entries[REF].domid, BACKEND);
	CHECK("and the other is the one", entries[REF_2].frame, gfn_of(source));
	CHECK("swap_grant_ref of one and the same", swapped(REF, REF), GNTST_okay);
	CHECK("swap_grant_ref beyond the table", swapped(REF, REF_BAD), GNTST_bad_gntref);
	CHECK("swap_grant_ref from nowhere", grant_table_op(GNTTABOP_swap_grant_ref, nowhere(), 1), -XEN_EFAULT);
}

void test_grant_table_op(void)
{
	CHECK("grant frame 0", add_to_physmap(XENMAPSPACE_grant_table, 0, table), 0);
	check_query_size();
	check_setup_table();
	check_version();
	check_copy();
	check_copies();
	check_swap();
	/* hvm_grant_table_op(): not for HVM domains. */
	CHECK("transfer", grant_table_op(GNTTABOP_transfer, nowhere(), 1), -XEN_ENOSYS);
	CHECK("dump_table", grant_table_op(GNTTABOP_dump_table, nowhere(), 1), -XEN_ENOSYS);
	CHECK("get_status_frames", grant_table_op(GNTTABOP_get_status_frames, nowhere(), 1), -XEN_ENOSYS);
	CHECK("an operation that there is not", grant_table_op(OP_UNKNOWN, nowhere(), 1), -XEN_ENOSYS);
}
