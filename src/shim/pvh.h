// SPDX-License-Identifier: MIT
/*
 * PVH entry: an ELF note names a 32-bit entry point, and ebx points to a hvm_start_info
 * (<xen/arch-x86/hvm/start_info.h>). There is no BIOS, so none of Multiboot's traps: see section 1.3 of the PV shim
 * reference.
 */
#pragma once

#include <stdint.h>

#include <glib.h>

#include "shim/boot_tables.h"
#include "shim/elf.h"

/* The address in the note XEN_ELFNOTE_PHYS32_ENTRY, else FALSE and DOM1_STATUS_FILE. */
gboolean pvh_find_entry(const struct elf_image *elf, const char *name, uint32_t *entry, GError **error);

/* Writes start info, modules, map and strings; returns the address of the start info (for ebx). */
uint32_t pvh_write_tables(struct table_writer *writer, const struct boot_inputs *inputs,
			  const struct boot_modules *modules);
