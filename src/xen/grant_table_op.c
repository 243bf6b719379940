// SPDX-License-Identifier: MIT
/*
 * The hypercalls of grant tables, those that Xen has for HVM guests; the checks are in grant.c. Source:
 * <xen/grant_table.h>. The frames are placed by XENMEM_add_to_physmap. There are no domains that grant to the guest but
 * itself: what it copies are its own pages. Mappings are in grant_map_op.c.
 */
#include <string.h>

#include "xen/abi.h"
#include <xen/grant_table.h>

#include "vmm/guest_memory.h"
#include "vmm/vm.h"
#include "xen/domain.h"
#include "xen/grant_map_op.h"
#include "xen/guest_access.h"
#include "xen/hypercall.h"

int16_t grant_domid_status(uint32_t domid)
{
	int rc = domid_check(domid);

	return rc == 0 ? GNTST_okay : rc == -XEN_EPERM ? GNTST_permission_denied : GNTST_bad_domain;
}

static int64_t query_size(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call)
{
	const uint64_t gva = call->arguments[1];
	struct gnttab_query_size request;

	if ((uint32_t)call->arguments[2] != 1)
		return -XEN_EINVAL;
	if (!copy_from_guest(vcpu, &request, gva, sizeof(request)))
		return -XEN_EFAULT;
	request.status = grant_domid_status(request.dom);
	if (request.status == GNTST_okay) {
		pthread_mutex_lock(&xen->lock);
		request.nr_frames = xen->grants.n_frames;
		request.max_nr_frames = xen->grants.max_frames;
		pthread_mutex_unlock(&xen->lock);
	}
	return copy_to_guest(vcpu, gva, &request, sizeof(request)) ? 0 : -XEN_EFAULT;
}

/* For a guest like this one it grows the table, and tells where the frames lie that were placed already. */
static int64_t setup_table(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call)
{
	const uint64_t gva = call->arguments[1];
	struct gnttab_setup_table request;
	uint64_t gfns[PAGES_MAX_GRANT_FRAMES];

	if ((uint32_t)call->arguments[2] != 1)
		return -XEN_EINVAL;
	if (!read_guest_struct(vcpu, call, ABI_gnttab_setup_table, gva, &request))
		return -XEN_EFAULT;
	request.status = grant_domid_status(request.dom);
	if (request.status == GNTST_okay) {
		pthread_mutex_lock(&xen->lock);
		if (!grant_table_grow(&xen->grants, request.nr_frames))
			request.status = GNTST_general_error;
		for (uint32_t i = 0; request.status == GNTST_okay && i < request.nr_frames; i++)
			gfns[i] = pages_grant_frame_gfn(&xen->pages, i);
		pthread_mutex_unlock(&xen->lock);
	}
	for (uint32_t i = 0; request.status == GNTST_okay && i < request.nr_frames; i++)
		if (!write_guest_word(vcpu, call, (uint64_t)(uintptr_t)request.frame_list.p, i, gfns[i]))
			request.status = GNTST_bad_virt_addr;
	return write_guest_struct(vcpu, call, ABI_gnttab_setup_table, gva, &request) ? 0 : -XEN_EFAULT;
}

static int64_t get_version(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call)
{
	const uint64_t gva = call->arguments[1];
	struct gnttab_get_version request;

	if (!copy_from_guest(vcpu, &request, gva, sizeof(request)))
		return -XEN_EFAULT;

	int64_t rc = domid_check(request.dom);
	if (rc != 0)
		return rc;
	pthread_mutex_lock(&xen->lock);
	request.version = xen->grants.version;
	pthread_mutex_unlock(&xen->lock);
	return copy_to_guest(vcpu, gva, &request, sizeof(request)) ? 0 : -XEN_EFAULT;
}

/* The guest learns the version in force, also when it is not the one it asked for. */
static int64_t set_version(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call)
{
	const uint64_t gva = call->arguments[1];
	struct gnttab_set_version request;

	if (!copy_from_guest(vcpu, &request, gva, sizeof(request)))
		return -XEN_EFAULT;
	pthread_mutex_lock(&xen->lock);
	int64_t rc = grant_table_set_version(&xen->grants, request.version);
	request.version = xen->grants.version;
	pthread_mutex_unlock(&xen->lock);
	return copy_to_guest(vcpu, gva, &request, sizeof(request)) ? rc : -XEN_EFAULT;
}

/* One side of a copy: a page of the guest's own, named by a grant of its own or by its number. */
struct copy_side {
	const struct gnttab_copy_ptr *pointer;
	bool by_grant, read_only, held;
	uint8_t *hva;
};

