// SPDX-License-Identifier: MIT
/*
 * Which file is the Xen shim? The first of: what the person named, $DOM1_SHIM, the newest that is installed.
 */
#pragma once

#include <glib.h>

/*
 * Returns a path to g_free(), of a readable regular file. option: --shim, or NULL.
 * DOM1_STATUS_FILE: a named one cannot be used; DOM1_STATUS_HOST: none is installed. System calls: openat,
 * getdents64, newfstatat, access.
 */
char *shim_find(const char *option, GError **error);

/* The same with all it depends on: root replaces "/" for the search, env is the value of $DOM1_SHIM or NULL. */
char *shim_find_in(const char *root, const char *option, const char *env, GError **error);
