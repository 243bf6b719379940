// SPDX-License-Identifier: MIT
/*
 * Random operations of two clients, compared with a model that is as naive as can be: the tree is a table from path to
 * node, a transaction is a copy of it and a list of what was asked.
 *
 *  - Every reply is the model's.
 *  - A transaction that commits could have run at that moment, alone: its requests, repeated on the model of now, get
 *    the same answers, and leave the same tree.
 *  - One that ends in EAGAIN had a reason: somebody changed one of its paths, something above or something below it.
 *  - The events of each client are those, and only those, that the model derives from what changed.
 */
#include <stdio.h>
#include <stdlib.h>

#include "client.h"

#define N_CLIENTS 2
#define MAX_OPEN 3

struct node {
	char *value, *perms; /* "n0 r1" */
	unsigned int value_version, perms_version;
};

struct op {
	uint32_t type;
	char *path, *argument, *reply;
};

struct open_tx {
	uint32_t id;
	GHashTable *base, *tree; /* path -> struct node */
	GPtrArray *ops;          /* of struct op */
	GHashTable *named, *removed; /* sets of paths that were written, and removed */
	guint began;             /* how long the world's log was */
};

struct world {
	GRand *rand;
	struct xenstore *store;
	struct client *client[N_CLIENTS]; /* domains 0 and 1 */
	GHashTable *watches[N_CLIENTS];   /* sets of paths; the token is the path again */
	GHashTable *expected[N_CLIENTS];  /* sets of "path token" */
	struct open_tx *open[N_CLIENTS][MAX_OPEN];
	GHashTable *tree;
	GPtrArray *log;                   /* of paths, as they were changed */
	unsigned int version;
	unsigned int n_commits, n_conflicts, n_events;
};

/* The tree as a table */

static void node_free(gpointer data)
{
	struct node *node = data;

	g_free(node->value);
	g_free(node->perms);
	g_free(node);
}

static GHashTable *tree_new(void)
{
	return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, node_free);
}

static void tree_put(GHashTable *tree, const char *path, const char *value, const char *perms, unsigned int version)
{
	struct node *node = g_new0(struct node, 1);

	node->value = g_strdup(value);
	node->perms = g_strdup(perms);
	node->value_version = node->perms_version = version;
	g_hash_table_replace(tree, g_strdup(path), node);
}

static GHashTable *tree_copy(GHashTable *tree)
{
	GHashTable *copy = tree_new();
	GHashTableIter iter;
	gpointer path, data;

	g_hash_table_iter_init(&iter, tree);
	while (g_hash_table_iter_next(&iter, &path, &data)) {
		const struct node *node = data;

		tree_put(copy, path, node->value, node->perms, node->value_version);
		((struct node *)g_hash_table_lookup(copy, path))->perms_version = node->perms_version;
	}
	return copy;
}

static char *parent_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash == path ? g_strdup("/") : g_strndup(path, (gsize)(slash - path));
}

static bool is_below(const char *path, const char *top)
{
	size_t len = strlen(top);

	if (strcmp(top, "/") == 0)
		return strcmp(path, "/") != 0;
	return strncmp(path, top, len) == 0 && path[len] == '/';
}

static bool is_at_or_below(const char *path, const char *top)
{
	return strcmp(path, top) == 0 || is_below(path, top);
}

/* Rights: 1 read, 2 write, 4 owner. */
static unsigned int rights(const struct node *node, unsigned int domid)
{
	static const char letters[] = "nrwb";
	char **entries = g_strsplit(node->perms, " ", -1);
	unsigned int result = (unsigned int)(strchr(letters, entries[0][0]) - letters);

	for (unsigned int i = g_strv_length(entries); i-- > 1;) {
		if ((unsigned int)atoi(entries[i] + 1) == domid)
			result = (unsigned int)(strchr(letters, entries[i][0]) - letters);
	}
	if (domid == 0 || (unsigned int)atoi(entries[0] + 1) == domid)
		result = 7;
	g_strfreev(entries);
	return result;
}

static const struct node *nearest(GHashTable *tree, const char *path)
{
	char *at = g_strdup(path), *up;
	const struct node *node;

	while (!(node = g_hash_table_lookup(tree, at))) {
		up = parent_of(at);
		g_free(at);
		at = up;
	}
	g_free(at);
	return node;
}

