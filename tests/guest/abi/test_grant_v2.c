// SPDX-License-Identifier: MIT
/*
 * Grant tables, version 2: other entries, and words of status in frames of their own. Source: <xen/grant_table.h>;
 * gnttab_set_version(), _set_status_v2() of Xen 4.17's common/grant_table.c.
 */
#include "guest.h"

#include <xen/grant_table.h>
#include <xen/memory.h>

#define REF      20
#define REF_PART 21
#define BYTES    16

SPARE_PAGE(table);
SPARE_PAGE(statuses);
SPARE_PAGE(source);
SPARE_PAGE(target);

static volatile union grant_entry_v2 *entries = (void *)table;

static long set_version(uint32_t version)
{
	struct gnttab_set_version set = { .version = version };

	return grant_table_op(GNTTABOP_set_version, &set, 1);
}

static int copy_from(unsigned int ref, uint16_t offset)
{
	struct gnttab_copy copy = { .len = BYTES, .flags = GNTCOPY_source_gref, .status = 99 };

	copy.source.domid = copy.dest.domid = DOMID_SELF;
	copy.source.u.ref = ref;
	copy.source.offset = offset;
	copy.dest.u.gmfn = ADDRESS(target) / PAGE_BYTES;
	memset(target, 0, BYTES);
	return grant_table_op(GNTTABOP_copy, &copy, 1) == 0 ? copy.status : 1000;
}

static void check_full_page(void)
{
	memset(source, 0x61, PAGE_BYTES);
	entries[REF].full_page.hdr.domid = own_domid;
	entries[REF].full_page.frame = ADDRESS(source) / PAGE_BYTES;
	__atomic_store_n(&entries[REF].full_page.hdr.flags, GTF_permit_access, __ATOMIC_SEQ_CST);
	CHECK("copy from a full page", copy_from(REF, 0), GNTST_okay);
	CHECK_TRUE("brings its bytes", memcmp(source, target, BYTES) == 0);
	CHECK("its status is quiet", ((volatile grant_status_t *)(void *)statuses)[REF], 0);
	CHECK("no one writes into flags", entries[REF].full_page.hdr.flags, GTF_permit_access);
}

/* Bytes of a page: what lies outside is not given. */
static void check_sub_page(void)
{
	entries[REF_PART].sub_page.hdr.domid = own_domid;
	entries[REF_PART].sub_page.page_off = 256;
	entries[REF_PART].sub_page.length = 64;
	entries[REF_PART].sub_page.frame = ADDRESS(source) / PAGE_BYTES;
	__atomic_store_n(&entries[REF_PART].sub_page.hdr.flags, GTF_permit_access | GTF_sub_page, __ATOMIC_SEQ_CST);
	CHECK("copy from inside a part of a page", copy_from(REF_PART, 256), GNTST_okay);
	CHECK("copy from before it", copy_from(REF_PART, 0), GNTST_general_error);
	CHECK("copy from beyond its end", copy_from(REF_PART, 256 + 60), GNTST_general_error);
}

void test_grant_v2(void)
{
	struct gnttab_get_version get = { .dom = DOMID_SELF };

	CHECK("set_version 2", set_version(2), 0);
	CHECK("get_version", grant_table_op(GNTTABOP_get_version, &get, 1), 0);
	CHECK("is 2", get.version, 2);
	CHECK("grant frame 0", add_to_physmap(XENMAPSPACE_grant_table, 0, table), 0);
	CHECK("status frame 0", add_to_physmap(XENMAPSPACE_grant_table, XENMAPIDX_grant_table_status, statuses), 0);
	if (get.version == 2) {
		check_full_page();
		check_sub_page();
	}
	CHECK("set_version 1", set_version(1), 0);
}
