// SPDX-License-Identifier: MIT
/*
 * Transactions: a snapshot to work in, a record of what was touched, and a merge that fails only on real conflicts.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "xen/xenstore/tree.h"

/* What a transaction's outcome depends on, of one path. That the path exists, or does not, always counts. */
#define XS_TOUCH_PERMS 1u
#define XS_TOUCH_VALUE 2u
#define XS_TOUCH_CHILDREN 4u
#define XS_TOUCH_SUBTREE 8u /* the node and everything below it */
/* What it did. */
#define XS_TOUCH_WROTE 16u
#define XS_TOUCH_NAMED 32u /* a request named this path: watches fire for it, not for parents created on the way */

struct xs_touched {
	char *path;
	uint16_t len_bytes;
	uint16_t flags;
	uint32_t value_bytes;  /* the longest value written, as far as it was charged */
};

struct xs_transaction {
	struct xs_transaction *next; /* of the connection */
	uint32_t id;
	uint16_t domid;
	struct xs_node *base;  /* root when it was started */
	struct xs_tree tree;   /* the same, with this transaction's changes */
	struct xs_touched *touched; /* sorted by path: parents before what is below them */
	unsigned int n_touched;
	unsigned int cap_touched;
	unsigned int max_touched;
	size_t *bytes;         /* the connection's account of what its transactions hold, and its limit */
	size_t max_bytes;
	size_t charged_bytes;  /* our part of it */
};

/* NULL when memory is out. */
struct xs_transaction *xs_transaction_new(const struct xs_tree *tree, uint16_t domid, unsigned int max_touched,
					  size_t *bytes, size_t max_bytes);
void xs_transaction_free(struct xs_transaction *tx);

/* Records what is about to be done; value_bytes is the length of a value to be written. 0, ENOSPC or ENOMEM. */
int xs_transaction_touch(struct xs_transaction *tx, const char *path, size_t len_bytes, unsigned int flags,
			 size_t value_bytes);

const struct xs_touched *xs_transaction_find(const struct xs_transaction *tx, const char *path, size_t len_bytes);
const struct xs_node *xs_transaction_base(const struct xs_transaction *tx, const char *path, size_t len_bytes);

/*
 * Merges into tree. Returns 0, EAGAIN (somebody changed what this transaction depends on), ENOSPC (its domain would
 * own more than max_nodes and did not before) or ENOMEM; tree changes only if 0. The transaction stays as it is.
 */
int xs_transaction_commit(const struct xs_transaction *tx, struct xs_tree *tree, unsigned int max_nodes);
