// SPDX-License-Identifier: MIT
#include "vmm/one_line.h"

char *one_line(const char *text)
{
	g_autofree char *valid = g_utf8_make_valid(text, -1);
	GString *line = g_string_new(NULL);

	for (const char *c = valid; *c; c = g_utf8_next_char(c)) {
		const char *plain = c;

		while (*c >= ' ' && *c <= '~')
			c++;
		g_string_append_len(line, plain, c - plain);
		if (!*c)
			break;
		gunichar point = g_utf8_get_char(c);
		g_string_append_unichar(line, g_unichar_isprint(point) ? point : '?');
	}
	return g_string_free(line, FALSE);
}
