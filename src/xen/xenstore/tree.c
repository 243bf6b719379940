// SPDX-License-Identifier: MIT
/*
 * Theory of operation: nodes are reference-counted and shared between trees. A snapshot is one more reference to the
 * root. A change walks from the root to its place and on the way replaces every node that somebody else refers to by
 * a private copy ("owning" the path); what has one reference, and whose parents have, is changed in place.
 *
 *      main ──► root ──► a ──► b            write /a/c in the snapshot:   main ──► root ──► a ──► b
 *      snap ────┘                                                         snap ──► root' ─► a' ──┘
 *                                                                                           └──► c'
 *
 * So a node that is reachable from a snapshot never changes as long as the snapshot lives, and two trees hold the same
 * pointer at a path only if nothing at or below it was changed in between. Transactions are built on that.
 */
#include "xen/xenstore/tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static uint64_t tick(struct xs_tree *tree)
{
	return ++*tree->clock;
}

/* Values */

static struct xs_value *value_new(const void *bytes, size_t len_bytes)
{
	struct xs_value *value = malloc(sizeof(*value) + len_bytes);

	if (!value)
		return NULL;
	value->refs = 1;
	value->len_bytes = (uint32_t)len_bytes;
	memcpy(value->bytes, bytes, len_bytes);
	return value;
}

static struct xs_value *value_ref(struct xs_value *value)
{
	if (value)
		value->refs++;
	return value;
}

static void value_unref(struct xs_value *value)
{
	if (value && --value->refs == 0)
		free(value);
}

/* Nodes */

static struct xs_node *node_new(const char *name, size_t name_len_bytes)
{
	struct xs_node *node = calloc(1, sizeof(*node) + name_len_bytes + 1);

	if (!node)
		return NULL;
	node->refs = 1;
	node->name_len_bytes = (uint32_t)name_len_bytes;
	memcpy(node->name, name, name_len_bytes);
	return node;
}

struct xs_node *xs_node_ref(struct xs_node *node)
{
	node->refs++;
	return node;
}

void xs_node_unref(struct xs_node *node)
{
	struct xs_node *doomed = NULL;

	if (node && --node->refs == 0)
		doomed = node;
	while (doomed) {
		node = doomed;
		doomed = node->next_doomed;
		for (unsigned int i = 0; i < node->n_children; i++) {
			struct xs_node *child = node->children[i];

			if (--child->refs == 0) {
				child->next_doomed = doomed;
				doomed = child;
			}
		}
		free(node->children);
		value_unref(node->value);
		xs_perms_unref(node->perms);
		free(node);
	}
}

/* Makes room for one more child. */
static int node_reserve_child(struct xs_node *node)
{
	unsigned int cap = node->cap_children ? 2 * node->cap_children : 1;
	struct xs_node **children;

	if (node->n_children < node->cap_children)
		return 0;
	children = realloc(node->children, cap * sizeof(children[0]));
	if (!children)
		return ENOMEM;
	node->children = children;
	node->cap_children = cap;
	return 0;
}

/* Replaces the node in *slot by a copy of ours if anybody else refers to it. */
static int node_unshare(struct xs_node **slot)
{
	struct xs_node *shared = *slot;
	struct xs_node *copy;

	if (shared->refs == 1)
		return 0;
	copy = node_new(shared->name, shared->name_len_bytes);
	if (!copy)
		return ENOMEM;
	if (shared->n_children) {
		copy->children = malloc(shared->n_children * sizeof(copy->children[0]));
		if (!copy->children) {
			free(copy);
			return ENOMEM;
		}
	}
	copy->n_children = shared->n_children;
	copy->cap_children = shared->n_children;
	for (unsigned int i = 0; i < shared->n_children; i++)
		copy->children[i] = xs_node_ref(shared->children[i]);
	copy->value = value_ref(shared->value);
	copy->perms = xs_perms_ref(shared->perms);
	copy->value_stamp = shared->value_stamp;
	copy->perms_stamp = shared->perms_stamp;
	copy->children_stamp = shared->children_stamp;
	shared->refs--;
	*slot = copy;
	return 0;
}

/* Where the child of that name is, or where it belongs. */
static bool child_index(const struct xs_node *node, const char *name, size_t len_bytes, unsigned int *index)
{
	unsigned int low = 0, high = node->n_children;

	while (low < high) {
		unsigned int middle = low + (high - low) / 2;
		const struct xs_node *child = node->children[middle];
		size_t common = len_bytes < child->name_len_bytes ? len_bytes : child->name_len_bytes;
		int order = memcmp(name, child->name, common);

		if (order == 0 && len_bytes == child->name_len_bytes) {
			*index = middle;
			return true;
		}
		if (order < 0 || (order == 0 && len_bytes < child->name_len_bytes))
			high = middle;
		else
			low = middle + 1;
	}
	*index = low;
	return false;
}

