// SPDX-License-Identifier: MIT
#include "pci/host.h"

#include <pthread.h>
#include <string.h>

#include "pci/ids.h"
#include "vmm/error.h"
#include "vmm/vm.h"

struct pci_device {
	const struct pci_device_ops *ops; /* NULL: none */
	void *opaque;
	unsigned int memory_bars;
	uint64_t placed_gpa[PCI_MAX_BARS]; /* of memory: where it is now */
};

struct pci_host {
	struct vm *vm;
	pthread_mutex_t lock; /* of all that is below */
	struct pci_bus bus;
	struct pci_device devices[PCI_MAX_DEVICES];
};

/* A guest's write to a port. */
struct port_write {
	struct pci_host *host;
	unsigned int port, len_bytes;
	uint32_t value;
};

struct pci_host *pci_host_new(struct vm *vm, uint64_t window_gpa, uint64_t window_bytes)
{
	const struct pci_identity bridge = { .vendor = PCI_VENDOR_XEN, .device = PCI_DEVICE_BRIDGE,
					     .class_code = PCI_CLASS_BRIDGE };
	struct pci_host *host = g_new0(struct pci_host, 1);

	host->vm = vm;
	pthread_mutex_init(&host->lock, NULL);
	pci_bus_init(&host->bus, window_gpa, window_bytes);
	/* Nothing of it is the guest's to change, not even whether it answers. */
	struct pci_function *function = pci_bus_add(&host->bus, 0, &bridge);
	memset(function->writable, 0, sizeof(function->writable));
	return host;
}

void pci_host_free(struct pci_host *host)
{
	if (!host)
		return;
	pthread_mutex_destroy(&host->lock);
	g_free(host);
}

struct pci_function *pci_host_add(struct pci_host *host, unsigned int device, const struct pci_identity *identity,
				  unsigned int memory_bars, const struct pci_device_ops *ops, void *opaque)
{
	host->devices[device] = (struct pci_device){ .ops = ops, .opaque = opaque, .memory_bars = memory_bars };
	for (unsigned int bar = 0; bar < PCI_MAX_BARS; bar++)
		host->devices[device].placed_gpa[bar] = PCI_NOWHERE;
	return pci_bus_add(&host->bus, device, identity);
}

/* With the lock held, and no vCPU in the guest. */
static void place(struct pci_host *host, unsigned int number, unsigned int bar, uint64_t gpa)
{
	struct pci_device *device = &host->devices[number];
	int error = device->ops->place(device->opaque, bar, gpa);

	device->placed_gpa[bar] = error == 0 ? gpa : PCI_NOWHERE;
	if (error != 0)
		vm_end(host->vm, OUTCOME_HOST_ERROR, DOM1_STATUS_HOST, "KVM does not show BAR %u of PCI device %u at 0x%llx: %s", bar,
		       number, (unsigned long long)gpa, g_strerror(error));
}

/* The same: what is gone is gone before anything comes to its place. */
static void place_all(struct pci_host *host)
{
	for (unsigned int turn = 0; turn < 2; turn++)
		for (unsigned int i = 0; i < PCI_MAX_DEVICES * PCI_MAX_BARS; i++) {
			unsigned int number = i / PCI_MAX_BARS, bar = i % PCI_MAX_BARS;
			const struct pci_device *device = &host->devices[number];

			if (!(device->memory_bars & 1u << bar))
				continue;
			uint64_t gpa = pci_bus_shown(&host->bus, number, bar);
			if (gpa == device->placed_gpa[bar])
				continue;
			if (turn == 1)
				place(host, number, bar, gpa);
			else if (device->placed_gpa[bar] != PCI_NOWHERE)
				place(host, number, bar, PCI_NOWHERE);
		}
}

void pci_host_reset(struct pci_host *host)
{
	if (!host)
		return;
	pthread_mutex_lock(&host->lock);
	pci_bus_reset(&host->bus);
	place_all(host);
	pthread_mutex_unlock(&host->lock);
}

