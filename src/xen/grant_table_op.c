// SPDX-License-Identifier: MIT
/*
 * Grant tables, as far as the shim needs them for its guest: how many frames there may be. The frames themselves are
 * placed by XENMEM_add_to_physmap. Version 1. Source: <xen/grant_table.h>.
 */
#include <assert.h>

#include "xen/abi.h"
#include <xen/grant_table.h>

#include "vmm/vm.h"
#include "xen/domain.h"
#include "xen/guest_access.h"
#include "xen/hypercall.h"

static_assert(sizeof(struct gnttab_query_size) == 16, "<xen/grant_table.h>");

static int64_t query_size(struct xen_domain *xen, struct vcpu *vcpu, uint64_t argument_gva)
{
	struct gnttab_query_size request;

	if (!copy_from_guest(vcpu, &request, argument_gva, sizeof(request)))
		return -XEN_EFAULT;
	if (!domid_is_self(request.dom)) {
		request.status = GNTST_bad_domain;
	} else {
		pthread_mutex_lock(&xen->lock);
		request.nr_frames = xen->pages.used_grant_frames;
		request.max_nr_frames = xen->pages.n_grant_frames;
		pthread_mutex_unlock(&xen->lock);
		request.status = GNTST_okay;
	}
	return copy_to_guest(vcpu, argument_gva, &request, sizeof(request)) ? 0 : -XEN_EFAULT;
}

int64_t hypercall_grant_table_op(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call)
{
	/* Arguments: operation, array of structures, number of them. */
	if (call->arguments[0] != GNTTABOP_query_size)
		return -XEN_ENOSYS;
	return call->arguments[2] == 1 ? query_size(xen, vcpu, call->arguments[1]) : -XEN_EINVAL;
}
