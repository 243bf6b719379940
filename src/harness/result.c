// SPDX-License-Identifier: MIT
#include "harness/result.h"

#include <string.h>

#include "vmm/one_line.h"

void test_result_free(struct test_result *result)
{
	if (!result)
		return;
	g_free(result->name);
	g_free(result->path);
	g_free(result->verdict.detail);
	g_free(result->words);
	g_free(result->console);
	g_free(result->folder);
	g_free(result);
}

bool test_result_is_passed(const struct test_result *result)
{
	return result->verdict.verdict == VERDICT_PASSED;
}

bool test_result_is_skipped(const struct test_result *result)
{
	return result->verdict.verdict == VERDICT_SKIPPED;
}

void test_results_count(const GPtrArray *results, struct test_counts *counts)
{
	*counts = (struct test_counts){ 0 };
	for (guint i = 0; i < results->len; i++) {
		const struct test_result *result = results->pdata[i];

		counts->n++;
		counts->by_verdict[result->verdict.verdict]++;
		counts->flaky += result->flaky;
		counts->passed += test_result_is_passed(result);
		counts->skipped += test_result_is_skipped(result);
		counts->status = verdict_worse_status(counts->status, result->verdict.status);
	}
	counts->failed = counts->n - counts->passed - counts->skipped;
}

char *test_result_text(const char *text, const char *prefix)
{
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	GString *out = g_string_new(NULL);

	for (guint i = 0; lines[i]; i++) {
		g_strdelimit(g_strchomp(lines[i]), "\t", ' ');
		/* CR within a line is a line that was written over. */
		g_autofree char *line = one_line(lines[i]);
		if (line[0] != '\0' || lines[i + 1])
			g_string_append_printf(out, "%s%s\n", prefix, line);
	}
	return g_string_free(out, FALSE);
}