static int64_t write_alone(struct vcpu *self, void *argument)
{
	const struct port_write *write = argument;

	(void)self;
	pthread_mutex_lock(&write->host->lock);
	pci_bus_write(&write->host->bus, write->port, write->len_bytes, write->value);
	place_all(write->host);
	pthread_mutex_unlock(&write->host->lock);
	return 0;
}

static void write_port(struct vcpu *vcpu, struct port_write *write)
{
	struct pci_host *host = write->host;
	unsigned int device, offset;

	pthread_mutex_lock(&host->lock);
	bool is_config = pci_bus_target(&host->bus, write->port, write->len_bytes, &device, &offset);
	bool moves = is_config && host->devices[device].memory_bars != 0 && pci_is_placement(offset, write->len_bytes);
	if (!moves)
		pci_bus_write(&host->bus, write->port, write->len_bytes, write->value);
	pthread_mutex_unlock(&host->lock);
	/* Another vCPU may change the address port before: then it is as if it had been the first. */
	if (moves)
		(void)vcpu_run_alone(vcpu, write_alone, write, 0);
	else if (is_config && offset + write->len_bytes > PCI_FIRST_CAPABILITY && host->devices[device].ops &&
		 host->devices[device].ops->config_written)
		host->devices[device].ops->config_written(host->devices[device].opaque);
}

bool pci_host_on_io(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	struct pci_host *host = vcpu->vm->pci;
	uint8_t *data = (uint8_t *)run + run->io.data_offset;
	unsigned int len_bytes = run->io.size;

	if (!host || run->io.port < PCI_ADDRESS_PORT || run->io.port >= PCI_PORTS_END || len_bytes > sizeof(uint32_t))
		return false;
	for (uint32_t i = 0; i < run->io.count; i++, data += len_bytes) {
		struct port_write write = { .host = host, .port = run->io.port, .len_bytes = len_bytes };

		if (run->io.direction == KVM_EXIT_IO_IN) {
			pthread_mutex_lock(&host->lock);
			uint32_t value = pci_bus_read(&host->bus, write.port, len_bytes);
			pthread_mutex_unlock(&host->lock);
			memcpy(data, &value, len_bytes);
		} else {
			memcpy(&write.value, data, len_bytes);
			write_port(vcpu, &write);
		}
	}
	return true;
}

bool pci_host_on_mmio(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	struct pci_host *host = vcpu->vm->pci;
	unsigned int number, bar;
	uint64_t offset_bytes;

	if (!host)
		return false;
	pthread_mutex_lock(&host->lock);
	bool found = pci_bus_find(&host->bus, run->mmio.phys_addr, &number, &bar, &offset_bytes);
	pthread_mutex_unlock(&host->lock);
	/* KVM does not let a piece cross a page, and BARs are made of pages. */
	if (!found || run->mmio.len > sizeof(run->mmio.data))
		return false;
	const struct pci_device *device = &host->devices[number];

	if ((device->memory_bars & 1u << bar) || !device->ops->read)
		return false;
	if (run->mmio.is_write)
		device->ops->write(device->opaque, bar, offset_bytes, run->mmio.data, run->mmio.len);
	else
		device->ops->read(device->opaque, bar, offset_bytes, run->mmio.data, run->mmio.len);
	return true;
}

uint64_t pci_host_shown(struct pci_host *host, unsigned int device, unsigned int bar)
{
	pthread_mutex_lock(&host->lock);
	uint64_t gpa = pci_bus_shown(&host->bus, device, bar);
	pthread_mutex_unlock(&host->lock);
	return gpa;
}

uint16_t pci_host_config16(struct pci_host *host, unsigned int device, unsigned int offset)
{
	pthread_mutex_lock(&host->lock);
	uint16_t value = pci_get16(host->bus.functions[device].bytes + offset);
	pthread_mutex_unlock(&host->lock);
	return value;
}
