// SPDX-License-Identifier: MIT
/*
 * Theory of operation: trees share nodes, and a transaction depends on that (transaction.c compares pointers). So nodes are
 * written once each, children before their parents, and called by their numbers; a tree is the number of its root.
 *
 * What is read is not believed: it becomes a store such as requests could have made, or none.
 */
#include "xen/xenstore/saved.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "xen/xenstore/internal.h"

#define NODES_MAX       (1u << 20) /* in the file, and in each tree: domain 0 has no quota */
#define WATCHES_MAX     (1u << 16)
#define TOUCHED_MAX     (1u << 20)
#define PERMS_MAX       4096u
#define PENDING_MAX     (1u << 20)
#define TRANSACTION_MAX 4096u

/* Writing */

struct numbers {
	GHashTable *of; /* struct xs_node * to its number plus 1 */
	GByteArray *to;
	uint32_t n;
};

static void write_perms(GByteArray *to, const struct xs_perms *perms)
{
	saved_put_u32(to, perms->n);
	for (unsigned int i = 0; i < perms->n; i++) {
		saved_put_number(to, perms->entry[i].domid, 2);
		saved_put_number(to, perms->entry[i].access, 2);
	}
}

static uint32_t number_of(const struct numbers *numbers, const struct xs_node *node)
{
	return GPOINTER_TO_UINT(g_hash_table_lookup(numbers->of, node));
}

static void write_node(struct numbers *numbers, struct xs_node *node)
{
	GByteArray *to = numbers->to;

	saved_put_block(to, node->name, node->name_len_bytes);
	write_perms(to, node->perms);
	saved_put_block(to, node->value ? node->value->bytes : NULL, node->value ? node->value->len_bytes : 0);
	saved_put_u64(to, node->value_stamp);
	saved_put_u64(to, node->perms_stamp);
	saved_put_u64(to, node->children_stamp);
	saved_put_u32(to, node->n_children);
	for (unsigned int i = 0; i < node->n_children; i++)
		saved_put_u32(to, number_of(numbers, node->children[i]) - 1);
	g_hash_table_insert(numbers->of, node, GUINT_TO_POINTER(++numbers->n));
}

/* Without recursion: a guest decides how deep a tree is (XSA-418). */
static void write_tree(struct numbers *numbers, struct xs_node *root)
{
	struct {
		struct xs_node *node;
		unsigned int next;
	} level[XS_DEPTH_MAX + 1] = { { root, 0 } };
	unsigned int depth = number_of(numbers, root) ? 0 : 1;

	while (depth > 0) {
		struct xs_node *node = level[depth - 1].node;
		unsigned int next = level[depth - 1].next++;

		if (next == node->n_children) {
			write_node(numbers, node);
			depth--;
		} else if (!number_of(numbers, node->children[next])) {
			level[depth].node = node->children[next];
			level[depth++].next = 0;
		}
	}
}

static void write_nodes(struct numbers *numbers, const struct xenstore *store, const struct xs_conn *conn)
{
	GByteArray *whole = numbers->to;
	g_autoptr(GByteArray) nodes = g_byte_array_new();

	numbers->to = nodes;
	write_tree(numbers, store->tree.root);
	for (const struct xs_transaction *tx = conn->transactions; tx; tx = tx->next) {
		write_tree(numbers, tx->base);
		write_tree(numbers, tx->tree.root);
	}
	numbers->to = whole;
	saved_put_u32(whole, numbers->n);
	saved_put_bytes(whole, nodes->data, nodes->len);
}

static void write_transaction(const struct numbers *numbers, const struct xs_transaction *tx)
{
	GByteArray *to = numbers->to;

	saved_put_u32(to, tx->id);
	saved_put_u32(to, number_of(numbers, tx->base) - 1);
	saved_put_u32(to, number_of(numbers, tx->tree.root) - 1);
	saved_put_u32(to, tx->n_touched);
	for (unsigned int i = 0; i < tx->n_touched; i++) {
		saved_put_text(to, tx->touched[i].path);
		saved_put_number(to, tx->touched[i].flags, 2);
		saved_put_u32(to, tx->touched[i].value_bytes);
	}
}

/* The list has the latest first; events come in the order of registration. */
static GPtrArray *watches_of(const struct xs_conn *conn)
{
	GPtrArray *watches = g_ptr_array_new();

	for (struct xenstore_watch *watch = conn->watches; watch; watch = watch->next)
		g_ptr_array_insert(watches, 0, watch);
	return watches;
}

