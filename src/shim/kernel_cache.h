// SPDX-License-Identifier: MIT
/*
 * Unpacked kernels on disk, under $XDG_CACHE_HOME/dom1/kernels (else $HOME/.cache/dom1/kernels), 0700.
 *
 * An entry is the unpacked bytes and a trailer with their length and checksum (of a sample, where they are many); its
 * name is made from the identity of the kernel file and a checksum of its packed bytes. An entry appears by rename() and
 * is never changed in place: several dom1 may look for, write and throw away the same entry at the same time, and guests
 * have it in their memory. Every failure here is silent: the kernel is unpacked again.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include <glib.h>

enum {
	KERNEL_CACHE_MAX_ENTRIES = 8,
	KERNEL_CACHE_MAX_RANGES = 32,
};

/* Bytes of a packed kernel. */
struct kernel_cache_range {
	size_t offset;
	size_t len_bytes;
};

struct kernel_cache; /* the folder, open */

/* NULL: there is no usable folder. System calls: mkdir, openat, fstat. */
struct kernel_cache *kernel_cache_open(void);
void kernel_cache_close(struct kernel_cache *cache);

/*
 * The bytes of packed_len that kernel_cache_key() looks at, ascending: all of them, or a sample of many. Returns how many
 * ranges there are.
 */
size_t kernel_cache_ranges(size_t packed_len, struct kernel_cache_range ranges[KERNEL_CACHE_MAX_RANGES]);

/*
 * The name under which this kernel is kept, to g_free(). ctime is part of the identity: no program can set it, so a
 * file that was changed and given its old mtime has a name of its own, even if the checksum is made to match.
 */
char *kernel_cache_key(const struct stat *st, const uint8_t *packed, size_t packed_len);

/*
 * A private read-only mapping of the entry, or NULL. A damaged entry is removed. *fd: the entry, which begins with these
 * bytes, to be closed by the caller.
 * System calls: openat, fstat, pread64, mmap, utimensat, unlinkat.
 */
const uint8_t *kernel_cache_map(struct kernel_cache *cache, const char *key, size_t *len_bytes, int *fd);

/* System calls: openat, flock, write, renameat, unlinkat, getdents64, newfstatat. */
void kernel_cache_store(struct kernel_cache *cache, const char *key, const uint8_t *bytes, size_t len_bytes);