static int16_t claim(struct xen_domain *xen, const struct vcpu *vcpu, struct copy_side *side, uint16_t len_bytes)
{
	struct grant_page page = { .gfn = side->pointer->u.gmfn, .len_bytes = LAYOUT_PAGE_BYTES };
	const uint16_t offset_bytes = side->pointer->offset;

	if (!side->by_grant && side->pointer->domid != DOMID_SELF)
		return GNTST_permission_denied;
	if (grant_domid_status(side->pointer->domid) != GNTST_okay)
		return grant_domid_status(side->pointer->domid);
	if (side->by_grant) {
		int16_t status = grant_acquire(&xen->grants, side->pointer->u.ref, GUEST_DOMID, side->read_only, false, &page);

		if (status != GNTST_okay)
			return status;
		side->held = true;
	}
	if (offset_bytes < page.offset_bytes || offset_bytes + len_bytes > page.offset_bytes + page.len_bytes)
		return GNTST_general_error;
	if (page.gfn <= UINT64_MAX / LAYOUT_PAGE_BYTES - 1)
		side->hva = guest_memory_span(vcpu->vm->memory, page.gfn * LAYOUT_PAGE_BYTES, LAYOUT_PAGE_BYTES);
	return side->hva ? GNTST_okay : GNTST_bad_page;
}

static int16_t copy_one(struct xen_domain *xen, const struct vcpu *vcpu, const struct gnttab_copy *request)
{
	struct copy_side source = { &request->source, (request->flags & GNTCOPY_source_gref) != 0, true, false, NULL };
	struct copy_side dest = { &request->dest, (request->flags & GNTCOPY_dest_gref) != 0, false, false, NULL };
	int16_t status;

	if (request->source.offset + request->len > (int)LAYOUT_PAGE_BYTES ||
	    request->dest.offset + request->len > (int)LAYOUT_PAGE_BYTES)
		return GNTST_bad_copy_arg;
	status = claim(xen, vcpu, &source, request->len);
	if (status == GNTST_okay)
		status = claim(xen, vcpu, &dest, request->len);
	/* Both may be the same page. */
	if (status == GNTST_okay)
		memmove(dest.hva + request->dest.offset, source.hva + request->source.offset, request->len);
	if (dest.held)
		grant_release(&xen->grants, request->dest.u.ref, false);
	if (source.held)
		grant_release(&xen->grants, request->source.u.ref, true);
	return status;
}

static int64_t copy(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call)
{
	const uint32_t n = (uint32_t)call->arguments[2];
	uint64_t gva = call->arguments[1];

	if (n > GRANT_COUNT_MAX)
		return -XEN_EINVAL;
	for (uint32_t i = 0; i < n; i++, gva += abi_layout_bytes(ABI_gnttab_copy, call->is_64bit)) {
		struct gnttab_copy request;

		if (!read_guest_struct(vcpu, call, ABI_gnttab_copy, gva, &request))
			return -XEN_EFAULT;
		pthread_mutex_lock(&xen->lock);
		request.status = copy_one(xen, vcpu, &request);
		pthread_mutex_unlock(&xen->lock);
		if (!write_guest_struct(vcpu, call, ABI_gnttab_copy, gva, &request))
			return -XEN_EFAULT;
	}
	return 0;
}

static int64_t swap_grant_ref(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call)
{
	const uint32_t n = (uint32_t)call->arguments[2];
	uint64_t gva = call->arguments[1];

	if (n > GRANT_COUNT_MAX)
		return -XEN_EINVAL;
	for (uint32_t i = 0; i < n; i++, gva += sizeof(struct gnttab_swap_grant_ref)) {
		struct gnttab_swap_grant_ref request;

		if (!copy_from_guest(vcpu, &request, gva, sizeof(request)))
			return -XEN_EFAULT;
		pthread_mutex_lock(&xen->lock);
		request.status = grant_swap(&xen->grants, request.ref_a, request.ref_b);
		pthread_mutex_unlock(&xen->lock);
		if (!copy_to_guest(vcpu, gva, &request, sizeof(request)))
			return -XEN_EFAULT;
	}
	return 0;
}

static const struct hypercall_op OPS[] = {
	HYPERCALL_OP(GNTTABOP_, map_grant_ref, grant_map_op_map,
		     "the guest's own grants, 1024 mappings at a time; below"),
	HYPERCALL_OP(GNTTABOP_, unmap_grant_ref, grant_map_op_unmap, "in RAM the guest finds zeros there"),
	HYPERCALL_OP(GNTTABOP_, setup_table, setup_table, NULL),
	HYPERCALL_REFUSE(GNTTABOP_, dump_table, XEN_ENOSYS, NULL),
	HYPERCALL_REFUSE(GNTTABOP_, transfer, XEN_ENOSYS, NULL),
	HYPERCALL_OP(GNTTABOP_, copy, copy, "the guest's own pages and grants; at most 4096 a call"),
	HYPERCALL_OP(GNTTABOP_, query_size, query_size, NULL),
	HYPERCALL_REFUSE(GNTTABOP_, unmap_and_replace, XEN_ENOSYS, NULL),
	HYPERCALL_OP(GNTTABOP_, set_version, set_version, "version 2 for PVH guests; `-ENOSYS` in the shim"),
	HYPERCALL_REFUSE(GNTTABOP_, get_status_frames, XEN_ENOSYS, "they are placed by add_to_physmap"),
	HYPERCALL_OP(GNTTABOP_, get_version, get_version, NULL),
	HYPERCALL_OP(GNTTABOP_, swap_grant_ref, swap_grant_ref, NULL),
	HYPERCALL_REFUSE(GNTTABOP_, cache_flush, XEN_ENOSYS, NULL),
};

HYPERCALL_FAMILY(grant_table_op, OPS);
