// SPDX-License-Identifier: MIT
/*
 * Theory of operation: each operation looks its node up with the right it needs, checks the quotas of an unprivileged
 * domain, tells the transaction (if it runs in one) what it depends on and what it writes, and only then touches the
 * tree. So a refused operation changes nothing, and a transaction never forgets why it came out the way it did.
 *
 * Whoever lacks the right to a node that does not exist learns so (ENOENT) only if the nearest existing parent grants
 * the right; otherwise the answer is the same as for one that does exist (EACCES).
 */
#include "xen/xenstore/ops.h"

#include <errno.h>
#include <string.h>

static struct xs_tree *view_tree(const struct xs_view *view)
{
	return view->tx ? &view->tx->tree : &view->store->tree;
}

static int touch(const struct xs_view *view, const char *path, size_t len_bytes, unsigned int flags, size_t value_bytes)
{
	if (!view->tx)
		return 0;
	return xs_transaction_touch(view->tx, path, len_bytes, flags | XS_TOUCH_PERMS, value_bytes);
}

/* The length of the path of the nearest node, as a path: "/" for the root. */
static size_t nearest_len(size_t have_bytes)
{
	return have_bytes ? have_bytes : 1;
}

static int lookup(const struct xs_view *view, const struct xs_path *path, unsigned int want, unsigned int depends,
		  const struct xs_node **found)
{
	size_t have;
	const struct xs_node *node = xs_tree_nearest(view_tree(view), path->s, path->len_bytes, &have);
	bool exists = nearest_len(have) == path->len_bytes;
	unsigned int access = xs_perms_access(node->perms, view->domid);
	int rc = touch(view, path->s, path->len_bytes, depends, 0);

	if (rc == 0 && !exists)
		rc = touch(view, path->s, nearest_len(have), 0, 0);
	/* If its rights decided on the answer, so did the fact that it is the nearest: that the next one is missing. */
	if (rc == 0 && !exists && view->domid != 0)
		rc = touch(view, path->s, have + 1 + strcspn(path->s + have + 1, "/"), 0, 0);
	if (rc != 0)
		return rc;
	if (!exists)
		return (access & want) ? ENOENT : EACCES;
	if ((access & want) != want)
		return EACCES;
	*found = node;
	return 0;
}

int xs_op_lookup(const struct xs_view *view, const struct xs_path *path, unsigned int depends,
		 const struct xs_node **node)
{
	return lookup(view, path, XS_ACCESS_READ, depends, node);
}

static bool node_fits(const struct xs_view *view, const struct xs_path *path, size_t value_bytes,
		      const struct xs_perms *perms)
{
	return view->domid == 0 || path->len_bytes + value_bytes + perms->n * sizeof(perms->entry[0]) <=
					   view->store->quota.node_bytes;
}

/* Outside a transaction the watches hear of it; inside, its commit tells them. */
static void changed(const struct xs_view *view, const struct xs_path *path, struct xs_change *change)
{
	if (view->tx)
		return;
	change->kind = XS_CHANGE_NODE;
	change->path = path;
}

/* Records that path, and every missing node on the way to it, is going to be created. */
static int touch_created(const struct xs_view *view, const struct xs_path *path, size_t have, size_t value_bytes)
{
	for (size_t end = have + 1; end < path->len_bytes; end++) {
		int rc = path->s[end] == '/' ? touch(view, path->s, end, XS_TOUCH_WROTE, 0) : 0;

		if (rc != 0)
			return rc;
	}
	return touch(view, path->s, path->len_bytes, XS_TOUCH_WROTE | XS_TOUCH_NAMED, value_bytes);
}

static int create(const struct xs_view *view, const struct xs_path *path, const void *value, size_t len_bytes,
		  struct xs_change *change)
{
	struct xs_tree *tree = view_tree(view);
	size_t have, fresh = 0;
	const struct xs_node *nearest = xs_tree_nearest(tree, path->s, path->len_bytes, &have);
	struct xs_perms *perms;
	int rc;

	for (size_t i = have; i < path->len_bytes; i++)
		fresh += path->s[i] == '/';
	if (view->domid != 0 && xs_tree_owned(tree, view->domid) + fresh > view->store->quota.nodes)
		return ENOSPC;
	if (!node_fits(view, path, len_bytes, nearest->perms))
		return ENOSPC;
	rc = touch_created(view, path, have, len_bytes);
	if (rc != 0)
		return rc;
	perms = xs_perms_inherit(nearest->perms, view->domid);
	if (!perms)
		return ENOMEM;
	rc = xs_tree_create(tree, path->s, path->len_bytes, value, len_bytes, perms);
	xs_perms_unref(perms);
	if (rc == 0)
		changed(view, path, change);
	return rc;
}

