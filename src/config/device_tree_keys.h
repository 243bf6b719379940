// SPDX-License-Identifier: MIT
/* Properties of Xen's bindings for a domain that mean nothing here, and why; and bits that reader and writer share. */
#pragma once

#include <glib.h>

/* hyperlaunch-devicetree.rst, "mode". */
#define DEVICE_TREE_MODE_PV           1u
#define DEVICE_TREE_MODE_DEVICE_MODEL 2u
#define DEVICE_TREE_MODE_LONG         4u

struct device_tree_key {
	const char *name;
	gboolean refused; /* else ignored */
	const char *why;
};

/* NULL: none of these. */
const struct device_tree_key *device_tree_key_find(const char *name);
/* For tests and documentation. */
const struct device_tree_key *device_tree_key_table(size_t *n_keys);
