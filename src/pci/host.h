// SPDX-License-Identifier: MIT
/*
 * The PCI host bridge of a domain that has PCI devices: its ports, and what the functions' BARs show. A domain without such
 * devices has none, and its guest finds no PCI.
 *
 * A BAR is either registers, and then accesses to it come to the device's table, in the thread of the vCPU that makes them;
 * or memory, which KVM has in a memslot while the BAR is shown: then the device is told where. A memslot changes while no
 * other vCPU runs: one that would use it between two states would get something that is neither.
 *
 * Locks: pci_host.lock is taken by what is below and never held when a device's read(), write() or config_written() is
 * called; place() is called with it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "pci/bus.h"

struct pci_host;
struct vcpu;
struct vm;

struct pci_device_ops {
	/* A BAR of registers; len_bytes 1 to 8, within the BAR. NULL: all bits set, and writes do nothing. */
	void (*read)(void *opaque, unsigned int bar, uint64_t offset_bytes, uint8_t *bytes, unsigned int len_bytes);
	void (*write)(void *opaque, unsigned int bar, uint64_t offset_bytes, const uint8_t *bytes, unsigned int len_bytes);
	/* A BAR of memory is shown at gpa, or PCI_NOWHERE. No vCPU runs. 0, or a positive errno, and then it is nowhere. */
	int (*place)(void *opaque, unsigned int bar, uint64_t gpa);
	/* The guest has written to the configuration space beyond the header. NULL: that concerns nobody. */
	void (*config_written)(void *opaque);
};

/* Main thread, before the first vCPU runs. The bridge itself is device 0. */
struct pci_host *pci_host_new(struct vm *vm, uint64_t window_gpa, uint64_t window_bytes);
void pci_host_free(struct pci_host *host);
/* The function, to be given its BARs. memory_bars: bit n: BAR n is memory. ops and opaque live as long as the host. */
struct pci_function *pci_host_add(struct pci_host *host, unsigned int device, const struct pci_identity *identity,
				  unsigned int memory_bars, const struct pci_device_ops *ops, void *opaque);
/* Main thread, while no vCPU runs: as at the start, nothing is shown. */
void pci_host_reset(struct pci_host *host);

/* A vCPU's own thread, after KVM_EXIT_IO and KVM_EXIT_MMIO. FALSE: it is not for the bridge. */
bool pci_host_on_io(struct vcpu *vcpu);
bool pci_host_on_mmio(struct vcpu *vcpu);

/* Any thread. Where a BAR is shown, or PCI_NOWHERE. */
uint64_t pci_host_shown(struct pci_host *host, unsigned int device, unsigned int bar);
/* Any thread. Two bytes of a function's configuration space. */
uint16_t pci_host_config16(struct pci_host *host, unsigned int device, unsigned int offset);