int xs_op_write(const struct xs_view *view, const struct xs_path *path, const void *value, size_t len_bytes,
		struct xs_change *change)
{
	const struct xs_node *node;
	int rc = lookup(view, path, XS_ACCESS_WRITE, 0, &node);

	if (rc == ENOENT)
		return create(view, path, value, len_bytes, change);
	if (rc != 0)
		return rc;
	if (!node_fits(view, path, len_bytes, node->perms))
		return ENOSPC;
	rc = touch(view, path->s, path->len_bytes, XS_TOUCH_VALUE | XS_TOUCH_WROTE | XS_TOUCH_NAMED, len_bytes);
	if (rc == 0)
		rc = xs_tree_set_value(view_tree(view), path->s, path->len_bytes, value, len_bytes);
	if (rc == 0)
		changed(view, path, change);
	return rc;
}

int xs_op_mkdir(const struct xs_view *view, const struct xs_path *path, struct xs_change *change)
{
	const struct xs_node *node;
	int rc = lookup(view, path, XS_ACCESS_WRITE, 0, &node);

	return rc == ENOENT ? create(view, path, NULL, 0, change) : rc;
}

int xs_op_remove(const struct xs_view *view, const struct xs_path *path, struct xs_change *change)
{
	size_t parent_len = xs_path_parent_len(path->s, path->len_bytes);
	const struct xs_node *node;
	struct xs_node *removed;
	int rc;

	if (xs_path_is_root(path))
		return EINVAL;
	rc = lookup(view, path, XS_ACCESS_WRITE, 0, &node);
	if (rc == ENOENT) {
		rc = touch(view, path->s, parent_len, 0, 0);
		if (rc != 0)
			return rc;
		return xs_tree_lookup(view_tree(view), path->s, parent_len) ? 0 : ENOENT;
	}
	if (rc != 0)
		return rc;
	rc = touch(view, path->s, path->len_bytes, XS_TOUCH_SUBTREE | XS_TOUCH_WROTE | XS_TOUCH_NAMED, 0);
	if (rc == 0)
		rc = xs_tree_remove(view_tree(view), path->s, path->len_bytes, &removed);
	if (rc != 0)
		return rc;
	if (view->tx) {
		xs_node_unref(removed);
		return 0;
	}
	change->kind = XS_CHANGE_REMOVED;
	change->path = path;
	change->removed = removed;
	return 0;
}

/* A special path has permissions (who gets its events) and nothing else; it stands outside transactions. */
static int lookup_special(const struct xs_view *view, const struct xs_path *path, unsigned int want,
			  struct xs_perms ***perms)
{
	*perms = xs_store_special(view->store, path->s);
	if (!*perms)
		return view->domid == 0 ? ENOENT : EACCES;
	return (xs_perms_access(**perms, view->domid) & want) == want ? 0 : EACCES;
}

int xs_op_get_perms(const struct xs_view *view, const struct xs_path *path, const struct xs_perms **perms)
{
	const struct xs_node *node;
	struct xs_perms **special;
	int rc;

	if (xs_path_is_special(path)) {
		rc = lookup_special(view, path, XS_ACCESS_READ, &special);
		if (rc == 0)
			*perms = *special;
		return rc;
	}
	rc = lookup(view, path, XS_ACCESS_READ, 0, &node);
	if (rc == 0)
		*perms = node->perms;
	return rc;
}

int xs_op_set_perms(const struct xs_view *view, const struct xs_path *path, struct xs_perms *perms,
		    struct xs_change *change)
{
	const unsigned int want = XS_ACCESS_WRITE | XS_ACCESS_OWNER;
	const struct xs_node *node;
	struct xs_perms **special, *old;
	int rc;

	if (xs_path_is_special(path)) {
		rc = lookup_special(view, path, want, &special);
		if (rc != 0)
			return rc;
		if (view->domid != 0 && xs_perms_owner(perms) != xs_perms_owner(*special))
			return EPERM;
		xs_perms_unref(*special);
		*special = xs_perms_ref(perms);
		return 0;
	}
	rc = lookup(view, path, want, 0, &node);
	if (rc != 0)
		return rc;
	/* An unprivileged domain may not give nodes away: the other one would pay for them. */
	if (view->domid != 0 && xs_perms_owner(perms) != xs_perms_owner(node->perms))
		return EPERM;
	if (!node_fits(view, path, node->value ? node->value->len_bytes : 0, perms))
		return ENOSPC;
	rc = touch(view, path->s, path->len_bytes, XS_TOUCH_WROTE | XS_TOUCH_NAMED, 0);
	if (rc != 0)
		return rc;
	old = xs_perms_ref(node->perms);
	rc = xs_tree_set_perms(view_tree(view), path->s, path->len_bytes, perms);
	if (rc == 0)
		changed(view, path, change);
	if (change->kind == XS_CHANGE_NODE)
		change->old_perms = old;
	else
		xs_perms_unref(old);
	return rc;
}
