// SPDX-License-Identifier: MIT
/* Keys are promises: they are added to, and neither renamed nor removed. */
#include "harness/present.h"

#include <json-glib/json-glib.h>

#include "control/json_text.h"

#define RESULTS_VERSION 1

static void add_string(JsonBuilder *json, const char *key, const char *value)
{
	g_autofree char *valid = g_utf8_make_valid(value, -1);

	json_builder_set_member_name(json, key);
	json_builder_add_string_value(json, valid);
}

static void add_number(JsonBuilder *json, const char *key, gint64 value)
{
	json_builder_set_member_name(json, key);
	json_builder_add_int_value(json, value);
}

static void add_tap(JsonBuilder *json, const struct verdict_result *verdict)
{
	if (verdict->n_passed + verdict->n_failed + verdict->n_skipped + verdict->n_todo == 0)
		return;
	json_builder_set_member_name(json, "tap");
	json_builder_begin_object(json);
	add_number(json, "passed", (gint64)verdict->n_passed);
	add_number(json, "failed", (gint64)verdict->n_failed);
	add_number(json, "skipped", (gint64)verdict->n_skipped);
	add_number(json, "todo", (gint64)verdict->n_todo);
	json_builder_end_object(json);
}

static void add_result(JsonBuilder *json, const struct test_result *result)
{
	g_autofree char *console = test_result_text(result->console, "");
	g_autofree char *words = test_result_text(result->words, "");

	json_builder_begin_object(json);
	add_string(json, "name", result->name);
	add_string(json, "path", result->path);
	add_number(json, "round", result->round);
	add_string(json, "verdict", VERDICT_NAMES[result->verdict.verdict]);
	add_number(json, "status", result->verdict.status);
	add_string(json, "detail", result->verdict.detail);
	add_number(json, "attempts", result->attempts);
	json_builder_set_member_name(json, "flaky");
	json_builder_add_boolean_value(json, result->flaky);
	add_number(json, "duration_us", result->duration_us);
	add_tap(json, &result->verdict);
	if (result->folder)
		add_string(json, "folder", result->folder);
	add_string(json, "console_tail", console);
	add_string(json, "messages", words);
	json_builder_end_object(json);
}

static void add_counts(JsonBuilder *json, const struct test_counts *counts)
{
	json_builder_set_member_name(json, "counts");
	json_builder_begin_object(json);
	add_number(json, "tests", counts->n);
	add_number(json, "passed", counts->passed);
	add_number(json, "failed", counts->failed);
	add_number(json, "skipped", counts->skipped);
	add_number(json, "flaky", counts->flaky);
	json_builder_set_member_name(json, "verdicts");
	json_builder_begin_object(json);
	for (size_t i = 0; i < N_VERDICTS; i++)
		if (counts->by_verdict[i] > 0)
			add_number(json, VERDICT_NAMES[i], counts->by_verdict[i]);
	json_builder_end_object(json);
	json_builder_end_object(json);
}

char *present_results_json(const GPtrArray *results, gint64 duration_us)
{
	g_autoptr(JsonBuilder) json = json_builder_new();
	struct test_counts counts;

	test_results_count(results, &counts);
	json_builder_begin_object(json);
	add_number(json, "version", RESULTS_VERSION);
	add_number(json, "status", counts.status);
	add_number(json, "duration_us", duration_us);
	add_counts(json, &counts);
	json_builder_set_member_name(json, "tests");
	json_builder_begin_array(json);
	for (guint i = 0; i < results->len; i++)
		add_result(json, results->pdata[i]);
	json_builder_end_array(json);
	json_builder_end_object(json);
	g_autoptr(JsonNode) root = json_builder_get_root(json);
	g_autofree char *text = json_to_string(root, TRUE);
	g_autofree char *escaped = json_text_escape(text);
	return g_strconcat(escaped, "\n", NULL);
}