static void write_out(GByteArray *to, const struct xs_out *out, const GPtrArray *watches)
{
	const size_t pending_bytes = xs_out_pending_bytes(out);

	saved_put_block(to, out->bytes + out->head, pending_bytes);
	saved_put_u32(to, out->replied > out->sent ? (uint32_t)(out->replied - out->sent) : 0);
	saved_put_u32(to, xs_out_pending_events(out));
	for (unsigned int i = 0; i < xs_out_pending_events(out); i++) {
		const struct xs_event_slot *slot = xs_out_event_slot(out, i);
		guint index = 0;

		(void)g_ptr_array_find((GPtrArray *)(uintptr_t)watches, slot->watch, &index);
		saved_put_u32(to, index);
		saved_put_u32(to, (uint32_t)(slot->start - out->sent));
		saved_put_u32(to, slot->size_bytes);
	}
}

static void write_conn(const struct numbers *numbers, const struct xs_conn *conn)
{
	g_autoptr(GPtrArray) watches = watches_of(conn);
	GByteArray *to = numbers->to;

	saved_put_u8(to, conn->broken);
	saved_put_block(to, conn->in, conn->in_bytes);
	saved_put_u32(to, watches->len);
	for (guint i = 0; i < watches->len; i++) {
		const struct xenstore_watch *watch = watches->pdata[i];

		saved_put_text(to, watch->path);
		saved_put_text(to, watch->token);
		saved_put_u32(to, (uint32_t)watch->base_len_bytes);
		saved_put_u8(to, watch->lost);
	}
	saved_put_u32(to, conn->last_tx_id);
	saved_put_u32(to, conn->n_transactions);
	for (const struct xs_transaction *tx = conn->transactions; tx; tx = tx->next)
		write_transaction(numbers, tx);
	write_out(to, &conn->out, watches);
}

void xenstore_save(const struct xenstore *store, const struct xs_conn *conn, GByteArray *to)
{
	g_autoptr(GHashTable) of = g_hash_table_new(g_direct_hash, g_direct_equal);
	struct numbers numbers = { .of = of, .to = to };

	saved_put_u64(to, store->clock);
	write_nodes(&numbers, store, conn);
	saved_put_u32(to, number_of(&numbers, store->tree.root) - 1);
	for (unsigned int i = 0; i < XS_N_SPECIALS; i++)
		write_perms(to, store->special[i]);
	write_conn(&numbers, conn);
}

/* Reading */

/* What is known of a node before its parent comes. */
struct read_node {
	struct xs_node *node;
	uint32_t path_bytes; /* of the longest path below it, its own slash and name included */
	uint32_t n_all;      /* nodes of the tree that it is the top of */
};

struct reader {
	struct saved_cursor *from;
	struct read_node *nodes;
	uint32_t n_nodes;
};

static struct xs_perms *read_perms(struct saved_cursor *from)
{
	struct xs_perms *perms = xs_perms_new(saved_get_count(from, PERMS_MAX));

	for (unsigned int i = 0; perms && i < perms->n; i++) {
		perms->entry[i].domid = (uint16_t)saved_get_number(from, 2);
		perms->entry[i].access = (uint16_t)saved_get_number(from, 2);
		from->failed |= (perms->entry[i].access & ~XS_ACCESS_ALL) != 0;
	}
	from->failed |= !perms;
	return perms;
}

/* Of the node that is being read: they come before it, sorted, each once. */
static bool take_child(struct reader *reader, struct read_node *parent, struct xs_node **children, uint32_t i)
{
	uint32_t number = saved_get_u32(reader->from);

	if (reader->from->failed || number >= reader->n_nodes)
		return false;
	const struct read_node *child = &reader->nodes[number];
	if (child->node->name_len_bytes == 0 ||
	    (i > 0 && xs_name_compare(children[i - 1]->name, children[i - 1]->name_len_bytes, child->node->name,
				      child->node->name_len_bytes) >= 0))
		return false;
	children[i] = child->node;
	parent->path_bytes = MAX(parent->path_bytes, child->path_bytes);
	parent->n_all += child->n_all;
	return parent->n_all <= NODES_MAX;
}

static bool is_name(const uint8_t *name, size_t len_bytes)
{
	struct xs_path path;
	char text[XENSTORE_ABS_PATH_MAX + 2] = "/";

	if (len_bytes > XENSTORE_ABS_PATH_MAX || (len_bytes > 0 && (memchr(name, '/', len_bytes) || memchr(name, 0, len_bytes))))
		return false;
	if (len_bytes > 0)
		memcpy(text + 1, name, len_bytes);
	return xs_path_resolve(&path, text, 0, NULL, false) == 0;
}

