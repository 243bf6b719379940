// SPDX-License-Identifier: MIT
/*
 * What shards have left, as one: their JUnit documents (dom1 test's own, or any with testsuites of testsuite), or their
 * results.json. Pure: texts are fed, one comes out.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <glib.h>

struct merge;

struct merge *merge_new(void);
void merge_free(struct merge *merge);

/*
 * By its first character it is XML or JSON; all must be the same. Of documents that say which shard they are, each may come
 * once. FALSE: DOM1_STATUS_FILE; path is for the message.
 */
bool merge_add(struct merge *merge, const char *text, size_t len_bytes, const char *path, GError **error);

/* Of shards that are missing their numbers as a text, to g_free(); NULL: none is known to be. */
char *merge_missing(const struct merge *merge);
/* g_free(). What is missing is an error in it: whoever reads it alone must not take it for the whole. */
char *merge_text(struct merge *merge);
/* The worst status of the JSON documents; of JUnit documents 1 if something failed; with DOM1_STATUS_FILE for missing shards. */
int merge_status(const struct merge *merge);
