// SPDX-License-Identifier: MIT
/*
 * Would it boot? What can be said of a shim, a kernel and an amount of memory before a guest is started. Each refusal
 * here saves a person the reading of a panic in the shim's log. Pure.
 */
#pragma once

#include <stdint.h>

#include <glib.h>

#include "shim/boot_plan.h"

/* DOM1_STATUS_FILE: a Xen that was built without PV_SHIM, or no Xen. */
gboolean pv_check_shim(const struct boot_image *shim, GError **error);

/*
 * DOM1_STATUS_FILE: the kernel cannot run as a PV guest; DOM1_STATUS_USAGE: ram_bytes is too little for the shim to
 * build the domain, and the message names an amount that is enough. A compressed kernel that we cannot unpack is let
 * through. Memory is checked only where all of it is in one piece below 4 GiB; elsewhere the shim has more choice.
 */
gboolean pv_check_kernel(const struct boot_inputs *inputs, uint64_t ram_bytes, GError **error);

/* RAM that is enough for a kernel whose ELF ends at load_end, in a file of kernel_bytes. */
uint64_t pv_memory_needed(uint64_t load_end, uint64_t kernel_bytes, uint64_t initrd_bytes);
