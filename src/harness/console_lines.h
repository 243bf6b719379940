// SPDX-License-Identifier: MIT
/*
 * A console's bytes as lines of text. Which lines come out does not depend on how the bytes were cut into pieces, and
 * whatever a guest prints takes CONSOLE_LINE_BYTES of memory. Pure.
 *
 * CR and LF both end a line; empty lines are left out. Control characters and terminals' escape sequences (ECMA-48) are
 * left out of lines, and a line break ends a sequence that never ended. Of a longer line the beginning counts. The
 * stamp that Linux puts before its messages ("[    1.234567] ") is left out too.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define CONSOLE_LINE_BYTES 4096

enum console_escape { ESCAPE_NONE, ESCAPE_BEGUN, ESCAPE_CONTROL, ESCAPE_STRING };

struct console_lines {
	enum console_escape escape;
	size_t len_bytes;
	char line[CONSOLE_LINE_BYTES + 1];
};

/* line ends with NUL and holds none; valid during the call. */
typedef void (*console_line_fn)(void *opaque, const char *line);

/* Zeroed memory is a fresh one. */
void console_lines_feed(struct console_lines *lines, const void *bytes, size_t len_bytes, console_line_fn fn, void *opaque);

/* The line that is not ended yet, without its stamp; "" when there is none. Valid until the next call. */
const char *console_lines_unfinished(struct console_lines *lines);
