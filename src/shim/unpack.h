// SPDX-License-Identifier: MIT
/*
 * Unpacks a kernel outside the guest, in a helper process, with a cache under $XDG_CACHE_HOME/dom1 (else ~/.cache).
 *
 * The helper gets the compressed bytes and one descriptor to write to, has limits on memory, time and output, opens
 * nothing, and dies on what it does not understand; decompressors are where bugs live, and a kernel file may come
 * from anywhere. The cache's key is the file's identity (device, inode, size, mtime and ctime in ns) confirmed by a
 * checksum of the compressed payload, so that a changed file of the same identity is never served stale.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <glib.h>

/* A kernel as the shim should get it: mapped read-only. */
struct kernel_bytes {
	const uint8_t *bytes;
	size_t len_bytes;
	int fd; /* if there are bytes: a file that begins with them; -1: none. Owned */
	gboolean unpacked; /* FALSE: handed on as it is (an ELF already, or LZO, which libarchive lacks) */
	gboolean cached;   /* it came from the cache */
};

/*
 * path is the person's; a failure to write the cache is not an error. Must be called while the process has one
 * thread (it forks). DOM1_STATUS_FILE for missing, unreadable, empty, a directory, corrupt; the message has the path,
 * the reason and the remedy.
 */
gboolean kernel_load(const char *path, gboolean use_cache, struct kernel_bytes *kernel, GError **error);
void kernel_bytes_clear(struct kernel_bytes *kernel);
