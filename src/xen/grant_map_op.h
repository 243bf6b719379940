// SPDX-License-Identifier: MIT
/* GNTTABOP_map_grant_ref and GNTTABOP_unmap_grant_ref; the others are in grant_table_op.c. */
#pragma once

#include "xen/hypercall.h"

int64_t grant_map_op_map(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call);
int64_t grant_map_op_unmap(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call);

/* The GNTST_* of a request that names a domain: only the caller's own has grants for it. */
int16_t grant_domid_status(uint32_t domid);

/* Elements of one call. Xen goes on with a longer list after it has let others run. */
#define GRANT_COUNT_MAX 4096u
