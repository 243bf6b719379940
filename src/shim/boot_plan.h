// SPDX-License-Identifier: MIT
/*
 * How a domain starts: which bytes lie where in guest-physical memory, and the registers of vCPU 0 at its first
 * instruction. A plan is pure data. The machine (src/vmm) copies it into guest memory and into KVM; unit tests look
 * at it without either.
 *
 *      xen-shim (ELF32) --elf-->  segments \
 *      kernel, initrd   ------->  modules   >--  boot_plan  -->  guest memory, registers
 *      command lines    ------->  tables   /
 *
 * Two entries into the shim, both with paging off, flat 32-bit segments and interrupts off:
 *   multiboot (version 1 of the specification): eax = 0x2BADB002, ebx = the multiboot information;
 *   PVH (Xen's docs/misc/pvh.pandoc, <xen/arch-x86/hvm/start_info.h>): ebx = hvm_start_info, at the address that
 *   the ELF note XEN_ELFNOTE_PHYS32_ENTRY names.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <glib.h>

/* Types of <xen/arch-x86/hvm/start_info.h> and of ACPI's address range interface: the same numbers. */
enum memory_map_type {
	MEMORY_MAP_RAM = 1,
	MEMORY_MAP_RESERVED = 2,
	MEMORY_MAP_ACPI = 3,
};

struct memory_map_entry {
	uint64_t gpa;
	uint64_t len_bytes;
	enum memory_map_type type;
};

/* Bytes of one file, mapped or read by the caller, which keeps them alive as long as the plan. */
struct boot_image {
	const char *name; /* for messages: the path as the person gave it */
	const uint8_t *bytes;
	size_t len_bytes; /* 0 and NULL: not given (initrd) */
	bool has_file;    /* file_fd begins with these bytes: they may be read from there, later or by another process */
	int file_fd;
};

enum {
	BOOT_MAX_MEMORY_MAP = 128,    /* a bound for our tables; Xen takes 1024 (E820MAX) */
	BOOT_MAX_COMMAND_LINE = 1023, /* without the terminating NUL */
};

enum boot_entry { BOOT_ENTRY_MULTIBOOT, BOOT_ENTRY_PVH };

struct boot_inputs {
	enum boot_entry entry;
	struct boot_image shim;
	bool alone;               /* "shim" is a kernel that starts by itself, and "kernel" is absent */
	struct boot_image kernel; /* what the shim gets as its first module: unpacked ELF, or a bzImage as it is */
	struct boot_image initrd;
	const char *shim_command_line;  /* at most 1023 bytes, without a first word for the file name: the plan adds it
					 * where it is stripped. NULL is "" */
	const char *guest_command_line; /* at most 1023 bytes: MAX_GUEST_CMDLINE of Xen. NULL is "" */
	const struct memory_map_entry *memory_map; /* sorted, not overlapping, at most BOOT_MAX_MEMORY_MAP */
	size_t n_memory_map;
	uint64_t low_ram_top_gpa; /* end of the RAM below 4 GiB */
	uint64_t rsdp_gpa;        /* for PVH's start_info; 0: none */
};

/* len_bytes are copied to gpa from bytes, and zeros follow up to mem_bytes (RAM is zero already at first boot). */
struct boot_segment {
	uint64_t gpa;
	const uint8_t *bytes; /* in an input image, or owned by the plan */
	size_t len_bytes;
	uint64_t mem_bytes;
	bool has_file; /* the same bytes can be read from file_fd, which the plan does not own */
	int file_fd;
	uint64_t file_offset_bytes;
	bool may_come_late; /* nobody looks at it as soon as the guest starts */
	const char *what; /* "shim", "kernel", "initrd", "multiboot information", ... for --dry-run and messages */
};

struct boot_plan {
	struct boot_segment *segments; /* sorted by gpa, not overlapping, all inside RAM below low_ram_top_gpa */
	size_t n_segments;
	uint32_t eip;
	uint32_t eax;
	uint32_t ebx;
	uint8_t *tables; /* bytes that the plan made and that some segments point to */
};

/* How a kernel starts by itself: PVH where it has that entry, or nothing at all. */
enum boot_entry boot_entry_of(const struct boot_image *kernel);

/*
 * Returns NULL and an error (DOM1_ERROR of src/vmm/error.h) that names the file, or the memory that would be enough:
 * DOM1_STATUS_FILE for a bad shim, DOM1_STATUS_USAGE for command lines that are too long or memory too small,
 * DOM1_STATUS_DEFECT for a memory map that is not as promised above.
 * Both: thread-safe, no system calls.
 */
struct boot_plan *boot_plan_new(const struct boot_inputs *inputs, GError **error);
void boot_plan_free(struct boot_plan *plan);
