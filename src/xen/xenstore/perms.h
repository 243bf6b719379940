// SPDX-License-Identifier: MIT
/*
 * Permissions of a node: the first entry names the owner and what everybody else may do, each further one a domain.
 * The wire's syntax is "n1", "r2", "w3", "b4" (docs/misc/xenstore.txt, SET_PERMS). Immutable once built, shared by
 * every node that inherited them, reference-counted.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define XS_ACCESS_READ 1u
#define XS_ACCESS_WRITE 2u
#define XS_ACCESS_OWNER 4u /* may change permissions */
#define XS_ACCESS_ALL 7u

struct xs_perm {
	uint16_t domid;
	uint16_t access;
};

struct xs_perms {
	unsigned int refs;
	unsigned int n;
	bool quiet; /* only domain 0 hears of changes */
	struct xs_perm entry[];
};

/* "w65535" and its NUL. */
#define XS_PERM_STRING_MAX 7

/* NULL when memory is out, or when n is 0. */
struct xs_perms *xs_perms_new(unsigned int n);
struct xs_perms *xs_perms_ref(struct xs_perms *perms);
void xs_perms_unref(struct xs_perms *perms); /* NULL is fine */

/* Returns 0 or EINVAL. */
int xs_perm_parse(const char *string, struct xs_perm *perm);

/*
 * The payload of SET_PERMS behind the path: NUL-terminated strings. Returns 0, EINVAL, ENOSPC (more than max
 * entries) or ENOMEM.
 */
int xs_perms_parse(const char *strings, size_t len_bytes, unsigned int max, struct xs_perms **perms);

/* One entry in the wire's syntax; returns its length with the NUL. */
size_t xs_perm_format(const struct xs_perm *perm, char string[XS_PERM_STRING_MAX]);

/* What domid may do: XS_ACCESS_*. Domain 0 and the owner may do everything. */
unsigned int xs_perms_access(const struct xs_perms *perms, uint16_t domid);

/*
 * What a node that domid creates below a node with these permissions gets: the same, but an unprivileged domain owns
 * what it creates. A new reference, NULL when memory is out.
 */
struct xs_perms *xs_perms_inherit(struct xs_perms *parent, uint16_t domid);

static inline uint16_t xs_perms_owner(const struct xs_perms *perms)
{
	return perms->entry[0].domid;
}
