// SPDX-License-Identifier: MIT
/*
 * Results for people and for programs. Text and TAP come line by line, as tests end; JUnit and JSON are one document each.
 * Pure: strings come out, to g_free(). Nothing that a guest printed gets further than as printable text.
 */
#pragma once

#include <glib.h>

#include "harness/result.h"
#include "harness/targets.h"

enum test_format { FORMAT_TEXT, FORMAT_TAP, FORMAT_JUNIT, FORMAT_JSON };

/* n: the place of the result among all, from 1 on. */
char *present_result_text(const struct test_result *result);
char *present_result_tap(const struct test_result *result, guint n);

/* results: of struct test_result *. The last line is "N passed, N failed, N skipped". */
char *present_summary(const GPtrArray *results);

/*
 * The document that CI systems read: <testsuites> of one <testsuite>. suite: its name. duration_us: of all together. Both
 * documents say which shard they are, if they are one of several: so that a merge sees what is missing.
 */
char *present_junit(const GPtrArray *results, const char *suite, const struct shard *shard, gint64 duration_us);
char *present_results_json(const GPtrArray *results, const struct shard *shard, gint64 duration_us);
