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

/* By its first character it is XML or JSON; all must be the same. FALSE: DOM1_STATUS_FILE; path is for the message. */
bool merge_add(struct merge *merge, const char *text, size_t len_bytes, const char *path, GError **error);

/* g_free() */
char *merge_text(struct merge *merge);
/* The worst status of the JSON documents; of JUnit documents 1 if something failed. */
int merge_status(const struct merge *merge);
