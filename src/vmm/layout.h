// SPDX-License-Identifier: MIT
/*
 * The map of guest-physical memory: what lies where, decided once from the amount of RAM. Pure.
 *
 *   0                 RAM, 639 KiB (the BIOS data area is the loader's)
 *   0x9fc00           reserved; backed, because the shim scans it for an MP table and DMI and finds zeros
 *   0xe0000             RSDP and the ACPI tables, inside the reserved range
 *   1 MiB             RAM, up to low_ram_top
 *   low_ram_top       special pages, reserved and backed: console ring, xenstore ring. The shim turns these two
 *                     into RAM of its own map, so they lie right above RAM: further up, its frame table would grow
 *                     a window like overlay_base's, for guests that can only address 4 GiB: GRUB takes the first gfn
 *                     that is not in the memory map
 *   ...               hole (LAPIC, KVM's own pages at the top)
 *   4 GiB             the rest of the RAM, up to high_ram_top
 *   overlay_base      window for the pages the hypervisor owns and the guest places: shared_info, grant frames. The
 *                     shim takes the first gfn that is neither in the memory map nor below 4 GiB or its last page, so
 *                     the window begins right there, is in no memory map, and needs no memslot change at run time. A
 *                     PVH Linux takes the last gfns of the first section of its own, 128 MiB aligned, that is free
 *
 * Source: measured contract of the shim; docs/architecture.md.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "shim/boot_plan.h"

#define LAYOUT_PAGE_BYTES      UINT64_C(4096)
#define LAYOUT_EBDA_GPA        UINT64_C(0x9fc00)
#define LAYOUT_LOW_HOLE_GPA    UINT64_C(0xa0000)
#define LAYOUT_ACPI_GPA        UINT64_C(0xe0000)
#define LAYOUT_ACPI_MAX_BYTES  UINT64_C(0x10000)
#define LAYOUT_LOW_HOLE_END    UINT64_C(0x100000)
#define LAYOUT_4GIB            UINT64_C(0x100000000)
#define LAYOUT_LOW_RAM_DEFAULT UINT64_C(0xc0000000) /* top of low RAM when nobody asks for another */
#define LAYOUT_LOW_RAM_MAX     UINT64_C(0xe0000000)
#define LAYOUT_LOW_RAM_MIN     (UINT64_C(16) << 20)
#define LAYOUT_LOW_WINDOW_BYTES (UINT64_C(2) << 20) /* with the special pages */
#define LAYOUT_SECTION_BYTES   (UINT64_C(128) << 20) /* of Linux: SECTION_SIZE_BITS of x86-64 */
#define LAYOUT_TSS_GPA         UINT64_C(0xfffbd000) /* three pages that KVM on Intel wants for itself */
#define LAYOUT_IDENTITY_GPA    UINT64_C(0xfffbc000)

#define LAYOUT_DEVICES_GPA     UINT64_C(0xfec00000) /* from here to 4 GiB: LAPIC and KVM's own */

#define LAYOUT_MAX_MAP_ENTRIES 16

struct layout {
	uint64_t ram_bytes;
	uint64_t low_ram_top_gpa;
	bool ram_is_lent; /* what is below low_ram_top_gpa, all RAM there is, is a lend window: set by who wants that */
	uint64_t console_gpa;
	uint64_t xenstore_gpa;
	uint64_t special_end_gpa;
	uint64_t low_window_end_gpa; /* it begins at special_end_gpa */
	uint64_t high_ram_top_gpa; /* LAYOUT_4GIB when all RAM is low */
	uint64_t overlay_gpa; /* above all RAM and all windows for lent memory */
	uint64_t overlay_end_gpa; /* nothing of ours lies above, but for the bridge's window */
	uint64_t bridge_gpa;      /* what the PCI host bridge passes on */
	uint64_t bridge_bytes;    /* 0: there is none */
	struct memory_map_entry map[LAYOUT_MAX_MAP_ENTRIES];
	size_t n_map;
};

/*
 * ram_bytes: a multiple of 2 MiB, as is max_low_ram_bytes (LAYOUT_LOW_RAM_MIN to LAYOUT_LOW_RAM_MAX).
 * FALSE and DOM1_STATUS_USAGE when the numbers are out of range.
 */
gboolean layout_init(struct layout *layout, uint64_t ram_bytes, uint64_t max_low_ram_bytes, GError **error);

/*
 * A range that is no RAM, for lent memory: the map of memory calls it reserved, so no guest puts anything else there. The
 * overlay window moves above it: of the room between reserved ranges and the end of addresses Linux takes the larger part
 * (arch_remove_reservations()), which begins above the highest of them.
 * *gpa: where, a multiple of 2 MiB, or 0: above everything else, and then where it is now. len_bytes: a multiple of 2 MiB.
 * end_gpa: the host's CPUs address no more. FALSE and DOM1_STATUS_USAGE: something is there, or it is out of reach.
 */
gboolean layout_add_window(struct layout *layout, uint64_t *gpa, uint64_t len_bytes, uint64_t end_gpa, GError **error);

/*
 * The window of a PCI host bridge, after all layout_add_window(). It is in no map of memory: the guest learns of it by ACPI,
 * and Linux takes out of such a window what the map calls reserved. So that Linux, which asks ACPI late, does not put its
 * grant frames there before, a whole section is left free below.
 * At the window's start is room for registers, LAYOUT_BRIDGE_REGISTERS_BYTES. bar_bytes: n powers of two from 2 MiB on;
 * bar_gpas: where each is at first. As much again is free, for a guest that puts them elsewhere. FALSE and
 * DOM1_STATUS_USAGE: the host's CPUs do not address that much.
 */
#define LAYOUT_BRIDGE_REGISTERS_BYTES (UINT64_C(2) << 20)
gboolean layout_add_bridge(struct layout *layout, const uint64_t *bar_bytes, uint64_t *bar_gpas, size_t n, uint64_t end_gpa,
			   GError **error);

/* What the memory map calls RAM, in whole pages: a little less than ram_bytes, for the hole below 1 MiB. */
uint64_t layout_ram_kib(const struct layout *layout);
