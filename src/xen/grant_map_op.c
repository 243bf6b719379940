// SPDX-License-Identifier: MIT
/*
 * The guest maps its own grants. Source: <xen/grant_table.h>; map_grant_ref(), unmap_common() of Xen 4.17's
 * common/grant_table.c, create_grant_p2m_mapping() of arch/x86/hvm/grant_table.c.
 *
 * In one thing this is kinder than Xen: there, p2m_add_page() takes a page of the domain's own from the gfn where it
 * was, and after the last unmap the page is nowhere. Here it shows at both.
 */
#include "xen/grant_map_op.h"

#include "xen/abi.h"
#include <xen/grant_table.h>

#include "vmm/guest_memory.h"
#include "vmm/vm.h"
#include "xen/domain.h"
#include "xen/guest_access.h"

/* No status of the guest's: the page has to move first. */
#define MUST_MOVE 1

struct map_request {
	struct gnttab_map_grant_ref *map;
	bool alone; /* no other vCPU runs: the page may move */
};

/* The kernel writes there whenever an event comes, and nothing can hold it up. */
static bool holds_vcpu_info(const struct vm *vm, uint64_t gfn)
{
	const uint8_t *hva = guest_memory_span(vm->memory, gfn * LAYOUT_PAGE_BYTES, LAYOUT_PAGE_BYTES);

	for (unsigned int i = 0; i < vm->n_vcpus; i++) {
		const uint8_t *info = vm->vcpus[i].vcpu_info;

		if (info >= hva && info < hva + LAYOUT_PAGE_BYTES)
			return true;
	}
	return false;
}

/* While no other vCPU runs. A back end that has a grant of the page may be writing to it. */
static bool may_move(const void *opaque, uint64_t gfn)
{
	const struct xen_domain *xen = opaque;

	return !holds_vcpu_info(xen->vm, gfn) && !grant_gives_to_another(&xen->grants, gfn, GUEST_DOMID);
}

/* The page's number in xen->maps, or GRANT_MAP_NONE with *status set. */
static int find_page(struct xen_domain *xen, const struct map_request *request, uint64_t gfn, int16_t *status)
{
	int page = grant_maps_find_page(&xen->maps, request->map->ref, gfn);

	if (page != GRANT_MAP_NONE)
		return page;
	if (!reservation_has(&xen->reservation, gfn)) {
		*status = GNTST_bad_page;
	} else if (!may_move(xen, gfn)) {
		*status = GNTST_general_error;
	} else if (!request->alone) {
		*status = MUST_MOVE;
	} else {
		page = grant_maps_move_page(&xen->maps, xen->vm->memory, gfn, may_move, xen);
		*status = GNTST_no_space;
	}
	return page;
}

/* With the grant acquired. A gfn that shows something of the hypervisor's, or a grant, is no place: Xen ends the domain. */
static int16_t show(struct xen_domain *xen, const struct map_request *request, uint64_t gfn)
{
	struct gnttab_map_grant_ref *map = request->map;
	const uint64_t target = map->host_addr / LAYOUT_PAGE_BYTES;
	int16_t status = GNTST_general_error;

	if (target == gfn || pages_at(&xen->pages, target) || grant_maps_show(&xen->maps, target, 1))
		return GNTST_general_error;
	int page = find_page(xen, request, gfn, &status);
	if (page == GRANT_MAP_NONE)
		return status;
	if (xen->maps.n_handles == GRANT_MAP_HANDLES)
		return GNTST_no_space;
	int handle = grant_maps_add(&xen->maps, xen->vm->memory, page, map->ref, target, map->flags & GNTMAP_readonly);
	if (handle == GRANT_MAP_NONE)
		return GNTST_general_error;
	/* What lay there is the guest's no longer, as with each page that is placed. */
	grant_maps_forget(&xen->maps, target);
	(void)reservation_give_up(&xen->reservation, target, 0);
	map->handle = (grant_handle_t)handle;
	map->dev_bus_addr = gfn * LAYOUT_PAGE_BYTES;
	return GNTST_okay;
}

