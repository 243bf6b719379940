// SPDX-License-Identifier: MIT
/* The operations of memory_op that place and remove pages. Source: <xen/memory.h>. */
#pragma once

#include "xen/hypercall.h"

int64_t physmap_add(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call);
int64_t physmap_add_batch(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call);
int64_t physmap_remove(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call);

/* With the lock held: 2^order pages go back to the host. FALSE, and nothing changed: the domain has not all of them. */
bool physmap_give_up(struct xen_domain *xen, uint64_t gfn, unsigned int order);