static void child_insert(struct xs_node *node, unsigned int index, struct xs_node *child)
{
	memmove(&node->children[index + 1], &node->children[index],
		(node->n_children - index) * sizeof(node->children[0]));
	node->children[index] = child;
	node->n_children++;
}

/* Owners */

static struct xs_owned *owned_find(const struct xs_tree *tree, uint16_t domid)
{
	for (unsigned int i = 0; i < tree->n_owned; i++) {
		if (tree->owned[i].domid == domid)
			return &tree->owned[i];
	}
	return NULL;
}

/* After this, owned_add() cannot fail for that domain. */
static int owned_reserve(struct xs_tree *tree, uint16_t domid)
{
	struct xs_owned *owned;

	if (domid == 0 || owned_find(tree, domid))
		return 0;
	owned = realloc(tree->owned, (tree->n_owned + 1) * sizeof(owned[0]));
	if (!owned)
		return ENOMEM;
	owned[tree->n_owned] = (struct xs_owned){ .domid = domid };
	tree->owned = owned;
	tree->n_owned++;
	return 0;
}

static void owned_add(struct xs_tree *tree, uint16_t domid, unsigned int nodes)
{
	struct xs_owned *owned = domid ? owned_find(tree, domid) : NULL;

	if (owned)
		owned->nodes += nodes;
}

static void owned_drop(struct xs_tree *tree, uint16_t domid)
{
	struct xs_owned *owned = domid ? owned_find(tree, domid) : NULL;

	if (owned)
		owned->nodes--;
}

/*
 * A walk over everything below a node (the node itself excluded), parents first, without recursion: a guest decides
 * how deep a tree is (XSA-418).
 */
struct walk {
	unsigned int depth;
	struct {
		const struct xs_node *node;
		unsigned int next;
	} level[XS_DEPTH_MAX + 1];
};

static const struct xs_node *walk_next(struct walk *walk)
{
	while (walk->depth > 0) {
		const struct xs_node *node = walk->level[walk->depth - 1].node;
		unsigned int next = walk->level[walk->depth - 1].next++;

		if (next < node->n_children) {
			walk->level[walk->depth].node = node->children[next];
			walk->level[walk->depth].next = 0;
			walk->depth++;
			return node->children[next];
		}
		walk->depth--;
	}
	return NULL;
}

enum owned_action { OWNED_RESERVE, OWNED_ADD, OWNED_DROP };

/* Only OWNED_RESERVE can fail. */
static int owned_subtree(struct xs_tree *tree, const struct xs_node *top, enum owned_action action)
{
	const struct xs_node *node = top;
	struct walk walk;
	int rc = 0;

	walk.depth = 1;
	walk.level[0].node = top;
	walk.level[0].next = 0;
	for (; node && rc == 0; node = walk_next(&walk)) {
		uint16_t owner = xs_perms_owner(node->perms);

		if (action == OWNED_RESERVE)
			rc = owned_reserve(tree, owner);
		else if (action == OWNED_ADD)
			owned_add(tree, owner, 1);
		else
			owned_drop(tree, owner);
	}
	return rc;
}

unsigned int xs_tree_owned(const struct xs_tree *tree, uint16_t domid)
{
	const struct xs_owned *owned = owned_find(tree, domid);

	return owned ? owned->nodes : 0;
}

/* Trees */

int xs_tree_init(struct xs_tree *tree, uint64_t *clock)
{
	*tree = (struct xs_tree){ .clock = clock };
	tree->root = node_new("", 0);
	if (!tree->root)
		return ENOMEM;
	tree->root->perms = xs_perms_new(1); /* n0 */
	if (!tree->root->perms) {
		xs_tree_clear(tree);
		return ENOMEM;
	}
	return 0;
}

int xs_tree_snapshot(struct xs_tree *copy, const struct xs_tree *tree)
{
	*copy = (struct xs_tree){ .clock = tree->clock };
	if (tree->n_owned) {
		copy->owned = malloc(tree->n_owned * sizeof(copy->owned[0]));
		if (!copy->owned)
			return ENOMEM;
		memcpy(copy->owned, tree->owned, tree->n_owned * sizeof(copy->owned[0]));
		copy->n_owned = tree->n_owned;
	}
	copy->root = xs_node_ref(tree->root);
	return 0;
}

void xs_tree_clear(struct xs_tree *tree)
{
	xs_node_unref(tree->root);
	free(tree->owned);
	*tree = (struct xs_tree){ .clock = tree->clock };
}

