// SPDX-License-Identifier: MIT
/*
 * Parameters of an HVM domain: who may read and set which. Source: <xen/hvm/params.h>; the rules are those of Xen 4.17.
 * Thread: under the domain's lock.
 */
#pragma once

#include <stdint.h>

#include "xen/abi.h"
#include <xen/hvm/params.h>

struct xen_domain;

struct hvm_params {
	uint64_t values[HVM_NR_PARAMS];
};

/* What the toolstack sets before the guest runs. The domain's ports must be reserved. */
void hvm_params_init(struct xen_domain *xen);

/* What Xen answers to the guest, 0 or a negative errno. Setting stores: effects are the caller's. */
int hvm_params_get(const struct hvm_params *params, uint32_t index, uint64_t *value);
int hvm_params_set(struct hvm_params *params, uint32_t index, uint64_t value);
