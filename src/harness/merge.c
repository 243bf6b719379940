// SPDX-License-Identifier: MIT
#include "harness/merge.h"

#include <string.h>

#include "control/json_text.h"
#include "harness/shards.h"
#include "harness/verdict.h"
#include "vmm/error.h"
#include "vmm/one_line.h"

#define SECOND_US 1e6

enum kind { KIND_NONE, KIND_JUNIT, KIND_JSON };

struct merge {
	enum kind kind;
	int status;
	struct shards *shards;
	/* JUnit: the testsuite elements, as they were. JSON: the tests. */
	GString *suites;
	unsigned int depth;
	/* The document being read: whether it is in a <property> that is not kept, and where its <properties> began in suites. */
	const char *path;
	bool in_shard;
	gsize properties_start;
	guint64 tests, failures, errors;
	double time_s;
	json_t *json_tests, *counts, *verdicts;
	int64_t duration_us;
};

struct merge *merge_new(void)
{
	struct merge *merge = g_new0(struct merge, 1);

	merge->shards = shards_new();
	merge->suites = g_string_new(NULL);
	merge->json_tests = json_array();
	merge->counts = json_object();
	merge->verdicts = json_object();
	return merge;
}

void merge_free(struct merge *merge)
{
	shards_free(merge->shards);
	g_string_free(merge->suites, TRUE);
	json_decref(merge->json_tests);
	json_decref(merge->counts);
	json_decref(merge->verdicts);
	g_free(merge);
}

static bool fail(const char *path, const char *why, GError **error)
{
	g_autofree char *line = one_line(path);

	g_set_error(error, DOM1_ERROR, DOM1_STATUS_FILE, "%s: cannot be merged: %s", line, why);
	return false;
}

static void count(struct merge *merge, const char **names, const char **values)
{
	for (; *names; names++, values++) {
		guint64 number = g_ascii_strtoull(*values, NULL, 10);

		if (strcmp(*names, "tests") == 0)
			merge->tests += number;
		else if (strcmp(*names, "failures") == 0)
			merge->failures += number;
		else if (strcmp(*names, "errors") == 0)
			merge->errors += number;
		else if (strcmp(*names, "time") == 0)
			merge->time_s += g_ascii_strtod(*values, NULL);
	}
}

/* <property name="shard">: what has been merged is a part no more, so it is not kept. */
static bool take_shard(struct merge *merge, const char **names, const char **values, GError **error)
{
	const char *name = NULL, *value = NULL;

	for (; *names; names++, values++)
		if (strcmp(*names, "name") == 0)
			name = *values;
		else if (strcmp(*names, "value") == 0)
			value = *values;
	merge->in_shard = name && value && strcmp(name, "shard") == 0;
	return !merge->in_shard || shards_add(merge->shards, value, merge->path, error);
}

static void append_element(struct merge *merge, const char *element, const char **names, const char **values)
{
	g_string_append_printf(merge->suites, "<%s", element);
	for (; *names; names++, values++) {
		g_autofree char *escaped = g_markup_escape_text(*values, -1);

		g_string_append_printf(merge->suites, " %s=\"%s\"", *names, escaped);
	}
	g_string_append_c(merge->suites, '>');
}

static void on_start(GMarkupParseContext *context, const char *element, const char **names, const char **values, gpointer opaque,
		     GError **error)
{
	struct merge *merge = opaque;
	const char *inside = merge->depth == 0 ? NULL : "testsuites";

	(void)context;
	/* A document may also be one testsuite alone. */
	if (!inside && strcmp(element, "testsuite") != 0 && strcmp(element, "testsuites") != 0) {
		g_set_error(error, G_MARKUP_ERROR, G_MARKUP_ERROR_UNKNOWN_ELEMENT, "it begins with %s, not with testsuites", element);
		return;
	}
	merge->depth++;
	if (strcmp(element, "testsuites") == 0)
		return;
	if (strcmp(element, "testsuite") == 0)
		count(merge, names, values);
	if (strcmp(element, "property") == 0 && (!take_shard(merge, names, values, error) || merge->in_shard))
		return;
	if (strcmp(element, "properties") == 0)
		merge->properties_start = merge->suites->len;
	append_element(merge, element, names, values);
}

static void on_end(GMarkupParseContext *context, const char *element, gpointer opaque, GError **error)
{
	struct merge *merge = opaque;

	(void)context, (void)error;
	merge->depth--;
	if (merge->in_shard && strcmp(element, "property") == 0)
		merge->in_shard = false;
	else if (strcmp(element, "properties") == 0 && merge->suites->len == merge->properties_start + strlen("<properties>"))
		g_string_truncate(merge->suites, merge->properties_start);
	else if (strcmp(element, "testsuites") != 0)
		g_string_append_printf(merge->suites, "</%s>", element);
	if (strcmp(element, "testsuite") == 0)
		g_string_append_c(merge->suites, '\n');
}

static void on_text(GMarkupParseContext *context, const char *text, gsize len_bytes, gpointer opaque, GError **error)
{
	struct merge *merge = opaque;
	const char *element = g_markup_parse_context_get_element(context);

	(void)error;
	/* Between elements there is only white space. */
	if (element && (strcmp(element, "testsuites") == 0 || strcmp(element, "properties") == 0))
		return;
	g_autofree char *escaped = g_markup_escape_text(text, (gssize)len_bytes);
	g_string_append(merge->suites, escaped);
}

