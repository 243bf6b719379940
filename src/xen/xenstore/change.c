// SPDX-License-Identifier: MIT
/*
 * Theory of operation: from what changed to which watches fire. A change of a node fires the watches at it and above
 * it. A removal fires these, once, for the top of what was removed, and then each watch that sat exactly at a node
 * below. A commit is the sum of what its named paths became, compared with what they were.
 *
 * A client hears of a node that it may read, or whose parent it may read, or that it could read before the change
 * (XSA-115).
 */
#include "xen/xenstore/ops.h"

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

	xs_watch_fire(store, path, len_bytes, &audience, false);
}

/* Is the path below a removed node told of on its own account, or there again? */
static bool is_covered(const struct xs_transaction *tx, const struct xs_walk *walk)
{
	const struct xs_touched *entry = xs_transaction_find(tx, walk->path, walk->len_bytes);

	return (entry && (entry->flags & XS_TOUCH_NAMED)) || xs_tree_lookup(&tx->tree, walk->path, walk->len_bytes);
}

static void fire_below(struct xenstore *store, const struct xs_node *top, const char *path, size_t len_bytes,
		       const struct xs_transaction *tx)
{
	const struct xs_node *node;
	struct xs_walk walk;

	if (store->watches.n == 0)
		return;
	xs_walk_start(&walk, top, path, len_bytes);
	while ((node = xs_walk_next(&walk))) {
		const struct xs_audience audience = { .node = node->perms, .parent = xs_walk_parent(&walk)->perms };

		if (!tx || !is_covered(tx, &walk))
			xs_watch_fire(store, walk.path, walk.len_bytes, &audience, true);
	}
}

static void fire_removed(struct xenstore *store, const struct xs_node *removed, const char *path, size_t len_bytes,
			 const struct xs_perms *parent, const struct xs_transaction *tx)
{
	const struct xs_audience audience = { .node = removed->perms, .parent = parent };

	xs_watch_fire(store, path, len_bytes, &audience, false);
	fire_below(store, removed, path, len_bytes, tx);
}

static void fire_committed(struct xenstore *store, const struct xs_transaction *tx)
{
	const struct xs_tree base_tree = { .root = tx->base };

	for (unsigned int i = 0; i < tx->n_touched; i++) {
		const struct xs_touched *entry = &tx->touched[i];
		const struct xs_node *base = xs_tree_lookup(&base_tree, entry->path, entry->len_bytes);
		const struct xs_node *now = xs_tree_lookup(&tx->tree, entry->path, entry->len_bytes);

		if (!(entry->flags & XS_TOUCH_NAMED) || base == now)
			continue;
		if (!now) {
			fire_removed(store, base, entry->path, entry->len_bytes,
				     parent_perms(&base_tree, entry->path, entry->len_bytes), tx);
			continue;
		}
		if (base && base->value_stamp == now->value_stamp && base->perms_stamp == now->perms_stamp)
			continue;
		fire_node(store, entry->path, entry->len_bytes, base ? base->perms : NULL);
		if (base && (entry->flags & XS_TOUCH_SUBTREE))
			fire_below(store, base, entry->path, entry->len_bytes, tx);
	}
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
		fire_removed(store, change->removed, path->s, path->len_bytes,
			     parent_perms(&store->tree, path->s, path->len_bytes), NULL);
		xs_node_unref(change->removed);
		break;
	case XS_CHANGE_COMMITTED:
		fire_committed(store, change->tx);
		xs_transaction_free(change->tx);
		break;
	}
	*change = (struct xs_change){ 0 };
}