/* NULL: go on. */
static const char *refusal(GHashTable *tree, const char *path, unsigned int domid, unsigned int want)
{
	const struct node *node = g_hash_table_lookup(tree, path);

	if (node)
		return (rights(node, domid) & want) == want ? NULL : "EACCES";
	return (rights(nearest(tree, path), domid) & want) ? "ENOENT" : "EACCES";
}

static void create(struct world *w, GHashTable *tree, const char *path, const char *value, unsigned int domid)
{
	char *perms = g_strdup(nearest(tree, path)->perms), *up;

	if (domid != 0) {
		const char *rest = strchr(perms, ' ');
		char *own = g_strdup_printf("%c%u%s", perms[0], domid, rest ? rest : "");

		g_free(perms);
		perms = own;
	}
	up = parent_of(path);
	while (!g_hash_table_lookup(tree, up)) {
		char *next = parent_of(up);

		tree_put(tree, up, "", perms, ++w->version);
		g_free(up);
		up = next;
	}
	tree_put(tree, path, value, perms, ++w->version);
	g_free(up);
	g_free(perms);
}

static void remove_all(GHashTable *tree, const char *top)
{
	GHashTableIter iter;
	gpointer path;

	g_hash_table_iter_init(&iter, tree);
	while (g_hash_table_iter_next(&iter, &path, NULL)) {
		if (is_at_or_below(path, top))
			g_hash_table_iter_remove(&iter);
	}
}

static char *children(GHashTable *tree, const char *top)
{
	GString *text = g_string_new(NULL);
	GList *paths = g_list_sort(g_hash_table_get_keys(tree), (GCompareFunc)strcmp);

	for (GList *l = paths; l; l = l->next) {
		char *up = parent_of(l->data);

		if (strcmp(l->data, "/") != 0 && strcmp(up, top) == 0)
			g_string_append_printf(text, "%s ", strrchr(l->data, '/') + 1);
		g_free(up);
	}
	g_list_free(paths);
	return g_string_free(text, FALSE);
}

/* Does it and says what the answer is. *changed becomes true if watches fire for the path. */
static char *model_apply(struct world *w, GHashTable *tree, unsigned int domid, const struct op *op, bool *changed)
{
	struct node *node = g_hash_table_lookup(tree, op->path);
	const bool writes = op->type == XS_WRITE || op->type == XS_MKDIR || op->type == XS_RM;
	const char *error = refusal(tree, op->path, domid, op->type == XS_SET_PERMS ? 6 : writes ? 2 : 1);
	char *up;

	if (op->type == XS_RM && strcmp(op->path, "/") == 0)
		return g_strdup("EINVAL");
	if (error && (strcmp(error, "EACCES") == 0 || !writes))
		return g_strdup(error);
	switch (op->type) {
	case XS_READ:
		return g_strdup(node->value);
	case XS_GET_PERMS:
		return g_strdup_printf("%s ", node->perms);
	case XS_DIRECTORY:
		return children(tree, op->path);
	case XS_SET_PERMS:
		if (domid != 0 && atoi(op->argument + 1) != atoi(node->perms + 1))
			return g_strdup("EPERM");
		g_free(node->perms);
		node->perms = g_strdup(op->argument);
		node->perms_version = ++w->version;
		break;
	case XS_RM:
		if (!node) {
			up = parent_of(op->path);
			node = g_hash_table_lookup(tree, up);
			g_free(up);
			return g_strdup(node ? "OK" : "ENOENT");
		}
		remove_all(tree, op->path);
		break;
	default:
		if (node && op->type == XS_MKDIR)
			return g_strdup("OK");
		if (!node) {
			create(w, tree, op->path, op->type == XS_WRITE ? op->argument : "", domid);
		} else {
			g_free(node->value);
			node->value = g_strdup(op->argument);
			node->value_version = ++w->version;
		}
	}
	*changed = true;
	return g_strdup("OK");
}

/* Events */

static bool may_hear(unsigned int domid, const struct node *node, const struct node *parent, const struct node *old)
{
	return domid == 0 || (node && (rights(node, domid) & 1)) || (parent && (rights(parent, domid) & 1)) ||
	       (old && (rights(old, domid) & 1));
}

