// SPDX-License-Identifier: MIT
/*
 * Theory of operation: a transaction holds two snapshots of the main tree: "base", as it was at the start, and its own
 * "tree", in which its requests work. Every request records the paths that decided its outcome and which part of them
 * did (value, permissions, list of children, whole subtree).
 *
 * At the end every recorded part is compared between base and the main tree of now: by the stamps, or for a subtree by
 * the pointer, which is the same if and only if nothing below changed (see tree.c). One difference is a conflict. If
 * there is none, the outcome of every request would be the same if it ran now, so what was written is brought over to
 * a snapshot of the main tree, which then becomes the main tree. A failure on the way leaves no trace.
 *
 * The record is sorted by path, which puts a parent before what is below it. That makes bringing over simple:
 *  - a path absent from the transaction's tree is removed;
 *  - one absent from the main tree, or removed and made again, is grafted with everything below it. All of that was
 *    made by this transaction, since nothing was there when it began;
 *  - any other takes over the parts that were written;
 *  - and what an earlier step already settled shows by equal pointers (or by being absent in both).
 */
#include "xen/xenstore/transaction.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct xs_transaction *xs_transaction_new(const struct xs_tree *tree, uint16_t domid, unsigned int max_touched,
					  size_t *bytes, size_t max_bytes)
{
	struct xs_transaction *tx = calloc(1, sizeof(*tx));

	if (!tx)
		return NULL;
	if (xs_tree_snapshot(&tx->tree, tree) != 0) {
		free(tx);
		return NULL;
	}
	tx->base = xs_node_ref(tree->root);
	tx->domid = domid;
	tx->max_touched = max_touched;
	tx->bytes = bytes;
	tx->max_bytes = max_bytes;
	return tx;
}

void xs_transaction_free(struct xs_transaction *tx)
{
	if (!tx)
		return;
	*tx->bytes -= tx->charged_bytes;
	for (unsigned int i = 0; i < tx->n_touched; i++)
		free(tx->touched[i].path);
	free(tx->touched);
	xs_tree_clear(&tx->tree);
	xs_node_unref(tx->base);
	free(tx);
}

static bool touched_index(const struct xs_transaction *tx, const char *path, size_t len_bytes, unsigned int *index)
{
	unsigned int low = 0, high = tx->n_touched;

	while (low < high) {
		unsigned int middle = low + (high - low) / 2;
		const struct xs_touched *entry = &tx->touched[middle];
		size_t common = len_bytes < entry->len_bytes ? len_bytes : entry->len_bytes;
		int order = memcmp(path, entry->path, common);

		if (order == 0 && len_bytes == entry->len_bytes) {
			*index = middle;
			return true;
		}
		if (order < 0 || (order == 0 && len_bytes < entry->len_bytes))
			high = middle;
		else
			low = middle + 1;
	}
	*index = low;
	return false;
}

static bool charge(struct xs_transaction *tx, size_t bytes)
{
	if (bytes > tx->max_bytes || *tx->bytes > tx->max_bytes - bytes)
		return false;
	*tx->bytes += bytes;
	tx->charged_bytes += bytes;
	return true;
}

static int touched_insert(struct xs_transaction *tx, unsigned int index, const char *path, size_t len_bytes)
{
	char *copy;

	if (tx->n_touched >= tx->max_touched)
		return ENOSPC;
	if (tx->n_touched == tx->cap_touched) {
		unsigned int cap = tx->cap_touched ? 2 * tx->cap_touched : 16;
		struct xs_touched *touched = realloc(tx->touched, cap * sizeof(touched[0]));

		if (!touched)
			return ENOMEM;
		tx->touched = touched;
		tx->cap_touched = cap;
	}
	copy = malloc(len_bytes + 1);
	if (!copy)
		return ENOMEM;
	if (!charge(tx, sizeof(struct xs_touched) + sizeof(struct xs_node) + len_bytes)) {
		free(copy);
		return ENOSPC;
	}
	memcpy(copy, path, len_bytes);
	copy[len_bytes] = '\0';
	memmove(&tx->touched[index + 1], &tx->touched[index], (tx->n_touched - index) * sizeof(tx->touched[0]));
	tx->touched[index] = (struct xs_touched){ .path = copy, .len_bytes = (uint16_t)len_bytes };
	tx->n_touched++;
	return 0;
}

