// SPDX-License-Identifier: MIT
/*
 * How much memory the domain has, and where. Source: <xen/memory.h>; hypercalls that place pages are in physmap_op.c.
 */
#include <assert.h>
#include <stddef.h>
#include <string.h>

#include "xen/abi.h"
#include <xen/memory.h>

#include "dom1/lend-abi.h"
#include "lend/peer.h"
#include "vmm/guest_memory.h"
#include "vmm/vm.h"
#include "vmm/worker.h"
#include "xen/domain.h"
#include "xen/guest_access.h"
#include "xen/physmap_op.h"

/* The low bits of the first argument are the operation, the rest counts the extents done when Xen preempts itself. */
#define COMMAND_BITS 6
/* Extents of one call: a guest cannot keep a vCPU thread in here for long; it asks again for the rest. */
#define EXTENTS_MAX      4096u
#define BATCH_EXTENTS    64u /* of them, with the lock held */
#define EXTENT_ORDER_MAX 9u /* 2 MiB: CONFIG_DOMU_MAX_ORDER */

struct e820_entry {
	uint64_t gpa;
	uint64_t len_bytes;
	uint32_t type;
} __attribute__((packed));
static_assert(sizeof(struct e820_entry) == 20, "ACPI 15.3");

static uint64_t start_extent(const struct hypercall *call)
{
	return (uint32_t)call->arguments[0] >> COMMAND_BITS;
}

static int64_t memory_map(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call)
{
	const struct layout *layout = guest_memory_layout(vcpu->vm->memory);
	struct e820_entry entries[LAYOUT_MAX_MAP_ENTRIES];
	struct xen_memory_map request;

	(void)xen;
	if (start_extent(call) != 0)
		return -XEN_EINVAL;
	if (!read_guest_struct(vcpu, call, ABI_xen_memory_map, call->arguments[1], &request))
		return -XEN_EFAULT;
	for (size_t i = 0; i < layout->n_map; i++)
		entries[i] = (struct e820_entry){ layout->map[i].gpa, layout->map[i].len_bytes, (uint32_t)layout->map[i].type };

	request.nr_entries = (unsigned int)MIN(request.nr_entries, layout->n_map);
	if (!copy_to_guest(vcpu, (uint64_t)(uintptr_t)request.buffer.p, entries, request.nr_entries * sizeof(entries[0])) ||
	    !write_guest_struct(vcpu, call, ABI_xen_memory_map, call->arguments[1], &request))
		return -XEN_EFAULT;
	return 0;
}

/* Extents that are changed together, with their gfns read before: on the stack of who waits for it. */
struct batch {
	struct xen_domain *xen;
	uint64_t gfns[BATCH_EXTENTS];
	unsigned int n, n_done;
	unsigned int order;
};

/* By the mapper, with the domain's lock, which the vCPU holds for it: another vCPU may take a page back at once. */
static void give_up_batch(void *opaque)
{
	struct batch *batch = opaque;

	while (batch->n_done < batch->n && physmap_give_up(batch->xen, batch->gfns[batch->n_done], batch->order))
		batch->n_done++;
}

static void take_back_batch(struct batch *batch)
{
	struct xen_domain *xen = batch->xen;

	while (batch->n_done < batch->n &&
	       !grant_maps_show(&xen->maps, batch->gfns[batch->n_done], UINT64_C(1) << batch->order) &&
	       reservation_take_back(&xen->reservation, batch->gfns[batch->n_done], batch->order))
		batch->n_done++;
}

/*
 * A page that the guest gives up goes back to the host; when the guest gets it back it is fresh and zero. So taking
 * back is nothing but counting. FALSE: not all.
 */
static bool change_batch(struct batch *batch, bool give_back)
{
	struct xen_domain *xen = batch->xen;

	batch->n_done = 0;
	pthread_mutex_lock(&xen->lock);
	if (give_back)
		worker_run(guest_memory_mapper(xen->vm->memory), give_up_batch, batch);
	else
		take_back_batch(batch);
	pthread_mutex_unlock(&xen->lock);
	return batch->n_done == batch->n;
}

