// SPDX-License-Identifier: MIT
/* Results as others read them: JUnit by Python's parser and by a schema, TAP and JSON by parsers too, text by its counts. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "control/json_text.h"
#include "harness/present.h"
#include "harness/progress.h"
#include "harness/tap.h"
#include "vmm/error.h"

/* What a guest may have printed to get at whoever reads it. */
static const char HOSTILE[] = "a <b> & \"c\" ]]> 'd' \033[2J \001\x7f \xff\xfe \xc2\x9b line\r\n\tnext # TODO \\ <!-- \xef\xbf\xbe";

static GPtrArray *results_of(unsigned int n)
{
	GPtrArray *results = g_ptr_array_new_with_free_func((GDestroyNotify)test_result_free);

	for (unsigned int i = 0; i < n; i++) {
		struct test_result *result = g_new0(struct test_result, 1);

		result->name = g_strdup_printf("folder/%u %s", i, i % 3 ? HOSTILE : "plain");
		result->path = g_strdup(result->name);
		result->round = 1 + i % 2;
		result->attempts = i % 4;
		result->verdict.verdict = (enum verdict)(i % N_VERDICTS);
		result->verdict.status = i % N_VERDICTS == VERDICT_HOST_ERROR ? DOM1_STATUS_FILE : 0;
		result->verdict.detail = g_strdup(i % 5 ? "a \"detail\" of it & more" : "");
		result->flaky = result->verdict.verdict == VERDICT_PASSED && i % 4 > 1;
		result->duration_us = i * 1234567;
		result->console = g_strdup(HOSTILE);
		result->words = g_strdup(HOSTILE);
		g_ptr_array_add(results, result);
	}
	return results;
}

/* Nothing that a terminal or a parser obeys: valid UTF-8, and of the control characters line breaks alone. */
static void check_harmless(const char *text)
{
	g_assert_true(g_utf8_validate(text, -1, NULL));
	for (const char *c = text; *c; c = g_utf8_next_char(c))
		g_assert_true(*c == '\n' || !g_unichar_iscntrl(g_utf8_get_char(c)));
}

/* What the program says on standard output when it is given the text in a file; it must end well. */
static char *said_by(const char *text, const char *const *before, const char *const *after)
{
	GPtrArray *command = g_ptr_array_new();
	g_autofree char *path = NULL;
	char *out = NULL, *err = NULL;
	int status, fd = g_file_open_tmp("present-XXXXXX", &path, NULL);
	GError *error = NULL;

	g_assert_cmpint(fd, >=, 0);
	g_assert_cmpint(write(fd, text, strlen(text)), ==, (ssize_t)strlen(text));
	close(fd);
	for (; *before; before++)
		g_ptr_array_add(command, (char *)(uintptr_t)*before);
	g_ptr_array_add(command, path);
	for (; *after; after++)
		g_ptr_array_add(command, (char *)(uintptr_t)*after);
	g_ptr_array_add(command, NULL);
	g_spawn_sync(NULL, (char **)command->pdata, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &out, &err, &status, &error);
	g_assert_no_error(error);
	unlink(path);
	if (status != 0)
		g_error("%s says: %s", (const char *)command->pdata[0], err);
	g_free(err);
	g_ptr_array_unref(command);
	return out;
}

static void test_junit(void)
{
	static const char *const nothing[] = { NULL };
	static const char *const python[] = { "python3", TEST_DIR "/junit-check.py", NULL };
	static const char *const lint[] = { "xmllint", "--noout", "--schema", TEST_DIR "/junit.xsd", NULL };

	for (unsigned int n = 0; n <= 200; n += 40) {
		GPtrArray *results = results_of(n);
		g_autofree char *text = present_junit(results, "a suite", &(struct shard){ 1, n ? n : 1 }, 1234567);

		check_harmless(text);
		g_autofree char *said = said_by(text, python, nothing);
		struct test_counts counts;
		test_results_count(results, &counts);
		g_autofree char *expected = g_strdup_printf("%u passed, %u failures, %u errors, %u skipped\n", counts.passed,
							    counts.by_verdict[VERDICT_FAILED],
							    counts.failed - counts.by_verdict[VERDICT_FAILED], counts.skipped);
		g_assert_true(g_str_has_suffix(said, expected));
		g_free(said_by(text, lint, nothing));
		g_ptr_array_unref(results);
	}
}

