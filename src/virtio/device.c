// SPDX-License-Identifier: MIT
#include "virtio/device.h"

#include <pthread.h>
#include <string.h>
#include <sys/ioctl.h>

#include <linux/kvm.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>

#include "pci/host.h"
#include "pci/ids.h"
#include "pci/msix.h"
#include "vmm/guest_memory.h"
#include "vmm/vm.h"

#define VIRTIO_PCI_ID(id)   (uint16_t)(0x1040u + (id)) /* virtio 1.2, 4.1.2 */
#define VIRTIO_PCI_REVISION 1u

enum part { PART_COMMON, PART_ISR, PART_CONFIG, PART_NOTIFY, PART_TABLE, PART_PENDING, N_PARTS };
#define PART_BYTES 0x1000u
#define NOTIFY_MULTIPLIER 4u
#define CONFIG_BYTES      64u
#define ISR_QUEUE         1u /* virtio 1.2, 4.1.4.5 */

/* Which 64-bit BARs they are, counted as the driver does. */
#define REGISTERS_BIR (2u * VIRTIO_REGISTERS_BAR)
#define MEMORY_BIR    (2u * VIRTIO_MEMORY_BAR)

struct virtio_device {
	struct vm *vm;
	struct pci_host *host;
	unsigned int pci_device;
	unsigned int msix_at; /* of the capability in the configuration space */
	const struct virtio_ops *ops;
	void *opaque;
	pthread_mutex_t lock; /* of what follows */
	struct virtio_common common;
	struct msix msix;
	uint8_t isr;
	uint64_t generation;
	bool resets; /* the driver's reset is not over */
};

/* Interrupts, with the lock held. syscalls(main, vcpu, flush, vhost): ioctl(KVM_SIGNAL_MSI) */

static void send(struct virtio_device *device, const struct msix_message *message)
{
	struct kvm_msi msi = { .address_lo = (uint32_t)message->address,
			       .address_hi = (uint32_t)(message->address >> 32),
			       .data = message->data };

	/* A message to nobody is the guest's own mistake. */
	(void)ioctl(device->vm->vm_fd, KVM_SIGNAL_MSI, &msi);
}

static void interrupt(struct virtio_device *device, uint16_t vector, uint8_t isr)
{
	struct msix_message message;

	/* There is no other interrupt; a driver may look at the bits. */
	if (!device->msix.enabled)
		device->isr |= isr;
	else if (msix_raise(&device->msix, vector, &message))
		send(device, &message);
}

static void send_pending(struct virtio_device *device)
{
	struct msix_message message;

	while (msix_take(&device->msix, &message))
		send(device, &message);
}

static void check_queue(struct virtio_device *device, const struct virtqueue *queue)
{
	if (!queue->broken || !virtio_common_runs(&device->common))
		return;
	virtio_common_break(&device->common);
	interrupt(device, device->common.config_vector, VIRTIO_PCI_ISR_CONFIG);
}

/* The driver's accesses */

static uint64_t get(const uint8_t *bytes, unsigned int len_bytes)
{
	uint64_t value = 0;

	memcpy(&value, bytes, len_bytes);
	return value;
}

static uint64_t read_register(struct virtio_device *device, enum part part, uint64_t offset_bytes, unsigned int len_bytes)
{
	uint8_t bytes[8] = { 0 };
	uint64_t value = 0;

	switch (part) {
	case PART_COMMON:
		if (device->resets && offset_bytes == VIRTIO_PCI_COMMON_STATUS)
			return VIRTIO_CONFIG_S_NEEDS_RESET;
		return virtio_common_read(&device->common, offset_bytes, len_bytes);
	case PART_ISR:
		/* Reading it is acknowledging it. */
		if (offset_bytes == 0) {
			value = device->isr;
			device->isr = 0;
		}
		return value;
	case PART_CONFIG:
		if (offset_bytes < CONFIG_BYTES)
			device->ops->read_config(device->opaque, device, offset_bytes, bytes, len_bytes);
		return get(bytes, len_bytes);
	case PART_TABLE:
		return msix_read_table(&device->msix, offset_bytes, len_bytes);
	case PART_PENDING:
		return msix_read_pending(&device->msix, offset_bytes, len_bytes);
	default:
		return 0;
	}
}

