// SPDX-License-Identifier: MIT
#include "harness/settings.h"

#include <string.h>

#include "harness/patterns.h"
#include "vmm/error.h"
#include "vmm/one_line.h"

#define MARK            "dom1-test:"
#define DEFAULT_TIMEOUT 60

void test_settings_init(struct test_settings *settings)
{
	*settings = (struct test_settings){
		.timeout_s = DEFAULT_TIMEOUT,
		.expect = patterns_new(),
		.fail_on = patterns_new(),
		.expected_end = OUTCOME_POWEROFF,
		.options = g_ptr_array_new_with_free_func(g_free),
	};
}

static void add_patterns(GPtrArray *to, const GPtrArray *from)
{
	for (guint i = 0; i < from->len; i++)
		g_ptr_array_add(to, g_regex_ref(from->pdata[i]));
}

void test_settings_copy(struct test_settings *to, const struct test_settings *from)
{
	test_settings_init(to);
	to->timeout_s = from->timeout_s;
	to->retries = from->retries;
	to->core = from->core;
	to->expected_end = from->expected_end;
	to->skip_reason = g_strdup(from->skip_reason);
	to->script = script_ref(from->script);
	add_patterns(to->expect, from->expect);
	add_patterns(to->fail_on, from->fail_on);
	for (guint i = 0; i < from->options->len; i++)
		g_ptr_array_add(to->options, g_strdup(from->options->pdata[i]));
}

void test_settings_clear(struct test_settings *settings)
{
	g_ptr_array_unref(settings->expect);
	g_ptr_array_unref(settings->fail_on);
	g_ptr_array_unref(settings->options);
	g_free(settings->skip_reason);
	script_unref(settings->script);
	*settings = (struct test_settings){ 0 };
}

bool test_settings_parse_end(const char *option, const char *word, enum outcome *end, GError **error)
{
	static const enum outcome ends[] = { OUTCOME_POWEROFF, OUTCOME_REBOOT, OUTCOME_CRASH };

	for (size_t i = 0; i < G_N_ELEMENTS(ends); i++)
		if (strcmp(word, OUTCOME_NAMES[ends[i]]) == 0) {
			*end = ends[i];
			return true;
		}
	g_autofree char *line = one_line(word);
	g_set_error(error, DOM1_ERROR, DOM1_STATUS_USAGE, "%s=%s: must be poweroff, reboot or crash", option, line);
	return false;
}

bool test_settings_parse_count(const char *option, const char *word, unsigned int low, unsigned int *number, GError **error)
{
	enum { MOST = 1000000 };
	guint64 value;

	if (!g_ascii_string_to_unsigned(word, 10, low, MOST, &value, NULL)) {
		g_autofree char *line = one_line(word);

		g_set_error(error, DOM1_ERROR, DOM1_STATUS_USAGE, "%s=%s: must be a number from %u to %u", option, line, low, MOST);
		return false;
	}
	*number = (unsigned int)value;
	return true;
}

static bool set(struct test_settings *settings, const char *key, const char *value, GError **error)
{
	if (strcmp(key, "timeout") == 0)
		return test_settings_parse_count(key, value, 1, &settings->timeout_s, error);
	if (strcmp(key, "retry") == 0)
		return test_settings_parse_count(key, value, 0, &settings->retries, error);
	if (strcmp(key, "expect") == 0)
		return patterns_add(settings->expect, key, value, error);
	if (strcmp(key, "fail-on") == 0)
		return patterns_add(settings->fail_on, key, value, error);
	if (strcmp(key, "expect-end") == 0)
		return test_settings_parse_end(key, value, &settings->expected_end, error);
	if (strcmp(key, "option") == 0) {
		g_ptr_array_add(settings->options, g_strdup(value));
		return true;
	}
	if (strcmp(key, "script") == 0) {
		script_unref(settings->script);
		settings->script = script_read(value, error);
		return settings->script != NULL;
	}
	if (strcmp(key, "skip") == 0) {
		g_free(settings->skip_reason);
		settings->skip_reason = g_strdup(value);
		return true;
	}
	g_autofree char *line = one_line(key);
	g_set_error(error, DOM1_ERROR, DOM1_STATUS_FILE,
		    "%s: no such key; there are timeout, retry, expect, fail-on, expect-end, script, skip and option", line);
	return false;
}

/* What stands behind the mark in a comment of its own; NULL: the line is another. */
static char *marked_text(const char *line)
{
	line += strspn(line, " \t");
	if (line[0] == '#')
		line++;
	else if (g_str_has_prefix(line, "//"))
		line += 2;
	else
		return NULL;
	line += strspn(line, " \t");
	return g_str_has_prefix(line, MARK) ? g_strstrip(g_strdup(line + strlen(MARK))) : NULL;
}

bool test_settings_read(struct test_settings *settings, const char *text, size_t len_bytes, const char *name, GError **error)
{
	g_autofree char *copy = g_strndup(text, len_bytes);
	g_auto(GStrv) lines = g_strsplit(copy, "\n", -1);

	for (guint i = 0; lines[i]; i++) {
		g_autofree char *setting = marked_text(lines[i]);
		char *equals = setting ? strchr(setting, '=') : NULL;

		if (!setting)
			continue;
		if (!equals) {
			g_set_error(error, DOM1_ERROR, DOM1_STATUS_FILE, "%s:%u: # " MARK " must be followed by KEY=VALUE", name, i + 1);
			return false;
		}
		*equals = '\0';
		if (!set(settings, g_strchomp(setting), g_strchug(equals + 1), error)) {
			g_prefix_error(error, "%s:%u: " MARK " ", name, i + 1);
			(*error)->code = DOM1_STATUS_FILE;
			return false;
		}
	}
	return true;
}
