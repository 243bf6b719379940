// SPDX-License-Identifier: MIT
#include "virtio/common.h"

#include <assert.h>

#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>

static_assert(VIRTIO_PCI_COMMON_Q_USEDHI + 4 == VIRTIO_COMMON_BYTES, "virtio 1.2, 4.1.4.3");

void virtio_common_init(struct virtio_common *common, uint64_t features, unsigned int n_queues, uint16_t queue_size,
			unsigned int n_vectors)
{
	assert(n_queues <= VIRTIO_MAX_QUEUES && queue_size <= VIRTQUEUE_MAX_SIZE);
	*common = (struct virtio_common){
		.features = features | UINT64_C(1) << VIRTIO_F_VERSION_1,
		.n_queues = n_queues,
		.queue_size = queue_size,
		.n_vectors = n_vectors,
	};
	virtio_common_reset(common);
}

void virtio_common_reset(struct virtio_common *common)
{
	common->driver_features = 0;
	common->features_select = common->driver_features_select = 0;
	common->queue_select = 0;
	common->status = 0;
	common->config_vector = VIRTIO_NO_VECTOR;
	for (unsigned int i = 0; i < VIRTIO_MAX_QUEUES; i++) {
		common->queues[i] = (struct virtqueue){ .size = common->queue_size };
		common->queue_vectors[i] = VIRTIO_NO_VECTOR;
	}
}

/* The width of the field at offset, 0: no field begins there. The 64-bit ones are two. */
static unsigned int field_bytes(uint64_t offset_bytes)
{
	switch (offset_bytes) {
	case VIRTIO_PCI_COMMON_STATUS:
	case VIRTIO_PCI_COMMON_CFGGENERATION:
		return 1;
	case VIRTIO_PCI_COMMON_MSIX:
	case VIRTIO_PCI_COMMON_NUMQ:
	case VIRTIO_PCI_COMMON_Q_SELECT:
	case VIRTIO_PCI_COMMON_Q_SIZE:
	case VIRTIO_PCI_COMMON_Q_MSIX:
	case VIRTIO_PCI_COMMON_Q_ENABLE:
	case VIRTIO_PCI_COMMON_Q_NOFF:
		return 2;
	default:
		return offset_bytes < VIRTIO_COMMON_BYTES && offset_bytes % 4 == 0 ? 4 : 0;
	}
}

/* The half of a 64-bit number that select, or an offset, names; of others there is nothing. */
static uint32_t half(uint64_t value, uint32_t select)
{
	return select == 0 ? (uint32_t)value : select == 1 ? (uint32_t)(value >> 32) : 0;
}

static void set_half(uint64_t *value, uint32_t select, uint32_t to)
{
	if (select == 0)
		*value = (*value & ~UINT64_C(0xffffffff)) | to;
	else if (select == 1)
		*value = (*value & 0xffffffff) | (uint64_t)to << 32;
}

static uint32_t read_queue(const struct virtio_common *common, uint64_t offset_bytes)
{
	const struct virtqueue *queue = &common->queues[common->queue_select];

	switch (offset_bytes) {
	case VIRTIO_PCI_COMMON_Q_SIZE:
		return queue->size;
	case VIRTIO_PCI_COMMON_Q_MSIX:
		return common->queue_vectors[common->queue_select];
	case VIRTIO_PCI_COMMON_Q_ENABLE:
		return queue->enabled;
	case VIRTIO_PCI_COMMON_Q_NOFF:
		return common->queue_select;
	case VIRTIO_PCI_COMMON_Q_DESCLO:
	case VIRTIO_PCI_COMMON_Q_DESCHI:
		return half(queue->descriptors_gpa, offset_bytes == VIRTIO_PCI_COMMON_Q_DESCHI);
	case VIRTIO_PCI_COMMON_Q_AVAILLO:
	case VIRTIO_PCI_COMMON_Q_AVAILHI:
		return half(queue->driver_gpa, offset_bytes == VIRTIO_PCI_COMMON_Q_AVAILHI);
	case VIRTIO_PCI_COMMON_Q_USEDLO:
	case VIRTIO_PCI_COMMON_Q_USEDHI:
		return half(queue->device_gpa, offset_bytes == VIRTIO_PCI_COMMON_Q_USEDHI);
	default:
		return 0;
	}
}

uint32_t virtio_common_read(const struct virtio_common *common, uint64_t offset_bytes, unsigned int len_bytes)
{
	if (len_bytes == 0 || field_bytes(offset_bytes) != len_bytes)
		return 0;
	switch (offset_bytes) {
	case VIRTIO_PCI_COMMON_DFSELECT:
		return common->features_select;
	case VIRTIO_PCI_COMMON_DF:
		return half(common->features, common->features_select);
	case VIRTIO_PCI_COMMON_GFSELECT:
		return common->driver_features_select;
	case VIRTIO_PCI_COMMON_GF:
		return half(common->driver_features, common->driver_features_select);
	case VIRTIO_PCI_COMMON_MSIX:
		return common->config_vector;
	case VIRTIO_PCI_COMMON_NUMQ:
		return common->n_queues;
	case VIRTIO_PCI_COMMON_STATUS:
		return common->status;
	case VIRTIO_PCI_COMMON_CFGGENERATION:
		return common->generation;
	case VIRTIO_PCI_COMMON_Q_SELECT:
		return common->queue_select;
	default:
		/* Of a queue that there is not, the size is 0. */
		return common->queue_select < common->n_queues ? read_queue(common, offset_bytes) : 0;
	}
}