static void read_registers(void *opaque, unsigned int bar, uint64_t offset_bytes, uint8_t *bytes, unsigned int len_bytes)
{
	struct virtio_device *device = opaque;

	(void)bar;
	pthread_mutex_lock(&device->lock);
	uint64_t value = read_register(device, (enum part)(offset_bytes / PART_BYTES), offset_bytes % PART_BYTES, len_bytes);
	pthread_mutex_unlock(&device->lock);
	memcpy(bytes, &value, len_bytes);
}

static void begin_generation(struct virtio_device *device)
{
	device->generation++;
	device->isr = 0;
	device->resets = device->ops->changed != NULL;
}

static void write_register(struct virtio_device *device, enum part part, uint64_t offset_bytes, unsigned int len_bytes,
			   uint64_t value)
{
	enum virtio_effect effect;

	switch (part) {
	case PART_COMMON:
		effect = virtio_common_write(&device->common, offset_bytes, len_bytes, (uint32_t)value);
		if (effect == VIRTIO_WAS_RESET)
			begin_generation(device);
		if (effect != VIRTIO_NOTHING && device->ops->changed)
			device->ops->changed(device->opaque);
		/* Queues may have something in them already. */
		for (unsigned int i = 0; effect == VIRTIO_STARTS && i < device->common.n_queues; i++)
			device->ops->kick(device->opaque, i);
		break;
	case PART_NOTIFY:
		if (offset_bytes / NOTIFY_MULTIPLIER < device->common.n_queues && virtio_common_runs(&device->common))
			device->ops->kick(device->opaque, (unsigned int)(offset_bytes / NOTIFY_MULTIPLIER));
		break;
	case PART_TABLE:
		msix_write_table(&device->msix, offset_bytes, len_bytes, value);
		send_pending(device);
		break;
	default:
		break;
	}
}

static void write_registers(void *opaque, unsigned int bar, uint64_t offset_bytes, const uint8_t *bytes,
			    unsigned int len_bytes)
{
	struct virtio_device *device = opaque;

	(void)bar;
	pthread_mutex_lock(&device->lock);
	write_register(device, (enum part)(offset_bytes / PART_BYTES), offset_bytes % PART_BYTES, len_bytes,
		       get(bytes, len_bytes));
	pthread_mutex_unlock(&device->lock);
}

static int place_memory(void *opaque, unsigned int bar, uint64_t gpa)
{
	struct virtio_device *device = opaque;

	(void)bar;
	return device->ops->place(device->opaque, gpa);
}

static void config_written(void *opaque)
{
	struct virtio_device *device = opaque;

	pthread_mutex_lock(&device->lock);
	msix_set_control(&device->msix, pci_host_config16(device->host, device->pci_device, device->msix_at + MSIX_CONTROL));
	send_pending(device);
	pthread_mutex_unlock(&device->lock);
}

static const struct pci_device_ops PCI_OPS = {
	.read = read_registers, .write = write_registers, .place = place_memory, .config_written = config_written,
};

/* Start and end */

static void add_part(struct pci_function *function, uint8_t type, enum part part, uint32_t len_bytes)
{
	const struct virtio_pci_cap cap = { .cap_vndr = 0x09,
					    .cap_len = sizeof(cap),
					    .cfg_type = type,
					    .bar = REGISTERS_BIR,
					    .offset = part * PART_BYTES,
					    .length = len_bytes };

	(void)pci_function_add_capability(function, &cap, NULL, sizeof(cap));
}

