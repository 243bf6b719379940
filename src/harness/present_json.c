// SPDX-License-Identifier: MIT
/* Keys are promises: they are added to, and neither renamed nor removed. */
#include "harness/present.h"

#include "control/json_text.h"

#define RESULTS_VERSION 1

static void add_tap(json_t *test, const struct verdict_result *verdict)
{
	if (verdict->n_passed + verdict->n_failed + verdict->n_skipped + verdict->n_todo == 0)
		return;
	json_t *tap = json_add_object(test, "tap");
	json_add_count(tap, "passed", verdict->n_passed);
	json_add_count(tap, "failed", verdict->n_failed);
	json_add_count(tap, "skipped", verdict->n_skipped);
	json_add_count(tap, "todo", verdict->n_todo);
}

static void add_result(json_t *test, const struct test_result *result)
{
	g_autofree char *console = test_result_text(result->console, "");
	g_autofree char *words = test_result_text(result->words, "");

	json_add_string(test, "name", result->name);
	json_add_string(test, "path", result->path);
	json_add_number(test, "round", result->round);
	json_add_string(test, "verdict", VERDICT_NAMES[result->verdict.verdict]);
	json_add_number(test, "status", result->verdict.status);
	json_add_string(test, "detail", result->verdict.detail);
	json_add_number(test, "attempts", result->attempts);
	json_add_boolean(test, "flaky", result->flaky);
	json_add_number(test, "duration_us", result->duration_us);
	add_tap(test, &result->verdict);
	if (result->folder)
		json_add_string(test, "folder", result->folder);
	json_add_string(test, "console_tail", console);
	json_add_string(test, "messages", words);
}

static void add_counts(json_t *document, const struct test_counts *counts)
{
	json_t *json = json_add_object(document, "counts");

	json_add_number(json, "tests", counts->n);
	json_add_number(json, "passed", counts->passed);
	json_add_number(json, "failed", counts->failed);
	json_add_number(json, "skipped", counts->skipped);
	json_add_number(json, "flaky", counts->flaky);
	json_t *verdicts = json_add_object(json, "verdicts");
	for (size_t i = 0; i < N_VERDICTS; i++)
		if (counts->by_verdict[i] > 0)
			json_add_number(verdicts, VERDICT_NAMES[i], counts->by_verdict[i]);
}

char *present_results_json(const GPtrArray *results, const struct shard *shard, gint64 duration_us)
{
	json_t *document = json_object();
	struct test_counts counts;

	test_results_count(results, &counts);
	json_add_number(document, "version", RESULTS_VERSION);
	json_add_number(document, "status", counts.status);
	json_add_number(document, "duration_us", duration_us);
	if (shard->count > 1)
		json_object_set_new(document, "shard", json_sprintf("%u/%u", shard->index, shard->count));
	add_counts(document, &counts);
	json_t *tests = json_add_array(document, "tests");
	for (guint i = 0; i < results->len; i++)
		add_result(json_append_object(tests), results->pdata[i]);
	return json_text_pretty(document);
}
