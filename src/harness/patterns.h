// SPDX-License-Identifier: MIT
/*
 * --expect and --fail-on: regular expressions (PCRE) that a line of the console must, or must not, match somewhere.
 * Bytes, not characters: a console may print anything.
 */
#pragma once

#include <stdbool.h>

#include <glib.h>

/* Of GRegex *; g_ptr_array_unref(). */
GPtrArray *patterns_new(void);

/* FALSE: DOM1_STATUS_USAGE. option is for the message. */
bool patterns_add(GPtrArray *patterns, const char *option, const char *text, GError **error);

/* The index of the first one that matches, from the given one on; -1: none. */
int patterns_find(const GPtrArray *patterns, guint from, const char *line);
const char *patterns_text(const GPtrArray *patterns, guint index);
