// SPDX-License-Identifier: MIT
/*
 * Theory of operation: the store, the host's own access, and the order in which things are told.
 *
 * A change is complete before anybody hears of it. Clients' events go straight into their outgoing streams; callbacks
 * of the host are queued and run when the operation that caused them is over (for a client's stream: between two
 * requests), and notifications at the end of the outermost call. A callback may call in again: the inner call only
 * adds to the queues which the outer one is emptying, so the stack does not grow with the length of a chain.
 */
#include "xen/xenstore/xenstore.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "xen/xenstore/internal.h"
#include "xen/xenstore/ops.h"

const struct xenstore_quota XENSTORE_QUOTA_DEFAULT = {
	.nodes = 1000,
	.watches = 128,
	.transactions = 10,
	.transaction_nodes = 1024,
	.transaction_bytes = 512 * 1024,
	.node_bytes = 2048,
	.permissions = 5,
	.path_bytes = XENSTORE_ABS_PATH_MAX,
	.pending_bytes = 64 * 1024,
	.pending_events = 512,
};

static const char *const special_name[XS_N_SPECIALS] = {
	[XS_SPECIAL_INTRODUCE] = "@introduceDomain",
	[XS_SPECIAL_RELEASE] = "@releaseDomain",
};

static void init_lock(struct xenstore *store)
{
	pthread_mutexattr_t attributes;

	/* None of these fails with these arguments. */
	pthread_mutexattr_init(&attributes);
	pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(&store->lock, &attributes);
	pthread_mutexattr_destroy(&attributes);
}

struct xenstore *xenstore_new(const struct xenstore_quota *quota)
{
	struct xenstore *store = calloc(1, sizeof(*store));
	int rc;

	if (!store)
		return NULL;
	store->quota = quota ? *quota : XENSTORE_QUOTA_DEFAULT;
	if (store->quota.pending_events == 0)
		store->quota.pending_events = 1;
	store->host_end = &store->host_first;
	init_lock(store);
	rc = xs_tree_init(&store->tree, &store->clock);
	for (unsigned int i = 0; i < XS_N_SPECIALS && rc == 0; i++) {
		store->special[i] = xs_perms_new(1); /* n0 */
		rc = store->special[i] ? 0 : ENOMEM;
	}
	if (rc != 0) {
		xenstore_free(store);
		return NULL;
	}
	return store;
}

void xenstore_free(struct xenstore *store)
{
	if (!store)
		return;
	while (store->host_watches)
		xs_watch_free(store, store->host_watches);
	for (unsigned int i = 0; i < XS_N_SPECIALS; i++)
		xs_perms_unref(store->special[i]);
	xs_tree_clear(&store->tree);
	pthread_mutex_destroy(&store->lock);
	free(store);
}

struct xs_perms **xs_store_special(struct xenstore *store, const char *name)
{
	for (unsigned int i = 0; i < XS_N_SPECIALS; i++) {
		size_t len = strlen(special_name[i]);

		if (strncmp(name, special_name[i], len) == 0 && (name[len] == '\0' || name[len] == '/'))
			return &store->special[i];
	}
	return NULL;
}

/* Callbacks */

void xs_store_enter(struct xenstore *store)
{
	store->depth++;
}

/* A watch of the host's whose events could not be queued. */
static struct xenstore_watch *next_lost(const struct xenstore *store)
{
	struct xenstore_watch *watch = store->host_watches;

	while (watch && !watch->lost)
		watch = watch->next;
	return watch;
}

/* Calls back for one of them. */
static bool run_lost_host_event(struct xenstore *store)
{
	struct xenstore_watch *watch = next_lost(store);
	char path[XENSTORE_ABS_PATH_MAX + 1];

	if (!watch)
		return false;
	watch->lost = false;
	/* The callback may free the watch, and the path with it. */
	memcpy(path, watch->path, watch->path_len_bytes + 1);
	watch->fn(watch->opaque, path);
	return true;
}

void xs_store_run_host_events(struct xenstore *store)
{
	struct xs_host_event *event;

	if (store->depth != 1)
		return;
	store->depth++;
	do {
		while ((event = store->host_first)) {
			store->host_first = event->next;
			if (!store->host_first)
				store->host_end = &store->host_first;
			event->watch->fn(event->watch->opaque, event->path);
			free(event);
		}
	} while (run_lost_host_event(store));
	store->depth--;
}

static struct xs_conn *next_due(struct xenstore *store)
{
	struct xs_conn *conn = store->conns;

	while (conn && !conn->notify_due)
		conn = conn->next;
	return conn;
}

