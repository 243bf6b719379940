// SPDX-License-Identifier: MIT
/*
 * Where the guest wants the hypervisor's pages: shared_info and the frames of its grant table. Source: <xen/memory.h>.
 * A page of RAM that lay there is the guest's no longer, as in Xen.
 */
#include "xen/physmap_op.h"

#include <errno.h>

#include "xen/abi.h"
#include <xen/memory.h>

#include "vmm/guest_memory.h"
#include "vmm/vm.h"
#include "xen/domain.h"
#include "xen/guest_access.h"

/* With the lock held. Answers with an errno of Xen. */
static int64_t add_one(struct xen_domain *xen, struct vcpu *vcpu, uint32_t space, uint64_t index, uint64_t gfn)
{
	struct guest_memory *memory = vcpu->vm->memory;
	int rc = EINVAL;

	/* Xen ends a domain that puts a page in the place of a mapped grant. */
	if (grant_maps_show(&xen->maps, gfn, 1))
		return -XEN_EINVAL;
	switch (space) {
	case XENMAPSPACE_shared_info:
		if (index == 0)
			rc = pages_place_shared_info(&xen->pages, memory, gfn);
		break;
	case XENMAPSPACE_grant_table:
		if (xen->grants.version == 2 && (index & XENMAPIDX_grant_table_status)) {
			index &= ~(uint64_t)XENMAPIDX_grant_table_status;
			if (index < PAGES_MAX_STATUS_FRAMES)
				rc = pages_place_status_frame(&xen->pages, memory, (unsigned int)index, gfn);
		} else if (index < PAGES_MAX_GRANT_FRAMES) {
			rc = pages_place_grant_frame(&xen->pages, memory, (unsigned int)index, gfn);
		}
		break;
	default:
		/* gmfn: a page of RAM that moves elsewhere. Xen answers so when it cannot have the page. */
		break;
	}
	if (rc == 0) {
		grant_maps_forget(&xen->maps, gfn);
		(void)reservation_give_up(&xen->reservation, gfn, 0);
		(void)grant_table_grow(&xen->grants, xen->pages.used_grant_frames);
	}
	return rc == 0 ? 0 : rc == EINVAL ? -XEN_EINVAL : -XEN_ENOMEM;
}

int64_t physmap_add(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call)
{
	struct xen_add_to_physmap request;

	if (!read_guest_struct(vcpu, call, ABI_xen_add_to_physmap, call->arguments[1], &request))
		return -XEN_EFAULT;
	/* Pages of other domains are for the batch alone. */
	if (request.space == XENMAPSPACE_gmfn_foreign)
		return -XEN_ENOSYS;

	int64_t rc = domid_check(request.domid);
	if (rc != 0)
		return rc;
	if (request.space == XENMAPSPACE_dev_mmio)
		return -XEN_EACCES;
	pthread_mutex_lock(&xen->lock);
	rc = add_one(xen, vcpu, request.space, request.idx, request.gpfn);
	pthread_mutex_unlock(&xen->lock);
	return rc;
}

int64_t physmap_add_batch(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call)
{
	struct xen_add_to_physmap_batch request;

	if (!read_guest_struct(vcpu, call, ABI_xen_add_to_physmap_batch, call->arguments[1], &request))
		return -XEN_EFAULT;
	if (request.space == XENMAPSPACE_gmfn_range)
		return -XEN_EOPNOTSUPP;

	int64_t rc = domid_check(request.domid);
	if (rc != 0)
		return rc;
	if (request.space == XENMAPSPACE_dev_mmio)
		return -XEN_EACCES;
	/* No more than 65535, which the structure allows. */
	for (uint32_t i = 0; i < request.size && !atomic_load(&vcpu->vm->stopping); i++) {
		uint64_t index, gfn;
		int32_t error;

		if (!read_guest_word(vcpu, call, (uint64_t)(uintptr_t)request.idxs.p, i, &index) ||
		    !read_guest_word(vcpu, call, (uint64_t)(uintptr_t)request.gpfns.p, i, &gfn))
			return -XEN_EFAULT;
		if (request.space == XENMAPSPACE_gmfn_foreign) {
			int64_t foreign = domid_check(request.u.foreign_domid);

			/* A page of its own is nothing foreign. */
			error = foreign == 0 ? -XEN_EINVAL : (int32_t)foreign;
		} else {
			pthread_mutex_lock(&xen->lock);
			error = (int32_t)add_one(xen, vcpu, request.space, index, gfn);
			pthread_mutex_unlock(&xen->lock);
		}
		if (!copy_to_guest(vcpu, (uint64_t)(uintptr_t)request.errs.p + i * sizeof(error), &error, sizeof(error)))
			return -XEN_EFAULT;
	}
	return 0;
}

bool physmap_give_up(struct xen_domain *xen, uint64_t gfn, unsigned int order)
{
	struct guest_memory *memory = xen->vm->memory;

	if (!reservation_give_up(&xen->reservation, gfn, order))
		return false;
	(void)guest_memory_discard(memory, gfn * LAYOUT_PAGE_BYTES, LAYOUT_PAGE_BYTES << order);
	grant_maps_give_up(&xen->maps, memory, gfn, UINT64_C(1) << order);
	return true;
}

int64_t physmap_remove(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call)
{
	struct xen_remove_from_physmap request;

	if (!read_guest_struct(vcpu, call, ABI_xen_remove_from_physmap, call->arguments[1], &request))
		return -XEN_EFAULT;

	int64_t rc = domid_check(request.domid);
	if (rc != 0)
		return rc;
	pthread_mutex_lock(&xen->lock);
	if (pages_remove(&xen->pages, vcpu->vm->memory, request.gpfn) == 0)
		rc = 0;
	else if (!physmap_give_up(xen, request.gpfn, 0))
		rc = -XEN_ENOENT;
	pthread_mutex_unlock(&xen->lock);
	return rc;
}
