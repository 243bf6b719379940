// SPDX-License-Identifier: MIT
#include "pci/bus.h"

#include <assert.h>
#include <string.h>

#define ADDRESS_ENABLE        0x80000000u
#define ADDRESS_WRITABLE      0x80fffffcu
#define ADDRESS_BUS(address)      ((address) >> 16 & 0xff)
#define ADDRESS_DEVICE(address)   ((address) >> 11 & 0x1f)
#define ADDRESS_FUNCTION(address) ((address) >> 8 & 0x7)
#define ADDRESS_REGISTER(address) ((address) & 0xfc)

#define REVISION         0x08u
#define CLASS            0x09u
#define SUBSYSTEM_VENDOR 0x2cu
#define SUBSYSTEM        0x2eu

#define BAR_64BIT        0x4u
#define BAR_PREFETCHABLE 0x8u
#define BAR_FLAGS        UINT64_C(0xf)
#define BARS_END         PCI_BAR(PCI_MAX_BARS)

uint16_t pci_get16(const uint8_t *bytes)
{
	return (uint16_t)(bytes[0] | bytes[1] << 8);
}

uint32_t pci_get32(const uint8_t *bytes)
{
	return pci_get16(bytes) | (uint32_t)pci_get16(bytes + 2) << 16;
}

uint64_t pci_get64(const uint8_t *bytes)
{
	return pci_get32(bytes) | (uint64_t)pci_get32(bytes + 4) << 32;
}

void pci_put16(uint8_t *bytes, uint16_t value)
{
	bytes[0] = (uint8_t)value;
	bytes[1] = (uint8_t)(value >> 8);
}

void pci_put32(uint8_t *bytes, uint32_t value)
{
	pci_put16(bytes, (uint16_t)value);
	pci_put16(bytes + 2, (uint16_t)(value >> 16));
}

void pci_put64(uint8_t *bytes, uint64_t value)
{
	pci_put32(bytes, (uint32_t)value);
	pci_put32(bytes + 4, (uint32_t)(value >> 32));
}

void pci_bus_init(struct pci_bus *bus, uint64_t window_gpa, uint64_t window_bytes)
{
	assert(window_bytes > 0 && window_gpa <= UINT64_MAX - window_bytes);
	*bus = (struct pci_bus){ .window_gpa = window_gpa, .window_bytes = window_bytes };
}

static void set_at_reset(struct pci_function *function)
{
	memcpy(function->at_reset, function->bytes, PCI_CONFIG_BYTES);
}

struct pci_function *pci_bus_add(struct pci_bus *bus, unsigned int device, const struct pci_identity *identity)
{
	assert(device < PCI_MAX_DEVICES && !bus->functions[device].present);
	struct pci_function *function = &bus->functions[device];

	*function = (struct pci_function){ .present = true, .capabilities_end = PCI_FIRST_CAPABILITY };
	pci_put16(function->bytes, identity->vendor);
	pci_put16(function->bytes + 2, identity->device);
	function->bytes[REVISION] = identity->revision;
	function->bytes[CLASS] = (uint8_t)identity->class_code;
	pci_put16(function->bytes + CLASS + 1, (uint16_t)(identity->class_code >> 8));
	pci_put16(function->bytes + SUBSYSTEM_VENDOR, identity->subsystem_vendor);
	pci_put16(function->bytes + SUBSYSTEM, identity->subsystem);
	pci_put16(function->writable + PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_NO_INTX);
	function->writable[PCI_INTERRUPT_LINE] = 0xff;
	set_at_reset(function);
	return function;
}

void pci_function_add_bar(struct pci_function *function, unsigned int bar, uint64_t len_bytes, bool prefetchable,
			  uint64_t gpa)
{
	assert(bar < PCI_MAX_BARS && function->bar_bytes[bar] == 0);
	assert(len_bytes >= 4096 && (len_bytes & (len_bytes - 1)) == 0 && gpa % len_bytes == 0);
	function->bar_bytes[bar] = len_bytes;
	pci_put64(function->bytes + PCI_BAR(bar), gpa | BAR_64BIT | (prefetchable ? BAR_PREFETCHABLE : 0));
	pci_put64(function->writable + PCI_BAR(bar), ~(len_bytes - 1));
	set_at_reset(function);
}

unsigned int pci_function_add_capability(struct pci_function *function, const void *bytes, const void *writable,
					 size_t len_bytes)
{
	unsigned int offset = function->capabilities_end;

	assert(len_bytes >= 2 && len_bytes <= PCI_CONFIG_BYTES - offset);
	memcpy(function->bytes + offset, bytes, len_bytes);
	if (writable)
		memcpy(function->writable + offset, writable, len_bytes);
	function->bytes[offset + 1] = 0;
	if (function->last_capability)
		function->bytes[function->last_capability + 1] = (uint8_t)offset;
	else
		function->bytes[PCI_CAPABILITIES] = (uint8_t)offset;
	function->bytes[PCI_STATUS] |= PCI_STATUS_CAPABILITIES;
	function->last_capability = offset;
	function->capabilities_end = (unsigned int)((offset + len_bytes + 3) & ~(size_t)3);
	set_at_reset(function);
	return offset;
}

