// SPDX-License-Identifier: MIT
/* The keys of xl.cfg that mean nothing here, and why. Only xl_cfg.c needs this. */
#pragma once

#include <glib.h>

enum xl_verdict { XL_IGNORED, XL_REFUSED };

struct xl_key {
	const char *key; /* with * at the end: every key that begins so, unless one above says it whole */
	enum xl_verdict verdict;
	const char *why; /* of a refusal: with what to do */
};

/* NULL: none of these. */
const struct xl_key *xl_key_find(const char *key);
/* For tests and documentation. */
const struct xl_key *xl_key_table(size_t *n_keys);
