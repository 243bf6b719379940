// SPDX-License-Identifier: MIT
/*
 * JSON as text, in and out. What comes in may be anybody's: RFC 8259 to the letter, and small enough in every direction.
 * What goes out does nothing to the terminal that shows it.
 */
#pragma once

#include <stddef.h>

#include "vmm/json_members.h"

/* Arrays and objects in each other. jansson's own bound, 2048, spares its stack, not that of who walks through a value. */
#define JSON_TEXT_DEPTH_MAX 32

/*
 * One value, with white space around it. Refused though RFC 8259 allows it: deeper nesting, an integer that no int64_t
 * and a number that no double holds, U+0000 in a string, a key that an object has already. NULL: DOM1_STATUS_FILE, the
 * message says where and why.
 */
json_t *json_text_parse(const char *text, size_t len_bytes, GError **error);

/* As a line of its own, or indented for a person; a newline is behind it. The value is taken over. g_free(). */
char *json_text_line(json_t *value);
char *json_text_pretty(json_t *value);

/*
 * JSON text whose strings hold no control character as such, for a line of its own or a person's terminal: they are
 * escaped. jansson leaves U+007F and all from U+0080 on. g_free().
 */
char *json_text_escape(const char *text);
