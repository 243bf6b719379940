// SPDX-License-Identifier: MIT
#include "vmm/acpi.h"

#include <assert.h>
#include <string.h>

#include "vmm/power.h"

#define LAPIC_GPA           0xfee00000u
#define XAPIC_ID_LIMIT      255u /* ids from here on need an x2APIC entry */
#define MADT_LAPIC          0
#define MADT_X2APIC         9
#define MADT_ENABLED        1u
#define FADT_RESET_REGISTER (1u << 10)
#define FADT_HW_REDUCED     (1u << 20)
#define SPACE_IO            1
#define ACCESS_BYTE         1
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

struct acpi_address {
	uint8_t space;
	uint8_t width_bits;
	uint8_t offset_bits;
	uint8_t access;
	uint64_t address;
} __attribute__((packed));
static_assert(sizeof(struct acpi_address) == 12, "ACPI 5.2.3.2");

struct acpi_fadt {
	struct acpi_header header;
	uint32_t firmware_ctrl;
	uint32_t dsdt;
	uint8_t unused_1[65]; /* fixed hardware, none in a hardware-reduced machine */
	uint16_t iapc_boot_arch;
	uint8_t reserved;
	uint32_t flags;
	struct acpi_address reset_register;
	uint8_t reset_value;
	uint16_t arm_boot_arch;
	uint8_t minor_version;
	uint64_t x_firmware_ctrl;
	uint64_t x_dsdt;
	uint8_t unused_2[96]; /* more of the fixed hardware */
	struct acpi_address sleep_control;
	struct acpi_address sleep_status;
	uint64_t hypervisor_vendor;
} __attribute__((packed));
static_assert(sizeof(struct acpi_fadt) == 276, "ACPI 5.2.9, revision 6");
static_assert(offsetof(struct acpi_fadt, iapc_boot_arch) == 109, "ACPI 5.2.9");
static_assert(offsetof(struct acpi_fadt, flags) == 112, "ACPI 5.2.9");
static_assert(offsetof(struct acpi_fadt, reset_register) == 116, "ACPI 5.2.9");
static_assert(offsetof(struct acpi_fadt, x_dsdt) == 140, "ACPI 5.2.9");
static_assert(offsetof(struct acpi_fadt, sleep_control) == 244, "ACPI 5.2.9");

/* Name (_S5, Package () { 5, 5, 0, 0 }): the value that turns the machine off. */
static const uint8_t SLEEP_CODE[] = { 0x08, '_', 'S', '5', '_', 0x12, 0x08, 0x04, 0x0a, POWER_SLEEP_TYPE_S5,
				     0x0a, POWER_SLEEP_TYPE_S5, 0x00, 0x00 };

/*
 * The host bridge. Lengths count from their own first byte (20.2.4): two bytes for more than 63.
 *   Scope (\_SB) { Device (PCI0) { Name (_HID, EisaId ("PNP0A03")) Name (_UID, 0) Name (_CRS, Buffer (72) { ... }) } }
 * Its resources: bus 0 alone, the two ports, and the window, which may also be used for what is not prefetchable.
 */