int xs_transaction_touch(struct xs_transaction *tx, const char *path, size_t len_bytes, unsigned int flags,
			 size_t value_bytes)
{
	struct xs_touched *entry;
	unsigned int index;
	int rc;

	if (!touched_index(tx, path, len_bytes, &index)) {
		rc = touched_insert(tx, index, path, len_bytes);
		if (rc != 0)
			return rc;
	}
	entry = &tx->touched[index];
	/* A path has one value at a time, so its longest is what it can hold: rewriting it for ever costs no more. */
	if (value_bytes > entry->value_bytes) {
		if (!charge(tx, value_bytes - entry->value_bytes))
			return ENOSPC;
		entry->value_bytes = (uint32_t)value_bytes;
	}
	entry->flags |= (uint16_t)flags;
	return 0;
}

const struct xs_touched *xs_transaction_find(const struct xs_transaction *tx, const char *path, size_t len_bytes)
{
	unsigned int index;

	return touched_index(tx, path, len_bytes, &index) ? &tx->touched[index] : NULL;
}

const struct xs_node *xs_transaction_base(const struct xs_transaction *tx, const char *path, size_t len_bytes)
{
	const struct xs_tree base = { .root = tx->base };

	return xs_tree_lookup(&base, path, len_bytes);
}

static bool is_conflict(const struct xs_touched *entry, const struct xs_node *base, const struct xs_node *now)
{
	if (base == now)
		return false;
	if (!base || !now || (entry->flags & XS_TOUCH_SUBTREE))
		return true;
	if ((entry->flags & XS_TOUCH_PERMS) && base->perms_stamp != now->perms_stamp)
		return true;
	if ((entry->flags & XS_TOUCH_VALUE) && base->value_stamp != now->value_stamp)
		return true;
	return (entry->flags & XS_TOUCH_CHILDREN) && base->children_stamp != now->children_stamp;
}

/* Brings one written path over. */
static int merge_path(const struct xs_transaction *tx, const struct xs_touched *entry, struct xs_tree *merged)
{
	const struct xs_node *base = xs_transaction_base(tx, entry->path, entry->len_bytes);
	const struct xs_node *ours = xs_tree_lookup(&tx->tree, entry->path, entry->len_bytes);
	const struct xs_node *theirs = xs_tree_lookup(merged, entry->path, entry->len_bytes);
	struct xs_node *removed;
	unsigned int what = 0;
	int rc;

	if (ours == theirs)
		return 0;
	if (!ours) {
		rc = xs_tree_remove(merged, entry->path, entry->len_bytes, &removed);
		if (rc == 0)
			xs_node_unref(removed);
		return rc;
	}
	if (!theirs || !base || (entry->flags & XS_TOUCH_SUBTREE))
		return xs_tree_graft(merged, entry->path, entry->len_bytes, (struct xs_node *)ours);
	if (ours->value_stamp != base->value_stamp)
		what |= XS_CONTENT_VALUE;
	if (ours->perms_stamp != base->perms_stamp)
		what |= XS_CONTENT_PERMS;
	return what ? xs_tree_set_content(merged, entry->path, entry->len_bytes, ours, what) : 0;
}

int xs_transaction_commit(const struct xs_transaction *tx, struct xs_tree *tree, unsigned int max_nodes)
{
	struct xs_tree merged;
	unsigned int nodes;
	int rc = 0;

	for (unsigned int i = 0; i < tx->n_touched; i++) {
		const struct xs_touched *entry = &tx->touched[i];

		if (is_conflict(entry, xs_transaction_base(tx, entry->path, entry->len_bytes),
				xs_tree_lookup(tree, entry->path, entry->len_bytes)))
			return EAGAIN;
	}
	if (xs_tree_snapshot(&merged, tree) != 0)
		return ENOMEM;
	for (unsigned int i = 0; i < tx->n_touched && rc == 0; i++) {
		if (tx->touched[i].flags & XS_TOUCH_WROTE)
			rc = merge_path(tx, &tx->touched[i], &merged);
	}
	nodes = xs_tree_owned(&merged, tx->domid);
	if (rc == 0 && tx->domid != 0 && nodes > max_nodes && nodes > xs_tree_owned(tree, tx->domid))
		rc = ENOSPC;
	if (rc != 0) {
		xs_tree_clear(&merged);
		return rc;
	}
	xs_tree_clear(tree);
	*tree = merged;
	return 0;
}