static void add_notify(struct pci_function *function, unsigned int n_queues)
{
	const struct virtio_pci_notify_cap cap = {
		.cap = { .cap_vndr = 0x09, .cap_len = sizeof(cap), .cfg_type = VIRTIO_PCI_CAP_NOTIFY_CFG, .bar = REGISTERS_BIR,
			 .offset = PART_NOTIFY * PART_BYTES, .length = n_queues * NOTIFY_MULTIPLIER },
		.notify_off_multiplier = NOTIFY_MULTIPLIER,
	};

	(void)pci_function_add_capability(function, &cap, NULL, sizeof(cap));
}

/* virtio 1.2, 4.1.4.7. */
static void add_memory(struct pci_function *function, uint8_t id, uint64_t len_bytes)
{
	const struct virtio_pci_cap64 cap = {
		.cap = { .cap_vndr = 0x09, .cap_len = sizeof(cap), .cfg_type = VIRTIO_PCI_CAP_SHARED_MEMORY_CFG, .bar = MEMORY_BIR,
			 .id = id, .length = (uint32_t)len_bytes },
		.length_hi = (uint32_t)(len_bytes >> 32),
	};

	(void)pci_function_add_capability(function, &cap, NULL, sizeof(cap));
}

static unsigned int add_msix(struct pci_function *function, unsigned int n_vectors)
{
	uint8_t cap[MSIX_CAPABILITY_BYTES] = { MSIX_CAPABILITY }, writable[MSIX_CAPABILITY_BYTES] = { 0 };

	pci_put16(cap + MSIX_CONTROL, (uint16_t)(n_vectors - 1));
	pci_put16(writable + MSIX_CONTROL, MSIX_CONTROL_ENABLED | MSIX_CONTROL_MASKED);
	pci_put32(cap + 4, PART_TABLE * PART_BYTES | REGISTERS_BIR);
	pci_put32(cap + 8, PART_PENDING * PART_BYTES | REGISTERS_BIR);
	return pci_function_add_capability(function, cap, writable, sizeof(cap));
}

struct virtio_device *virtio_device_new(struct vm *vm, struct pci_host *host, const struct virtio_device_config *config)
{
	const struct pci_identity identity = { .vendor = PCI_VENDOR_VIRTIO,
					       .device = VIRTIO_PCI_ID(config->virtio_id),
					       .subsystem_vendor = PCI_VENDOR_VIRTIO,
					       .subsystem = VIRTIO_PCI_ID(config->virtio_id),
					       .class_code = config->class_code,
					       .revision = VIRTIO_PCI_REVISION };
	const unsigned int n_vectors = config->n_queues + 1; /* one each, and one for changes of the configuration */
	struct virtio_device *device = g_new0(struct virtio_device, 1);

	g_assert(N_PARTS * PART_BYTES <= VIRTIO_REGISTERS_BYTES);
	device->vm = vm;
	device->host = host;
	device->pci_device = config->pci_device;
	device->ops = config->ops;
	device->opaque = config->opaque;
	pthread_mutex_init(&device->lock, NULL);
	virtio_common_init(&device->common, config->features, config->n_queues, config->queue_size, n_vectors);
	msix_init(&device->msix, n_vectors);
	struct pci_function *function = pci_host_add(host, config->pci_device, &identity,
						     config->memory_bytes > 0 ? 1u << VIRTIO_MEMORY_BAR : 0, &PCI_OPS, device);
	pci_function_add_bar(function, VIRTIO_REGISTERS_BAR, VIRTIO_REGISTERS_BYTES, false, config->registers_gpa);
	add_part(function, VIRTIO_PCI_CAP_COMMON_CFG, PART_COMMON, VIRTIO_COMMON_BYTES);
	add_part(function, VIRTIO_PCI_CAP_ISR_CFG, PART_ISR, 1);
	add_part(function, VIRTIO_PCI_CAP_DEVICE_CFG, PART_CONFIG, CONFIG_BYTES);
	add_notify(function, config->n_queues);
	if (config->memory_bytes > 0) {
		pci_function_add_bar(function, VIRTIO_MEMORY_BAR, config->memory_bytes, true, config->memory_gpa);
		add_memory(function, config->memory_id, config->memory_bytes);
	}
	device->msix_at = add_msix(function, n_vectors);
	return device;
}

