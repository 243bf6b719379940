// SPDX-License-Identifier: MIT
/*
 * The memory map, and the hypervisor's pages in it. Source: <xen/memory.h>; do_memory_op(), xenmem_add_to_physmap() of
 * Xen 4.17's common/memory.c, xenmem_add_to_physmap_one() and arch_memory_op() of arch/x86/mm.
 */
#include "guest.h"

#include <xen/grant_table.h>
#include <xen/hvm/params.h>
#include <xen/memory.h>

#define ENTRIES      32
#define RAM          1
#define OP_UNKNOWN   63
#define SPACE_BAD    99
#define FRAME_BAD    0xffff /* more grant frames than any domain has */
#define CANARY       0x5a
#define HOLE_GFN     0xd0000u
#define MARK         0x1234567ul
/* Behind __XEN_TOOLS__ in the header. */
#define RESERVED_DEVICE_MEMORY_MAP 27
#define ACQUIRE_RESOURCE           28
#define WITH_EXTENT  (1u << 6) /* the operation says it goes on from extent 1 */

struct e820_entry {
	uint64_t gpa;
	uint64_t len_bytes;
	uint32_t type;
} __attribute__((packed));

SPARE_PAGE(first);
SPARE_PAGE(second);
static struct e820_entry map[ENTRIES + 1];

static long memory_map(unsigned int n, void *buffer, unsigned int *n_out)
{
	struct xen_memory_map request = { .nr_entries = n };
	long rc;

	set_xen_guest_handle(request.buffer, buffer);
	rc = memory_op(XENMEM_memory_map, &request);
	*n_out = request.nr_entries;
	return rc;
}

static void check_map_contents(unsigned int n)
{
	uint64_t ram_bytes = 0, end = 0;
	bool ordered = true;

	for (unsigned int i = 0; i < n; i++) {
		ordered &= map[i].gpa >= end && map[i].len_bytes != 0;
		end = map[i].gpa + map[i].len_bytes;
		if (map[i].type == RAM)
			ram_bytes += map[i].len_bytes;
	}
	CHECK_TRUE("entries are in order and do not overlap", ordered);
	CHECK_TRUE("RAM begins at 0", map[0].gpa == 0 && map[0].type == RAM);
	CHECK_TRUE("there is RAM for this guest", ram_bytes > 16u << 20);
}

static void check_memory_map(void)
{
	struct xen_memory_map *across = across_pages(sizeof(*across));
	unsigned int n, all;

	CHECK("memory_map", memory_map(ENTRIES, map, &all), 0);
	CHECK_TRUE("has entries", all > 1 && all < ENTRIES);
	check_map_contents(all);
	memset(map, CANARY, sizeof(map));
	CHECK("memory_map into a buffer for one", memory_map(1, map, &n), 0);
	CHECK("says one", n, 1);
	CHECK_TRUE("writes one, and no more", map[0].gpa == 0 && *(uint8_t *)&map[1] == CANARY);
	CHECK("memory_map into no buffer", memory_map(0, nowhere(), &n), 0);
	CHECK("says none", n, 0);
	CHECK("memory_map to nowhere", memory_map(ENTRIES, nowhere(), &n), -XEN_EFAULT);
	CHECK("memory_map from nowhere", memory_op(XENMEM_memory_map, nowhere()), -XEN_EFAULT);
	across->nr_entries = ENTRIES;
	set_xen_guest_handle(across->buffer, (void *)map);
	CHECK("memory_map with an argument across two pages", memory_op(XENMEM_memory_map, across), 0);
	CHECK("says the same", across->nr_entries, all);
	/* xsm_machine_memory_map(XSM_PRIV) */
	CHECK("machine_memory_map is not a guest's", memory_op(XENMEM_machine_memory_map, across), -XEN_EPERM);
}

/* A place that shared_info left does not show it any more. */
static void check_shared_info(void)
{
	volatile struct shared_info *at_first = (void *)first;
	volatile struct shared_info *at_second = (void *)second;

	CHECK("add_to_physmap of shared_info", add_to_physmap(XENMAPSPACE_shared_info, 0, first), 0);
	at_first->evtchn_mask[5] = MARK;
	CHECK("at another place", add_to_physmap(XENMAPSPACE_shared_info, 0, second), 0);
	CHECK("it moves with its contents", at_second->evtchn_mask[5], MARK);
	CHECK_TRUE("and is not at the first place", at_first->evtchn_mask[5] != MARK);
	CHECK_TRUE("the wallclock is in it", at_second->wc_sec != 0);
	CHECK("at the same place again", add_to_physmap(XENMAPSPACE_shared_info, 0, second), 0);
	CHECK("nothing changes", at_second->evtchn_mask[5], MARK);
	CHECK("shared_info has one page", add_to_physmap(XENMAPSPACE_shared_info, 1, first), -XEN_EINVAL);
}

