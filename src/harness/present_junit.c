// SPDX-License-Identifier: MIT
/*
 * JUnit's XML as Jenkins, GitLab and GitHub's actions read it (the schema of Jenkins' xunit plugin, junit-10.xsd): a test
 * that says of itself that it failed is a <failure>, everything else that is not as it should be an <error>.
 */
#include "harness/present.h"

#include <inttypes.h>

#include "vmm/one_line.h"

#define SECOND_US 1e6

/* g_ascii_formatd(): no locale's comma. */
static void append_time(GString *out, gint64 duration_us)
{
	char text[G_ASCII_DTOSTR_BUF_SIZE];

	g_string_append_printf(out, " time=\"%s\"", g_ascii_formatd(text, sizeof(text), "%.3f", (double)duration_us / SECOND_US));
}

static void append_attribute(GString *out, const char *name, const char *value)
{
	g_autofree char *line = one_line(value);
	g_autofree char *escaped = g_markup_escape_text(line, -1);

	g_string_append_printf(out, " %s=\"%s\"", name, escaped);
}

static void append_text(GString *out, const char *element, const char *text)
{
	g_autofree char *lines = test_result_text(text, "");
	g_autofree char *escaped = g_markup_escape_text(lines, -1);

	if (escaped[0] != '\0')
		g_string_append_printf(out, "      <%s>%s</%s>\n", element, escaped, element);
}

/* Folders become what is a package and a class elsewhere. */
static void append_names(GString *out, const struct test_result *result)
{
	g_autofree char *folder = g_path_get_dirname(result->name);
	g_autofree char *base = g_path_get_basename(result->name);
	g_autofree char *name = result->round > 1 ? g_strdup_printf("%s (round %u)", base, result->round) : g_strdup(base);

	append_attribute(out, "name", name);
	append_attribute(out, "classname", folder[0] == '.' && folder[1] == '\0' ? "dom1" : folder);
}

static void append_case(GString *out, const struct test_result *result)
{
	const struct verdict_result *verdict = &result->verdict;
	bool passed = test_result_is_passed(result), skipped = test_result_is_skipped(result);

	g_string_append(out, "    <testcase");
	append_names(out, result);
	append_time(out, result->duration_us);
	g_string_append(out, ">\n");
	if (skipped) {
		g_string_append(out, "      <skipped");
		append_attribute(out, "message", verdict->detail);
		g_string_append(out, "/>\n");
	} else if (!passed) {
		g_string_append_printf(out, "      <%s", verdict->verdict == VERDICT_FAILED ? "failure" : "error");
		append_attribute(out, "type", VERDICT_NAMES[verdict->verdict]);
		append_attribute(out, "message", verdict->detail);
		g_string_append(out, "/>\n");
	}
	if (result->flaky)
		g_string_append_printf(out, "      <system-out>flaky: passed at attempt %u</system-out>\n", result->attempts);
	if (!passed && !skipped) {
		append_text(out, "system-out", result->console);
		append_text(out, "system-err", result->words);
	}
	g_string_append(out, "    </testcase>\n");
}

char *present_junit(const GPtrArray *results, const char *suite, const struct shard *shard, gint64 duration_us)
{
	struct test_counts counts;
	GString *out = g_string_new("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");

	test_results_count(results, &counts);
	unsigned int failures = counts.by_verdict[VERDICT_FAILED], errors = counts.failed - failures;
	g_string_append_printf(out, "<testsuites tests=\"%u\" failures=\"%u\" errors=\"%u\"", counts.n, failures, errors);
	append_time(out, duration_us);
	g_string_append(out, ">\n  <testsuite");
	append_attribute(out, "name", suite);
	g_string_append_printf(out, " tests=\"%u\" failures=\"%u\" errors=\"%u\" skipped=\"%u\"", counts.n, failures, errors,
			       counts.skipped);
	append_time(out, duration_us);
	g_string_append(out, ">\n");
	if (shard->count > 1)
		g_string_append_printf(out, "    <properties>\n      <property name=\"shard\" value=\"%u/%u\"/>\n    </properties>\n",
				       shard->index, shard->count);
	for (guint i = 0; i < results->len; i++)
		append_case(out, results->pdata[i]);
	g_string_append(out, "  </testsuite>\n</testsuites>\n");
	return g_string_free(out, FALSE);
}
