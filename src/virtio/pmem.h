// SPDX-License-Identifier: MIT
/*
 * virtio-pmem over a lend window: a Linux guest has it as /dev/pmem0, and file systems with DAX on it. What it stores is in
 * the lender's file at once, as with every window; a flush asks more, that it is as safe as the file can make it: then the
 * file is synchronised, page cache to disk, by a thread that may wait for the disk. Of memory that nobody lends, or that is
 * none of a file's, a flush has nothing to do.
 *
 * Source: virtio 1.2, 5.19. The range is named in the configuration, and as shared memory region 0.
 */
#pragma once

#include <stdint.h>

#include <glib.h>

struct lending;
struct pci_host;
struct pmem;
struct sandbox;
struct vm;
struct worker;

struct pmem_config {
	unsigned int pci_device;
	unsigned int window; /* of vm->lending */
	uint64_t registers_gpa, memory_gpa, memory_bytes;
};

/* The thread of one, for vm->workers. DOM1_STATUS_HOST. */
struct worker *pmem_worker(const struct sandbox *sandbox, GError **error);

/* Main thread, before the first vCPU runs. DOM1_STATUS_HOST. */
struct pmem *pmem_new(struct vm *vm, struct pci_host *host, const struct pmem_config *config, GError **error);
/* After the last vCPU. A flush that is going on ends first. */
void pmem_free(struct pmem *pmem);
/* While no vCPU runs. */
void pmem_reset(struct pmem *pmem);
