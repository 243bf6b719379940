// SPDX-License-Identifier: MIT
/* Timelines from reports, good ones and hostile ones; and that merged shards are what the whole set would have been. */
#include <string.h>

#include <glib.h>

#include "harness/merge.h"
#include "harness/present.h"
#include "harness/timeline.h"
#include "vmm/error.h"

static const char FIRST[] =
	"{\"name\":\"a\",\"outcome\":\"poweroff\",\"status\":0,\"phases\":["
	"{\"phase\":\"exec\",\"t_ns\":1000000},{\"phase\":\"vm_created\",\"t_ns\":5000000},"
	"{\"phase\":\"device_connected\",\"path\":\"device/vbd/51712\",\"t_ns\":9000000},"
	"{\"phase\":\"vm_created\",\"t_ns\":20000000,\"restart\":1},{\"phase\":\"exit\",\"t_ns\":100000000}]}";
static const char SECOND[] =
	"{\"name\":\"b\",\"outcome\":\"crash\",\"status\":34,\"phases\":["
	"{\"phase\":\"exec\",\"t_ns\":1000000},{\"phase\":\"vm_created\",\"t_ns\":15000000},"
	"{\"phase\":\"mark\",\"text\":\"hello <x>\",\"t_ns\":16000000},{\"phase\":\"exit\",\"t_ns\":96000000}]}";

static struct timeline *parse(const char *text)
{
	GError *error = NULL;
	struct timeline *timeline = timeline_parse(text, strlen(text), "report.json", &error);

	g_assert_no_error(error);
	return timeline;
}

static void test_text(void)
{
	struct timeline *timeline = parse(FIRST);
	g_autofree char *text = timeline_text(timeline, 80);
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

	g_assert_cmpuint(g_strv_length(lines), ==, 7);
	g_assert_cmpstr(lines[0], ==, "a: poweroff, status 0");
	g_assert_true(g_str_has_prefix(lines[3], "device_connected device/vbd/51712        9.0 ms      +4.0 "));
	g_assert_true(g_str_has_prefix(lines[4], "vm_created #2 "));
	for (guint i = 0; lines[i]; i++)
		g_assert_cmpuint(strlen(lines[i]), <=, 80);
	timeline_free(timeline);
}

static void test_compare(void)
{
	GPtrArray *timelines = g_ptr_array_new_with_free_func((GDestroyNotify)timeline_free);

	g_ptr_array_add(timelines, parse(FIRST));
	g_ptr_array_add(timelines, parse(SECOND));
	g_autofree char *text = timeline_compare(timelines);
	g_autofree char *svg = timeline_svg(timelines);
	g_assert_nonnull(strstr(text, "+10.0 ms (+250 %)"));
	g_assert_nonnull(strstr(text, "  gone\n"));
	g_assert_nonnull(strstr(text, "  new\n"));
	/* 80 ms both times. */
	g_assert_nonnull(strstr(text, "100.0       96.0\n"));
	g_assert_nonnull(strstr(svg, "hello &lt;x&gt;"));
	g_ptr_array_unref(timelines);
}

static void test_refused(void)
{
	static const char *const texts[] = { "", "{", "[]", "{}", "{\"phases\":1}", "null", "{\"phases\":[1,", "\xff" };

	for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
		GError *error = NULL;

		g_assert_null(timeline_parse(texts[i], strlen(texts[i]), "report.json", &error));
		g_assert_error(error, DOM1_ERROR, DOM1_STATUS_FILE);
		g_error_free(error);
	}
	/* Of another type than it should be, or not in order: read as far as it makes sense. */
	struct timeline *timeline = parse("{\"name\":7,\"status\":\"x\",\"outcome\":\"\\u001b[2J\",\"phases\":[1,{},"
					  "{\"phase\":[],\"t_ns\":-5},{\"phase\":\"z\",\"t_ns\":3},{\"phase\":\"y\",\"t_ns\":2}]}");
	g_autofree char *text = timeline_text(timeline, 0);
	g_assert_null(strchr(text, '\033'));
	timeline_free(timeline);
}

static GPtrArray *results_of(unsigned int first, unsigned int step, unsigned int n)
{
	GPtrArray *results = g_ptr_array_new_with_free_func((GDestroyNotify)test_result_free);

	for (unsigned int i = first; i < n; i += step) {
		struct test_result *result = g_new0(struct test_result, 1);

		result->name = g_strdup_printf("dir/<%u>", i);
		result->path = g_strdup(result->name);
		result->round = 1;
		result->attempts = 1;
		result->verdict.verdict = (enum verdict)(i % 5);
		result->verdict.status = i % 5 == VERDICT_REBOOT ? DOM1_STATUS_REBOOT : i % 5 > VERDICT_SKIPPED;
		result->verdict.detail = g_strdup("why & \"so\"");
		result->console = g_strdup("a < b\n\"c\"");
		result->words = g_strdup("");
		g_ptr_array_add(results, result);
	}
	return results;
}

typedef char *(*presentation)(const GPtrArray *results, const struct shard *shard);

static char *junit(const GPtrArray *results, const struct shard *shard)
{
	return present_junit(results, "dom1", shard, 1000000);
}

static char *json(const GPtrArray *results, const struct shard *shard)
{
	return present_results_json(results, shard, 1000000);
}

static char *merged(presentation present, unsigned int n_shards, unsigned int n, int *status)
{
	struct merge *merge = merge_new();
	GError *error = NULL;

	for (unsigned int i = 0; i < n_shards; i++) {
		GPtrArray *results = results_of(i, n_shards, n);
		g_autofree char *text = present(results, &(struct shard){ i + 1, n_shards });

		g_assert_true(merge_add(merge, text, strlen(text), "shard", &error));
		g_assert_no_error(error);
		g_ptr_array_unref(results);
	}
	char *text = merge_text(merge);
	*status = merge_status(merge);
	merge_free(merge);
	return text;
}

