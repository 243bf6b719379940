// SPDX-License-Identifier: MIT
#include "control/json_text.h"

#include <stdbool.h>
#include <string.h>

#include "vmm/error.h"
#include "vmm/one_line.h"

#define INDENT 2

/* Looks at brackets alone. What is no JSON may look flat here; up to where that shows, jansson sees the same depth. */
static bool is_deep(const char *text, size_t len_bytes)
{
	bool in_string = false;
	size_t depth = 0;

	for (size_t i = 0; i < len_bytes && depth <= JSON_TEXT_DEPTH_MAX; i++)
		if (text[i] == '"')
			in_string = !in_string;
		else if (in_string)
			i += text[i] == '\\';
		else if (text[i] == '[' || text[i] == '{')
			depth++;
		else if (depth > 0 && (text[i] == ']' || text[i] == '}'))
			depth--;
	return depth > JSON_TEXT_DEPTH_MAX;
}

json_t *json_text_parse(const char *text, size_t len_bytes, GError **error)
{
	json_error_t problem;
	json_t *value;

	if (is_deep(text, len_bytes)) {
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_FILE, "nested too deeply (%d levels at the most)", JSON_TEXT_DEPTH_MAX);
		return NULL;
	}
	value = json_loadb(text, len_bytes, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &problem);
	if (!value) {
		/* It quotes the text. */
		g_autofree char *why = one_line(problem.text);

		g_set_error(error, DOM1_ERROR, DOM1_STATUS_FILE, "line %d, column %d: %s", problem.line, problem.column, why);
	}
	return value;
}

static char *print(json_t *value, size_t flags)
{
	char *text = json_dumps(value, flags | JSON_ENCODE_ANY);
	g_autofree char *escaped = json_text_escape(text);

	g_free(text);
	json_decref(value);
	return g_strconcat(escaped, "\n", NULL);
}

char *json_text_line(json_t *value)
{
	return print(value, JSON_COMPACT);
}

char *json_text_pretty(json_t *value)
{
	return print(value, JSON_INDENT(INDENT));
}

char *json_text_escape(const char *text)
{
	GString *escaped = g_string_sized_new(strlen(text) + 1);

	for (const unsigned char *c = (const unsigned char *)text; *c; c++)
		if (c[0] == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0)
			g_string_append_printf(escaped, "\\u%04X", (unsigned int)*++c);
		else if ((*c < 0x20 && *c != '\n') || *c == 0x7f)
			g_string_append_printf(escaped, "\\u%04X", (unsigned int)*c);
		else
			g_string_append_c(escaped, (char)*c);
	return g_string_free(escaped, FALSE);
}
