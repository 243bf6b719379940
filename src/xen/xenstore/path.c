// SPDX-License-Identifier: MIT
/*
 * Theory of operation: every path a client names passes xs_path_resolve() once. What comes out is absolute, free of
 * empty components and of a trailing slash, and at most XENSTORE_ABS_PATH_MAX bytes long. The rest of the store relies
 * on that: it bounds the depth of the tree, and with it the walks over it.
 */
#include "xen/xenstore/path.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "xen/xenstore/xenstore.h"

#define REL_PATH_DISCOUNT (XENSTORE_ABS_PATH_MAX - XENSTORE_REL_PATH_MAX)

static bool is_path_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '/' ||
	       c == '_' || c == '@';
}

static bool is_wellformed(const char *s, size_t len_bytes)
{
	for (size_t i = 0; i < len_bytes; i++) {
		if (!is_path_char(s[i]))
			return false;
		if (s[i] == '/' && i > 0 && (s[i - 1] == '/' || i + 1 == len_bytes))
			return false;
	}
	return true;
}

int xs_path_resolve(struct xs_path *path, const char *raw, uint16_t domid, const struct xenstore_quota *quota,
		    bool allow_special)
{
	size_t abs_max = XENSTORE_ABS_PATH_MAX;
	size_t raw_len = strlen(raw);
	int base_len = 0;

	if (quota && domid != 0 && quota->path_bytes < abs_max)
		abs_max = quota->path_bytes;
	if (raw_len == 0 || !is_wellformed(raw, raw_len))
		return EINVAL;
	if (raw[0] == '@' && !allow_special)
		return EINVAL;
	if (raw[0] == '/' || raw[0] == '@') {
		if (raw_len > abs_max)
			return EINVAL;
	} else {
		if (raw_len > (abs_max > REL_PATH_DISCOUNT ? abs_max - REL_PATH_DISCOUNT : abs_max))
			return EINVAL;
		base_len = snprintf(path->s, sizeof(path->s), "/local/domain/%u/", (unsigned int)domid);
	}
	path->base_len_bytes = (size_t)base_len;
	path->len_bytes = path->base_len_bytes + raw_len;
	memcpy(path->s + path->base_len_bytes, raw, raw_len + 1);
	return 0;
}

size_t xs_path_parent_len(const char *path, size_t len_bytes)
{
	while (len_bytes > 1 && path[len_bytes - 1] != '/')
		len_bytes--;
	return len_bytes > 1 ? len_bytes - 1 : 1;
}

uint32_t xs_hash(const char *bytes, size_t len_bytes)
{
	uint32_t hash = XS_HASH_INIT;

	for (size_t i = 0; i < len_bytes; i++)
		hash = xs_hash_byte(hash, bytes[i]);
	return hash;
}