void virtio_device_free(struct virtio_device *device)
{
	if (!device)
		return;
	pthread_mutex_destroy(&device->lock);
	g_free(device);
}

void virtio_device_reset(struct virtio_device *device)
{
	pthread_mutex_lock(&device->lock);
	virtio_common_reset(&device->common);
	msix_init(&device->msix, device->msix.n_vectors);
	begin_generation(device);
	pthread_mutex_unlock(&device->lock);
}

uint64_t virtio_device_memory_gpa(struct virtio_device *device)
{
	return pci_host_shown(device->host, device->pci_device, VIRTIO_MEMORY_BAR);
}

/* Devices that do their queues themselves */

void virtio_device_setup(struct virtio_device *device, struct virtio_setup *setup)
{
	pthread_mutex_lock(&device->lock);
	*setup = (struct virtio_setup){ .runs = virtio_common_runs(&device->common),
					.generation = device->generation,
					.driver_features = device->common.driver_features };
	memcpy(setup->queues, device->common.queues, sizeof(setup->queues));
	pthread_mutex_unlock(&device->lock);
}

void virtio_device_settle(struct virtio_device *device, uint64_t generation)
{
	pthread_mutex_lock(&device->lock);
	if (device->generation == generation)
		device->resets = false;
	pthread_mutex_unlock(&device->lock);
}

void virtio_device_interrupt(struct virtio_device *device, unsigned int queue)
{
	pthread_mutex_lock(&device->lock);
	if (virtio_common_runs(&device->common))
		interrupt(device, device->common.queue_vectors[queue], ISR_QUEUE);
	pthread_mutex_unlock(&device->lock);
}

void virtio_device_config_changed(struct virtio_device *device)
{
	pthread_mutex_lock(&device->lock);
	device->common.generation++;
	if (virtio_common_runs(&device->common))
		interrupt(device, device->common.config_vector, VIRTIO_PCI_ISR_CONFIG);
	pthread_mutex_unlock(&device->lock);
}

void virtio_device_break(struct virtio_device *device)
{
	pthread_mutex_lock(&device->lock);
	if (virtio_common_runs(&device->common)) {
		virtio_common_break(&device->common);
		interrupt(device, device->common.config_vector, VIRTIO_PCI_ISR_CONFIG);
	}
	pthread_mutex_unlock(&device->lock);
}

/* Requests */

bool virtio_device_take(struct virtio_device *device, unsigned int queue, struct virtqueue_chain *chain, void *request,
			size_t request_bytes, uint64_t *generation)
{
	struct virtqueue *virtqueue = &device->common.queues[queue];

	pthread_mutex_lock(&device->lock);
	bool taken = virtio_common_runs(&device->common) && virtqueue_take(virtqueue, device->vm->memory, chain);
	if (taken && !virtqueue_read(chain, device->vm->memory, request, request_bytes)) {
		virtqueue->broken = true;
		taken = false;
	}
	check_queue(device, virtqueue);
	*generation = device->generation;
	pthread_mutex_unlock(&device->lock);
	return taken;
}

void virtio_device_answer(struct virtio_device *device, unsigned int queue, const struct virtqueue_chain *chain,
			  const void *answer, size_t len_bytes, uint64_t generation)
{
	struct virtqueue *virtqueue = &device->common.queues[queue];

	pthread_mutex_lock(&device->lock);
	if (device->generation == generation && virtio_common_runs(&device->common)) {
		if (virtqueue_write(chain, device->vm->memory, answer, len_bytes))
			virtqueue_give(virtqueue, device->vm->memory, chain, (uint32_t)len_bytes);
		else
			virtqueue->broken = true;
		if (virtqueue_wants_interrupt(virtqueue, device->vm->memory))
			interrupt(device, device->common.queue_vectors[queue], ISR_QUEUE);
		check_queue(device, virtqueue);
	}
	pthread_mutex_unlock(&device->lock);
}