void xs_store_leave(struct xenstore *store)
{
	struct xs_conn *conn;

	if (store->depth != 1) {
		store->depth--;
		return;
	}
	for (conn = store->conns; conn; conn = conn->next)
		xs_conn_catch_up(conn);
	do {
		xs_store_run_host_events(store);
		conn = next_due(store);
		if (!conn)
			continue;
		conn->notify_due = false;
		if (!conn->notify)
			continue;
		store->depth++;
		conn->notify(conn->opaque);
		store->depth--;
	} while (conn || store->host_first);
	store->depth--;
}

/* Who has the store */

void xenstore_lock(struct xenstore *store)
{
	atomic_store(&store->waiting, true);
	pthread_mutex_lock(&store->lock);
	atomic_store(&store->waiting, false);
}

void xenstore_unlock(struct xenstore *store)
{
	pthread_mutex_unlock(&store->lock);
}

bool xenstore_visit(struct xenstore *store)
{
	/* Guests that ask without end would else keep the main thread out: locks are not fair. */
	if (atomic_load(&store->waiting) || pthread_mutex_trylock(&store->lock) != 0)
		return false;
	/* As if a call into the store were on the stack already: callbacks are the outermost one's. */
	xs_store_enter(store);
	return true;
}

bool xenstore_visit_end(struct xenstore *store)
{
	bool is_settled;

	for (struct xs_conn *conn = store->conns; conn; conn = conn->next)
		xs_conn_catch_up(conn);
	is_settled = !store->host_first && !next_lost(store) && !next_due(store);
	store->depth--;
	pthread_mutex_unlock(&store->lock);
	return is_settled;
}

void xenstore_settle(struct xenstore *store)
{
	xenstore_lock(store);
	xs_store_enter(store);
	xs_store_leave(store);
	xenstore_unlock(store);
}

/* The host's access */

static int host_path(struct xs_path *path, const char *raw, bool allow_special)
{
	if (raw[0] != '/' && raw[0] != '@')
		return EINVAL;
	return xs_path_resolve(path, raw, 0, NULL, allow_special);
}

static struct xs_view host_view(struct xenstore *store)
{
	return (struct xs_view){ .store = store };
}

static void host_changed(struct xenstore *store, struct xs_change *change)
{
	xs_store_enter(store);
	xs_change_fire(store, change);
	xs_store_leave(store);
}

int xenstore_write(struct xenstore *store, const char *path, const void *value, size_t len)
{
	const struct xs_view view = host_view(store);
	struct xs_change change = { 0 };
	struct xs_path resolved;
	int rc = host_path(&resolved, path, false);

	if (rc == 0 && len > XENSTORE_PAYLOAD_MAX)
		rc = E2BIG; /* READ could not answer with it */
	xenstore_lock(store);
	if (rc == 0)
		rc = xs_op_write(&view, &resolved, value, len, &change);
	host_changed(store, &change);
	xenstore_unlock(store);
	return rc;
}

int xenstore_printf(struct xenstore *store, const char *path, const char *format, ...)
{
	char value[XENSTORE_PAYLOAD_MAX + 1];
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(value, sizeof(value), format, args);
	va_end(args);
	if (len < 0)
		return EINVAL;
	return xenstore_write(store, path, value, (size_t)len < sizeof(value) ? (size_t)len : sizeof(value));
}

static int copy_value(const struct xs_node *node, void **value, size_t *len_bytes)
{
	*len_bytes = node->value ? node->value->len_bytes : 0;
	*value = calloc(1, *len_bytes + 1);
	if (!*value)
		return ENOMEM;
	if (node->value)
		memcpy(*value, node->value->bytes, *len_bytes);
	return 0;
}

/* Under the lock, which keeps the node. */
static int host_lookup(struct xenstore *store, const char *path, unsigned int touch, const struct xs_node **node)
{
	const struct xs_view view = host_view(store);
	struct xs_path resolved;
	int rc = host_path(&resolved, path, false);

	return rc == 0 ? xs_op_lookup(&view, &resolved, touch, node) : rc;
}

int xenstore_read(struct xenstore *store, const char *path, void **value, size_t *len_bytes)
{
	const struct xs_node *node;

	xenstore_lock(store);
	int rc = host_lookup(store, path, XS_TOUCH_VALUE, &node);
	if (rc == 0)
		rc = copy_value(node, value, len_bytes);
	xenstore_unlock(store);
	return rc;
}