static unsigned int count_of(const char *text, const char *word)
{
	unsigned int n = 0;

	for (const char *at = strstr(text, word); at; at = strstr(at + 1, word))
		n++;
	return n;
}

static void test_merge(void)
{
	int status;
	g_autofree char *xml = merged(junit, 3, 50, &status);

	g_assert_cmpint(status, ==, DOM1_STATUS_TEST_FAILED);
	g_assert_nonnull(strstr(xml, "<testsuites tests=\"50\" failures=\"10\" errors=\"20\" time=\"3.000\">"));
	g_assert_cmpuint(count_of(xml, "<testcase "), ==, 50);
	g_assert_cmpuint(count_of(xml, "<testsuite "), ==, 3);
	/* Merging what was merged changes nothing but the order of attributes, which stays. */
	struct merge *again = merge_new();
	g_assert_true(merge_add(again, xml, strlen(xml), "xml", NULL));
	g_autofree char *twice = merge_text(again);
	g_assert_cmpstr(twice, ==, xml);
	merge_free(again);

	g_autofree char *text = merged(json, 4, 50, &status);
	g_assert_cmpint(status, ==, DOM1_STATUS_REBOOT);
	g_assert_cmpuint(count_of(text, "\"duration_us\": 4000000"), ==, 1);
	g_assert_cmpuint(count_of(text, "\"tests\": 50"), ==, 1);
	g_assert_cmpuint(count_of(text, "\"reboot\": 10"), ==, 1);
	g_assert_cmpuint(count_of(text, "\"verdict\": "), ==, 50);
}

/* One shard of three, as the documents have it. */
static bool add_shard(struct merge *merge, presentation present, unsigned int index, unsigned int count, GError **error)
{
	GPtrArray *results = results_of(index - 1, count, 9);
	g_autofree char *text = present(results, &(struct shard){ index, count });
	g_autofree char *path = g_strdup_printf("shard-%u", index);

	g_ptr_array_unref(results);
	return merge_add(merge, text, strlen(text), path, error);
}

static void check_shards(presentation present)
{
	struct merge *merge = merge_new();
	GError *error = NULL;

	g_assert_null(merge_missing(merge));
	g_assert_true(add_shard(merge, present, 1, 9, NULL));
	g_assert_true(add_shard(merge, present, 3, 9, NULL));
	g_assert_true(add_shard(merge, present, 8, 9, NULL));
	g_autofree char *missing = merge_missing(merge), *text = merge_text(merge);
	g_assert_cmpstr(missing, ==, "2, 4 to 7, 9 of 9");
	g_assert_nonnull(strstr(text, missing));
	g_assert_cmpint(merge_status(merge), ==, DOM1_STATUS_FILE);

	/* Once more, or of another set. */
	g_assert_false(add_shard(merge, present, 3, 9, &error));
	g_assert_error(error, DOM1_ERROR, DOM1_STATUS_FILE);
	g_assert_cmpstr(error->message, ==, "shard-3: cannot be merged: it is shard 3 of 9, and so is shard-3: give one of them");
	g_clear_error(&error);
	g_assert_false(add_shard(merge, present, 2, 4, &error));
	g_assert_error(error, DOM1_ERROR, DOM1_STATUS_FILE);
	g_clear_error(&error);
	merge_free(merge);
}

static void test_merge_shards(void)
{
	check_shards(junit);
	check_shards(json);
	/* What is somebody else's stays. */
	static const char FOREIGN[] = "<testsuite name=\"x\" tests=\"0\" failures=\"0\" errors=\"0\"><properties>"
				      "<property name=\"a\" value=\"b\"/><property name=\"shard\" value=\"1/1\"/></properties></testsuite>";
	struct merge *merge = merge_new();
	g_assert_true(merge_add(merge, FOREIGN, strlen(FOREIGN), "foreign", NULL));
	g_autofree char *text = merge_text(merge);
	g_assert_nonnull(strstr(text, "<properties><property name=\"a\" value=\"b\"></property></properties></testsuite>"));
	g_assert_null(strstr(text, "shard"));
	g_assert_cmpint(merge_status(merge), ==, DOM1_STATUS_OK);
	merge_free(merge);
}

static void test_merge_refused(void)
{
	static const char *const texts[] = { "", "<html></html>", "<testsuites>", "{}", "{\"tests\":[],\"counts\":[]}", "<testsuites><a></b></testsuites>" };

	for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
		struct merge *merge = merge_new();
		GError *error = NULL;

		g_assert_false(merge_add(merge, texts[i], strlen(texts[i]), "shard", &error));
		g_assert_error(error, DOM1_ERROR, DOM1_STATUS_FILE);
		g_error_free(error);
		merge_free(merge);
	}
	struct merge *merge = merge_new();
	g_assert_true(merge_add(merge, "<testsuites/>", strlen("<testsuites/>"), "a", NULL));
	g_assert_false(merge_add(merge, "{}", 2, "b", NULL));
	merge_free(merge);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/harness/report/text", test_text);
	g_test_add_func("/harness/report/compare", test_compare);
	g_test_add_func("/harness/report/refused", test_refused);
	g_test_add_func("/harness/report/merge", test_merge);
	g_test_add_func("/harness/report/merge_shards", test_merge_shards);
	g_test_add_func("/harness/report/merge_refused", test_merge_refused);
	return g_test_run();
}
