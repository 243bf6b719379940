// SPDX-License-Identifier: MIT
/*
 * A virtio device behind PCI: the registers in BAR 0, and perhaps a range of shared memory in BAR 2. What kind of device it
 * is a table of functions says; the rest is the same for all.
 *
 *   BAR 0, 0x0000  the common configuration   0x1000  the interrupt status   0x2000  the device's own configuration
 *          0x3000  notifications, 4 bytes a queue   0x4000  the MSI-X table   0x5000  its pending bits
 *
 * The driver's writes come in vCPU threads; the device may work in another. Both hold the device's lock: functions of the
 * table are called with it, and what is below asks for it. It is taken before pci_host.lock, and nobody waits under it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "virtio/common.h"

struct pci_host;
struct virtio_device;
struct vm;

#define VIRTIO_REGISTERS_BYTES UINT64_C(0x8000)
#define VIRTIO_REGISTERS_BAR   0u
#define VIRTIO_MEMORY_BAR      1u /* the second of 64 bits: registers 2 and 3 */

struct virtio_ops {
	/* A byte of the device's configuration, len_bytes of them zeroed already. */
	void (*read_config)(void *opaque, struct virtio_device *device, uint64_t offset_bytes, uint8_t *bytes,
			    unsigned int len_bytes);
	/* The driver has put something into the queue. Not called before it is ready. Does not wait. */
	void (*kick)(void *opaque, unsigned int queue);
	/*
	 * The driver has made the device ready, or has reset it. NULL: kick() is all that concerns it. Else a reset is over with
	 * virtio_device_settle(). Does not wait.
	 */
	void (*changed)(void *opaque);
	/* Where the shared memory is, or PCI_NOWHERE; as place() of struct pci_device_ops: without the lock. */
	int (*place)(void *opaque, uint64_t gpa);
};

struct virtio_device_config {
	unsigned int pci_device; /* its number on the bus */
	uint16_t virtio_id;      /* <linux/virtio_ids.h> */
	uint32_t class_code;
	uint64_t features;
	unsigned int n_queues;
	uint16_t queue_size;
	uint64_t registers_gpa; /* BARs at first */
	uint64_t memory_gpa, memory_bytes; /* a power of two; 0: there is none */
	uint8_t memory_id;      /* of the shared memory region: the device's kind says which */
	const struct virtio_ops *ops;
	void *opaque;
};

/* Main thread, before the first vCPU runs; it has become a function of host. */
struct virtio_device *virtio_device_new(struct vm *vm, struct pci_host *host, const struct virtio_device_config *config);
/* After the last vCPU, and when nobody works for it any more. */
void virtio_device_free(struct virtio_device *device);
/* As after a reset by the driver; no vCPU runs. */
void virtio_device_reset(struct virtio_device *device);

/* Where the driver finds the shared memory now, or PCI_NOWHERE. */
uint64_t virtio_device_memory_gpa(struct virtio_device *device);

/* What the driver has set up, for a device that looks at its queues by itself. Any thread, as all that follows. */
struct virtio_setup {
	bool runs;
	uint64_t generation; /* another one after each reset */
	uint64_t driver_features;
	struct virtqueue queues[VIRTIO_MAX_QUEUES];
};
void virtio_device_setup(struct virtio_device *device, struct virtio_setup *setup);
/* Nothing of what was set up before this generation is in use: the driver sees the end of its reset. */
void virtio_device_settle(struct virtio_device *device, uint64_t generation);
void virtio_device_interrupt(struct virtio_device *device, unsigned int queue);
void virtio_device_config_changed(struct virtio_device *device);
/* Until a reset, if there is one that helps. */
void virtio_device_break(struct virtio_device *device);

/*
 * For who works for the device, any thread: the next chain of a queue, and its way back with an answer of len_bytes. Between
 * the two no lock is held. generation: of the driver's setup; when there was a reset meanwhile the answer goes nowhere.
 */
bool virtio_device_take(struct virtio_device *device, unsigned int queue, struct virtqueue_chain *chain, void *request,
			size_t request_bytes, uint64_t *generation);
void virtio_device_answer(struct virtio_device *device, unsigned int queue, const struct virtqueue_chain *chain,
			  const void *answer, size_t len_bytes, uint64_t generation);