static void test_tap(void)
{
	GPtrArray *results = results_of(100);
	struct tap tap = { 0 };
	struct test_counts counts;

	g_assert_true(tap_line(&tap, "TAP version 14"));
	g_assert_true(tap_line(&tap, "1..100"));
	for (guint i = 0; i < results->len; i++) {
		g_autofree char *text = present_result_tap(results->pdata[i], i + 1);
		g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

		check_harmless(text);
		/* One result, and its block is indented: it is part of no stream. */
		g_assert_true(tap_line(&tap, lines[0]));
		for (guint j = 1; lines[j]; j++)
			g_assert_false(tap_line(&tap, lines[j]));
	}
	test_results_count(results, &counts);
	g_assert_cmpint(tap_result(&tap), ==, TAP_FAILED);
	g_assert_cmpuint(tap.n_passed, ==, counts.passed);
	g_assert_cmpuint(tap.n_failed, ==, counts.failed);
	g_assert_cmpuint(tap.n_skipped, ==, counts.skipped);
	g_ptr_array_unref(results);
}

static void test_json(void)
{
	GPtrArray *results = results_of(50);
	g_autofree char *text = present_results_json(results, &(struct shard){ 1, 1 }, 42);
	GError *error = NULL;
	g_autoptr(json_t) object = json_text_parse(text, strlen(text), &error);

	g_assert_no_error(error);
	check_harmless(text);
	const json_t *tests = json_object_get(object, "tests");
	g_assert_cmpuint(json_array_size(tests), ==, 50);
	g_assert_cmpint(json_integer_value(json_object_get(object, "status")), ==, DOM1_STATUS_FILE);
	for (guint i = 0; i < 50; i++)
		g_assert_cmpstr(json_string_value(json_object_get(json_array_get(tests, i), "verdict")), ==,
				VERDICT_NAMES[i % N_VERDICTS]);
	g_ptr_array_unref(results);
}

static void test_text(void)
{
	GPtrArray *results = results_of(60);
	g_autofree char *summary = present_summary(results);

	for (guint i = 0; i < results->len; i++) {
		const struct test_result *result = results->pdata[i];
		g_autofree char *text = present_result_text(result);

		check_harmless(text);
		g_assert_true(g_str_has_prefix(text, result->flaky ? "flaky" : VERDICT_NAMES[result->verdict.verdict]));
	}
	/* 6 of each of the 10; a third of those that pass had another attempt. */
	g_assert_true(g_str_has_suffix(summary, "\n6 passed, 48 failed, 6 skipped\n"));
	g_assert_nonnull(strstr(summary, "6 crash, 6 shim-crash, 6 host-error"));
	g_ptr_array_unref(results);
}

static void test_progress(void)
{
	const struct progress_state state = { .n_total = 200, .n_running = 2, .n_passed = 40, .n_failed = 9, .n_skipped = 1,
					      .elapsed_us = 50 * G_USEC_PER_SEC };
	g_autofree char *text = progress_text(&state, 200);

	g_assert_cmpstr(text, ==, "[50/200] 2 running, 40 passed, 9 failed, 1 skipped, about 2 min 30 s left");
	for (unsigned int columns = 0; columns < 90; columns++) {
		g_autofree char *narrow = progress_text(&state, columns);

		g_assert_cmpuint(strlen(narrow), <=, columns);
		g_assert_true(g_str_has_prefix(text, narrow));
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/harness/present/junit", test_junit);
	g_test_add_func("/harness/present/tap", test_tap);
	g_test_add_func("/harness/present/json", test_json);
	g_test_add_func("/harness/present/text", test_text);
	g_test_add_func("/harness/present/progress", test_progress);
	return g_test_run();
}