static void expect_fire(struct world *w, const char *path, bool exact, GHashTable *tree, GHashTable *old_tree)
{
	char *up = parent_of(path);
	const struct node *now = g_hash_table_lookup(tree, path), *old = g_hash_table_lookup(old_tree, path);
	/* Of what is gone, the parent counts as it was. */
	const struct node *parent = g_hash_table_lookup(now ? tree : old_tree, up);

	for (unsigned int c = 0; c < N_CLIENTS; c++) {
		GHashTableIter iter;
		gpointer at;

		g_hash_table_iter_init(&iter, w->watches[c]);
		while (g_hash_table_iter_next(&iter, &at, NULL)) {
			if (exact ? strcmp(path, at) != 0 : !is_at_or_below(path, at))
				continue;
			if (may_hear(c, now, parent, old))
				g_hash_table_add(w->expected[c], g_strdup_printf("%s %s", path, (char *)at));
		}
	}
	g_free(up);
}

/* For the watches at nodes below top that are gone, and are not told of otherwise. */
static void expect_below(struct world *w, const char *top, GHashTable *tree, GHashTable *old_tree, GHashTable *named)
{
	GHashTableIter iter;
	gpointer path;

	g_hash_table_iter_init(&iter, old_tree);
	while (g_hash_table_iter_next(&iter, &path, NULL)) {
		if (is_below(path, top) && !g_hash_table_lookup(tree, path) &&
		    !(named && g_hash_table_contains(named, path)))
			expect_fire(w, path, true, tree, old_tree);
	}
}

static void check_events(struct world *w)
{
	for (unsigned int c = 0; c < N_CLIENTS; c++) {
		struct message *event;

		client_drain(w->client[c]);
		/* An answered call collects what came with it. */
		g_free(client_call(w->client[c], XS_GET_DOMAIN_PATH, 0, P("0\0")));
		while ((event = g_queue_pop_head(w->client[c]->events))) {
			const char *token = event->payload + strlen(event->payload) + 1;
			char *text = g_strdup_printf("%s %s", event->payload, token);

			if (!g_hash_table_remove(w->expected[c], text))
				g_error("client %u: unexpected event %s", c, text);
			w->n_events++;
			g_free(text);
			g_free(event);
		}
		if (g_hash_table_size(w->expected[c])) {
			GList *left = g_hash_table_get_keys(w->expected[c]);

			g_error("client %u: missing event %s", c, (char *)left->data);
		}
	}
}

/* Requests */

static char *call(struct client *client, uint32_t tx_id, const struct op *op)
{
	GByteArray *payload = g_byte_array_new();
	struct message *message;
	char *text;

	g_byte_array_append(payload, (const guint8 *)op->path, (guint)strlen(op->path) + 1);
	if (op->type == XS_WRITE)
		g_byte_array_append(payload, (const guint8 *)op->argument, (guint)strlen(op->argument));
	if (op->type == XS_SET_PERMS) {
		for (const char *c = op->argument; *c; c++)
			g_byte_array_append(payload, (const guint8 *)(*c == ' ' ? "" : c), 1);
		g_byte_array_append(payload, (const guint8 *)"", 1);
	}
	message = client_call(client, op->type, tx_id, payload->data, payload->len);
	if (op->type == XS_DIRECTORY || op->type == XS_GET_PERMS) {
		for (uint32_t i = 0; i < message->header.len && message->header.type != XS_ERROR; i++) {
			if (message->payload[i] == '\0')
				message->payload[i] = ' ';
		}
	}
	text = g_strdup(message->payload);
	g_free(message);
	g_byte_array_unref(payload);
	return text;
}

static char *random_path(struct world *w)
{
	unsigned int depth = (unsigned int)g_rand_int_range(w->rand, 0, 4);
	GString *path = g_string_new(depth ? NULL : "/");

	while (depth--)
		g_string_append_printf(path, "/%c", "ab-"[g_rand_int_range(w->rand, 0, 3)]);
	return g_string_free(path, FALSE);
}

static struct op *random_op(struct world *w)
{
	static const uint32_t types[] = { XS_READ, XS_DIRECTORY, XS_GET_PERMS, XS_WRITE, XS_WRITE, XS_WRITE, XS_MKDIR,
					  XS_RM, XS_SET_PERMS };
	static const char *const perms[] = { "n0", "r0", "b0", "b1", "n1", "n0 b1", "n1 r0", "b0 n1", "w0" };
	struct op *op = g_new0(struct op, 1);

	op->type = types[g_rand_int_range(w->rand, 0, G_N_ELEMENTS(types))];
	op->path = random_path(w);
	if (op->type == XS_SET_PERMS)
		op->argument = g_strdup(perms[g_rand_int_range(w->rand, 0, G_N_ELEMENTS(perms))]);
	else
		op->argument = g_strdup_printf("%d", g_rand_int_range(w->rand, 0, 100));
	return op;
}