static enum virtio_effect write_status(struct virtio_common *common, uint8_t value)
{
	uint8_t before = common->status;

	if (value == 0) {
		virtio_common_reset(common);
		return VIRTIO_WAS_RESET;
	}
	if ((value & VIRTIO_CONFIG_S_FEATURES_OK) &&
	    ((common->driver_features & ~common->features) != 0 ||
	     !(common->driver_features & UINT64_C(1) << VIRTIO_F_VERSION_1)))
		value &= (uint8_t)~VIRTIO_CONFIG_S_FEATURES_OK;
	if (!((value | before) & VIRTIO_CONFIG_S_FEATURES_OK))
		value &= (uint8_t)~VIRTIO_CONFIG_S_DRIVER_OK;
	/* A driver clears no bit but by a reset, and this one is ours. */
	common->status = (uint8_t)(before | (value & ~VIRTIO_CONFIG_S_NEEDS_RESET));
	return (common->status & ~before) & VIRTIO_CONFIG_S_DRIVER_OK ? VIRTIO_STARTS : VIRTIO_NOTHING;
}

static uint16_t vector(const struct virtio_common *common, uint32_t value)
{
	return value < common->n_vectors ? (uint16_t)value : VIRTIO_NO_VECTOR;
}

static void write_queue(struct virtio_common *common, uint64_t offset_bytes, uint32_t value)
{
	struct virtqueue *queue = &common->queues[common->queue_select];

	if (offset_bytes == VIRTIO_PCI_COMMON_Q_MSIX)
		common->queue_vectors[common->queue_select] = vector(common, value);
	/* What was checked when it was enabled stays so. */
	if (queue->enabled)
		return;
	switch (offset_bytes) {
	case VIRTIO_PCI_COMMON_Q_SIZE:
		if (value > 0 && value <= common->queue_size && (value & (value - 1)) == 0)
			queue->size = (uint16_t)value;
		break;
	case VIRTIO_PCI_COMMON_Q_ENABLE:
		queue->enabled = value == 1 && virtqueue_is_valid(queue);
		break;
	case VIRTIO_PCI_COMMON_Q_DESCLO:
	case VIRTIO_PCI_COMMON_Q_DESCHI:
		set_half(&queue->descriptors_gpa, offset_bytes == VIRTIO_PCI_COMMON_Q_DESCHI, value);
		break;
	case VIRTIO_PCI_COMMON_Q_AVAILLO:
	case VIRTIO_PCI_COMMON_Q_AVAILHI:
		set_half(&queue->driver_gpa, offset_bytes == VIRTIO_PCI_COMMON_Q_AVAILHI, value);
		break;
	case VIRTIO_PCI_COMMON_Q_USEDLO:
	case VIRTIO_PCI_COMMON_Q_USEDHI:
		set_half(&queue->device_gpa, offset_bytes == VIRTIO_PCI_COMMON_Q_USEDHI, value);
		break;
	default:
		break;
	}
}

enum virtio_effect virtio_common_write(struct virtio_common *common, uint64_t offset_bytes, unsigned int len_bytes,
				       uint32_t value)
{
	if (len_bytes == 0 || field_bytes(offset_bytes) != len_bytes)
		return VIRTIO_NOTHING;
	switch (offset_bytes) {
	case VIRTIO_PCI_COMMON_DFSELECT:
		common->features_select = value;
		break;
	case VIRTIO_PCI_COMMON_GFSELECT:
		common->driver_features_select = value;
		break;
	case VIRTIO_PCI_COMMON_GF:
		/* Agreed is agreed. */
		if (!(common->status & VIRTIO_CONFIG_S_FEATURES_OK))
			set_half(&common->driver_features, common->driver_features_select, value);
		break;
	case VIRTIO_PCI_COMMON_MSIX:
		common->config_vector = vector(common, value);
		break;
	case VIRTIO_PCI_COMMON_STATUS:
		return write_status(common, (uint8_t)value);
	case VIRTIO_PCI_COMMON_Q_SELECT:
		common->queue_select = (uint16_t)value;
		break;
	default:
		if (common->queue_select < common->n_queues)
			write_queue(common, offset_bytes, value);
		break;
	}
	return VIRTIO_NOTHING;
}

bool virtio_common_runs(const struct virtio_common *common)
{
	return (common->status & (VIRTIO_CONFIG_S_DRIVER_OK | VIRTIO_CONFIG_S_NEEDS_RESET)) == VIRTIO_CONFIG_S_DRIVER_OK;
}

void virtio_common_break(struct virtio_common *common)
{
	common->status |= VIRTIO_CONFIG_S_NEEDS_RESET;
}
