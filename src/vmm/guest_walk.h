// SPDX-License-Identifier: MIT
/*
 * From a guest-virtual to a guest-physical address, as the guest's CPU would find it for its kernel: two-level tables,
 * PAE, four and five levels, large pages, or no paging. Rights are those of data accesses at CPL 0: CR0.WP, SMAP with
 * RFLAGS.AC, protection keys. The bits for accessed and dirty are set as the CPU sets them.
 *
 * Xen treats a hypercall's arguments so (guest_walk_tables() of an HVM domain). Source of the formats: Intel's manual,
 * volume 3, chapter 4. Pure: registers and memory in, address out. Nothing is kept from one call to the next, so there
 * is nothing that the guest would have to flush.
 *
 * Thread: any. Tables change under our hands when the guest's other vCPUs write them; each entry is read once.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct guest_memory;

struct guest_paging {
	uint64_t cr0, cr3, cr4, efer, rflags;
	/* Protection keys' rights; asked for only when they matter: CR4.PKE and a user's page. */
	uint32_t (*read_pkru)(void *opaque);
	/*
	 * NULL: tables lie in guest memory. Else it reads an entry of 4 or 8 bytes, wherever that is, and no table is changed: for
	 * who looks up what the CPU itself has used.
	 */
	bool (*read_entry)(void *opaque, uint64_t gpa, size_t len_bytes, uint64_t *entry);
	void *opaque;
};

/* FETCH: an instruction that the CPU has fetched; that it may is not looked into. */
enum guest_access { GUEST_READ, GUEST_WRITE, GUEST_FETCH };

/* FALSE: the access would fault; no table has changed. Whether there is memory at *gpa is another question. */
bool guest_walk(const struct guest_memory *memory, const struct guest_paging *paging, uint64_t gva,
		enum guest_access access, uint64_t *gpa);