static int copy_names(const struct xs_node *node, char ***names)
{
	size_t text_bytes = 0;

	for (unsigned int i = 0; i < node->n_children; i++)
		text_bytes += node->children[i]->name_len_bytes + 1;
	char **list = malloc((node->n_children + 1) * sizeof(*list) + text_bytes);
	if (!list)
		return ENOMEM;
	char *text = (char *)(list + node->n_children + 1);
	for (unsigned int i = 0; i < node->n_children; i++) {
		const struct xs_node *child = node->children[i];

		list[i] = text;
		memcpy(text, child->name, child->name_len_bytes);
		text[child->name_len_bytes] = '\0';
		text += child->name_len_bytes + 1;
	}
	list[node->n_children] = NULL;
	*names = list;
	return 0;
}

int xenstore_directory(struct xenstore *store, const char *path, char ***names)
{
	const struct xs_node *node;

	xenstore_lock(store);
	int rc = host_lookup(store, path, XS_TOUCH_CHILDREN, &node);
	if (rc == 0)
		rc = copy_names(node, names);
	xenstore_unlock(store);
	return rc;
}

int xenstore_remove(struct xenstore *store, const char *path)
{
	const struct xs_view view = host_view(store);
	struct xs_change change = { 0 };
	struct xs_path resolved;
	int rc = host_path(&resolved, path, false);

	xenstore_lock(store);
	if (rc == 0)
		rc = xs_op_remove(&view, &resolved, &change);
	host_changed(store, &change);
	xenstore_unlock(store);
	return rc;
}

int xenstore_set_permissions(struct xenstore *store, const char *path, const char *const *perms, size_t n_perms)
{
	const struct xs_view view = host_view(store);
	struct xs_change change = { 0 };
	struct xs_perms *parsed;
	struct xs_path resolved;
	int rc = host_path(&resolved, path, true);

	if (rc != 0 || n_perms == 0 || n_perms > XENSTORE_PAYLOAD_MAX)
		return EINVAL;
	parsed = xs_perms_new((unsigned int)n_perms);
	if (!parsed)
		return ENOMEM;
	for (size_t i = 0; i < n_perms && rc == 0; i++)
		rc = xs_perm_parse(perms[i], &parsed->entry[i]);
	xenstore_lock(store);
	if (rc == 0)
		rc = xs_op_set_perms(&view, &resolved, parsed, &change);
	xs_perms_unref(parsed);
	host_changed(store, &change);
	xenstore_unlock(store);
	return rc;
}

int xenstore_set_quiet(struct xenstore *store, const char *path)
{
	const struct xs_view view = host_view(store);
	struct xs_change change = { 0 };
	struct xs_perms *quiet = NULL;
	const struct xs_node *node;
	struct xs_path resolved;
	int rc = host_path(&resolved, path, false);

	xenstore_lock(store);
	if (rc == 0)
		rc = xs_op_lookup(&view, &resolved, 0, &node);
	if (rc == 0 && !(quiet = xs_perms_new(node->perms->n)))
		rc = ENOMEM;
	if (rc == 0) {
		memcpy(quiet->entry, node->perms->entry, quiet->n * sizeof(quiet->entry[0]));
		quiet->quiet = true;
		rc = xs_op_set_perms(&view, &resolved, quiet, &change);
	}
	xs_perms_unref(quiet);
	host_changed(store, &change);
	xenstore_unlock(store);
	return rc;
}

struct xenstore_watch *xenstore_watch(struct xenstore *store, const char *path, xenstore_watch_fn fn, void *opaque)
{
	struct xenstore_watch *watch;
	struct xs_path resolved;

	if (host_path(&resolved, path, true) != 0)
		return NULL;
	xenstore_lock(store);
	watch = xs_watch_new(store, &resolved, "");
	if (watch) {
		watch->fn = fn;
		watch->opaque = opaque;
		xs_watch_link(watch, &store->host_watches);
		xs_store_enter(store);
		xs_watch_deliver(store, watch, watch->path);
		xs_store_leave(store);
	}
	xenstore_unlock(store);
	return watch;
}

void xenstore_unwatch(struct xenstore *store, struct xenstore_watch *watch)
{
	if (!watch)
		return;
	xenstore_lock(store);
	xs_watch_free(store, watch);
	xenstore_unlock(store);
}

void xenstore_fire_special(struct xenstore *store, const char *name)
{
	struct xs_perms **perms = xs_store_special(store, name);
	struct xs_audience audience;
	struct xs_path resolved;

	if (xs_path_resolve(&resolved, name, 0, NULL, true) != 0 || !xs_path_is_special(&resolved))
		return;
	xenstore_lock(store);
	audience = (struct xs_audience){ .node = perms ? *perms : NULL };
	xs_store_enter(store);
	xs_watch_fire(store, resolved.s, resolved.len_bytes, &audience);
	xs_store_leave(store);
	xenstore_unlock(store);
}