#define AML_LENGTH(n) (uint8_t)(0x40 | ((n) & 0xf)), (uint8_t)((n) >> 4)
#define BRIDGE_RESOURCES_BYTES 72u
#define BRIDGE_CRS_BYTES       (4u + BRIDGE_RESOURCES_BYTES) /* length, size, resources */
#define BRIDGE_DEVICE_BYTES    (2u + 4u + 10u + 6u + 6u + BRIDGE_CRS_BYTES)
#define BRIDGE_SCOPE_BYTES     (2u + 5u + 2u + BRIDGE_DEVICE_BYTES)
static const uint8_t BRIDGE_CODE[] = {
	0x10, AML_LENGTH(BRIDGE_SCOPE_BYTES), '\\', '_', 'S', 'B', '_',
	0x5b, 0x82, AML_LENGTH(BRIDGE_DEVICE_BYTES), 'P', 'C', 'I', '0',
	0x08, '_', 'H', 'I', 'D', 0x0c, 0x41, 0xd0, 0x0a, 0x03,
	0x08, '_', 'U', 'I', 'D', 0x00,
	0x08, '_', 'C', 'R', 'S', 0x11, AML_LENGTH(BRIDGE_CRS_BYTES), 0x0a, BRIDGE_RESOURCES_BYTES,
	/* 6.4.3.5.3, word address space: bus numbers, minimum and maximum fixed; 0 to 0, one. */
	0x88, 13, 0, 0x02, 0x0c, 0x00, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0,
	/* 6.4.2.5, I/O ports: 16 bits are decoded; 0xcf8, eight of them. */
	0x47, 0x01, 0xf8, 0x0c, 0xf8, 0x0c, 0x01, 0x08,
	/* 6.4.3.5.1, quad word address space: memory, read and write. Granularity, minimum, maximum, offset, length. */
	0x8a, 43, 0, 0x00, 0x0c, 0x01, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	/* 6.4.2.9: the end; a sum of 0 says that there is none. */
	0x79, 0x00,
};
#define BRIDGE_WINDOW_AT (sizeof(BRIDGE_CODE) - 2 - 46 + 6) /* of the granularity */
static_assert(sizeof(BRIDGE_CODE) == 1 + BRIDGE_SCOPE_BYTES, "ACPI 20.2.4");
static_assert(BRIDGE_RESOURCES_BYTES == 16 + 8 + 46 + 2, "ACPI 6.4");

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

static struct acpi_address io_port(uint16_t port)
{
	return (struct acpi_address){ .space = SPACE_IO, .width_bits = 8, .access = ACCESS_BYTE, .address = port };
}

static void build_fadt(struct acpi_fadt *fadt, uint64_t dsdt_gpa)
{
	*fadt = (struct acpi_fadt){
		.dsdt = (uint32_t)dsdt_gpa,
		.iapc_boot_arch = BOOT_NO_LEGACY,
		.flags = FADT_HW_REDUCED | FADT_RESET_REGISTER,
		.reset_register = io_port(POWER_RESET_PORT),
		.reset_value = POWER_RESET_VALUE,
		.minor_version = 4,
		.x_dsdt = dsdt_gpa,
		.sleep_control = io_port(POWER_SLEEP_CONTROL_PORT),
		.sleep_status = io_port(POWER_SLEEP_STATUS_PORT),
	};
	finish(&fadt->header, "FACP", 6, sizeof(*fadt));
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

static void put64(uint8_t *bytes, uint64_t value)
{
	for (unsigned int i = 0; i < 8; i++)
		bytes[i] = (uint8_t)(value >> 8 * i);
}

static void build_dsdt(uint8_t *buffer, const struct acpi_bridge *bridge)
{
	size_t used = sizeof(struct acpi_header);

	memcpy(buffer + used, SLEEP_CODE, sizeof(SLEEP_CODE));
	used += sizeof(SLEEP_CODE);
	if (bridge) {
		memcpy(buffer + used, BRIDGE_CODE, sizeof(BRIDGE_CODE));
		put64(buffer + used + BRIDGE_WINDOW_AT + 8, bridge->gpa);
		put64(buffer + used + BRIDGE_WINDOW_AT + 16, bridge->gpa + bridge->len_bytes - 1);
		put64(buffer + used + BRIDGE_WINDOW_AT + 32, bridge->len_bytes);
		used += sizeof(BRIDGE_CODE);
	}
	finish((struct acpi_header *)buffer, "DSDT", 2, used);
}

size_t acpi_build(uint8_t *buffer, size_t buffer_bytes, uint64_t gpa, unsigned int n_vcpus,
		  const struct acpi_bridge *bridge)
{
	const size_t rsdp_room = 48, xsdt_at = rsdp_room;
	const size_t fadt_at = xsdt_at + 64;
	const size_t dsdt_at = fadt_at + 288;
	const size_t madt_at = dsdt_at + 64 + (bridge ? (sizeof(BRIDGE_CODE) + 15) / 16 * 16 : 0);
	const size_t worst = madt_at + sizeof(struct acpi_madt) + n_vcpus * sizeof(struct acpi_madt_x2apic);

	if (n_vcpus == 0 || buffer_bytes < worst)
		return 0;
	memset(buffer, 0, worst);

	build_dsdt(buffer + dsdt_at, bridge);

	struct acpi_fadt fadt;
	build_fadt(&fadt, gpa + dsdt_at);
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
