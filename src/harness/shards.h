// SPDX-License-Identifier: MIT
/* Which shards of a set have come: each once, and all of the same set. Pure. */
#pragma once

#include <stdbool.h>

#include <glib.h>

struct shards;

struct shards *shards_new(void);
void shards_free(struct shards *shards);

/*
 * text: as of --shard, "2/5"; what is no such thing belongs to somebody else, and is no shard. path: where it is. FALSE:
 * DOM1_STATUS_FILE, it came before, or it is one of another number of shards; the message leaves out path.
 */
bool shards_add(struct shards *shards, const char *text, const char *path, GError **error);

/* Of those that are missing a text such as "2, 4 to 7 of 9", to g_free(); NULL: none is. */
char *shards_missing(const struct shards *shards);
