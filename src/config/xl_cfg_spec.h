// SPDX-License-Identifier: MIT
/*
 * What the specifications of disks, network interfaces, file systems and channels have in common: words between
 * commas, most of them KEY=VALUE, each key once. The parsers give a table of keys; this finds, counts and refuses.
 */
#pragma once

#include <glib.h>

#include "config/guest_config.h"

struct spec;

/* One of set, ignored and refused is given. */
struct spec_key {
	const char *key;
	gboolean (*set)(struct spec *spec, const char *value); /* FALSE: spec_fail() was called */
	const char *ignored;                                   /* why it is without effect: a warning */
	const char *refused;                                   /* why it cannot be */
	gboolean may_repeat;
};

struct spec {
	const char *what; /* "disk" */
	const struct spec_key *keys;
	size_t n_keys; /* at most 64 */
	const struct config_origin *origin;
	GPtrArray *warnings;
	GError **error;
	void *device;
	guint64 seen; /* bit n: keys[n] was given, and not empty */
};

/* Always FALSE. "FILE:LINE:COLUMN: disk: ..." */
gboolean spec_fail(struct spec *spec, const char *format, ...) G_GNUC_PRINTF(2, 3);
void spec_warn(struct spec *spec, const char *format, ...) G_GNUC_PRINTF(2, 3);

gboolean spec_set(struct spec *spec, const char *key, const char *value);
/* Every word is KEY=VALUE; empty ones are passed over, blanks around key and value are dropped. */
gboolean spec_set_all(struct spec *spec, const char *text);

/* For set(): the index of value in words, which NULL ends; FALSE and an error that lists them. */
gboolean spec_word(struct spec *spec, const char *key, const char *value, const char *const *words,
		   unsigned int *index);
/* backend=: all back ends are in domain 0. */
gboolean spec_backend(struct spec *spec, const char *value);
