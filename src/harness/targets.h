// SPDX-License-Identifier: MIT
/*
 * Which tests there are: targets are images, configurations, or folders of them. In a folder, whatever its depth, tests
 * are files *.cfg, *.dtb and *.dts, and kernels (but compressed ones, which look like any archive) that no
 * configuration of the same folder is named after or names. Sorted by name, so that all shards see the same list.
 */
#pragma once

#include <stdbool.h>

#include <glib.h>

/* Paths, in the order of the targets: char *, to g_ptr_array_unref(). NULL: DOM1_STATUS_FILE, one is missing. */
GPtrArray *targets_find(char **targets, GError **error);

/* Whether one of the patterns (*, ?) fits the name, or its last part. No pattern fits all. */
bool target_is_wanted(const char *name, char **patterns);

struct shard {
	unsigned int index, count; /* 1 to count */
};
/* "2/5". FALSE: DOM1_STATUS_USAGE. */
bool shard_parse(const char *text, struct shard *shard, GError **error);
/* Whether the test at this place of the list is the shard's. */
bool shard_has(const struct shard *shard, guint place);
