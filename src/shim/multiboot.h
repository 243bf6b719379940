// SPDX-License-Identifier: MIT
/*
 * Version 1 of the Multiboot specification, as far as Xen uses it: the header in the image, and the information that
 * the loader leaves in memory. Structures are written from the specification's tables.
 */
#pragma once

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include <glib.h>

#include "shim/boot_tables.h"

#define MULTIBOOT_HEADER_MAGIC UINT32_C(0x1BADB002)
#define MULTIBOOT_LOADER_MAGIC UINT32_C(0x2BADB002)

enum {
	MULTIBOOT_SEARCH_BYTES = 8192,

	MULTIBOOT_HEADER_PAGE_ALIGN = 1 << 0,
	MULTIBOOT_HEADER_MEMORY_INFO = 1 << 1,

	MULTIBOOT_INFO_MEMLIMITS = 1 << 0,
	MULTIBOOT_INFO_CMDLINE = 1 << 2,
	MULTIBOOT_INFO_MODS = 1 << 3,
	MULTIBOOT_INFO_MMAP = 1 << 6,
	MULTIBOOT_INFO_LOADER_NAME = 1 << 9,
};

struct multiboot_header {
	uint32_t magic;
	uint32_t flags;
	uint32_t checksum; /* the three sum to 0 */
};
static_assert(sizeof(struct multiboot_header) == 12, "Multiboot ABI");

struct multiboot_info {
	uint32_t flags;
	uint32_t mem_lower_kib; /* from 0 */
	uint32_t mem_upper_kib; /* from 1 MiB, to the first hole */
	uint32_t boot_device;
	uint32_t cmdline;
	uint32_t mods_count;
	uint32_t mods_addr;
	uint32_t syms[4];
	uint32_t mmap_length;
	uint32_t mmap_addr;
	uint32_t drives_length;
	uint32_t drives_addr;
	uint32_t config_table;
	uint32_t boot_loader_name;
	uint32_t apm_table;
};
static_assert(sizeof(struct multiboot_info) == 72, "Multiboot ABI");
static_assert(offsetof(struct multiboot_info, mmap_length) == 44, "Multiboot ABI");
static_assert(offsetof(struct multiboot_info, boot_loader_name) == 64, "Multiboot ABI");

struct multiboot_module {
	uint32_t start;
	uint32_t end; /* exclusive */
	uint32_t string;
	uint32_t reserved;
};
static_assert(sizeof(struct multiboot_module) == 16, "Multiboot ABI");

/* Packed: the specification puts 64-bit numbers behind a 32-bit one. */
struct multiboot_memory {
	uint32_t size; /* of what follows */
	uint64_t base;
	uint64_t length;
	uint32_t type;
} __attribute__((packed));
static_assert(sizeof(struct multiboot_memory) == 24, "Multiboot ABI");

/* Has the image a header that asks for no more than we do? Else FALSE and DOM1_STATUS_FILE. */
gboolean multiboot_check_header(const uint8_t *bytes, size_t len_bytes, const char *name, GError **error);

/* Writes information, modules, map and strings; returns the address of the information (for ebx). */
uint32_t multiboot_write_tables(struct table_writer *writer, const struct boot_inputs *inputs,
				const struct boot_modules *modules);

/*
 * BIOS data area: Xen takes the top of conventional memory from it, for its trampoline. Zeros there make its
 * subtraction wrap. EBDA at 0x9fc00, and what lies below in KiB.
 */
enum {
	BDA_EBDA_SEGMENT_GPA = 0x40e,
	BDA_EBDA_SEGMENT = 0x9fc0,
	BDA_BASE_MEMORY_GPA = 0x413,
	BDA_BASE_MEMORY_KIB = 639,
};
static_assert(BDA_EBDA_SEGMENT * 16 / 1024 == BDA_BASE_MEMORY_KIB, "both words name one address");
