// SPDX-License-Identifier: MIT
/* How a test is run and judged: from the command line for all, and from a guest's own file for that one. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <glib.h>

#include "harness/script.h"
#include "harness/verdict.h"

struct test_settings {
	unsigned int timeout_s;
	unsigned int retries;
	GPtrArray *expect, *fail_on; /* of patterns.h */
	enum outcome expected_end;
	char *skip_reason;  /* NULL: it is run */
	struct script *script; /* NULL: none */
	bool core;          /* a guest that ends badly leaves a core in the test's folder */
	GPtrArray *options; /* char *: more options for dom1 run */
};

void test_settings_init(struct test_settings *settings);
void test_settings_copy(struct test_settings *to, const struct test_settings *from);
void test_settings_clear(struct test_settings *settings);

/* "poweroff", "reboot" or "crash". FALSE: DOM1_STATUS_USAGE. */
bool test_settings_parse_end(const char *option, const char *word, enum outcome *end, GError **error);
/* FALSE: DOM1_STATUS_USAGE. */
bool test_settings_parse_count(const char *option, const char *word, unsigned int low, unsigned int *number, GError **error);

/*
 * The lines "# dom1-test: KEY=VALUE" (or "// dom1-test: ...") of a guest's file, which are comments in xl.cfg and device
 * tree sources. timeout, retry, expect-end, script and skip win over the command line; expect, fail-on and option add to it.
 * name: of the file, for messages. FALSE: DOM1_STATUS_FILE, and the line is named.
 */
bool test_settings_read(struct test_settings *settings, const char *text, size_t len_bytes, const char *name, GError **error);