void pci_bus_reset(struct pci_bus *bus)
{
	bus->address = 0;
	for (unsigned int i = 0; i < PCI_MAX_DEVICES; i++)
		memcpy(bus->functions[i].bytes, bus->functions[i].at_reset, PCI_CONFIG_BYTES);
}

bool pci_bus_target(const struct pci_bus *bus, unsigned int port, unsigned int len_bytes, unsigned int *device,
		    unsigned int *offset)
{
	if (port < PCI_DATA_PORT || port + len_bytes > PCI_PORTS_END || !(bus->address & ADDRESS_ENABLE))
		return false;
	*device = ADDRESS_DEVICE(bus->address);
	*offset = ADDRESS_REGISTER(bus->address) + (port - PCI_DATA_PORT);
	return ADDRESS_BUS(bus->address) == 0 && ADDRESS_FUNCTION(bus->address) == 0 && bus->functions[*device].present;
}

static uint32_t get(const uint8_t *bytes, unsigned int len_bytes)
{
	uint32_t value = 0;

	for (unsigned int i = 0; i < len_bytes; i++)
		value |= (uint32_t)bytes[i] << 8 * i;
	return value;
}

uint32_t pci_bus_read(const struct pci_bus *bus, unsigned int port, unsigned int len_bytes)
{
	unsigned int device, offset;

	if (port == PCI_ADDRESS_PORT && len_bytes == 4)
		return bus->address;
	/* Nobody answers: all bits set. */
	if (!pci_bus_target(bus, port, len_bytes, &device, &offset))
		return UINT32_MAX;
	return get(bus->functions[device].bytes + offset, len_bytes);
}

void pci_bus_write(struct pci_bus *bus, unsigned int port, unsigned int len_bytes, uint32_t value)
{
	unsigned int device, offset;

	/* Of the address port only all four bytes at once are the bridge's (3.2.2.3.2). */
	if (port == PCI_ADDRESS_PORT && len_bytes == 4)
		bus->address = value & ADDRESS_WRITABLE;
	if (!pci_bus_target(bus, port, len_bytes, &device, &offset))
		return;
	struct pci_function *function = &bus->functions[device];

	for (unsigned int i = 0; i < len_bytes; i++) {
		uint8_t mask = function->writable[offset + i], byte = (uint8_t)(value >> 8 * i);

		function->bytes[offset + i] = (uint8_t)((function->bytes[offset + i] & ~mask) | (byte & mask));
	}
}

bool pci_is_placement(unsigned int offset, unsigned int len_bytes)
{
	unsigned int end = offset + len_bytes;

	return (offset < PCI_COMMAND + 2 && end > PCI_COMMAND) || (offset < BARS_END && end > PCI_BAR(0));
}

/* Where it would be if nothing else were there. */
static uint64_t wanted(const struct pci_bus *bus, unsigned int device, unsigned int bar)
{
	const struct pci_function *function = &bus->functions[device];
	uint64_t len_bytes = function->bar_bytes[bar];
	uint64_t gpa = pci_get64(function->bytes + PCI_BAR(bar)) & ~BAR_FLAGS;

	if (!function->present || len_bytes == 0 || !(pci_get16(function->bytes + PCI_COMMAND) & PCI_COMMAND_MEMORY))
		return PCI_NOWHERE;
	if (gpa < bus->window_gpa || gpa - bus->window_gpa >= bus->window_bytes ||
	    len_bytes > bus->window_bytes - (gpa - bus->window_gpa))
		return PCI_NOWHERE;
	return gpa;
}

uint64_t pci_bus_shown(const struct pci_bus *bus, unsigned int device, unsigned int bar)
{
	uint64_t gpa = wanted(bus, device, bar);

	if (gpa == PCI_NOWHERE)
		return PCI_NOWHERE;
	uint64_t last = gpa + (bus->functions[device].bar_bytes[bar] - 1);

	/* What is in its way need not be shown itself: so no order of writes matters. */
	for (unsigned int i = 0; i < device * PCI_MAX_BARS + bar; i++) {
		uint64_t other = wanted(bus, i / PCI_MAX_BARS, i % PCI_MAX_BARS);

		if (other != PCI_NOWHERE && other <= last &&
		    gpa <= other + (bus->functions[i / PCI_MAX_BARS].bar_bytes[i % PCI_MAX_BARS] - 1))
			return PCI_NOWHERE;
	}
	return gpa;
}

bool pci_bus_find(const struct pci_bus *bus, uint64_t gpa, unsigned int *device, unsigned int *bar, uint64_t *offset_bytes)
{
	if (gpa < bus->window_gpa || gpa - bus->window_gpa >= bus->window_bytes)
		return false;
	for (unsigned int i = 0; i < PCI_MAX_DEVICES * PCI_MAX_BARS; i++) {
		uint64_t at = pci_bus_shown(bus, i / PCI_MAX_BARS, i % PCI_MAX_BARS);

		if (at == PCI_NOWHERE || gpa < at || gpa - at >= bus->functions[i / PCI_MAX_BARS].bar_bytes[i % PCI_MAX_BARS])
			continue;
		*device = i / PCI_MAX_BARS;
		*bar = i % PCI_MAX_BARS;
		*offset_bytes = gpa - at;
		return true;
	}
	return false;
}
