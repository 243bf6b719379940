// SPDX-License-Identifier: MIT
#include "harness/result_line.h"

#include <string.h>

#include <glib.h>

#define BEGINNING "Test result:"
#define WARNINGS  " with warnings"

/* "Test res" at the end of all output was going to be one. */
static bool is_half_of_beginning(const char *line)
{
	size_t len_bytes = strlen(line);

	return len_bytes >= strlen("Test r") && strncmp(BEGINNING, line, len_bytes) == 0;
}

enum result_line result_line_parse(const char *line, bool ended)
{
	static const struct {
		const char *word;
		enum result_line result;
	} words[] = {
		{ " SUCCESS", RESULT_SUCCESS },
		{ " SKIP", RESULT_SKIP },
		{ " ERROR", RESULT_ERROR },
		{ " FAILURE", RESULT_FAILURE },
	};

	if (!g_str_has_prefix(line, BEGINNING))
		return !ended && is_half_of_beginning(line) ? RESULT_MALFORMED : RESULT_NONE;
	g_autofree char *rest = g_strchomp(g_strdup(line + strlen(BEGINNING)));
	if (ended && g_str_has_suffix(rest, WARNINGS))
		rest[strlen(rest) - strlen(WARNINGS)] = '\0';
	for (size_t i = 0; i < G_N_ELEMENTS(words); i++)
		if (strcmp(rest, words[i].word) == 0)
			return words[i].result;
	return RESULT_MALFORMED;
}