static bool add_junit(struct merge *merge, const char *text, size_t len_bytes, const char *path, GError **error)
{
	static const GMarkupParser parser = { .start_element = on_start, .end_element = on_end, .text = on_text };
	g_autoptr(GError) parse_error = NULL;
	GMarkupParseContext *context = g_markup_parse_context_new(&parser, G_MARKUP_TREAT_CDATA_AS_TEXT, merge, NULL);

	merge->depth = 0;
	merge->path = path;
	merge->in_shard = false;
	bool ok = g_markup_parse_context_parse(context, text, (gssize)len_bytes, &parse_error) &&
		  g_markup_parse_context_end_parse(context, &parse_error);
	g_markup_parse_context_free(context);
	return ok || fail(path, parse_error->message, error);
}

/* What others wrote may be as large as it likes: then the sum is the largest number. */
static int64_t sum(int64_t a, int64_t b)
{
	int64_t result;

	return __builtin_add_overflow(a, b, &result) ? INT64_MAX : result;
}

/* The numbers of one object added to those of another. */
static void add_numbers(json_t *to, json_t *from)
{
	const char *key;
	json_t *value;

	json_object_foreach(from, key, value)
		if (json_is_integer(value))
			json_add_number(to, key, sum(json_integer_value(json_object_get(to, key)), json_integer_value(value)));
}

static bool add_json(struct merge *merge, const char *text, size_t len_bytes, const char *path, GError **error)
{
	g_autoptr(GError) problem = NULL;
	g_autoptr(json_t) document = json_text_parse(text, len_bytes, &problem);
	json_t *tests = json_object_get(document, "tests"), *counts = json_object_get(document, "counts");
	const json_t *shard = json_object_get(document, "shard");

	if (!document)
		return fail(path, problem->message, error);
	if (!json_is_array(tests) || !json_is_object(counts))
		return fail(path, "it is not what dom1 test --format=json writes", error);
	if (json_is_string(shard) && !shards_add(merge->shards, json_string_value(shard), path, &problem))
		return fail(path, problem->message, error);
	json_array_extend(merge->json_tests, tests);
	add_numbers(merge->counts, counts);
	add_numbers(merge->verdicts, json_object_get(counts, "verdicts"));
	merge->duration_us = sum(merge->duration_us, json_integer_value(json_object_get(document, "duration_us")));
	merge->status = verdict_worse_status(merge->status, (int)json_integer_value(json_object_get(document, "status")));
	return true;
}

bool merge_add(struct merge *merge, const char *text, size_t len_bytes, const char *path, GError **error)
{
	size_t blank = 0;

	while (blank < len_bytes && g_ascii_isspace(text[blank]))
		blank++;
	enum kind kind = blank < len_bytes && text[blank] == '<' ? KIND_JUNIT : KIND_JSON;
	if (merge->kind != KIND_NONE && merge->kind != kind)
		return fail(path, "XML and JSON do not go together", error);
	merge->kind = kind;
	return kind == KIND_JUNIT ? add_junit(merge, text, len_bytes, path, error) : add_json(merge, text, len_bytes, path, error);
}

char *merge_missing(const struct merge *merge)
{
	return shards_missing(merge->shards);
}

static char *junit_text(struct merge *merge)
{
	char time[G_ASCII_DTOSTR_BUF_SIZE];
	g_autofree char *missing = merge_missing(merge);

	if (missing) {
		g_string_append_printf(merge->suites,
				       "<testsuite name=\"missing shards\" tests=\"1\" failures=\"0\" errors=\"1\" skipped=\"0\" time=\"0\">"
				       "<testcase name=\"missing shards\" classname=\"dom1\">"
				       "<error type=\"host-error\" message=\"missing: shards %s\"></error></testcase></testsuite>\n",
				       missing);
		merge->tests++;
		merge->errors++;
	}
	return g_strdup_printf("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites tests=\"%" G_GUINT64_FORMAT
			       "\" failures=\"%" G_GUINT64_FORMAT "\" errors=\"%" G_GUINT64_FORMAT "\" time=\"%s\">\n%s</testsuites>\n",
			       merge->tests, merge->failures, merge->errors, g_ascii_formatd(time, sizeof(time), "%.3f", merge->time_s),
			       merge->suites->str);
}

char *merge_text(struct merge *merge)
{
	if (merge->kind == KIND_JUNIT)
		return junit_text(merge);
	json_t *document = json_object();
	g_autofree char *missing = merge_missing(merge);

	json_add_number(document, "version", 1);
	json_add_number(document, "status", merge_status(merge));
	if (missing)
		json_add_string(document, "missing_shards", missing);
	json_add_number(document, "duration_us", merge->duration_us);
	json_object_set(merge->counts, "verdicts", merge->verdicts);
	json_object_set(document, "counts", merge->counts);
	json_object_set(document, "tests", merge->json_tests);
	return json_text_pretty(document);
}

int merge_status(const struct merge *merge)
{
	g_autofree char *missing = merge_missing(merge);
	int status = merge->failures + merge->errors > 0 ? DOM1_STATUS_TEST_FAILED : merge->status;

	return missing ? verdict_worse_status(status, DOM1_STATUS_FILE) : status;
}
