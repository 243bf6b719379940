// SPDX-License-Identifier: MIT
/* Where the guest's memory is, and where it wants the hypervisor's pages. Source: <xen/memory.h>. */
#include <assert.h>
#include <stddef.h>
#include <string.h>

#include "xen/abi.h"
#include <xen/memory.h>

#include "vmm/guest_memory.h"
#include "vmm/vm.h"
#include "xen/domain.h"
#include "xen/guest_access.h"
#include "xen/hypercall.h"

/* The low bits of the first argument are the operation, the rest counts the extents done when Xen preempts itself. */
#define MEMOP_CMD_MASK ((UINT64_C(1) << 6) - 1)
/* Extents of one call: a guest cannot keep a vCPU thread in here for long; it asks again for the rest. */
#define EXTENTS_MAX      4096u
#define EXTENT_ORDER_MAX 18u /* 1 GiB */

struct e820_entry {
	uint64_t gpa;
	uint64_t len_bytes;
	uint32_t type;
} __attribute__((packed));
static_assert(sizeof(struct e820_entry) == 20, "ACPI 15.3");
static_assert(sizeof(struct xen_add_to_physmap) == 24, "<xen/memory.h>");
static_assert(sizeof(struct xen_memory_reservation) == 32, "<xen/memory.h>");
static_assert(sizeof(struct xen_memory_map) == 16, "<xen/memory.h>");

static int64_t add_to_physmap(struct xen_domain *xen, struct vcpu *vcpu, uint64_t argument_gva)
{
	struct xen_add_to_physmap request;
	int rc;

	if (!copy_from_guest(vcpu, &request, argument_gva, sizeof(request)))
		return -XEN_EFAULT;
	if (!domid_is_self(request.domid))
		return -XEN_ESRCH;

	pthread_mutex_lock(&xen->lock);
	switch (request.space) {
	case XENMAPSPACE_shared_info:
		rc = request.idx == 0 ? pages_place_shared_info(&xen->pages, vcpu->vm->memory, request.gpfn) : EINVAL;
		break;
	case XENMAPSPACE_grant_table:
		rc = request.idx < PAGES_MAX_GRANT_FRAMES ?
			     pages_place_grant_frame(&xen->pages, vcpu->vm->memory, (unsigned int)request.idx, request.gpfn) :
			     EINVAL;
		break;
	default:
		rc = EINVAL;
		break;
	}
	pthread_mutex_unlock(&xen->lock);
	return rc == 0 ? 0 : rc == EINVAL ? -XEN_EINVAL : -XEN_ENOMEM;
}

static int64_t memory_map(struct vcpu *vcpu, uint64_t argument_gva)
{
	const struct layout *layout = guest_memory_layout(vcpu->vm->memory);
	struct e820_entry entries[LAYOUT_MAX_MAP_ENTRIES];
	struct xen_memory_map request;

	if (!copy_from_guest(vcpu, &request, argument_gva, sizeof(request)))
		return -XEN_EFAULT;
	for (size_t i = 0; i < layout->n_map; i++)
		entries[i] = (struct e820_entry){ layout->map[i].gpa, layout->map[i].len_bytes, (uint32_t)layout->map[i].type };

	uint64_t buffer_gva = (uint64_t)(uintptr_t)request.buffer.p;
	request.nr_entries = (unsigned int)MIN(request.nr_entries, layout->n_map);
	if (!copy_to_guest(vcpu, buffer_gva, entries, request.nr_entries * sizeof(entries[0])) ||
	    !copy_to_guest(vcpu, argument_gva + offsetof(struct xen_memory_map, nr_entries), &request.nr_entries,
			   sizeof(request.nr_entries)))
		return -XEN_EFAULT;
	return 0;
}

/*
 * A page that the guest gives up goes back to the host; when the guest gets it back it is fresh and zero. So populate
 * has nothing to do but to check that the range is RAM. Both return how many extents were done.
 */
static int64_t change_reservation(struct vcpu *vcpu, uint64_t start_extent, uint64_t argument_gva, bool give_back)
{
	struct xen_memory_reservation request;
	uint64_t done = start_extent;

	if (!copy_from_guest(vcpu, &request, argument_gva, sizeof(request)))
		return -XEN_EFAULT;
	if (!domid_is_self(request.domid))
		return -XEN_ESRCH;
	if (request.extent_order > EXTENT_ORDER_MAX)
		return -XEN_EPERM;

	uint64_t list_gva = (uint64_t)(uintptr_t)request.extent_start.p;
	uint64_t len_bytes = LAYOUT_PAGE_BYTES << request.extent_order;
	uint64_t limit = MIN(request.nr_extents, start_extent + EXTENTS_MAX);

	for (; done < limit; done++) {
		uint64_t gfn;

		if (!copy_from_guest(vcpu, &gfn, list_gva + done * sizeof(gfn), sizeof(gfn)) ||
		    gfn > UINT64_MAX / LAYOUT_PAGE_BYTES)
			break;
		if (give_back ? !guest_memory_discard(vcpu->vm->memory, gfn * LAYOUT_PAGE_BYTES, len_bytes) :
				!guest_memory_span(vcpu->vm->memory, gfn * LAYOUT_PAGE_BYTES, len_bytes))
			break;
	}
	return (int64_t)done;
}

int64_t hypercall_memory_op(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call)
{
	uint64_t start_extent = (uint32_t)call->arguments[0] >> 6;

	switch (call->arguments[0] & MEMOP_CMD_MASK) {
	case XENMEM_add_to_physmap:
		return add_to_physmap(xen, vcpu, call->arguments[1]);
	case XENMEM_memory_map:
		return memory_map(vcpu, call->arguments[1]);
	case XENMEM_decrease_reservation:
		return change_reservation(vcpu, start_extent, call->arguments[1], true);
	case XENMEM_populate_physmap:
		return change_reservation(vcpu, start_extent, call->arguments[1], false);
	default:
		return -XEN_ENOSYS;
	}
}
