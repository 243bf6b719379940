// SPDX-License-Identifier: MIT
/*
 * Whether a text is JSON that may be given to json-glib: RFC 8259 to the letter, and small enough in every direction.
 *
 * json-glib parses by recursion without a limit, and takes much that is not JSON (comments, assignments, hexadecimal
 * numbers, half surrogate pairs). What passes here has none of it, so what json-glib makes of it has no surprise.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Arrays and objects in each other. */
#define JSON_TEXT_DEPTH_MAX 32

/*
 * One value, with white space around it. Refused though RFC 8259 allows it: deeper nesting, an integer of more than 18
 * digits, a number that no double holds, U+0000 in a string. *reason: some words for the person, static.
 */
bool json_text_check(const char *text, size_t len_bytes, const char **reason);

/*
 * JSON text whose strings hold no control character as such, for a line of its own or a person's terminal: they are
 * escaped. json-glib leaves some of them (U+001F in 1.6), and all from U+0080 on. g_free().
 */
char *json_text_escape(const char *text);