static bool read_node(struct reader *reader)
{
	struct saved_cursor *from = reader->from;
	struct read_node *read = &reader->nodes[reader->n_nodes];
	size_t name_bytes, value_bytes;
	const uint8_t *name = saved_get_block(from, XENSTORE_ABS_PATH_MAX, &name_bytes);
	struct xs_perms *perms = read_perms(from);
	const uint8_t *value = saved_get_block(from, XENSTORE_PAYLOAD_MAX, &value_bytes);
	const uint64_t value_stamp = saved_get_u64(from), perms_stamp = saved_get_u64(from), children_stamp = saved_get_u64(from);
	const uint32_t n_children = saved_get_count(from, (uint32_t)MIN(from->left_bytes / 4, NODES_MAX));
	g_autofree struct xs_node **children = g_new(struct xs_node *, n_children + 1);
	bool ok = !from->failed && is_name(name, name_bytes);

	read->n_all = 1;
	for (uint32_t i = 0; ok && i < n_children; i++)
		ok = take_child(reader, read, children, i);
	read->path_bytes += name_bytes > 0 ? (uint32_t)name_bytes + 1 : 0;
	ok = ok && read->path_bytes <= XENSTORE_ABS_PATH_MAX;
	if (ok)
		read->node = xs_node_make(name ? (const char *)name : "", name_bytes, value, value_bytes, perms, children, n_children);
	xs_perms_unref(perms);
	if (!read->node)
		return false;
	read->node->value_stamp = value_stamp;
	read->node->perms_stamp = perms_stamp;
	read->node->children_stamp = children_stamp;
	reader->n_nodes++;
	return true;
}

/* NULL: the number is none of a root's. */
static struct xs_node *read_root(const struct reader *reader)
{
	uint32_t number = saved_get_u32(reader->from);
	struct xs_node *node = !reader->from->failed && number < reader->n_nodes ? reader->nodes[number].node : NULL;

	return node && node->name_len_bytes == 0 ? node : NULL;
}

static bool read_nodes(struct reader *reader)
{
	/* Each takes some bytes. */
	uint32_t n = saved_get_count(reader->from, (uint32_t)MIN(reader->from->left_bytes / 8, NODES_MAX));

	reader->nodes = g_new0(struct read_node, n + 1);
	while (reader->n_nodes < n)
		if (!read_node(reader))
			return false;
	return true;
}

static bool read_store(struct reader *reader, struct xenstore *store)
{
	store->clock = saved_get_u64(reader->from);
	if (!read_nodes(reader))
		return false;
	struct xs_node *root = read_root(reader);
	xs_tree_clear(&store->tree);
	if (!root || xs_tree_take(&store->tree, root) != 0)
		return false;
	for (unsigned int i = 0; i < XS_N_SPECIALS; i++) {
		xs_perms_unref(store->special[i]);
		store->special[i] = read_perms(reader->from);
	}
	return !reader->from->failed;
}

static bool read_watch(struct reader *reader, struct xs_conn *conn)
{
	g_autofree char *full = saved_get_text(reader->from, XENSTORE_ABS_PATH_MAX);
	g_autofree char *token = saved_get_text(reader->from, XENSTORE_PAYLOAD_MAX);
	const uint32_t base_bytes = saved_get_count(reader->from, (uint32_t)strlen(full));
	const bool lost = saved_get_flag(reader->from);
	struct xs_path path;

	/* As it was asked for: relative, or not. */
	if (reader->from->failed || xs_path_resolve(&path, full + base_bytes, conn->domid, NULL, true) != 0 ||
	    path.base_len_bytes != base_bytes || strcmp(path.s, full) != 0 || strlen(full) + strlen(token) + 2 > XENSTORE_PAYLOAD_MAX ||
	    xs_watch_find(conn->store, conn, &path, token))
		return false;
	struct xenstore_watch *watch = xs_watch_new(conn->store, &path, token);
	if (!watch)
		return false;
	watch->conn = conn;
	watch->lost = lost;
	xs_watch_link(watch, &conn->watches);
	conn->n_watches++;
	conn->n_lost += lost;
	return true;
}

static bool read_touched(struct reader *reader, struct xs_transaction *tx)
{
	uint32_t n = saved_get_count(reader->from, TOUCHED_MAX);

	for (uint32_t i = 0; i < n; i++) {
		g_autofree char *text = saved_get_text(reader->from, XENSTORE_ABS_PATH_MAX);
		const unsigned int flags = (unsigned int)saved_get_number(reader->from, 2);
		const uint32_t value_bytes = saved_get_count(reader->from, XENSTORE_PAYLOAD_MAX);
		struct xs_path path;

		if (reader->from->failed || text[0] != '/' || xs_path_resolve(&path, text, 0, NULL, false) != 0 ||
		    xs_transaction_touch(tx, path.s, path.len_bytes, flags, value_bytes) != 0)
			return false;
	}
	return true;
}

