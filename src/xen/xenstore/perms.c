// SPDX-License-Identifier: MIT
/*
 * Theory of operation: strings exist only on the wire. They are parsed once, at SET_PERMS; a check is a short scan of
 * integers. As nothing changes a built set, inheriting is taking a reference, and the thousand nodes of a guest
 * usually share one or two sets.
 */
#include "xen/xenstore/perms.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static_assert(sizeof(struct xs_perm) == 4, "quota node_bytes counts 4 bytes an entry");

struct xs_perms *xs_perms_new(unsigned int n)
{
	struct xs_perms *perms;

	if (n == 0)
		return NULL;
	perms = calloc(1, sizeof(*perms) + n * sizeof(perms->entry[0]));
	if (!perms)
		return NULL;
	perms->refs = 1;
	perms->n = n;
	return perms;
}

struct xs_perms *xs_perms_ref(struct xs_perms *perms)
{
	perms->refs++;
	return perms;
}

void xs_perms_unref(struct xs_perms *perms)
{
	if (perms && --perms->refs == 0)
		free(perms);
}

int xs_perm_parse(const char *string, struct xs_perm *perm)
{
	unsigned int domid = 0;

	switch (string[0]) {
	case 'n': perm->access = 0; break;
	case 'r': perm->access = XS_ACCESS_READ; break;
	case 'w': perm->access = XS_ACCESS_WRITE; break;
	case 'b': perm->access = XS_ACCESS_READ | XS_ACCESS_WRITE; break;
	default: return EINVAL;
	}
	if (string[1] == '\0')
		return EINVAL;
	for (const char *c = string + 1; *c; c++) {
		if (*c < '0' || *c > '9')
			return EINVAL;
		domid = domid * 10 + (unsigned int)(*c - '0');
		if (domid > UINT16_MAX)
			return EINVAL;
	}
	perm->domid = (uint16_t)domid;
	return 0;
}

int xs_perms_parse(const char *strings, size_t len_bytes, unsigned int max, struct xs_perms **perms)
{
	struct xs_perms *parsed;
	unsigned int n = 0;

	if (len_bytes == 0 || strings[len_bytes - 1] != '\0')
		return EINVAL;
	for (size_t i = 0; i < len_bytes; i++)
		n += strings[i] == '\0';
	if (n > max)
		return ENOSPC;
	parsed = xs_perms_new(n);
	if (!parsed)
		return ENOMEM;
	for (unsigned int i = 0; i < n; i++) {
		if (xs_perm_parse(strings, &parsed->entry[i]) != 0) {
			xs_perms_unref(parsed);
			return EINVAL;
		}
		strings += strlen(strings) + 1;
	}
	*perms = parsed;
	return 0;
}

size_t xs_perm_format(const struct xs_perm *perm, char string[XS_PERM_STRING_MAX])
{
	static const char letter[] = "nrwb"; /* by XS_ACCESS_READ | XS_ACCESS_WRITE */

	return (size_t)snprintf(string, XS_PERM_STRING_MAX, "%c%u", letter[perm->access & 3u], perm->domid) + 1;
}

unsigned int xs_perms_access(const struct xs_perms *perms, uint16_t domid)
{
	if (domid == 0 || domid == xs_perms_owner(perms))
		return XS_ACCESS_ALL;
	for (unsigned int i = 1; i < perms->n; i++) {
		if (perms->entry[i].domid == domid)
			return perms->entry[i].access;
	}
	return perms->entry[0].access;
}

struct xs_perms *xs_perms_inherit(struct xs_perms *parent, uint16_t domid)
{
	struct xs_perms *perms;

	if (domid == 0 || domid == xs_perms_owner(parent))
		return xs_perms_ref(parent);
	perms = xs_perms_new(parent->n);
	if (!perms)
		return NULL;
	memcpy(perms->entry, parent->entry, parent->n * sizeof(parent->entry[0]));
	perms->entry[0].domid = domid;
	return perms;
}