static void op_free(gpointer data)
{
	struct op *op = data;

	g_free(op->path);
	g_free(op->argument);
	g_free(op->reply);
	g_free(op);
}

static bool differs(GHashTable *one, GHashTable *other, const char *path)
{
	const struct node *a = g_hash_table_lookup(one, path), *b = g_hash_table_lookup(other, path);

	return !a != !b || (a && (a->value_version != b->value_version || a->perms_version != b->perms_version));
}

/* What is different from before, named in a request or not, goes into the log. */
static void log_changes(struct world *w, GHashTable *before)
{
	GHashTable *trees[] = { before, w->tree };

	for (unsigned int t = 0; t < 2; t++) {
		GHashTableIter iter;
		gpointer path;

		g_hash_table_iter_init(&iter, trees[t]);
		while (g_hash_table_iter_next(&iter, &path, NULL)) {
			if (differs(before, w->tree, path))
				g_ptr_array_add(w->log, g_strdup(path));
		}
	}
}

static void step_op(struct world *w, unsigned int c, struct open_tx *tx)
{
	struct op *op = random_op(w);
	GHashTable *tree = tx ? tx->tree : w->tree;
	GHashTable *before = tx ? NULL : tree_copy(tree);
	bool changed = false;
	char *actual;

	op->reply = model_apply(w, tree, c, op, &changed);
	actual = call(w->client[c], tx ? tx->id : 0, op);
	if (strcmp(actual, op->reply) != 0)
		g_error("client %u type %u %s: \"%s\" instead of \"%s\"", c, op->type, op->path, actual, op->reply);
	g_free(actual);
	if (tx) {
		if (changed)
			g_hash_table_add(tx->named, g_strdup(op->path));
		if (changed && op->type == XS_RM)
			g_hash_table_add(tx->removed, g_strdup(op->path));
		g_ptr_array_add(tx->ops, op);
		return;
	}
	if (changed) {
		expect_fire(w, op->path, false, tree, before);
		log_changes(w, before);
	}
	if (changed && op->type == XS_RM)
		expect_below(w, op->path, tree, before, NULL);
	g_hash_table_unref(before);
	op_free(op);
}

static struct open_tx *tx_new(struct world *w, unsigned int c)
{
	struct open_tx *tx = g_new0(struct open_tx, 1);

	tx->id = client_start(w->client[c]);
	tx->base = tree_copy(w->tree);
	tx->tree = tree_copy(w->tree);
	tx->began = w->log->len;
	tx->ops = g_ptr_array_new_with_free_func(op_free);
	tx->named = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	tx->removed = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	return tx;
}

static void tx_free(struct open_tx *tx)
{
	g_hash_table_unref(tx->base);
	g_hash_table_unref(tx->tree);
	g_hash_table_unref(tx->named);
	g_hash_table_unref(tx->removed);
	g_ptr_array_unref(tx->ops);
	g_free(tx);
}

static void expect_commit_events(struct world *w, const struct open_tx *tx)
{
	GHashTableIter iter;
	gpointer path;

	g_hash_table_iter_init(&iter, tx->named);
	while (g_hash_table_iter_next(&iter, &path, NULL)) {
		if (!differs(tx->base, tx->tree, path))
			continue;
		expect_fire(w, path, false, w->tree, tx->base);
		if (g_hash_table_contains(tx->removed, path))
			expect_below(w, path, tx->tree, tx->base, tx->named);
	}
}

static bool had_reason(struct world *w, const struct open_tx *tx)
{
	for (guint k = tx->began; k < w->log->len; k++) {
		const char *path = w->log->pdata[k];

		for (guint i = 0; i < tx->ops->len; i++) {
			const struct op *op = tx->ops->pdata[i];

			if (is_at_or_below(path, op->path) || is_below(op->path, path))
				return true;
		}
	}
	return false;
}

static void step_end(struct world *w, unsigned int c, struct open_tx *tx)
{
	bool commit = g_rand_int_range(w->rand, 0, 5) > 0, changed;
	const char *outcome = client_end(w->client[c], tx->id, commit);
	GHashTable *before = tree_copy(w->tree);

	if (strcmp(outcome, "EAGAIN") == 0) {
		g_assert_true(commit);
		g_assert_true(had_reason(w, tx));
		w->n_conflicts++;
	} else if (commit) {
		g_assert_cmpstr(outcome, ==, "OK");
		for (guint i = 0; i < tx->ops->len; i++) {
			const struct op *op = tx->ops->pdata[i];
			char *again = model_apply(w, w->tree, c, op, &changed);

			if (strcmp(again, op->reply) != 0)
				g_error("committed, but %u %s now answers \"%s\" instead of \"%s\"", op->type, op->path,
					again, op->reply);
			g_free(again);
		}
		expect_commit_events(w, tx);
		log_changes(w, before);
		w->n_commits++;
	}
	g_hash_table_unref(before);
	tx_free(tx);
}