/* These three answer with the number of extents done, whatever is wrong with the request. */
static int64_t change_reservation(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call, bool give_back)
{
	struct xen_memory_reservation request;
	uint64_t done = start_extent(call);

	if (!read_guest_struct(vcpu, call, ABI_xen_memory_reservation, call->arguments[1], &request) ||
	    request.nr_extents > UINT32_MAX >> COMMAND_BITS || !domid_is_self(request.domid) ||
	    request.extent_order > EXTENT_ORDER_MAX)
		return (int64_t)done;

	uint64_t limit = MIN(request.nr_extents, done + EXTENTS_MAX);
	struct batch batch = { .xen = xen, .order = request.extent_order };
	bool go_on = true;

	while (go_on && done < limit) {
		uint64_t end = MIN(limit, done + BATCH_EXTENTS);

		for (batch.n = 0; done + batch.n < end; batch.n++)
			if (!read_guest_word(vcpu, call, (uint64_t)(uintptr_t)request.extent_start.p, done + batch.n, &batch.gfns[batch.n]))
				break;
		go_on = done + batch.n == end;
		go_on = change_batch(&batch, give_back) && go_on;
		done += batch.n_done;
	}
	return (int64_t)done;
}

static int64_t decrease_reservation(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call)
{
	return change_reservation(xen, vcpu, call, true);
}

static int64_t populate_physmap(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call)
{
	return change_reservation(xen, vcpu, call, false);
}

/* It would get pages that are nowhere in its physical memory: of no use to a guest like this one. */
static int64_t increase_reservation(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call)
{
	(void)xen, (void)vcpu;
	return (int64_t)start_extent(call);
}

static int64_t check_question(struct vcpu *vcpu, const struct hypercall *call)
{
	domid_t domid;

	if (start_extent(call) != 0)
		return -XEN_EINVAL;
	if (!copy_from_guest(vcpu, &domid, call->arguments[1], sizeof(domid)))
		return -XEN_EFAULT;
	return domid_check(domid);
}

static int64_t current_reservation(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call)
{
	int64_t rc = check_question(vcpu, call);

	if (rc != 0)
		return rc;
	pthread_mutex_lock(&xen->lock);
	rc = (int64_t)reservation_pages(&xen->reservation);
	pthread_mutex_unlock(&xen->lock);
	return rc;
}

static int64_t maximum_reservation(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call)
{
	int64_t rc = check_question(vcpu, call);

	return rc != 0 ? rc : (int64_t)xen->reservation.total_pages;
}

static int64_t maximum_gpfn(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call)
{
	const struct layout *layout = guest_memory_layout(vcpu->vm->memory);
	uint64_t end_gpa = layout->high_ram_top_gpa > LAYOUT_4GIB ? layout->high_ram_top_gpa : layout->special_end_gpa;
	uint64_t highest = end_gpa / LAYOUT_PAGE_BYTES - 1;
	int64_t rc = check_question(vcpu, call);

	if (rc != 0)
		return rc;
	pthread_mutex_lock(&xen->lock);
	for (unsigned int i = 0; i < PAGES_MAX; i++)
		if (xen->pages.gfn[i] != PAGES_NOWHERE)
			highest = MAX(highest, xen->pages.gfn[i]);
	pthread_mutex_unlock(&xen->lock);
	return (int64_t)highest;
}

/* Of the host, to Xen. What a guest may know is its own. */
static int64_t maximum_ram_page(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call)
{
	(void)xen;
	if (start_extent(call) != 0)
		return -XEN_EINVAL;
	return (int64_t)(guest_memory_layout(vcpu->vm->memory)->overlay_end_gpa / LAYOUT_PAGE_BYTES);
}

/* There is no virtual NUMA to tell of. */
static int64_t get_vnumainfo(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call)
{
	int64_t rc = check_question(vcpu, call);

	(void)xen;
	return rc != 0 ? rc : -XEN_EOPNOTSUPP;
}

/* dom1's own. */
static int64_t lend_op(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call)
{
	struct dom1_lend_op op;

	(void)xen;
	if (!vcpu->vm->peer)
		return -XEN_EPERM;
	if (start_extent(call) != 0)
		return -XEN_EINVAL;
	if (!copy_from_guest(vcpu, &op, call->arguments[1], sizeof(op)))
		return -XEN_EFAULT;

	int64_t rc = peer_run(vcpu->vm->peer, &op);
	if (rc != 0)
		return rc;
	return copy_to_guest(vcpu, call->arguments[1], &op, sizeof(op)) ? 0 : -XEN_EFAULT;
}

