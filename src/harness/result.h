// SPDX-License-Identifier: MIT
/* What came of a test: everything that its presentations say. */
#pragma once

#include <stdbool.h>

#include <glib.h>

#include "harness/verdict.h"

struct test_result {
	char *name;
	char *path;
	unsigned int round;    /* of --repeat, from 1 on */
	unsigned int attempts; /* 0: it did not start; the detail says why */
	bool flaky;            /* it passed, but not at first */
	struct verdict_result verdict;
	gint64 duration_us; /* of the last attempt */
	char *words;   /* what dom1 run said on standard error; never NULL, as the next */
	char *console; /* the last lines */
	char *folder;  /* of its evidence, NULL: none */
};

void test_result_free(struct test_result *result);
/* It counts as passed, skipped, or as neither. */
bool test_result_is_passed(const struct test_result *result);
bool test_result_is_skipped(const struct test_result *result);

struct test_counts {
	unsigned int n, passed, failed, skipped, flaky;
	unsigned int by_verdict[N_VERDICTS];
	int status; /* the worst */
};
/* of struct test_result * */
void test_results_count(const GPtrArray *results, struct test_counts *counts);

/*
 * Text of a guest for a document: printable, tabs and line breaks; all else is a '?'. Each line begins with prefix, and
 * the text ends with a line break unless it is empty. g_free()
 */
char *test_result_text(const char *text, const char *prefix);
