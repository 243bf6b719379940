// SPDX-License-Identifier: MIT
/* Keys are promises: they are added to, and neither renamed nor removed. */
#include "harness/present.h"

#include "control/json_text.h"
#include "vmm/json_members.h"

#define RESULTS_VERSION 1

static void add_tap(JsonBuilder *json, const struct verdict_result *verdict)
{
	if (verdict->n_passed + verdict->n_failed + verdict->n_skipped + verdict->n_todo == 0)
		return;
	json_begin_object(json, "tap");
	json_add_number(json, "passed", (gint64)verdict->n_passed);
	json_add_number(json, "failed", (gint64)verdict->n_failed);
	json_add_number(json, "skipped", (gint64)verdict->n_skipped);
	json_add_number(json, "todo", (gint64)verdict->n_todo);
	json_builder_end_object(json);
}

static void add_result(JsonBuilder *json, const struct test_result *result)
{
	g_autofree char *console = test_result_text(result->console, "");
	g_autofree char *words = test_result_text(result->words, "");

	json_builder_begin_object(json);
	json_add_string(json, "name", result->name);
	json_add_string(json, "path", result->path);
	json_add_number(json, "round", result->round);
	json_add_string(json, "verdict", VERDICT_NAMES[result->verdict.verdict]);
	json_add_number(json, "status", result->verdict.status);
	json_add_string(json, "detail", result->verdict.detail);
	json_add_number(json, "attempts", result->attempts);
	json_add_boolean(json, "flaky", result->flaky);
	json_add_number(json, "duration_us", result->duration_us);
	add_tap(json, &result->verdict);
	if (result->folder)
		json_add_string(json, "folder", result->folder);
	json_add_string(json, "console_tail", console);
	json_add_string(json, "messages", words);
	json_builder_end_object(json);
}

static void add_counts(JsonBuilder *json, const struct test_counts *counts)
{
	json_begin_object(json, "counts");
	json_add_number(json, "tests", counts->n);
	json_add_number(json, "passed", counts->passed);
	json_add_number(json, "failed", counts->failed);
	json_add_number(json, "skipped", counts->skipped);
	json_add_number(json, "flaky", counts->flaky);
	json_begin_object(json, "verdicts");
	for (size_t i = 0; i < N_VERDICTS; i++)
		if (counts->by_verdict[i] > 0)
			json_add_number(json, VERDICT_NAMES[i], counts->by_verdict[i]);
	json_builder_end_object(json);
	json_builder_end_object(json);
}

char *present_results_json(const GPtrArray *results, const struct shard *shard, gint64 duration_us)
{
	g_autoptr(JsonBuilder) json = json_builder_new();
	struct test_counts counts;

	test_results_count(results, &counts);
	json_builder_begin_object(json);
	json_add_number(json, "version", RESULTS_VERSION);
	json_add_number(json, "status", counts.status);
	json_add_number(json, "duration_us", duration_us);
	if (shard->count > 1) {
		g_autofree char *text = g_strdup_printf("%u/%u", shard->index, shard->count);

		json_add_string(json, "shard", text);
	}
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