static void check_grant_frames(void)
{
	volatile struct grant_entry_v1 *entries = (void *)first;

	CHECK("add_to_physmap of grant frame 0", add_to_physmap(XENMAPSPACE_grant_table, 0, first), 0);
	entries[20].frame = 77;
	CHECK("frame 1 in its place", add_to_physmap(XENMAPSPACE_grant_table, 1, first), 0);
	CHECK("is another page", entries[20].frame, 0);
	CHECK("frame 0 again", add_to_physmap(XENMAPSPACE_grant_table, 0, first), 0);
	CHECK("kept what was written", entries[20].frame, 77);
	entries[20].frame = 0;
	CHECK("a frame beyond the last", add_to_physmap(XENMAPSPACE_grant_table, FRAME_BAD, second), -XEN_EINVAL);
	/* gnttab_get_status_frame(): there are such frames with version 2 only. */
	CHECK("a status frame of version 1",
	      add_to_physmap(XENMAPSPACE_grant_table, XENMAPIDX_grant_table_status, second), -XEN_EINVAL);
}

static void check_add_errors(void)
{
	struct xen_add_to_physmap request = { .domid = NO_DOMAIN, .space = XENMAPSPACE_shared_info };

	CHECK("add_to_physmap of a space that there is not", add_to_physmap(SPACE_BAD, 0, first), -XEN_EINVAL);
	/* do_memory_op(): "Foreign mapping is only possible via add_to_physmap_batch." */
	CHECK("add_to_physmap of a foreign page", add_to_physmap(XENMAPSPACE_gmfn_foreign, 0, first), -XEN_ENOSYS);
	/* xatp_permission_check() */
	CHECK("add_to_physmap of device memory", add_to_physmap(XENMAPSPACE_dev_mmio, 0, first), -XEN_EACCES);
	CHECK("add_to_physmap in no domain", memory_op(XENMEM_add_to_physmap, &request), -XEN_ESRCH);
	request.domid = BACKEND;
	CHECK("add_to_physmap in the back end's", memory_op(XENMEM_add_to_physmap, &request), -XEN_EPERM);
	CHECK("add_to_physmap from nowhere", memory_op(XENMEM_add_to_physmap, nowhere()), -XEN_EFAULT);
}

/* xenmem_add_to_physmap_batch(): each entry has a result of its own. */
static void check_batch(void)
{
	xen_ulong_t indices[3] = { 0, FRAME_BAD, 1 };
	xen_pfn_t gfns[3] = { ADDRESS(first) / PAGE_BYTES, ADDRESS(first) / PAGE_BYTES, ADDRESS(second) / PAGE_BYTES };
	int errors[3] = { 9, 9, 9 };
	struct xen_add_to_physmap_batch request = { .domid = DOMID_SELF, .space = XENMAPSPACE_grant_table, .size = 3 };

	set_xen_guest_handle(request.idxs, indices);
	set_xen_guest_handle(request.gpfns, gfns);
	set_xen_guest_handle(request.errs, errors);
	CHECK("add_to_physmap_batch", memory_op(XENMEM_add_to_physmap_batch, &request), 0);
	CHECK("its first entry", errors[0], 0);
	CHECK("its second entry fails", errors[1], -XEN_EINVAL);
	CHECK("its third entry", errors[2], 0);
	request.size = 0;
	CHECK("an empty batch", memory_op(XENMEM_add_to_physmap_batch, &request), 0);
	request.size = 1;
	request.space = XENMAPSPACE_gmfn_range;
	CHECK("a batch of a range", memory_op(XENMEM_add_to_physmap_batch, &request), -XEN_EOPNOTSUPP);
	request.space = XENMAPSPACE_grant_table;
	set_xen_guest_handle(request.errs, (int *)nowhere());
	CHECK("a batch with results nowhere", memory_op(XENMEM_add_to_physmap_batch, &request), -XEN_EFAULT);
	request.domid = NO_DOMAIN;
	CHECK("a batch in no domain", memory_op(XENMEM_add_to_physmap_batch, &request), -XEN_ESRCH);
	CHECK("a batch from nowhere", memory_op(XENMEM_add_to_physmap_batch, nowhere()), -XEN_EFAULT);
}

