// SPDX-License-Identifier: MIT
/*
 * Bus 0 of a PCI host bridge: the functions' configuration spaces and the two ports by which a guest gets at them. Pure: what
 * a guest writes changes bytes here, and bus_shown() tells what of it has an effect. Each device has one function. All
 * memory BARs are of 64 bits, BAR n in the registers 2n and 2n + 1; there are no I/O BARs, and no interrupt pins.
 *
 * The guest may write to whatever it likes. A BAR is shown where the function's memory decoding is on and all of it lies in
 * the bridge's window; of two that would lie over each other the one of the lower device is there, and of one device the
 * lower BAR. So two ranges that are shown never overlap, and never lie over anything else of the machine.
 *
 * Source: PCI Local Bus 3.0, 3.2.2.3 (configuration mechanism) and 6.1, 6.2 (configuration space).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PCI_MAX_DEVICES  32u
#define PCI_CONFIG_BYTES 256u
#define PCI_MAX_BARS     3u
#define PCI_NOWHERE      UINT64_MAX

#define PCI_ADDRESS_PORT    0xcf8u
#define PCI_DATA_PORT       0xcfcu
#define PCI_PORTS_END       0xd00u

/* Offsets in a configuration space. */
#define PCI_COMMAND         0x04u
#define PCI_STATUS          0x06u
#define PCI_BAR(n)          (0x10u + 8u * (n))
#define PCI_CAPABILITIES    0x34u
#define PCI_INTERRUPT_LINE  0x3cu
#define PCI_FIRST_CAPABILITY 0x40u

#define PCI_COMMAND_MEMORY      0x0002u
#define PCI_COMMAND_MASTER      0x0004u
#define PCI_COMMAND_NO_INTX     0x0400u
#define PCI_STATUS_CAPABILITIES 0x0010u

/* Vendor and class are numbers of <linux/pci_ids.h>, as elsewhere. */
struct pci_identity {
	uint16_t vendor, device, subsystem_vendor, subsystem;
	uint32_t class_code; /* class, subclass, programming interface */
	uint8_t revision;
};

struct pci_function {
	bool present;
	uint8_t bytes[PCI_CONFIG_BYTES];
	uint8_t writable[PCI_CONFIG_BYTES]; /* bits that the guest may change */
	uint8_t at_reset[PCI_CONFIG_BYTES];
	uint64_t bar_bytes[PCI_MAX_BARS];   /* 0: there is none */
	unsigned int last_capability;       /* its offset, 0: none */
	unsigned int capabilities_end;
};

struct pci_bus {
	struct pci_function functions[PCI_MAX_DEVICES]; /* by the device's number */
	uint64_t window_gpa, window_bytes; /* what the bridge passes on */
	uint32_t address; /* of the address port */
};

/* The machine's side. */
void pci_bus_init(struct pci_bus *bus, uint64_t window_gpa, uint64_t window_bytes);
struct pci_function *pci_bus_add(struct pci_bus *bus, unsigned int device, const struct pci_identity *identity);
/* len_bytes: a power of two from 4096 on. gpa: a multiple of it, where it is at first. */
void pci_function_add_bar(struct pci_function *function, unsigned int bar, uint64_t len_bytes, bool prefetchable,
			  uint64_t gpa);
/*
 * bytes: the whole capability; the second one, the link, is filled in. writable: as many, or NULL for none. The offset at
 * which it is now.
 */
unsigned int pci_function_add_capability(struct pci_function *function, const void *bytes, const void *writable,
					 size_t len_bytes);
/* As it was when the first access came. */
void pci_bus_reset(struct pci_bus *bus);

/* What a guest does. len_bytes: 1, 2 or 4; port: from PCI_ADDRESS_PORT to PCI_PORTS_END - 1. */
uint32_t pci_bus_read(const struct pci_bus *bus, unsigned int port, unsigned int len_bytes);
void pci_bus_write(struct pci_bus *bus, unsigned int port, unsigned int len_bytes, uint32_t value);
/* Which function and offset of its configuration space an access to this port is for. FALSE: none. */
bool pci_bus_target(const struct pci_bus *bus, unsigned int port, unsigned int len_bytes, unsigned int *device,
		    unsigned int *offset);
/* TRUE: writing there may change what is shown where. */
bool pci_is_placement(unsigned int offset, unsigned int len_bytes);

/* Where a BAR is shown, or PCI_NOWHERE. */
uint64_t pci_bus_shown(const struct pci_bus *bus, unsigned int device, unsigned int bar);
/* What is shown at gpa. */
bool pci_bus_find(const struct pci_bus *bus, uint64_t gpa, unsigned int *device, unsigned int *bar, uint64_t *offset_bytes);

uint16_t pci_get16(const uint8_t *bytes);
uint32_t pci_get32(const uint8_t *bytes);
uint64_t pci_get64(const uint8_t *bytes);
void pci_put16(uint8_t *bytes, uint16_t value);
void pci_put32(uint8_t *bytes, uint32_t value);
void pci_put64(uint8_t *bytes, uint64_t value);