/* The end of the component that begins behind the slash at path[slash]; slash itself if there is none. */
static size_t component_end(const char *path, size_t len_bytes, size_t slash)
{
	const char *next;

	if (slash + 1 >= len_bytes)
		return slash;
	next = memchr(path + slash + 1, '/', len_bytes - slash - 1);
	return next ? (size_t)(next - path) : len_bytes;
}

const struct xs_node *xs_tree_nearest(const struct xs_tree *tree, const char *path, size_t len_bytes,
				      size_t *have_bytes)
{
	const struct xs_node *node = tree->root;
	size_t slash = 0, end;
	unsigned int index;

	while ((end = component_end(path, len_bytes, slash)) != slash) {
		if (!child_index(node, path + slash + 1, end - slash - 1, &index))
			break;
		node = node->children[index];
		slash = end;
	}
	*have_bytes = slash;
	return node;
}

const struct xs_node *xs_tree_lookup(const struct xs_tree *tree, const char *path, size_t len_bytes)
{
	size_t have;
	const struct xs_node *node = xs_tree_nearest(tree, path, len_bytes, &have);

	return len_bytes == 1 || have == len_bytes ? node : NULL;
}

/* The node at path, which must exist, made private to this tree together with all its parents. */
static struct xs_node *own_path(struct xs_tree *tree, const char *path, size_t len_bytes)
{
	struct xs_node **slot = &tree->root;
	size_t slash = 0, end;
	unsigned int index;

	for (;;) {
		if (node_unshare(slot) != 0)
			return NULL;
		end = component_end(path, len_bytes, slash);
		if (end == slash || !child_index(*slot, path + slash + 1, end - slash - 1, &index))
			return *slot;
		slot = &(*slot)->children[index];
		slash = end;
	}
}

/* The nodes for path[have..len), linked to each other; the value belongs to the last one. */
static struct xs_node *chain_new(const char *path, size_t have, size_t len_bytes, const void *value,
				 size_t value_len_bytes, struct xs_perms *perms, uint64_t stamp)
{
	struct xs_node *below = NULL;
	size_t end = len_bytes;

	while (end > have) {
		size_t start = end;
		struct xs_node *node;

		while (path[start - 1] != '/')
			start--;
		node = node_new(path + start, end - start);
		if (!node)
			goto fail;
		node->perms = xs_perms_ref(perms);
		node->value_stamp = node->perms_stamp = node->children_stamp = stamp;
		if (!below && value_len_bytes) {
			node->value = value_new(value, value_len_bytes);
			if (!node->value) {
				xs_node_unref(node);
				goto fail;
			}
		}
		if (below) {
			if (node_reserve_child(node) != 0) {
				xs_node_unref(node);
				goto fail;
			}
			child_insert(node, 0, below);
		}
		below = node;
		end = start - 1;
	}
	return below;
fail:
	xs_node_unref(below);
	return NULL;
}

static unsigned int count_components(const char *path, size_t from, size_t len_bytes)
{
	unsigned int n = 0;

	for (size_t i = from; i < len_bytes; i++)
		n += path[i] == '/';
	return n;
}

int xs_tree_create(struct xs_tree *tree, const char *path, size_t len_bytes, const void *value, size_t value_len_bytes,
		   struct xs_perms *perms)
{
	struct xs_node *chain, *parent;
	unsigned int index;
	size_t have;

	xs_tree_nearest(tree, path, len_bytes, &have);
	if (owned_reserve(tree, xs_perms_owner(perms)) != 0)
		return ENOMEM;
	chain = chain_new(path, have, len_bytes, value, value_len_bytes, perms, tick(tree));
	if (!chain)
		return ENOMEM;
	parent = own_path(tree, path, have);
	if (!parent || node_reserve_child(parent) != 0) {
		xs_node_unref(chain);
		return ENOMEM;
	}
	child_index(parent, chain->name, chain->name_len_bytes, &index);
	child_insert(parent, index, chain);
	parent->children_stamp = tick(tree);
	owned_add(tree, xs_perms_owner(perms), count_components(path, have, len_bytes));
	return 0;
}

int xs_tree_set_value(struct xs_tree *tree, const char *path, size_t len_bytes, const void *value,
		      size_t value_len_bytes)
{
	struct xs_node *node = own_path(tree, path, len_bytes);
	struct xs_value *fresh = NULL;

	if (!node)
		return ENOMEM;
	if (value_len_bytes) {
		fresh = value_new(value, value_len_bytes);
		if (!fresh)
			return ENOMEM;
	}
	value_unref(node->value);
	node->value = fresh;
	node->value_stamp = tick(tree);
	return 0;
}

