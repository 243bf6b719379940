// SPDX-License-Identifier: MIT
/*
 * Theory of operation: from what changed to which watches fire. A change of a node fires the watches at it and above
 * it. A removal fires these, once, for the top of what was removed, and then each watch that sat exactly at a node
 * below. A commit is the sum of what its named paths became, compared with what they were.
 *
 * The watches below a removal are found by going through the watches, not through what was removed: there are few of
 * them, and a transaction that removes each level of a deep tree would make the other way quadratic.
 *
 * A client hears of a node that it may read, or whose parent it may read, or that it could read before the change
 * (XSA-115).
 */
#include "xen/xenstore/ops.h"

#include <string.h>

static const struct xs_perms *perms_at(const struct xs_tree *tree, const char *path, size_t len_bytes)
{
	const struct xs_node *node = xs_tree_lookup(tree, path, len_bytes);

	return node ? node->perms : NULL;
}

static const struct xs_perms *parent_perms(const struct xs_tree *tree, const char *path, size_t len_bytes)
{
	return perms_at(tree, path, xs_path_parent_len(path, len_bytes));
}

static void fire_node(struct xenstore *store, const char *path, size_t len_bytes, const struct xs_perms *old)
{
	const struct xs_audience audience = {
		.node = perms_at(&store->tree, path, len_bytes),
		.parent = parent_perms(&store->tree, path, len_bytes),
		.old = old,
	};

	xs_watch_fire(store, path, len_bytes, &audience);
}

/* Is the watch's path told of on its own account, or there again? */
static bool is_covered(const struct xs_transaction *tx, const struct xenstore_watch *watch)
{
	const struct xs_touched *entry = xs_transaction_find(tx, watch->path, watch->path_len_bytes);

	return (entry && (entry->flags & XS_TOUCH_NAMED)) ||
	       xs_tree_lookup(&tx->tree, watch->path, watch->path_len_bytes);
}

/* old is what was below top, and is gone as far as it is not covered. */
static void fire_gone(struct xenstore *store, const struct xs_tree *old, const char *top, size_t top_len_bytes,
		      const struct xs_transaction *tx)
{
	struct xenstore_watch *watch = xs_watch_next(store, NULL);

	for (; watch; watch = xs_watch_next(store, watch)) {
		struct xs_audience audience;
		const char *path;
		size_t len;

		if (watch->path_len_bytes <= top_len_bytes || memcmp(watch->path, top, top_len_bytes) != 0)
			continue;
		path = watch->path + top_len_bytes;
		len = watch->path_len_bytes - top_len_bytes;
		if (*path != '/')
			continue;
		audience = (struct xs_audience){
			.node = perms_at(old, path, len),
			.parent = parent_perms(old, path, len),
		};
		if (audience.node && !(tx && is_covered(tx, watch)))
			xs_watch_fire_one(store, watch, &audience);
	}
}

static void fire_removed(struct xenstore *store, const struct xs_path *path, struct xs_node *removed)
{
	const struct xs_tree old = { .root = removed };
	const struct xs_audience audience = {
		.node = removed->perms,
		.parent = parent_perms(&store->tree, path->s, path->len_bytes),
	};

	xs_watch_fire(store, path->s, path->len_bytes, &audience);
	if (removed->n_children)
		fire_gone(store, &old, path->s, path->len_bytes, NULL);
}

static void fire_committed(struct xenstore *store, const struct xs_transaction *tx)
{
	const struct xs_tree old = { .root = tx->base };
	bool any_removed = false;

	for (unsigned int i = 0; i < tx->n_touched; i++) {
		const struct xs_touched *entry = &tx->touched[i];
		const struct xs_node *base = xs_tree_lookup(&old, entry->path, entry->len_bytes);
		const struct xs_node *now = xs_tree_lookup(&tx->tree, entry->path, entry->len_bytes);
		struct xs_audience audience;

		if (!(entry->flags & XS_TOUCH_NAMED) || base == now)
			continue;
		any_removed |= (entry->flags & XS_TOUCH_SUBTREE) != 0;
		if (now && base && base->value_stamp == now->value_stamp && base->perms_stamp == now->perms_stamp)
			continue;
		audience = (struct xs_audience){
			.node = perms_at(&store->tree, entry->path, entry->len_bytes),
			.parent = parent_perms(now ? &store->tree : &old, entry->path, entry->len_bytes),
			.old = base ? base->perms : NULL,
		};
		xs_watch_fire(store, entry->path, entry->len_bytes, &audience);
	}
	if (any_removed)
		fire_gone(store, &old, "", 0, tx);
}

void xs_change_fire(struct xenstore *store, struct xs_change *change)
{
	const struct xs_path *path = change->path;

	switch (change->kind) {
	case XS_CHANGE_NONE:
		break;
	case XS_CHANGE_NODE:
		fire_node(store, path->s, path->len_bytes, change->old_perms);
		xs_perms_unref(change->old_perms);
		break;
	case XS_CHANGE_REMOVED:
		fire_removed(store, path, change->removed);
		xs_node_unref(change->removed);
		break;
	case XS_CHANGE_COMMITTED:
		fire_committed(store, change->tx);
		xs_transaction_free(change->tx);
		break;
	}
	*change = (struct xs_change){ 0 };
}