/* Numbers without a name here are behind __XEN_TOOLS__ in the header. */
static const struct hypercall_op OPS[] = {
	HYPERCALL_OP(XENMEM_, increase_reservation, increase_reservation, "never gives anything: use populate_physmap"),
	HYPERCALL_OP(XENMEM_, decrease_reservation, decrease_reservation, "at most 4096 extents of at most 2 MiB a call"),
	HYPERCALL_OP(XENMEM_, maximum_ram_page, maximum_ram_page, "of the domain, not of the host"),
	HYPERCALL_OP(XENMEM_, current_reservation, current_reservation, NULL),
	HYPERCALL_OP(XENMEM_, maximum_reservation, maximum_reservation, NULL),
	HYPERCALL_NOT_HERE(XENMEM_, machphys_mfn_list, XEN_ENOSYS, "there is no machine-to-physical table"),
	HYPERCALL_OP(XENMEM_, populate_physmap, populate_physmap, "only pages of RAM that were given up"),
	HYPERCALL_OP(XENMEM_, add_to_physmap, physmap_add, "shared_info, grant_table; `-EINVAL` for gmfn and gmfn_range"),
	HYPERCALL_OP(XENMEM_, memory_map, memory_map, NULL),
	HYPERCALL_REFUSE(XENMEM_, machine_memory_map, XEN_EPERM, "of the control domain"),
	HYPERCALL_REFUSE(XENMEM_, exchange, XEN_EOPNOTSUPP, "of PV guests"),
	HYPERCALL_REFUSE(XENMEM_, machphys_mapping, XEN_ENOSYS, "of PV guests"),
	HYPERCALL_NOT_HERE(XENMEM_, set_memory_map, XEN_ENOSYS, NULL),
	HYPERCALL_OP(XENMEM_, maximum_gpfn, maximum_gpfn, NULL),
	HYPERCALL_OP(XENMEM_, remove_from_physmap, physmap_remove, NULL),
	HYPERCALL_REFUSE(XENMEM_, set_pod_target, XEN_EPERM, "of the control domain"),
	HYPERCALL_REFUSE(XENMEM_, get_pod_target, XEN_EPERM, "of the control domain"),
	{ "get_sharing_freed_pages", NULL, 18, HYPERCALL_REFUSED, XEN_ENOSYS, "as a Xen without memory sharing" },
	{ "get_sharing_shared_pages", NULL, 19, HYPERCALL_REFUSED, XEN_ENOSYS, "as a Xen without memory sharing" },
	{ "paging_op", NULL, 20, HYPERCALL_REFUSED, XEN_EPERM, "of the control domain" },
	{ "access_op", NULL, 21, HYPERCALL_REFUSED, XEN_EPERM, "of the control domain" },
	{ "sharing_op", NULL, 22, HYPERCALL_REFUSED, XEN_ENOSYS, "as a Xen without memory sharing" },
	HYPERCALL_OP(XENMEM_, add_to_physmap_batch, physmap_add_batch, "as add_to_physmap"),
	{ "claim_pages", NULL, 24, HYPERCALL_REFUSED, XEN_EPERM, "of the control domain" },
	HYPERCALL_NOT_HERE(XENMEM_, machphys_compat_mfn_list, XEN_ENOSYS, "there is no machine-to-physical table"),
	HYPERCALL_OP(XENMEM_, get_vnumainfo, get_vnumainfo, "`-EOPNOTSUPP`, as for a domain without virtual NUMA"),
	{ "reserved_device_memory_map", NULL, 27, HYPERCALL_NOT_OFFERED, XEN_ENOSYS, "there are no devices" },
	{ "acquire_resource", NULL, 28, HYPERCALL_REFUSED, XEN_EACCES, "as to any HVM guest" },
	HYPERCALL_OP(DOM1_XENMEM_, lend_op, lend_op, "dom1's own, experimental: `include/dom1/lend-abi.h`; `-EPERM` without `--lend-to`"),
};

const struct hypercall_family HYPERCALL_memory_op = {
	.self = { .name = "memory_op", .number = __HYPERVISOR_memory_op },
	.ops = OPS,
	.n_ops = sizeof(OPS) / sizeof(OPS[0]),
	.unknown_error = XEN_ENOSYS,
	.op_mask = (1u << COMMAND_BITS) - 1,
};
