// SPDX-License-Identifier: MIT
/*
 * The operations on nodes, with rights and quotas: what the wire protocol and the host's own access have in common.
 */
#pragma once

#include "xen/xenstore/internal.h"

/* Who does it, and where. */
struct xs_view {
	struct xenstore *store;
	struct xs_transaction *tx; /* NULL: outside any */
	uint16_t domid;
};

/*
 * What an operation changed. It is told to the watches by xs_change_fire(), a step of its own, because the reply to
 * the one who did it comes first. Zero-initialised: nothing changed.
 */
struct xs_change {
	enum { XS_CHANGE_NONE, XS_CHANGE_NODE, XS_CHANGE_REMOVED, XS_CHANGE_COMMITTED } kind;
	const struct xs_path *path;
	struct xs_perms *old_perms;   /* NODE: a reference, when they were changed */
	struct xs_node *removed;      /* REMOVED: a reference */
	struct xs_transaction *tx;    /* COMMITTED: owned */
};

/* Fires the watches and releases what change holds. */
void xs_change_fire(struct xenstore *store, struct xs_change *change);

/* All return 0 or an errno of the protocol. depends: XS_TOUCH_* that the caller is going to look at. */
int xs_op_lookup(const struct xs_view *view, const struct xs_path *path, unsigned int depends,
		 const struct xs_node **node);
int xs_op_write(const struct xs_view *view, const struct xs_path *path, const void *value, size_t len_bytes,
		struct xs_change *change);
int xs_op_mkdir(const struct xs_view *view, const struct xs_path *path, struct xs_change *change);
int xs_op_remove(const struct xs_view *view, const struct xs_path *path, struct xs_change *change);
int xs_op_get_perms(const struct xs_view *view, const struct xs_path *path, const struct xs_perms **perms);
int xs_op_set_perms(const struct xs_view *view, const struct xs_path *path, struct xs_perms *perms,
		    struct xs_change *change);
