// SPDX-License-Identifier: MIT
/*
 * A guest as an ELF core: its RAM and its vCPUs' registers, in the shape of Linux' vmcore, for crash, gdb and readelf.
 *
 *   PT_NOTE                     NT_PRSTATUS of each vCPU, and the VMCOREINFO that a Linux keeps in its memory, if it is there
 *   PT_LOAD, one for each range of RAM: its address is the guest-physical one
 *   PT_LOAD, where VMCOREINFO tells where the kernel lies: the same bytes once more, at the kernel's own virtual addresses
 *
 * Pages of zeros are holes in the file. A PV Linux in the shim gets a core of Xen's own kind (core_pv.h). Of other guests in the
 * shim it is the memory of the machine, shim and all: their pages are where the shim has put them, and the registers are those
 * of the machine's vCPUs.
 */
#pragma once

#include <stdint.h>

struct evidence;
struct guest_memory;

/* Empties the file first. No vCPU runs. evidence: what was collected of them. 0 or a positive errno of the file's. */
int core_write(int fd, const struct guest_memory *memory, const struct evidence *evidence);
