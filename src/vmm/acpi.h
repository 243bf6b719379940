// SPDX-License-Identifier: MIT
/*
 * The ACPI tables of a domain: RSDP, XSDT, FADT (hardware-reduced), MADT, a DSDT with \_S5. Pure: builds bytes.
 *
 * The guest learns from them how many vCPUs there are and that there is nothing else: no I/O APIC, no timer. There is PCI
 * where the domain has PCI devices: the DSDT then has the host bridge. Its configuration space is behind the two ports that
 * each PC has (no MCFG): 256 bytes a function are more than ours use, and no range of memory has to be set aside for it.
 * The MADT lists local APICs only; naming an I/O APIC without a PIT behind it makes Xen panic.
 *
 * Source: ACPI specification 6.4, chapter 5; chapter 6.4 for resources, 20.2 for the code of the DSDT.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* The range of memory that the bridge passes on; all of it is there for 64-bit BARs. */
struct acpi_bridge {
	uint64_t gpa, len_bytes;
};

/*
 * Writes the tables for physical address gpa into buffer (the RSDP first, so that it is found at gpa, which must be
 * a multiple of 16). vCPU i has APIC id i. bridge: NULL: there is no PCI. Returns the bytes used, 0 if buffer_bytes is too small.
 */
size_t acpi_build(uint8_t *buffer, size_t buffer_bytes, uint64_t gpa, unsigned int n_vcpus,
		  const struct acpi_bridge *bridge);
