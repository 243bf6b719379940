// SPDX-License-Identifier: MIT
#include "harness/script.h"

#include <string.h>

#include "harness/patterns.h"
#include "harness/settings.h"
#include "vmm/error.h"
#include "vmm/one_line.h"

#define DEFAULT_TIMEOUT_S 30
#define MARK_PATH         "/local/domain/1/data/mark"

enum { NEEDS_NAME = 1, MAY_HAVE_VALUE = 2, NEEDS_VALUE = 4 };

static const struct {
	const char *word;
	enum script_kind kind;
	unsigned int parts;
} KINDS[] = {
	{ "expect", SCRIPT_EXPECT, 0 },
	{ "send", SCRIPT_SEND, 0 },
	{ "mark", SCRIPT_MARK, MAY_HAVE_VALUE },
	{ "xenstore", SCRIPT_XENSTORE, NEEDS_NAME | MAY_HAVE_VALUE },
	{ "write", SCRIPT_WRITE, NEEDS_NAME | NEEDS_VALUE },
	{ "event", SCRIPT_EVENT, NEEDS_NAME },
};

static void step_free(struct script_step *step)
{
	g_free(step->text);
	g_free(step->name);
	if (step->value)
		g_string_free(step->value, TRUE);
	if (step->regex)
		g_regex_unref(step->regex);
	g_free(step);
}

static bool bad_line(GError **error, const char *why)
{
	g_set_error_literal(error, DOM1_ERROR, DOM1_STATUS_FILE, why);
	return false;
}

/* What "send" types. NULL: an escape that there is not. */
static GString *unescape(const char *text)
{
	static const char letters[] = "nrte\\", bytes[] = "\n\r\t\033\\";
	GString *plain = g_string_new(NULL);

	for (; *text; text++) {
		const char *letter;

		if (*text != '\\') {
			g_string_append_c(plain, *text);
		} else if (text[1] && (letter = strchr(letters, text[1]))) {
			g_string_append_c(plain, bytes[letter - letters]);
			text++;
		} else if (text[1] == 'x' && g_ascii_isxdigit(text[2]) && g_ascii_isxdigit(text[3])) {
			g_string_append_c(plain, (char)(g_ascii_xdigit_value(text[2]) << 4 | g_ascii_xdigit_value(text[3])));
			text += 3;
		} else {
			g_string_free(plain, TRUE);
			return NULL;
		}
	}
	return plain;
}

/* A name, and the rest of the line as value. */
static bool take_parts(struct script_step *step, unsigned int parts, const char *rest, GError **error)
{
	if (parts & NEEDS_NAME) {
		size_t name_bytes = strcspn(rest, " \t");

		if (name_bytes == 0)
			return bad_line(error, "something must follow");
		step->name = g_strndup(rest, name_bytes);
		rest += name_bytes;
		rest += strspn(rest, " \t");
	}
	if (*rest && !(parts & (MAY_HAVE_VALUE | NEEDS_VALUE)))
		return bad_line(error, "one word must follow, and no more");
	if (!*rest && (parts & NEEDS_VALUE))
		return bad_line(error, "a path and a value must follow");
	if (*rest)
		step->value = g_string_new(rest);
	return true;
}

static bool fill_step(struct script_step *step, unsigned int parts, const char *rest, GError **error)
{
	switch (step->kind) {
	case SCRIPT_EXPECT: {
		g_autoptr(GPtrArray) patterns = patterns_new();

		if (!patterns_add(patterns, "expect", rest, error))
			return false;
		step->regex = g_regex_ref(patterns->pdata[0]);
		return true;
	}
	case SCRIPT_SEND:
		step->value = unescape(rest);
		return step->value || bad_line(error, "there are the escapes \\n, \\r, \\t, \\e, \\\\ and \\xHH");
	case SCRIPT_MARK:
		step->name = g_strdup(MARK_PATH);
		return take_parts(step, parts, rest, error);
	default:
		return take_parts(step, parts, rest, error);
	}
}

static bool parse_line(struct script *script, const char *line, unsigned int number, unsigned int *timeout_s, GError **error)
{
	size_t word_bytes = strcspn(line, " \t");
	const char *rest = line + word_bytes + strspn(line + word_bytes, " \t");

	if (word_bytes == strlen("timeout") && g_str_has_prefix(line, "timeout"))
		return test_settings_parse_count("timeout", rest, 1, timeout_s, error);
	for (size_t i = 0; i < G_N_ELEMENTS(KINDS); i++) {
		if (word_bytes != strlen(KINDS[i].word) || !g_str_has_prefix(line, KINDS[i].word))
			continue;
		struct script_step *step = g_new0(struct script_step, 1);
		step->kind = KINDS[i].kind;
		step->line = number;
		step->timeout_s = *timeout_s;
		step->text = one_line(line);
		g_ptr_array_add(script->steps, step);
		return fill_step(step, KINDS[i].parts, rest, error);
	}
	return bad_line(error, "no such line; there are expect, send, timeout, mark, xenstore, write and event");
}

struct script *script_parse(const char *path, const char *text, GError **error)
{
	struct script *script = g_rc_box_new0(struct script);
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	unsigned int timeout_s = DEFAULT_TIMEOUT_S;

	script->path = g_strdup(path);
	script->steps = g_ptr_array_new_with_free_func((GDestroyNotify)step_free);
	for (unsigned int i = 0; lines[i]; i++) {
		const char *line = g_strchomp(lines[i]) + strspn(lines[i], " \t");

		if (line[0] == '\0' || line[0] == '#' || parse_line(script, line, i + 1, &timeout_s, error))
			continue;
		g_autofree char *shown = one_line(line);
		g_prefix_error(error, "%s:%u: %.60s: ", path, i + 1, shown);
		if (error && *error)
			(*error)->code = DOM1_STATUS_FILE;
		script_unref(script);
		return NULL;
	}
	return script;
}

struct script *script_read(const char *path, GError **error)
{
	g_autoptr(GError) read_error = NULL;
	g_autofree char *text = NULL;

	if (g_file_get_contents(path, &text, NULL, &read_error))
		return script_parse(path, text, error);
	g_set_error(error, DOM1_ERROR, DOM1_STATUS_FILE, "--script: %s", read_error->message);
	return NULL;
}

struct script *script_ref(struct script *script)
{
	return script ? g_rc_box_acquire(script) : NULL;
}

static void script_clear(gpointer opaque)
{
	struct script *script = opaque;

	g_free(script->path);
	g_ptr_array_unref(script->steps);
}

void script_unref(struct script *script)
{
	if (script)
		g_rc_box_release_full(script, script_clear);
}