static void step_watch(struct world *w, unsigned int c)
{
	char *path = random_path(w);
	char *payload = g_strdup_printf("%s%c%s", path, 1, path);
	bool has = g_hash_table_contains(w->watches[c], path);

	payload[strlen(path)] = '\0';
	expect_outcome(w->client[c], has ? XS_UNWATCH : XS_WATCH, 0, payload, 2 * strlen(path) + 2, "OK");
	if (has)
		g_hash_table_remove(w->watches[c], path);
	else
		g_hash_table_add(w->watches[c], g_strdup(path));
	client_forget_events(w->client[c]);
	g_free(payload);
	g_free(path);
}

static void compare_trees(struct world *w)
{
	GHashTableIter iter;
	gpointer path, data;

	g_hash_table_iter_init(&iter, w->tree);
	while (g_hash_table_iter_next(&iter, &path, &data)) {
		static const uint32_t types[] = { XS_READ, XS_GET_PERMS, XS_DIRECTORY };

		for (size_t i = 0; i < G_N_ELEMENTS(types); i++) {
			struct op op = { .type = types[i], .path = path };
			bool changed;
			char *expected = model_apply(w, w->tree, 0, &op, &changed);
			char *actual = call(w->client[0], 0, &op);

			g_assert_cmpstr(actual, ==, expected);
			g_free(actual);
			g_free(expected);
		}
	}
}

static void run_world(guint32 seed, unsigned int steps, unsigned int totals[3])
{
	struct xenstore_quota quota = ample_quota();
	struct world w = { .rand = g_rand_new_with_seed(seed), .store = xenstore_new(&quota), .tree = tree_new(),
			   .log = g_ptr_array_new_with_free_func(g_free) };

	g_test_message("seed %u", seed);
	tree_put(w.tree, "/", "", "n0", 0);
	for (unsigned int c = 0; c < N_CLIENTS; c++) {
		w.client[c] = client_new(w.store, (uint16_t)c);
		w.watches[c] = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
		w.expected[c] = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	}
	for (unsigned int i = 0; i < steps; i++) {
		unsigned int c = (unsigned int)g_rand_int_range(w.rand, 0, N_CLIENTS);
		unsigned int slot = (unsigned int)g_rand_int_range(w.rand, 0, MAX_OPEN);
		int dice = g_rand_int_range(w.rand, 0, 20);

		if (dice == 0) {
			step_watch(&w, c);
		} else if (dice <= 3 && w.open[c][slot]) {
			step_end(&w, c, w.open[c][slot]);
			w.open[c][slot] = NULL;
		} else if (dice <= 3) {
			w.open[c][slot] = tx_new(&w, c);
		} else {
			step_op(&w, c, dice <= 12 ? w.open[c][slot] : NULL);
		}
		check_events(&w);
	}
	compare_trees(&w);
	totals[0] += w.n_commits;
	totals[1] += w.n_conflicts;
	totals[2] += w.n_events;
	for (unsigned int c = 0; c < N_CLIENTS; c++) {
		for (unsigned int slot = 0; slot < MAX_OPEN; slot++) {
			if (w.open[c][slot])
				tx_free(w.open[c][slot]);
		}
		client_free(w.client[c]);
		g_hash_table_unref(w.watches[c]);
		g_hash_table_unref(w.expected[c]);
	}
	g_hash_table_unref(w.tree);
	g_ptr_array_unref(w.log);
	xenstore_free(w.store);
	g_rand_free(w.rand);
}

static void test_model(void)
{
	unsigned int totals[3] = { 0 };

	for (unsigned int i = 0; i < 40; i++)
		run_world((guint32)g_test_rand_int(), 400, totals);
	g_test_message("%u commits, %u conflicts, %u events", totals[0], totals[1], totals[2]);
	/* The test is worth something only if all of it happens. */
	g_assert_cmpuint(totals[0], >, 100);
	g_assert_cmpuint(totals[1], >, 100);
	g_assert_cmpuint(totals[2], >, 100);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/xenstore/model", test_model);
	return g_test_run();
}
