// SPDX-License-Identifier: MIT
/* Who is who: the guest is domain 1, and back ends are domain 0. */
#pragma once

#include <stdbool.h>

#include "xen/abi.h"

#define GUEST_DOMID   1u
#define BACKEND_DOMID 0u

/* A guest may name itself by either. */
static inline bool domid_is_self(uint32_t domid)
{
	return domid == DOMID_SELF || domid == GUEST_DOMID;
}

/* What Xen answers to an operation that a domain may do to itself only: 0 for that, or a negative errno. */
static inline int domid_check(uint32_t domid)
{
	return domid_is_self(domid) ? 0 : domid == BACKEND_DOMID ? -XEN_EPERM : -XEN_ESRCH;
}
