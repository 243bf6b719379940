// SPDX-License-Identifier: MIT
/* All hypercalls of Xen's ABI and what becomes of them here; docs/abi.md is abi_table_markdown(). */
#pragma once

#include <glib.h>

#include "xen/hypercall.h"

/* NULL: not even Xen has a hypercall of this number for a guest like this one. */
const struct hypercall_family *abi_table_family(uint64_t number);

/* NULL: not in the table. */
const struct hypercall_op *abi_table_op(const struct hypercall_family *family, uint64_t number);

GString *abi_table_markdown(void);
