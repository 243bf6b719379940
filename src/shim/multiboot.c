// SPDX-License-Identifier: MIT
/*
 * Xen's view of Multiboot (section 1.2 of the PV shim reference):
 *  - Xen drops the first word of its own command line when the loader is not GRUB: we prepend one;
 *  - the string of module 0 is the guest's command line, and nothing is dropped from it;
 *  - all addresses are 32-bit; the copy of the information is made before anything else is touched, so it may lie
 *    anywhere but under the trampoline.
 */
#include "shim/multiboot.h"

#include <string.h>

#include "vmm/error.h"

#define LOADER_NAME "dom1" /* must not contain "GRUB " */
#define FIRST_WORD  "dom1 "

/* Specification 3.1.1: 32-bit aligned, whole within the first 8192 bytes of the image. */
static gboolean find_header(const uint8_t *bytes, size_t len_bytes, struct multiboot_header *header)
{
	size_t limit = MIN(len_bytes, MULTIBOOT_SEARCH_BYTES);

	for (size_t at = 0; at + sizeof(*header) <= limit; at += 4) {
		memcpy(header, bytes + at, sizeof(*header));
		if (header->magic == MULTIBOOT_HEADER_MAGIC && header->magic + header->flags + header->checksum == 0)
			return TRUE;
	}
	return FALSE;
}

gboolean multiboot_check_header(const uint8_t *bytes, size_t len_bytes, const char *name, GError **error)
{
	/* Bits 0 to 15 must be understood or refused; bit 16 would replace the ELF's own addresses. */
	const uint32_t understood = MULTIBOOT_HEADER_PAGE_ALIGN | MULTIBOOT_HEADER_MEMORY_INFO;
	struct multiboot_header header;

	if (!find_header(bytes, len_bytes, &header)) {
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_FILE,
			    "%s: no Multiboot header in its first 8 KiB: not a Xen shim; give "
			    "/usr/lib/xen-VERSION/boot/xen-shim",
			    name);
		return FALSE;
	}
	if ((header.flags & 0x1ffff & ~understood) != 0) {
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_FILE,
			    "%s: its Multiboot header demands what dom1 does not offer "
			    "(flags 0x%x, offered 0x%x): try --shim-entry pvh",
			    name, header.flags, understood);
		return FALSE;
	}
	return TRUE;
}

/* KiB of RAM from gpa to the first hole; adjacent entries count as one. */
static uint32_t ram_kib_from(const struct boot_inputs *inputs, uint64_t gpa, uint64_t limit)
{
	uint64_t end = gpa;

	for (size_t i = 0; i < inputs->n_memory_map; i++) {
		const struct memory_map_entry *entry = &inputs->memory_map[i];

		if (entry->type == MEMORY_MAP_RAM && entry->gpa <= end && entry->gpa + entry->len_bytes > end)
			end = entry->gpa + entry->len_bytes;
	}
	return (uint32_t)((MIN(end, limit) - gpa) / 1024);
}

static uint32_t write_memory_map(struct table_writer *writer, const struct boot_inputs *inputs)
{
	uint32_t first = 0;

	for (size_t i = 0; i < inputs->n_memory_map; i++) {
		struct multiboot_memory entry = {
			.size = sizeof(entry) - sizeof(entry.size),
			.base = inputs->memory_map[i].gpa,
			.length = inputs->memory_map[i].len_bytes,
			.type = inputs->memory_map[i].type,
		};
		/* 24 bytes each, a multiple of the writer's alignment: the entries touch, as the reader expects. */
		uint32_t at = table_append(writer, &entry, sizeof(entry));

		if (i == 0)
			first = at;
	}
	return first;
}
static_assert(sizeof(struct multiboot_memory) % 8 == 0, "the memory map must have no gaps");

static uint32_t write_xen_command_line(struct table_writer *writer, const char *command_line)
{
	char line[sizeof(FIRST_WORD) + BOOT_MAX_COMMAND_LINE];

	g_strlcpy(line, FIRST_WORD, sizeof(line));
	g_strlcat(line, command_line != NULL ? command_line : "", sizeof(line));
	return table_append_string(writer, line);
}

uint32_t multiboot_write_tables(struct table_writer *writer, const struct boot_inputs *inputs,
				const struct boot_modules *modules)
{
	struct multiboot_module entries[BOOT_MAX_MODULES] = {{.start = 0}};
	struct multiboot_info info = {
		.flags = MULTIBOOT_INFO_MEMLIMITS | MULTIBOOT_INFO_CMDLINE | MULTIBOOT_INFO_MODS | MULTIBOOT_INFO_MMAP |
			 MULTIBOOT_INFO_LOADER_NAME,
		.mem_lower_kib = ram_kib_from(inputs, 0, (uint64_t)BDA_BASE_MEMORY_KIB * 1024),
		.mem_upper_kib = ram_kib_from(inputs, 1 << 20, UINT64_C(1) << 32),
		.mods_count = modules->n,
		.mmap_length = (uint32_t)(inputs->n_memory_map * sizeof(struct multiboot_memory)),
	};

	info.cmdline = write_xen_command_line(writer, inputs->shim_command_line);
	info.boot_loader_name = table_append_string(writer, LOADER_NAME);
	info.mmap_addr = write_memory_map(writer, inputs);
	for (uint32_t i = 0; i < modules->n; i++) {
		entries[i].start = modules->list[i].gpa;
		entries[i].end = modules->list[i].gpa + modules->list[i].len_bytes;
		entries[i].string = table_append_string(writer, modules->list[i].string);
	}
	info.mods_addr = table_append(writer, entries, modules->n * sizeof(entries[0]));
	return table_append(writer, &info, sizeof(info));
}
