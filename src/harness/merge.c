// SPDX-License-Identifier: MIT
#include "harness/merge.h"

#include <string.h>

#include <json-glib/json-glib.h>

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
	JsonArray *json_tests;
	JsonObject *counts, *verdicts;
	gint64 duration_us;
};

struct merge *merge_new(void)
{
	struct merge *merge = g_new0(struct merge, 1);

	merge->shards = shards_new();
	merge->suites = g_string_new(NULL);
	merge->json_tests = json_array_new();
	merge->counts = json_object_new();
	merge->verdicts = json_object_new();
	return merge;
}

void merge_free(struct merge *merge)
{
	shards_free(merge->shards);
	g_string_free(merge->suites, TRUE);
	json_array_unref(merge->json_tests);
	json_object_unref(merge->counts);
	json_object_unref(merge->verdicts);
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

/* The numbers of one object added to those of another. */
static void add_numbers(JsonObject *to, JsonObject *from)
{
	JsonObjectIter iter;
	const char *key;
	JsonNode *node;

	json_object_iter_init(&iter, from);
	while (json_object_iter_next(&iter, &key, &node))
		if (JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_INT64)
			json_object_set_int_member(to, key, json_object_get_int_member_with_default(to, key, 0) + json_node_get_int(node));
}

static JsonNode *member(JsonObject *object, const char *key, JsonNodeType type)
{
	JsonNode *node = json_object_get_member(object, key);

	return node && json_node_get_node_type(node) == type ? node : NULL;
}

static bool add_json(struct merge *merge, const char *text, size_t len_bytes, const char *path, GError **error)
{
	g_autoptr(JsonParser) parser = json_parser_new();
	const char *reason = "its text is no JSON";

	if (!json_text_check(text, len_bytes, &reason) || !json_parser_load_from_data(parser, text, (gssize)len_bytes, NULL))
		return fail(path, reason, error);
	JsonNode *root = json_parser_get_root(parser);
	JsonObject *object = JSON_NODE_HOLDS_OBJECT(root) ? json_node_get_object(root) : NULL;
	JsonNode *tests = object ? member(object, "tests", JSON_NODE_ARRAY) : NULL;
	JsonNode *counts = object ? member(object, "counts", JSON_NODE_OBJECT) : NULL;
	if (!tests || !counts)
		return fail(path, "it is not what dom1 test --format=json writes", error);
	g_autoptr(GError) shard_error = NULL;
	JsonNode *shard = member(object, "shard", JSON_NODE_VALUE);
	if (shard && json_node_get_value_type(shard) == G_TYPE_STRING &&
	    !shards_add(merge->shards, json_node_get_string(shard), path, &shard_error))
		return fail(path, shard_error->message, error);
	for (guint i = 0; i < json_array_get_length(json_node_get_array(tests)); i++)
		json_array_add_element(merge->json_tests, json_array_dup_element(json_node_get_array(tests), i));
	add_numbers(merge->counts, json_node_get_object(counts));
	JsonNode *verdicts = member(json_node_get_object(counts), "verdicts", JSON_NODE_OBJECT);
	if (verdicts)
		add_numbers(merge->verdicts, json_node_get_object(verdicts));
	merge->duration_us += json_object_get_int_member_with_default(object, "duration_us", 0);
	merge->status = verdict_worse_status(merge->status, (int)json_object_get_int_member_with_default(object, "status", 0));
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
	JsonObject *object = json_object_new();
	g_autoptr(JsonNode) root = json_node_new(JSON_NODE_OBJECT);
	g_autofree char *missing = merge_missing(merge);

	json_object_set_int_member(object, "version", 1);
	json_object_set_int_member(object, "status", merge_status(merge));
	if (missing)
		json_object_set_string_member(object, "missing_shards", missing);
	json_object_set_int_member(object, "duration_us", merge->duration_us);
	json_object_set_object_member(merge->counts, "verdicts", json_object_ref(merge->verdicts));
	json_object_set_object_member(object, "counts", json_object_ref(merge->counts));
	json_object_set_array_member(object, "tests", json_array_ref(merge->json_tests));
	json_node_take_object(root, object);
	g_autofree char *text = json_to_string(root, TRUE);
	g_autofree char *escaped = json_text_escape(text);
	return g_strconcat(escaped, "\n", NULL);
}

int merge_status(const struct merge *merge)
{
	g_autofree char *missing = merge_missing(merge);
	int status = merge->failures + merge->errors > 0 ? DOM1_STATUS_TEST_FAILED : merge->status;

	return missing ? verdict_worse_status(status, DOM1_STATUS_FILE) : status;
}