static void replace_perms(struct xs_tree *tree, struct xs_node *node, struct xs_perms *perms)
{
	owned_drop(tree, xs_perms_owner(node->perms));
	owned_add(tree, xs_perms_owner(perms), 1);
	xs_perms_ref(perms);
	xs_perms_unref(node->perms);
	node->perms = perms;
}

int xs_tree_set_perms(struct xs_tree *tree, const char *path, size_t len_bytes, struct xs_perms *perms)
{
	struct xs_node *node;

	if (owned_reserve(tree, xs_perms_owner(perms)) != 0)
		return ENOMEM;
	node = own_path(tree, path, len_bytes);
	if (!node)
		return ENOMEM;
	replace_perms(tree, node, perms);
	node->perms_stamp = tick(tree);
	return 0;
}

int xs_tree_set_content(struct xs_tree *tree, const char *path, size_t len_bytes, const struct xs_node *from,
			unsigned int what)
{
	struct xs_node *node;

	if (owned_reserve(tree, xs_perms_owner(from->perms)) != 0)
		return ENOMEM;
	node = own_path(tree, path, len_bytes);
	if (!node)
		return ENOMEM;
	if (what & XS_CONTENT_VALUE) {
		value_unref(node->value);
		node->value = value_ref(from->value);
		node->value_stamp = from->value_stamp;
	}
	if (what & XS_CONTENT_PERMS) {
		replace_perms(tree, node, from->perms);
		node->perms_stamp = from->perms_stamp;
	}
	return 0;
}

int xs_tree_remove(struct xs_tree *tree, const char *path, size_t len_bytes, struct xs_node **removed)
{
	size_t parent_len = xs_path_parent_len(path, len_bytes);
	size_t name = parent_len == 1 ? 1 : parent_len + 1;
	struct xs_node *parent = own_path(tree, path, parent_len);
	unsigned int index;

	if (!parent)
		return ENOMEM;
	child_index(parent, path + name, len_bytes - name, &index);
	*removed = parent->children[index];
	parent->n_children--;
	memmove(&parent->children[index], &parent->children[index + 1],
		(parent->n_children - index) * sizeof(parent->children[0]));
	parent->children_stamp = tick(tree);
	owned_subtree(tree, *removed, OWNED_DROP);
	return 0;
}

int xs_tree_graft(struct xs_tree *tree, const char *path, size_t len_bytes, struct xs_node *node)
{
	size_t parent_len = xs_path_parent_len(path, len_bytes);
	struct xs_node *parent, *old;
	unsigned int index;

	if (owned_subtree(tree, node, OWNED_RESERVE) != 0)
		return ENOMEM;
	parent = own_path(tree, path, parent_len);
	if (!parent || node_reserve_child(parent) != 0)
		return ENOMEM;
	xs_node_ref(node);
	if (child_index(parent, node->name, node->name_len_bytes, &index)) {
		old = parent->children[index];
		parent->children[index] = node;
		owned_subtree(tree, old, OWNED_DROP);
		xs_node_unref(old);
	} else {
		child_insert(parent, index, node);
	}
	parent->children_stamp = tick(tree);
	owned_subtree(tree, node, OWNED_ADD);
	return 0;
}

/* Trees that come from elsewhere */

int xs_name_compare(const char *a, size_t a_len_bytes, const char *b, size_t b_len_bytes)
{
	int order = memcmp(a, b, a_len_bytes < b_len_bytes ? a_len_bytes : b_len_bytes);

	return order ? order : (a_len_bytes > b_len_bytes) - (a_len_bytes < b_len_bytes);
}

struct xs_node *xs_node_make(const char *name, size_t name_len_bytes, const void *value, size_t value_len_bytes, struct xs_perms *perms,
			     struct xs_node *const *children, unsigned int n_children)
{
	struct xs_node *node = node_new(name, name_len_bytes);

	if (!node)
		return NULL;
	node->perms = xs_perms_ref(perms);
	if (value_len_bytes && !(node->value = value_new(value, value_len_bytes)))
		goto fail;
	if (n_children && !(node->children = malloc(n_children * sizeof(node->children[0]))))
		goto fail;
	node->cap_children = n_children;
	for (; node->n_children < n_children; node->n_children++)
		node->children[node->n_children] = xs_node_ref(children[node->n_children]);
	return node;
fail:
	xs_node_unref(node);
	return NULL;
}

int xs_tree_take(struct xs_tree *tree, struct xs_node *root)
{
	int rc = owned_subtree(tree, root, OWNED_RESERVE);

	if (rc != 0)
		return rc;
	tree->root = xs_node_ref(root);
	owned_subtree(tree, root, OWNED_ADD);
	return 0;
}
