// SPDX-License-Identifier: MIT
/*
 * The syntax of xenstore paths (docs/misc/xenstore.txt): absolute, relative to /local/domain/<domid>, or special
 * ("@...").
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <xen/io/xs_wire.h>

struct xenstore_quota;

/* A component has at least one character and its slash. The root counts as a level of its own. */
#define XS_DEPTH_MAX (XENSTORE_ABS_PATH_MAX / 2 + 1)

/* A checked path in absolute (or special) form. */
struct xs_path {
	size_t len_bytes;
	size_t base_len_bytes; /* what to strip to get the relative form the client used; 0: it was not relative */
	char s[XENSTORE_ABS_PATH_MAX + 1];
};

/* Returns 0 or EINVAL. quota may be NULL: only the protocol's own limits hold then. */
int xs_path_resolve(struct xs_path *path, const char *raw, uint16_t domid, const struct xenstore_quota *quota,
		    bool allow_special);

static inline bool xs_path_is_root(const struct xs_path *path)
{
	return path->len_bytes == 1;
}

static inline bool xs_path_is_special(const struct xs_path *path)
{
	return path->s[0] == '@';
}

/* The parent's length, 1 for "/"; the root is its own parent. */
size_t xs_path_parent_len(const char *path, size_t len_bytes);

/* FNV-1a, one byte at a time, so that one pass over a path yields the hashes of all its prefixes. */
#define XS_HASH_INIT 2166136261u
static inline uint32_t xs_hash_byte(uint32_t hash, char byte)
{
	return (hash ^ (uint8_t)byte) * 16777619u;
}

uint32_t xs_hash(const char *bytes, size_t len_bytes);
