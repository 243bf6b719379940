// SPDX-License-Identifier: MIT
#include "harness/console_lines.h"

#include <stdbool.h>

#include <glib.h>

#define BELL   '\a'
#define ESCAPE '\033'
#define DELETE 0x7f

static size_t digits(const char *text)
{
	size_t n = 0;

	while (g_ascii_isdigit(text[n]))
		n++;
	return n;
}

/* "[    1.234567]", or "[    T1]" of printk.caller: how long it is; 0: it is none. */
static size_t bracket_bytes(const char *text, bool time)
{
	size_t i = 1, n;

	if (text[0] != '[')
		return 0;
	while (text[i] == ' ')
		i++;
	if (!time && text[i] != 'T' && text[i] != 'C')
		return 0;
	i += !time;
	n = digits(text + i);
	i += n;
	if (n == 0 || (time && text[i++] != '.'))
		return 0;
	i += digits(text + i);
	return text[i] == ']' ? i + 1 : 0;
}

/* Nested results of KTAP are indented behind the stamp, whose own blank is one. */
static const char *without_stamp(const char *line)
{
	const char *rest = line + bracket_bytes(line, true);

	if (rest == line)
		return line;
	rest += bracket_bytes(rest, false);
	return rest[0] == ' ' ? rest + 1 : rest;
}

/* Whether the byte belongs to an escape sequence, and is not text. */
static bool escape_takes(struct console_lines *lines, char c)
{
	enum console_escape escape = lines->escape;

	lines->escape = ESCAPE_NONE;
	switch (escape) {
	case ESCAPE_BEGUN:
		if (c == '[')
			lines->escape = ESCAPE_CONTROL;
		else if (c == ']' || c == 'P' || c == '_' || c == '^' || c == 'X')
			lines->escape = ESCAPE_STRING;
		else if (c >= ' ' && c <= '/')
			lines->escape = ESCAPE_BEGUN;
		return true;
	case ESCAPE_CONTROL:
		if (c < '@' || c > '~')
			lines->escape = ESCAPE_CONTROL;
		return true;
	case ESCAPE_STRING:
		if (c != BELL)
			lines->escape = ESCAPE_STRING;
		return true;
	default:
		return false;
	}
}

static void end_line(struct console_lines *lines, console_line_fn fn, void *opaque)
{
	lines->escape = ESCAPE_NONE;
	if (lines->len_bytes == 0)
		return;
	lines->line[lines->len_bytes] = '\0';
	lines->len_bytes = 0;
	fn(opaque, without_stamp(lines->line));
}

void console_lines_feed(struct console_lines *lines, const void *bytes, size_t len_bytes, console_line_fn fn, void *opaque)
{
	const char *text = bytes;

	for (size_t i = 0; i < len_bytes; i++) {
		char c = text[i];

		if (c == '\n' || c == '\r')
			end_line(lines, fn, opaque);
		else if (c == ESCAPE)
			/* Also the end of a string: ESC \. */
			lines->escape = ESCAPE_BEGUN;
		else if (lines->escape != ESCAPE_NONE && escape_takes(lines, c))
			continue;
		else if (((unsigned char)c >= ' ' || c == '\t') && c != DELETE && lines->len_bytes < CONSOLE_LINE_BYTES)
			lines->line[lines->len_bytes++] = c;
	}
}

const char *console_lines_unfinished(struct console_lines *lines)
{
	lines->line[lines->len_bytes] = '\0';
	return without_stamp(lines->line);
}
