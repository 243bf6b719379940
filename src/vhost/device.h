// SPDX-License-Identifier: MIT
/*
 * A virtio device that another process is: dom1 shows the guest a PCI function with its registers, and tells the vhost-user
 * back end where the driver has put the queues. From then on the two talk to each other by the guest's RAM: a notification
 * goes to the back end's eventfd, an interrupt comes from one.
 *
 * Memory that the back end shows the guest (SHMEM_MAP) is lent memory: a window of the domain's, whose lender is the thread
 * here. So it may be taken back at any time, no part of dom1 has a pointer to it, and it goes with the back end. Where nothing
 * is mapped the guest finds zeros. Windows are never in the memory that a back end gets (R24 of docs/lending.md).
 *
 * One thread a device has the conversation; it may wait for the back end, and nobody waits for it but a reset of the guest. A
 * driver's reset is over when the back end has stopped: it sees DEVICE_NEEDS_RESET until then.
 */
#pragma once

#include <stdint.h>

#include <glib.h>

#include "vhost/backend.h"

struct pci_host;
struct sandbox;
struct vhost_device;
struct vm;
struct worker;

struct vhost_device_config {
	struct vhost_backend *backend; /* the device's as long as it lives */
	struct worker *worker;         /* borrowed; NULL: one of its own */
	unsigned int pci_device;
	uint64_t registers_gpa;
	unsigned int window; /* of its shared memory, if it has any */
	uint64_t memory_gpa; /* of that, at first */
	int lend_fd;         /* a lender's connection, for the window; taken over; -1 */
};

/* The thread of one. DOM1_STATUS_HOST. */
struct worker *vhost_worker(unsigned int number, const struct sandbox *sandbox, GError **error);

/* Main thread, when the VM has its memory, before the first vCPU runs. DOM1_STATUS_HOST. */
struct vhost_device *vhost_device_new(struct vm *vm, struct pci_host *host, const struct vhost_device_config *config,
				      GError **error);
/* After the last vCPU. The back end has stopped, or is not connected any more. NULL is fine. */
void vhost_device_free(struct vhost_device *vhost);
/* While no vCPU runs. As above. */
void vhost_device_reset(struct vhost_device *vhost);
