// SPDX-License-Identifier: MIT
/*
 * Results for people and for programs. Text and TAP come line by line, as tests end; JUnit and JSON are one document each.
 * Pure: strings come out, to g_free(). Nothing that a guest printed gets further than as printable text.
 */
#pragma once

#include <glib.h>

#include "harness/result.h"

enum test_format { FORMAT_TEXT, FORMAT_TAP, FORMAT_JUNIT, FORMAT_JSON };

/* n: the place of the result among all, from 1 on. */
char *present_result_text(const struct test_result *result);
char *present_result_tap(const struct test_result *result, guint n);

/* results: of struct test_result *. The last line is "N passed, N failed, N skipped". */
char *present_summary(const GPtrArray *results);

/* The document that CI systems read: <testsuites> of one <testsuite>. suite: its name. duration_us: of all together. */
char *present_junit(const GPtrArray *results, const char *suite, gint64 duration_us);
char *present_results_json(const GPtrArray *results, gint64 duration_us);
