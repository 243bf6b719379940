// SPDX-License-Identifier: MIT
#include "vmm/acpi.h"

#include <assert.h>
#include <string.h>

#define LAPIC_GPA           0xfee00000u
#define XAPIC_ID_LIMIT      255u /* ids from here on need an x2APIC entry */
#define MADT_LAPIC          0
#define MADT_X2APIC         9
#define MADT_ENABLED        1u
#define FADT_HW_REDUCED     (1u << 20)
#define BOOT_NO_LEGACY      (1u << 2 | 1u << 5) /* IAPC_BOOT_ARCH: VGA not present, CMOS RTC not present */

struct acpi_header {
	char signature[4];
	uint32_t length;
	uint8_t revision;
	uint8_t checksum;
	char oem_id[6];
	char oem_table_id[8];
	uint32_t oem_revision;
	char creator_id[4];
	uint32_t creator_revision;
} __attribute__((packed));
static_assert(sizeof(struct acpi_header) == 36, "ACPI 5.2.6");

struct acpi_rsdp {
	char signature[8];
	uint8_t checksum; /* of the first 20 bytes */
	char oem_id[6];
	uint8_t revision;
	uint32_t rsdt_gpa;
	uint32_t length;
	uint64_t xsdt_gpa;
	uint8_t extended_checksum;
	uint8_t reserved[3];
} __attribute__((packed));
static_assert(sizeof(struct acpi_rsdp) == 36, "ACPI 5.2.5.3");

struct acpi_fadt {
	struct acpi_header header;
	uint32_t firmware_ctrl;
	uint32_t dsdt;
	uint8_t unused_1[65]; /* fixed hardware, none in a hardware-reduced machine */
	uint16_t iapc_boot_arch;
	uint8_t reserved;
	uint32_t flags;
	uint8_t unused_2[15];
	uint8_t minor_version;
	uint64_t x_firmware_ctrl;
	uint64_t x_dsdt;
	uint8_t unused_3[120];
	uint64_t hypervisor_vendor;
} __attribute__((packed));
static_assert(sizeof(struct acpi_fadt) == 276, "ACPI 5.2.9, revision 6");
static_assert(offsetof(struct acpi_fadt, iapc_boot_arch) == 109, "ACPI 5.2.9");
static_assert(offsetof(struct acpi_fadt, flags) == 112, "ACPI 5.2.9");
static_assert(offsetof(struct acpi_fadt, x_dsdt) == 140, "ACPI 5.2.9");

struct acpi_madt {
	struct acpi_header header;
	uint32_t lapic_gpa;
	uint32_t flags;
} __attribute__((packed));

struct acpi_madt_lapic {
	uint8_t type;
	uint8_t length;
	uint8_t processor_uid;
	uint8_t apic_id;
	uint32_t flags;
} __attribute__((packed));
static_assert(sizeof(struct acpi_madt_lapic) == 8, "ACPI 5.2.12.2");

struct acpi_madt_x2apic {
	uint8_t type;
	uint8_t length;
	uint16_t reserved;
	uint32_t apic_id;
	uint32_t flags;
	uint32_t processor_uid;
} __attribute__((packed));
static_assert(sizeof(struct acpi_madt_x2apic) == 16, "ACPI 5.2.12.12");

struct acpi_xsdt {
	struct acpi_header header;
	uint64_t tables[2];
} __attribute__((packed));

static uint8_t checksum(const void *bytes, size_t len_bytes)
{
	uint8_t sum = 0;

	for (size_t i = 0; i < len_bytes; i++)
		sum = (uint8_t)(sum + ((const uint8_t *)bytes)[i]);
	return (uint8_t)-sum;
}

static void finish(struct acpi_header *header, const char *signature, uint8_t revision, size_t len_bytes)
{
	memcpy(header->signature, signature, 4);
	header->length = (uint32_t)len_bytes;
	header->revision = revision;
	memcpy(header->oem_id, "DOM1  ", 6);
	memcpy(header->oem_table_id, "DOM1    ", 8);
	header->oem_revision = 1;
	memcpy(header->creator_id, "DOM1", 4);
	header->creator_revision = 1;
	header->checksum = 0;
	header->checksum = checksum(header, len_bytes);
}

static size_t build_madt(uint8_t *buffer, unsigned int n_vcpus)
{
	struct acpi_madt madt = { .lapic_gpa = LAPIC_GPA };
	size_t used = sizeof(madt);

	for (unsigned int i = 0; i < n_vcpus; i++) {
		if (i < XAPIC_ID_LIMIT) {
			struct acpi_madt_lapic lapic = { MADT_LAPIC, sizeof(lapic), (uint8_t)i, (uint8_t)i, MADT_ENABLED };
			memcpy(buffer + used, &lapic, sizeof(lapic));
			used += sizeof(lapic);
		} else {
			struct acpi_madt_x2apic x2apic = { MADT_X2APIC, sizeof(x2apic), 0, i, MADT_ENABLED, i };
			memcpy(buffer + used, &x2apic, sizeof(x2apic));
			used += sizeof(x2apic);
		}
	}
	memcpy(buffer, &madt, sizeof(madt));
	finish((struct acpi_header *)buffer, "APIC", 5, used);
	return used;
}

size_t acpi_build(uint8_t *buffer, size_t buffer_bytes, uint64_t gpa, unsigned int n_vcpus)
{
	const size_t rsdp_room = 48, xsdt_at = rsdp_room;
	const size_t fadt_at = xsdt_at + 64;
	const size_t dsdt_at = fadt_at + 288;
	const size_t madt_at = dsdt_at + 48;
	const size_t worst = madt_at + sizeof(struct acpi_madt) + n_vcpus * sizeof(struct acpi_madt_x2apic);

	if (n_vcpus == 0 || buffer_bytes < worst)
		return 0;
	memset(buffer, 0, worst);

	struct acpi_header dsdt = { 0 };
	finish(&dsdt, "DSDT", 2, sizeof(dsdt));
	memcpy(buffer + dsdt_at, &dsdt, sizeof(dsdt));

	struct acpi_fadt fadt = {
		.dsdt = (uint32_t)(gpa + dsdt_at),
		.iapc_boot_arch = BOOT_NO_LEGACY,
		.flags = FADT_HW_REDUCED,
		.minor_version = 4,
		.x_dsdt = gpa + dsdt_at,
	};
	finish(&fadt.header, "FACP", 6, sizeof(fadt));
	memcpy(buffer + fadt_at, &fadt, sizeof(fadt));

	size_t used = madt_at + build_madt(buffer + madt_at, n_vcpus);

	struct acpi_xsdt xsdt = { .tables = { gpa + fadt_at, gpa + madt_at } };
	finish(&xsdt.header, "XSDT", 1, sizeof(xsdt));
	memcpy(buffer + xsdt_at, &xsdt, sizeof(xsdt));

	struct acpi_rsdp rsdp = { .revision = 2, .length = sizeof(rsdp), .xsdt_gpa = gpa + xsdt_at };
	memcpy(rsdp.signature, "RSD PTR ", 8);
	memcpy(rsdp.oem_id, "DOM1  ", 6);
	rsdp.checksum = checksum(&rsdp, 20);
	rsdp.extended_checksum = checksum(&rsdp, sizeof(rsdp));
	memcpy(buffer, &rsdp, sizeof(rsdp));
	return used;
}
