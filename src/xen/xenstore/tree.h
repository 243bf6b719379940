// SPDX-License-Identifier: MIT
/*
 * The tree of nodes, with cheap snapshots. No rights, quotas or watches here: bare structure.
 *
 * Paths are those of xs_path_resolve(): absolute and well-formed. A function that returns int returns 0 or ENOMEM,
 * and changes nothing that a lookup can see when it fails.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "xen/xenstore/path.h"
#include "xen/xenstore/perms.h"

struct xs_value {
	unsigned int refs;
	uint32_t len_bytes;
	uint8_t bytes[];
};

/*
 * A node. Whoever got it from a lookup reads it only, and only until the next change of that tree. The three stamps
 * are readings of the store's clock, never used twice: a part is unchanged if and only if its stamp is.
 */
struct xs_node {
	unsigned int refs;
	unsigned int n_children;
	unsigned int cap_children;
	uint32_t name_len_bytes;
	struct xs_node **children;  /* sorted by name */
	struct xs_value *value;     /* NULL: empty */
	struct xs_perms *perms;
	uint64_t value_stamp;
	uint64_t perms_stamp;
	uint64_t children_stamp;    /* the set of names, not what is below them */
	struct xs_node *next_doomed; /* for xs_node_unref() alone */
	char name[];
};

struct xs_node *xs_node_ref(struct xs_node *node);
void xs_node_unref(struct xs_node *node); /* NULL is fine */

/* How many nodes each domain other than 0 owns. Only domain 0 can bring in a new owner, so this stays short. */
struct xs_owned {
	uint16_t domid;
	unsigned int nodes;
};

struct xs_tree {
	struct xs_node *root;
	struct xs_owned *owned;
	unsigned int n_owned;
	uint64_t *clock; /* shared by all trees of a store */
};

int xs_tree_init(struct xs_tree *tree, uint64_t *clock);
int xs_tree_snapshot(struct xs_tree *copy, const struct xs_tree *tree);
void xs_tree_clear(struct xs_tree *tree);

const struct xs_node *xs_tree_lookup(const struct xs_tree *tree, const char *path, size_t len_bytes);

/*
 * The deepest node on the way to path that exists (path's own if it does). *have_bytes becomes the length of its path
 * inside path; 0 stands for the root.
 */
const struct xs_node *xs_tree_nearest(const struct xs_tree *tree, const char *path, size_t len_bytes,
				      size_t *have_bytes);

/* path must not exist; missing parents are created empty. All of them share perms (a reference is taken). */
int xs_tree_create(struct xs_tree *tree, const char *path, size_t len_bytes, const void *value, size_t value_len_bytes,
		   struct xs_perms *perms);

/* The node must exist. */
int xs_tree_set_value(struct xs_tree *tree, const char *path, size_t len_bytes, const void *value,
		      size_t value_len_bytes);
int xs_tree_set_perms(struct xs_tree *tree, const char *path, size_t len_bytes, struct xs_perms *perms);

/* Takes over the value or the permissions of another tree's node, or both, with their stamps. The children stay. */
#define XS_CONTENT_VALUE 1u
#define XS_CONTENT_PERMS 2u
int xs_tree_set_content(struct xs_tree *tree, const char *path, size_t len_bytes, const struct xs_node *from,
			unsigned int what);

/* The node must exist and not be the root. The caller gets the reference that the tree had. */
int xs_tree_remove(struct xs_tree *tree, const char *path, size_t len_bytes, struct xs_node **removed);

/* Puts a node of another tree, with all below it, at its path here. The parent must exist; an old node is replaced. */
int xs_tree_graft(struct xs_tree *tree, const char *path, size_t len_bytes, struct xs_node *node);

unsigned int xs_tree_owned(const struct xs_tree *tree, uint16_t domid);

/*
 * For who brings a saved tree back (saved.c), from the leaves up: a node of its own, whose children are already there and
 * sorted; of them and of perms it takes references. NULL when memory is out. xs_tree_take() puts the root into an empty tree, which
 * takes a reference.
 */
struct xs_node *xs_node_make(const char *name, size_t name_len_bytes, const void *value, size_t value_len_bytes, struct xs_perms *perms,
			     struct xs_node *const *children, unsigned int n_children);
int xs_tree_take(struct xs_tree *tree, struct xs_node *root);
/* The order of children: below 0, 0 or above. */
int xs_name_compare(const char *a, size_t a_len_bytes, const char *b, size_t b_len_bytes);
