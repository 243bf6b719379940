// SPDX-License-Identifier: MIT
/* Text and TAP. */
#include "harness/present.h"

#include <inttypes.h>

#include "vmm/one_line.h"

#define SECOND_US 1e6

static void append_indented(GString *out, const char *title, const char *text)
{
	g_autofree char *lines = test_result_text(text, "    | ");

	if (lines[0] != '\0')
		g_string_append_printf(out, "  %s\n%s", title, lines);
}

/* The name as it is shown: with the round, where there are several. */
static char *name_of(const struct test_result *result)
{
	g_autofree char *name = one_line(result->name);

	return result->round > 1 ? g_strdup_printf("%s (round %u)", name, result->round) : g_steal_pointer(&name);
}

char *present_result_text(const struct test_result *result)
{
	const struct verdict_result *verdict = &result->verdict;
	g_autofree char *name = name_of(result);
	GString *out = g_string_new(NULL);

	g_string_append_printf(out, "%-10s  %s", result->flaky ? "flaky" : VERDICT_NAMES[verdict->verdict], name);
	if (result->attempts > 0)
		g_string_append_printf(out, " (%.2f s)", (double)result->duration_us / SECOND_US);
	if (result->flaky)
		g_string_append_printf(out, ": passed at attempt %u", result->attempts);
	else if (verdict->detail[0] != '\0')
		g_string_append_printf(out, ": %s", verdict->detail);
	g_string_append_c(out, '\n');
	if (!test_result_is_passed(result) && !test_result_is_skipped(result)) {
		append_indented(out, "last lines of the console:", result->console);
		append_indented(out, "dom1 run:", result->words);
		if (result->folder)
			g_string_append_printf(out, "  more in %s\n", result->folder);
	}
	return g_string_free(out, FALSE);
}

/* A '#' in a name would begin a directive. */
static char *tap_text(const char *text)
{
	GString *out = g_string_new(text);

	g_string_replace(out, "\\", "\\\\", 0);
	g_string_replace(out, "#", "\\#", 0);
	return g_string_free(out, FALSE);
}

/* A scalar of YAML between double quotes. */
static char *yaml_text(const char *text)
{
	GString *out = g_string_new(text);

	g_string_replace(out, "\\", "\\\\", 0);
	g_string_replace(out, "\"", "\\\"", 0);
	return g_string_free(out, FALSE);
}

char *present_result_tap(const struct test_result *result, guint n)
{
	const struct verdict_result *verdict = &result->verdict;
	bool skipped = test_result_is_skipped(result), passed = test_result_is_passed(result);
	g_autofree char *name = name_of(result);
	g_autofree char *escaped = tap_text(name);
	g_autofree char *detail = yaml_text(verdict->detail);
	GString *out = g_string_new(NULL);

	g_string_append_printf(out, "%sok %u - %s", passed || skipped ? "" : "not ", n, escaped);
	if (skipped)
		g_string_append_printf(out, " # SKIP %s", verdict->detail);
	g_string_append_printf(out, "\n  ---\n  verdict: %s\n  duration_ms: %" PRId64 "\n", VERDICT_NAMES[verdict->verdict],
			       result->duration_us / 1000);
	if (verdict->detail[0] != '\0')
		g_string_append_printf(out, "  message: \"%s\"\n", detail);
	if (result->flaky)
		g_string_append_printf(out, "  flaky: true\n  attempts: %u\n", result->attempts);
	if (!passed && !skipped) {
		g_autofree char *console = test_result_text(result->console, "    ");

		if (console[0] != '\0')
			g_string_append_printf(out, "  console: |2\n%s", console);
	}
	g_string_append(out, "  ...\n");
	return g_string_free(out, FALSE);
}

char *present_summary(const GPtrArray *results)
{
	struct test_counts counts;
	GString *out = g_string_new(NULL);
	const char *comma = "";

	test_results_count(results, &counts);
	for (size_t i = 0; i < N_VERDICTS; i++)
		if (counts.by_verdict[i] > 0 && i != VERDICT_PASSED && i != VERDICT_SKIPPED) {
			g_string_append_printf(out, "%s%u %s", comma, counts.by_verdict[i], VERDICT_NAMES[i]);
			comma = ", ";
		}
	if (counts.flaky > 0)
		g_string_append_printf(out, "%s%u flaky", comma, counts.flaky);
	if (out->len > 0)
		g_string_append_c(out, '\n');
	g_string_append_printf(out, "%u passed, %u failed, %u skipped\n", counts.passed, counts.failed, counts.skipped);
	return g_string_free(out, FALSE);
}
