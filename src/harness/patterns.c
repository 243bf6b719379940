// SPDX-License-Identifier: MIT
#include "harness/patterns.h"

#include "vmm/error.h"
#include "vmm/one_line.h"

GPtrArray *patterns_new(void)
{
	return g_ptr_array_new_with_free_func((GDestroyNotify)g_regex_unref);
}

bool patterns_add(GPtrArray *patterns, const char *option, const char *text, GError **error)
{
	g_autoptr(GError) regex_error = NULL;
	GRegex *regex = g_regex_new(text, G_REGEX_RAW | G_REGEX_OPTIMIZE, 0, &regex_error);

	if (!regex) {
		g_autofree char *line = one_line(text);

		g_set_error(error, DOM1_ERROR, DOM1_STATUS_USAGE, "%s=%s: not a regular expression: %s", option, line,
			    regex_error->message);
		return false;
	}
	g_ptr_array_add(patterns, regex);
	return true;
}

int patterns_find(const GPtrArray *patterns, guint from, const char *line)
{
	/* A match that takes too many steps is none. */
	for (guint i = from; i < patterns->len; i++)
		if (g_regex_match(patterns->pdata[i], line, 0, NULL))
			return (int)i;
	return -1;
}

const char *patterns_text(const GPtrArray *patterns, guint index)
{
	return g_regex_get_pattern(patterns->pdata[index]);
}
