// SPDX-License-Identifier: MIT
/*
 * A PV Linux in the shim as a core: its memory as it has it, not as the shim has put it into the machine, in the format of
 * Xen's own cores (xl dump-core), which crash reads.
 *
 *   .note.Xen       what it is
 *   .xen_prstatus   struct vcpu_guest_context of each vCPU: the guest's own registers, and CR3
 *   .xen_p2m        for each page its number in the guest's memory and the frame of the machine, which its page tables name
 *   .xen_pages      the pages, in the same order
 *
 * Where a page is, the guest's page tables say: Linux maps all of its memory once in order, and the shim's vCPU runs on the
 * guest's own tables.
 */
#pragma once

#include <stdbool.h>

struct core_file;
struct evidence;
struct guest_memory;

/* FALSE: no vCPU's page tables are a 64-bit Linux'; nothing is written. */
bool core_pv_write(struct core_file *file, const struct guest_memory *memory, const struct evidence *evidence);
