// SPDX-License-Identifier: MIT
/*
 * What guest RAM is made of.
 *
 *   anonymous    memory of the machine process alone, with huge pages. The default
 *   memfd        a file in memory, which others can be given: back ends in other processes, other domains
 *   guest_memfd  KVM's own files: never swapped, never moved, 4 KiB pages only; where the kernel offers it, nothing of it
 *                is in the kernel's direct map, so that a mistaken read in the kernel does not find it
 *
 * A guest_memfd belongs to a VM. This one has no vCPU and no memory, and lives as long as the file: a memslot that is bound
 * to a file faults by the file, past what is mapped over it, and the hypervisor's pages are mapped over RAM. So the
 * domain's own VM gets an ordinary memslot over a mapping of the file.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

enum memory_backing_kind { MEMORY_ANONYMOUS, MEMORY_MEMFD, MEMORY_GUEST_MEMFD, N_MEMORY_BACKINGS };

/* As options and the report name them. */
extern const char *const MEMORY_BACKING_NAMES[N_MEMORY_BACKINGS];

struct memory_backing {
	int fd; /* -1: anonymous */
	bool has_huge_pages;
	bool direct_map_removed;
};

/* FALSE and DOM1_STATUS_HOST: this host has no such memory. Makes nothing. */
bool memory_backing_check(enum memory_backing_kind kind, int kvm_fd, GError **error);

/*
 * A new file of len_bytes zeros, which takes memory as pages of it are used. The descriptor is the caller's. FALSE and
 * DOM1_STATUS_HOST.
 */
bool memory_backing_open(struct memory_backing *backing, enum memory_backing_kind kind, int kvm_fd, uint64_t len_bytes,
			 GError **error);