/* NULL: it is damaged. */
static struct xs_transaction *read_transaction(struct reader *reader, struct xs_conn *conn)
{
	const uint32_t id = saved_get_u32(reader->from);
	struct xs_node *base = read_root(reader), *root = read_root(reader);
	struct xs_tree tree = { .clock = &conn->store->clock };

	if (id == 0 || !base || !root || xs_tree_take(&tree, root) != 0)
		return NULL;
	struct xs_transaction *tx = xs_transaction_new(&tree, conn->domid, UINT_MAX, &conn->transaction_bytes, SIZE_MAX);
	xs_tree_clear(&tree);
	if (!tx)
		return NULL;
	tx->id = id;
	xs_node_unref(tx->base);
	tx->base = xs_node_ref(base);
	if (!read_touched(reader, tx)) {
		xs_transaction_free(tx);
		return NULL;
	}
	if (conn->domid != 0) {
		tx->max_touched = conn->store->quota.transaction_nodes;
		tx->max_bytes = conn->store->quota.transaction_bytes;
	}
	return tx;
}

static bool read_transactions(struct reader *reader, struct xs_conn *conn)
{
	struct xs_transaction **end = &conn->transactions;

	conn->last_tx_id = saved_get_u32(reader->from);
	uint32_t n = saved_get_count(reader->from, TRANSACTION_MAX);
	for (; conn->n_transactions < n; conn->n_transactions++) {
		*end = read_transaction(reader, conn);
		if (!*end)
			return false;
		for (const struct xs_transaction *other = conn->transactions; other != *end; other = other->next)
			if (other->id == (*end)->id)
				return false;
		end = &(*end)->next;
	}
	return true;
}

static bool read_out(struct reader *reader, struct xs_conn *conn)
{
	g_autoptr(GPtrArray) watches = watches_of(conn);
	size_t pending_bytes;
	const uint8_t *pending = saved_get_block(reader->from, PENDING_MAX, &pending_bytes);
	const uint32_t replied_bytes = saved_get_u32(reader->from);
	const uint32_t n = saved_get_count(reader->from, conn->out.max_events);

	if (reader->from->failed || !xs_out_take(&conn->out, pending, pending_bytes, replied_bytes))
		return false;
	for (uint32_t i = 0; i < n; i++) {
		const uint32_t index = saved_get_u32(reader->from), start = saved_get_u32(reader->from), size = saved_get_u32(reader->from);

		if (reader->from->failed || index >= watches->len || !xs_out_take_event(&conn->out, watches->pdata[index], start, size))
			return false;
	}
	return true;
}

/* As far as it is there, a request must be one that may still become whole. */
static bool read_in(struct reader *reader, struct xs_conn *conn)
{
	struct xsd_sockmsg header;
	size_t len_bytes;
	const uint8_t *bytes = saved_get_block(reader->from, sizeof(conn->in), &len_bytes);

	if (bytes)
		memcpy(conn->in, bytes, len_bytes);
	conn->in_bytes = len_bytes;
	if (len_bytes < sizeof(header))
		return true;
	memcpy(&header, conn->in, sizeof(header));
	return header.len <= XENSTORE_PAYLOAD_MAX && len_bytes < sizeof(header) + header.len;
}

static bool read_conn(struct reader *reader, struct xs_conn *conn)
{
	conn->broken = saved_get_flag(reader->from);
	if (!read_in(reader, conn))
		return false;
	uint32_t n = saved_get_count(reader->from, WATCHES_MAX);
	for (uint32_t i = 0; i < n; i++)
		if (!read_watch(reader, conn))
			return false;
	return read_transactions(reader, conn) && read_out(reader, conn) && !saved_is_wrong(reader->from);
}

struct xenstore *xenstore_restore(struct saved_cursor from, const struct xenstore_quota *quota, uint16_t domid, struct xs_conn **conn)
{
	struct xenstore *store = xenstore_new(quota);
	struct reader reader = { .from = &from };
	bool ok;

	*conn = store ? xs_conn_new(store, domid, NULL, NULL) : NULL;
	ok = *conn && read_store(&reader, store) && read_conn(&reader, *conn);
	for (uint32_t i = 0; i < reader.n_nodes; i++)
		xs_node_unref(reader.nodes[i].node);
	g_free(reader.nodes);
	if (ok)
		return store;
	xs_conn_free(*conn);
	xenstore_free(store);
	*conn = NULL;
	return NULL;
}

void xs_conn_notify(struct xs_conn *conn, void (*notify)(void *opaque), void *opaque)
{
	conn->notify = notify;
	conn->opaque = opaque;
}
