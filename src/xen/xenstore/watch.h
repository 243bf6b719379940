// SPDX-License-Identifier: MIT
/*
 * Watches: who wants to know of changes at or below which path, and whether he may.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "xen/xenstore/xenstore.h"

struct xs_path;
struct xs_perms;

/* A client's (conn is set) or the host's own (fn is set). */
struct xenstore_watch {
	struct xenstore_watch *bucket_next;
	struct xenstore_watch *next, **link; /* of the connection, or of the host */
	struct xs_conn *conn;
	xenstore_watch_fn fn;
	void *opaque;
	uint32_t hash;
	bool lost;               /* events could not be queued; one with the watch's own path is owed */
	size_t path_len_bytes;
	size_t base_len_bytes;   /* what to strip from the path of an event */
	const char *token;       /* behind path */
	char path[];             /* absolute or special */
};

#define XS_WATCH_BUCKETS 256

struct xs_watches {
	unsigned int n;
	struct xenstore_watch *bucket[XS_WATCH_BUCKETS];
};

/* An event of the host's own watches, on its way. */
struct xs_host_event {
	struct xs_host_event *next;
	struct xenstore_watch *watch;
	char path[];
};

/* Who may hear of a change: whoever may read by one of these. NULL entries do not count. */
struct xs_audience {
	const struct xs_perms *node, *parent, *old;
};

/* Not yet in any list of the connection or the host. NULL when memory is out. */
struct xenstore_watch *xs_watch_new(struct xenstore *store, const struct xs_path *path, const char *token);
void xs_watch_free(struct xenstore *store, struct xenstore_watch *watch);
void xs_watch_link(struct xenstore_watch *watch, struct xenstore_watch **list);

struct xenstore_watch *xs_watch_find(const struct xenstore *store, const struct xs_conn *conn,
				     const struct xs_path *path, const char *token);

/* Fires the watches at path and at everything above it. */
void xs_watch_fire(struct xenstore *store, const char *path, size_t len_bytes, const struct xs_audience *audience);

/* Fires one watch, with its own path. */
void xs_watch_fire_one(struct xenstore *store, struct xenstore_watch *watch, const struct xs_audience *audience);

/* All watches, one after the other: from NULL to NULL. */
struct xenstore_watch *xs_watch_next(const struct xenstore *store, const struct xenstore_watch *watch);

/* Queues one event, whatever the permissions. */
void xs_watch_deliver(struct xenstore *store, struct xenstore_watch *watch, const char *path);
