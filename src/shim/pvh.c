// SPDX-License-Identifier: MIT
/*
 * Xen takes its memory map from XENMEM_memory_map and ignores the one in the start info; kernels that are started
 * without the shim use it (version 1 of the structure), so it is always there.
 */
#include "shim/pvh.h"

#include <assert.h>
#include <stddef.h>

#include <xen/elfnote.h>

#include <xen/arch-x86/hvm/start_info.h>

#include "vmm/error.h"

static_assert(sizeof(struct hvm_start_info) == 56, "PVH ABI");
static_assert(sizeof(struct hvm_modlist_entry) == 32, "PVH ABI");
static_assert(sizeof(struct hvm_memmap_table_entry) == 24, "PVH ABI");
static_assert(offsetof(struct hvm_start_info, memmap_paddr) == 40, "PVH ABI");
static_assert((int)MEMORY_MAP_RAM == XEN_HVM_MEMMAP_TYPE_RAM && (int)MEMORY_MAP_ACPI == XEN_HVM_MEMMAP_TYPE_ACPI &&
		      (int)MEMORY_MAP_RESERVED == XEN_HVM_MEMMAP_TYPE_RESERVED,
	      "the plan's types are Xen's numbers");

gboolean pvh_find_entry(const struct elf_image *elf, const char *name, uint32_t *entry, GError **error)
{
	struct elf_notes notes;
	struct elf_note note;
	uint64_t number;

	elf_notes_begin(&notes, elf);
	while (elf_notes_next(&notes, &note)) {
		if (note.type != XEN_ELFNOTE_PHYS32_ENTRY || !elf_note_owner_is(&note, "Xen") ||
		    !elf_note_number(&note, &number) || number > UINT32_MAX)
			continue;
		*entry = (uint32_t)number;
		return TRUE;
	}
	g_set_error(error, DOM1_ERROR, DOM1_STATUS_FILE,
		    "%s: it has no PVH entry (no ELF note PHYS32_ENTRY of Xen): use "
		    "--shim-entry multiboot, or a newer shim",
		    name);
	return FALSE;
}

static uint32_t write_memory_map(struct table_writer *writer, const struct boot_inputs *inputs)
{
	uint32_t first = 0;

	for (size_t i = 0; i < inputs->n_memory_map; i++) {
		struct hvm_memmap_table_entry entry = {
			.addr = inputs->memory_map[i].gpa,
			.size = inputs->memory_map[i].len_bytes,
			.type = inputs->memory_map[i].type,
		};
		uint32_t at = table_append(writer, &entry, sizeof(entry));

		if (i == 0)
			first = at;
	}
	return first;
}

uint32_t pvh_write_tables(struct table_writer *writer, const struct boot_inputs *inputs,
			  const struct boot_modules *modules)
{
	struct hvm_modlist_entry entries[BOOT_MAX_MODULES] = {{.paddr = 0}};
	struct hvm_start_info info = {
		.magic = XEN_HVM_START_MAGIC_VALUE,
		.version = 1,
		.nr_modules = modules->n,
		.rsdp_paddr = inputs->rsdp_gpa,
		.memmap_entries = (uint32_t)inputs->n_memory_map,
	};

	info.cmdline_paddr =
		table_append_string(writer, inputs->shim_command_line != NULL ? inputs->shim_command_line : "");
	info.memmap_paddr = write_memory_map(writer, inputs);
	for (uint32_t i = 0; i < modules->n; i++) {
		entries[i].paddr = modules->list[i].gpa;
		entries[i].size = modules->list[i].len_bytes;
		entries[i].cmdline_paddr = table_append_string(writer, modules->list[i].string);
	}
	if (modules->n != 0)
		info.modlist_paddr = table_append(writer, entries, modules->n * sizeof(entries[0]));
	return table_append(writer, &info, sizeof(info));
}