static int16_t map_locked(struct xen_domain *xen, const struct map_request *request)
{
	const struct gnttab_map_grant_ref *map = request->map;
	const bool read_only = (map->flags & GNTMAP_readonly) != 0;
	struct grant_page page;

	if (!(map->flags & (GNTMAP_device_map | GNTMAP_host_map)))
		return GNTST_bad_gntref;
	/* An HVM guest has no I/O addresses of its own, and no page tables that Xen would write. */
	if (map->flags & (GNTMAP_device_map | GNTMAP_application_map | GNTMAP_contains_pte))
		return GNTST_general_error;
	if (grant_domid_status(map->dom) != GNTST_okay)
		return grant_domid_status(map->dom);

	int16_t status = grant_acquire(&xen->grants, map->ref, GUEST_DOMID, read_only, true, &page);
	if (status != GNTST_okay)
		return status;
	status = page.gfn <= UINT64_MAX / LAYOUT_PAGE_BYTES ? show(xen, request, page.gfn) : GNTST_bad_page;
	if (status != GNTST_okay)
		grant_release(&xen->grants, map->ref, read_only);
	return status;
}

static int64_t map_one(struct vcpu *vcpu, void *argument)
{
	struct xen_domain *xen = vcpu->vm->xen;

	pthread_mutex_lock(&xen->lock);
	int16_t status = map_locked(xen, argument);
	pthread_mutex_unlock(&xen->lock);
	return status;
}

int64_t grant_map_op_map(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call)
{
	const uint32_t n = (uint32_t)call->arguments[2];
	uint64_t gva = call->arguments[1];

	(void)xen;
	if (n > GRANT_COUNT_MAX)
		return -XEN_EINVAL;
	for (uint32_t i = 0; i < n; i++, gva += sizeof(struct gnttab_map_grant_ref)) {
		struct gnttab_map_grant_ref map;
		struct map_request request = { .map = &map };

		if (!copy_from_guest(vcpu, &map, gva, sizeof(map)))
			return -XEN_EFAULT;
		map.status = (int16_t)map_one(vcpu, &request);
		if (map.status == MUST_MOVE) {
			request.alone = true;
			map.status = (int16_t)vcpu_run_alone(vcpu, map_one, &request, GNTST_general_error);
		}
		if (!copy_to_guest(vcpu, gva, &map, sizeof(map)))
			return -XEN_EFAULT;
	}
	return 0;
}

/* A null host_addr asks for nothing: the handle stays good, as in Xen. */
static int16_t unmap_locked(struct xen_domain *xen, const struct gnttab_unmap_grant_ref *unmap)
{
	const struct grant_map_handle *handle = grant_maps_handle(&xen->maps, unmap->handle);

	if (!handle)
		return GNTST_bad_handle;
	if (unmap->host_addr == 0)
		return GNTST_okay;

	const uint32_t ref = handle->ref;
	const bool read_only = handle->read_only;
	if (unmap->host_addr / LAYOUT_PAGE_BYTES != handle->gfn ||
	    !grant_maps_remove(&xen->maps, xen->vm->memory, unmap->handle))
		return GNTST_general_error;
	grant_release(&xen->grants, ref, read_only);
	return GNTST_okay;
}

int64_t grant_map_op_unmap(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call)
{
	const uint32_t n = (uint32_t)call->arguments[2];
	uint64_t gva = call->arguments[1];

	if (n > GRANT_COUNT_MAX)
		return -XEN_EINVAL;
	for (uint32_t i = 0; i < n; i++, gva += sizeof(struct gnttab_unmap_grant_ref)) {
		struct gnttab_unmap_grant_ref unmap;

		if (!copy_from_guest(vcpu, &unmap, gva, sizeof(unmap)))
			return -XEN_EFAULT;
		pthread_mutex_lock(&xen->lock);
		unmap.status = unmap_locked(xen, &unmap);
		pthread_mutex_unlock(&xen->lock);
		if (!copy_to_guest(vcpu, gva, &unmap, sizeof(unmap)))
			return -XEN_EFAULT;
	}
	return 0;
}
