// SPDX-License-Identifier: MIT
/* Would Linux make something of this initrd? What it would not, ends in a panic about the root file system. Pure. */
#pragma once

#include <glib.h>

#include "shim/boot_plan.h"

/*
 * DOM1_STATUS_FILE: kernel is a Linux, and the initrd begins like none of the formats that Linux knows. What other
 * systems take as their module is their business; so is the initrd of a kernel that we could not unpack.
 */
gboolean initrd_check(const struct boot_image *kernel, const struct boot_image *initrd, GError **error);
