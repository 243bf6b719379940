// SPDX-License-Identifier: MIT
/*
 * The shim's domain builder takes one chunk of memory for kernel, start info, first page tables and stack: a power of
 * two, as Xen's allocator gives it, and aligned to its own size. The chunk at 0 is never free, so RAM must reach to
 * twice its size, and on top of that lie the modules (moved to the top of RAM) and the shim itself. Measured with two
 * kernels and initrds of 1 and 30 MiB: what is named here boots, and a few MiB less does not.
 */
#include "shim/pv_check.h"

#include <elf.h>
#include <string.h>

#include "shim/elf.h"
#include "shim/kernel_image.h"
#include "shim/multiboot.h"
#include "shim/pvh.h"
#include "vmm/error.h"

#define MIB                 (UINT64_C(1) << 20)
#define BUILDER_STEP        (4 * MIB) /* the builder rounds up to what a page table of the last level but one maps */
#define BUILDER_TABLES      (MIB / 2) /* start info, rings, page tables, stack */
#define SHIM_BYTES          (16 * MIB)
#define NAMED_STEP          (4 * MIB)
/* Printed when a shim starts a domain; a Xen without PV_SHIM does not have it. The longer, the sooner it is found. */
#define SHIM_TELLTALE       "shim used pages %#lx reserving %#lx free pages"
#define REMEDY_SHIM         "give the xen-shim of the package xen-utils (/usr/lib/xen-VERSION/boot/xen-shim)"

static const char *what_instead_of_shim(const struct boot_image *shim)
{
	struct elf_image elf;
	uint32_t entry;

	if (!elf_has_magic(shim->bytes, shim->len_bytes))
		return "not a Xen shim, not even an ELF file";
	if (!elf_open(&elf, shim->bytes, shim->len_bytes, shim->name, NULL))
		return "a truncated or damaged ELF file, not a Xen shim";
	if (elf.machine != EM_386 && elf.machine != EM_X86_64)
		return "an ELF file of another machine than x86, not a Xen shim";
	/* A kernel may have one of them, but only Xen has both. */
	if (multiboot_check_header(shim->bytes, shim->len_bytes, shim->name, NULL) &&
	    pvh_find_entry(&elf, shim->name, &entry, NULL))
		return "a Xen built without CONFIG_PV_SHIM";
	return "an ELF file, but not a Xen shim";
}

gboolean pv_check_shim(const struct boot_image *shim, GError **error)
{
	if (memmem(shim->bytes, shim->len_bytes, SHIM_TELLTALE, strlen(SHIM_TELLTALE)))
		return TRUE;
	/* Most often it is no Xen at all: say what it is, not what it lacks. */
	g_set_error(error, DOM1_ERROR, DOM1_STATUS_FILE, "%s: %s: " REMEDY_SHIM, shim->name, what_instead_of_shim(shim));
	return FALSE;
}

static uint64_t round_up(uint64_t bytes, uint64_t step)
{
	return (bytes + step - 1) / step * step;
}

uint64_t pv_memory_needed(uint64_t load_end, uint64_t kernel_bytes, uint64_t initrd_bytes)
{
	uint64_t built_bytes = round_up(load_end + BUILDER_TABLES, BUILDER_STEP);
	uint64_t chunk_bytes = BUILDER_STEP;

	while (chunk_bytes < built_bytes)
		chunk_bytes *= 2;
	return round_up(2 * chunk_bytes + kernel_bytes + initrd_bytes + SHIM_BYTES, NAMED_STEP);
}

gboolean pv_check_kernel(const struct boot_inputs *inputs, uint64_t ram_bytes, GError **error)
{
	const struct boot_image *kernel = &inputs->kernel;
	struct kernel_elf elf;

	if (!elf_has_magic(kernel->bytes, kernel->len_bytes))
		return TRUE;
	if (!kernel_elf_parse(kernel->bytes, kernel->len_bytes, kernel->name, &elf, error))
		return FALSE;
	if (!elf.is_pv) {
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_FILE,
			    "%s: %s: it cannot run as a PV guest; build it with CONFIG_XEN_PV%s", kernel->name,
			    elf.has_phys32_entry ? "it has Xen's PVH entry only" : "no Xen notes in it",
			    elf.has_phys32_entry ? ", or start it with --type pvh" : "");
		return FALSE;
	}

	if (!elf.is_64bit && !elf.is_pae) {
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_FILE,
			    "%s: a 32-bit kernel without PAE: Xen runs PV kernels with PAE or of 64 bits; build it with "
			    "CONFIG_X86_PAE", kernel->name);
		return FALSE;
	}

	uint64_t needed_bytes = pv_memory_needed(elf.load_end, kernel->len_bytes, inputs->initrd.len_bytes);
	if (inputs->low_ram_top_gpa < ram_bytes || ram_bytes >= needed_bytes)
		return TRUE;
	g_set_error(error, DOM1_ERROR, DOM1_STATUS_USAGE,
		    "--memory: %" G_GUINT64_FORMAT " MiB are too little for this kernel and initrd in the shim: give %" G_GUINT64_FORMAT
		    " or more",
		    ram_bytes / MIB, needed_bytes / MIB);
	return FALSE;
}
