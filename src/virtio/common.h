// SPDX-License-Identifier: MIT
/*
 * The common configuration of a virtio device behind PCI: registers by which the driver and the device agree, and the queues
 * are set up. Pure. The guest may write anything in any order; a driver that keeps to the rules notices nothing of that.
 *
 * No legacy: a driver that does not accept VIRTIO_F_VERSION_1 gets no further. Source: virtio 1.2, 4.1.4.3 and 3.1.1.
 */
#pragma once

#include <stdint.h>

#include "virtio/queue.h"

#define VIRTIO_MAX_QUEUES   4u
#define VIRTIO_NO_VECTOR    0xffffu
#define VIRTIO_COMMON_BYTES 56u

struct virtio_common {
	uint64_t features; /* that are offered; VIRTIO_F_VERSION_1 is among them */
	unsigned int n_queues;
	uint16_t queue_size; /* of each, at most */
	unsigned int n_vectors;

	uint64_t driver_features;
	uint32_t features_select, driver_features_select;
	uint16_t queue_select;
	uint8_t status;
	uint8_t generation; /* of the device's configuration */
	uint16_t config_vector; /* or VIRTIO_NO_VECTOR */
	uint16_t queue_vectors[VIRTIO_MAX_QUEUES];
	struct virtqueue queues[VIRTIO_MAX_QUEUES];
};

enum virtio_effect {
	VIRTIO_NOTHING,
	VIRTIO_WAS_RESET, /* nothing of the driver's holds any more */
	VIRTIO_STARTS,    /* the driver is ready */
};

void virtio_common_init(struct virtio_common *common, uint64_t features, unsigned int n_queues, uint16_t queue_size,
			unsigned int n_vectors);
void virtio_common_reset(struct virtio_common *common);

/* A register, in the width of its field or, for the 64-bit ones, by halves; zeros, and no effect, for others. */
uint32_t virtio_common_read(const struct virtio_common *common, uint64_t offset_bytes, unsigned int len_bytes);
enum virtio_effect virtio_common_write(struct virtio_common *common, uint64_t offset_bytes, unsigned int len_bytes,
				       uint32_t value);

/* The driver is ready, and nothing is broken. */
bool virtio_common_runs(const struct virtio_common *common);
/* Something is; the driver will see it in the status. */
void virtio_common_break(struct virtio_common *common);