/* XENMEM_remove_from_physmap: what is mapped goes, what is not is -ENOENT. */
static void check_remove(void)
{
	struct xen_remove_from_physmap request = { .domid = DOMID_SELF, .gpfn = ADDRESS(second) / PAGE_BYTES };

	CHECK("grant frame 0", add_to_physmap(XENMAPSPACE_grant_table, 0, second), 0);
	CHECK("remove_from_physmap", memory_op(XENMEM_remove_from_physmap, &request), 0);
	CHECK("remove_from_physmap of what is gone", memory_op(XENMEM_remove_from_physmap, &request), -XEN_ENOENT);
	request.gpfn = HOLE_GFN;
	CHECK("remove_from_physmap of a hole", memory_op(XENMEM_remove_from_physmap, &request), -XEN_ENOENT);
	request.domid = NO_DOMAIN;
	CHECK("remove_from_physmap in no domain", memory_op(XENMEM_remove_from_physmap, &request), -XEN_ESRCH);
	request.domid = BACKEND;
	CHECK("remove_from_physmap in the back end's", memory_op(XENMEM_remove_from_physmap, &request), -XEN_EPERM);
	CHECK("remove_from_physmap from nowhere", memory_op(XENMEM_remove_from_physmap, nowhere()), -XEN_EFAULT);
}

/* Where there is no RAM: the first such gfn behind the pages that dom1 itself has placed there. 0: none takes it. */
static unsigned long place_outside_of_ram(unsigned int frame)
{
	unsigned long last = (unsigned long)parameter(HVM_PARAM_STORE_PFN) + 64;

	for (unsigned long gfn = last - 63; gfn < last; gfn++)
		if (add_to_physmap(XENMAPSPACE_grant_table, frame, (void *)(gfn * PAGE_BYTES)) == 0)
			return gfn;
	return 0;
}

/* Such a page is the guest's memory as any other: copy_from_guest() and copy_to_guest() take it. */
static void check_argument_outside_of_ram(void)
{
	unsigned long gfn = place_outside_of_ram(1);
	struct xen_remove_from_physmap request = { .domid = DOMID_SELF, .gpfn = gfn };
	void *outside = (void *)(gfn * PAGE_BYTES);

	CHECK_TRUE("grant frame 1 outside of RAM", gfn != 0);
	struct xen_memory_map *argument = window_map(0, outside, true);
	argument->nr_entries = ENTRIES;
	set_xen_guest_handle(argument->buffer, (void *)map);
	CHECK("memory_map with its argument in it", memory_op(XENMEM_memory_map, argument), 0);
	CHECK_TRUE("wrote to it", argument->nr_entries > 1 && argument->nr_entries < ENTRIES);
	memset(argument, 0, sizeof(*argument));
	CHECK("away again", memory_op(XENMEM_remove_from_physmap, &request), 0);
	CHECK("memory_map with its argument where nothing is any more", memory_op(XENMEM_memory_map, argument), -XEN_EFAULT);
	window_unmap(0);
}

static void check_operations(void)
{
	struct xen_vnuma_topology_info vnuma = { .domid = DOMID_SELF };
	domid_t self = DOMID_SELF;

	/* arch_acquire_resource_check(): not for a translated domain; memory_exchange(): neither. */
	CHECK("acquire_resource is not an HVM guest's", memory_op(ACQUIRE_RESOURCE, nowhere()), -XEN_EACCES);
	CHECK("exchange is a PV guest's", memory_op(XENMEM_exchange, nowhere()), -XEN_EOPNOTSUPP);
	CHECK("reserved_device_memory_map is not offered", memory_op(RESERVED_DEVICE_MEMORY_MAP, nowhere()), -XEN_ENOSYS);
	/* hvm_memory_op() */
	CHECK("machphys_mapping is a PV guest's", memory_op(XENMEM_machphys_mapping, first), -XEN_ENOSYS);
	CHECK("get_vnumainfo without NUMA", memory_op(XENMEM_get_vnumainfo, &vnuma), -XEN_EOPNOTSUPP);
	CHECK("get_vnumainfo from nowhere", memory_op(XENMEM_get_vnumainfo, nowhere()), -XEN_EFAULT);
	CHECK("an operation that does not go on", memory_op(XENMEM_current_reservation | WITH_EXTENT, &self),
	      -XEN_EINVAL);
	CHECK("an operation that there is not", memory_op(OP_UNKNOWN, nowhere()), -XEN_ENOSYS);
}

void test_memory_op(void)
{
	check_memory_map();
	check_shared_info();
	check_grant_frames();
	check_add_errors();
	check_batch();
	check_operations();
	check_remove();
	check_argument_outside_of_ram();
}
