// SPDX-License-Identifier: MIT
/*
 * Theory of operation: all watches hang in one hash table by their path. A change of /a/b concerns the watches at "/",
 * "/a" and "/a/b": as the hash grows byte by byte, one pass over the path finds them all, however many others there
 * are. Delivering never fails: if an event cannot be queued, the watch is marked, and when there is room again gets one
 * event with its own path, which says "look at all of it".
 */
#include "xen/xenstore/watch.h"

#include <stdlib.h>
#include <string.h>

#include "xen/xenstore/internal.h"

struct xenstore_watch *xs_watch_new(struct xenstore *store, const struct xs_path *path, const char *token)
{
	size_t token_len = strlen(token);
	struct xenstore_watch *watch = calloc(1, sizeof(*watch) + path->len_bytes + token_len + 2);
	struct xenstore_watch **end;

	if (!watch)
		return NULL;
	memcpy(watch->path, path->s, path->len_bytes + 1);
	memcpy(watch->path + path->len_bytes + 1, token, token_len + 1);
	watch->token = watch->path + path->len_bytes + 1;
	watch->path_len_bytes = path->len_bytes;
	watch->base_len_bytes = path->base_len_bytes;
	watch->hash = xs_hash(path->s, path->len_bytes);
	end = &store->watches.bucket[watch->hash % XS_WATCH_BUCKETS];
	while (*end)
		end = &(*end)->bucket_next;
	*end = watch;
	store->watches.n++;
	return watch;
}

void xs_watch_link(struct xenstore_watch *watch, struct xenstore_watch **list)
{
	watch->next = *list;
	watch->link = list;
	if (watch->next)
		watch->next->link = &watch->next;
	*list = watch;
}

static void forget_host_events(struct xenstore *store, const struct xenstore_watch *watch)
{
	struct xs_host_event **at = &store->host_first;

	while (*at) {
		struct xs_host_event *event = *at;

		if (event->watch == watch) {
			*at = event->next;
			free(event);
		} else {
			at = &event->next;
		}
	}
	store->host_end = at;
}

void xs_watch_free(struct xenstore *store, struct xenstore_watch *watch)
{
	struct xenstore_watch **at = &store->watches.bucket[watch->hash % XS_WATCH_BUCKETS];

	while (*at != watch)
		at = &(*at)->bucket_next;
	*at = watch->bucket_next;
	store->watches.n--;
	if (watch->link) {
		*watch->link = watch->next;
		if (watch->next)
			watch->next->link = watch->link;
	}
	if (!watch->conn)
		forget_host_events(store, watch);
	free(watch);
}

static bool is_at(const struct xenstore_watch *watch, uint32_t hash, const char *path, size_t len_bytes)
{
	return watch->hash == hash && watch->path_len_bytes == len_bytes && memcmp(watch->path, path, len_bytes) == 0;
}

struct xenstore_watch *xs_watch_find(const struct xenstore *store, const struct xs_conn *conn,
				     const struct xs_path *path, const char *token)
{
	uint32_t hash = xs_hash(path->s, path->len_bytes);
	struct xenstore_watch *watch = store->watches.bucket[hash % XS_WATCH_BUCKETS];

	for (; watch; watch = watch->bucket_next) {
		if (watch->conn == conn && is_at(watch, hash, path->s, path->len_bytes) &&
		    strcmp(watch->token, token) == 0)
			return watch;
	}
	return NULL;
}

bool xenstore_is_watched_by(const struct xenstore *store, uint16_t domid, const char *path)
{
	size_t len_bytes = strlen(path);
	uint32_t hash = xs_hash(path, len_bytes);
	const struct xenstore_watch *watch = store->watches.bucket[hash % XS_WATCH_BUCKETS];

	for (; watch; watch = watch->bucket_next) {
		if (watch->conn && watch->conn->domid == domid && is_at(watch, hash, path, len_bytes))
			return true;
	}
	return false;
}

static bool may_hear(const struct xenstore_watch *watch, const struct xs_audience *audience)
{
	const struct xs_perms *perms[] = { audience->node, audience->parent, audience->old };

	if (!watch->conn || watch->conn->domid == 0)
		return true;
	if (audience->node && audience->node->quiet)
		return false;
	for (size_t i = 0; i < sizeof(perms) / sizeof(perms[0]); i++) {
		if (perms[i] && (xs_perms_access(perms[i], watch->conn->domid) & XS_ACCESS_READ))
			return true;
	}
	return false;
}

void xs_watch_deliver(struct xenstore *store, struct xenstore_watch *watch, const char *path)
{
	size_t len = strlen(path);
	struct xs_host_event *event;

	if (watch->conn) {
		xs_conn_event(watch->conn, watch, path);
		return;
	}
	event = malloc(sizeof(*event) + len + 1);
	if (!event) {
		watch->lost = true;
		return;
	}
	event->next = NULL;
	event->watch = watch;
	memcpy(event->path, path, len + 1);
	*store->host_end = event;
	store->host_end = &event->next;
}

static void fire_at(struct xenstore *store, const char *path, size_t prefix_len, uint32_t hash,
		    const struct xs_audience *audience)
{
	struct xenstore_watch *watch = store->watches.bucket[hash % XS_WATCH_BUCKETS];

	for (; watch; watch = watch->bucket_next) {
		if (is_at(watch, hash, path, prefix_len) && may_hear(watch, audience))
			xs_watch_deliver(store, watch, path);
	}
}

void xs_watch_fire(struct xenstore *store, const char *path, size_t len_bytes, const struct xs_audience *audience)
{
	uint32_t hash = XS_HASH_INIT;

	if (store->watches.n == 0)
		return;
	for (size_t i = 0; i < len_bytes; i++) {
		/* What ends in front of a slash is a path above; "/" itself ends behind its slash. */
		if (i > 1 && path[i] == '/')
			fire_at(store, path, i, hash, audience);
		hash = xs_hash_byte(hash, path[i]);
		if (i == 0 && path[0] == '/' && len_bytes > 1)
			fire_at(store, path, 1, hash, audience);
	}
	fire_at(store, path, len_bytes, hash, audience);
}

void xs_watch_fire_one(struct xenstore *store, struct xenstore_watch *watch, const struct xs_audience *audience)
{
	if (may_hear(watch, audience))
		xs_watch_deliver(store, watch, watch->path);
}

struct xenstore_watch *xs_watch_next(const struct xenstore *store, const struct xenstore_watch *watch)
{
	unsigned int i = 0;

	if (watch && watch->bucket_next)
		return watch->bucket_next;
	if (watch)
		i = watch->hash % XS_WATCH_BUCKETS + 1;
	while (i < XS_WATCH_BUCKETS && !store->watches.bucket[i])
		i++;
	return i < XS_WATCH_BUCKETS ? store->watches.bucket[i] : NULL;
}
