// SPDX-License-Identifier: MIT
/*
 * The ACPI tables of a domain: RSDP, XSDT, FADT (hardware-reduced), MADT, a DSDT with \_S5 alone. Pure: builds bytes.
 *
 * The guest learns from them how many vCPUs there are and that there is nothing else: no I/O APIC, no timer, no PCI.
 * The MADT lists local APICs only; naming an I/O APIC without a PIT behind it makes Xen panic.
 *
 * Source: ACPI specification 6.4, chapter 5.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/*
 * Writes the tables for physical address gpa into buffer (the RSDP first, so that it is found at gpa, which must be
 * a multiple of 16). vCPU i has APIC id i. Returns the bytes used, 0 if buffer_bytes is too small.
 */
size_t acpi_build(uint8_t *buffer, size_t buffer_bytes, uint64_t gpa, unsigned int n_vcpus);
