// SPDX-License-Identifier: MIT
#include "control/json_text.h"

#include <math.h>
#include <string.h>

#include <glib.h>

#define INTEGER_DIGITS_MAX 18
#define NUMBER_BYTES_MAX   64

struct scan {
	const char *at, *end;
	const char *reason;
};

static bool fail(struct scan *scan, const char *reason)
{
	scan->reason = reason;
	return false;
}

static char peek(const struct scan *scan)
{
	return scan->at < scan->end ? *scan->at : '\0';
}

static bool take(struct scan *scan, char wanted)
{
	if (peek(scan) != wanted)
		return false;
	scan->at++;
	return true;
}

static void skip_space(struct scan *scan)
{
	while (scan->at < scan->end && strchr(" \t\r\n", *scan->at))
		scan->at++;
}

static bool scan_word(struct scan *scan, const char *word)
{
	size_t len_bytes = strlen(word);

	if ((size_t)(scan->end - scan->at) < len_bytes || memcmp(scan->at, word, len_bytes) != 0)
		return fail(scan, "unknown word");
	scan->at += len_bytes;
	return true;
}

/* The number of digits. */
static size_t skip_digits(struct scan *scan)
{
	const char *start = scan->at;

	while (g_ascii_isdigit(peek(scan)))
		scan->at++;
	return (size_t)(scan->at - start);
}

static bool scan_number(struct scan *scan)
{
	const char *start = scan->at;
	char copy[NUMBER_BYTES_MAX + 1];
	bool integer = true;

	(void)take(scan, '-');
	bool zero = peek(scan) == '0';
	size_t n_digits = skip_digits(scan);
	if (n_digits == 0 || (zero && n_digits > 1))
		return fail(scan, "malformed number");
	if (take(scan, '.')) {
		integer = false;
		if (skip_digits(scan) == 0)
			return fail(scan, "malformed number");
	}
	if (take(scan, 'e') || take(scan, 'E')) {
		integer = false;
		if (!take(scan, '-'))
			(void)take(scan, '+');
		if (skip_digits(scan) == 0)
			return fail(scan, "malformed number");
	}
	size_t len_bytes = (size_t)(scan->at - start);
	if (len_bytes > NUMBER_BYTES_MAX || (integer && n_digits > INTEGER_DIGITS_MAX))
		return fail(scan, "number out of range");
	memcpy(copy, start, len_bytes);
	copy[len_bytes] = '\0';
	return isfinite(g_ascii_strtod(copy, NULL)) || fail(scan, "number out of range");
}

/* Behind "\u". */
static bool scan_hex(struct scan *scan, unsigned int *value)
{
	*value = 0;
	for (unsigned int i = 0; i < 4; i++, scan->at++) {
		if (!g_ascii_isxdigit(peek(scan)))
			return fail(scan, "malformed \\u escape");
		*value = *value << 4 | (unsigned int)g_ascii_xdigit_value(*scan->at);
	}
	return true;
}

/* Behind the backslash. */
static bool scan_escape(struct scan *scan)
{
	unsigned int high, low;

	if (peek(scan) != '\0' && strchr("\"\\/bfnrt", peek(scan))) {
		scan->at++;
		return true;
	}
	if (!take(scan, 'u'))
		return fail(scan, "unknown escape");
	if (!scan_hex(scan, &high))
		return false;
	if (high == 0)
		return fail(scan, "U+0000 in a string");
	if (high < 0xd800 || high > 0xdfff)
		return true;
	if (high > 0xdbff || !take(scan, '\\') || !take(scan, 'u'))
		return fail(scan, "half a surrogate pair");
	if (!scan_hex(scan, &low))
		return false;
	return (low >= 0xdc00 && low <= 0xdfff) || fail(scan, "half a surrogate pair");
}

static bool scan_string(struct scan *scan)
{
	if (!take(scan, '"'))
		return fail(scan, "string expected");
	while (scan->at < scan->end) {
		unsigned char c = (unsigned char)*scan->at++;

		if (c == '"')
			return true;
		if (c < 0x20)
			return fail(scan, "control character in a string");
		if (c == '\\' && !scan_escape(scan))
			return false;
	}
	return fail(scan, "unfinished string");
}

static bool scan_value(struct scan *scan, unsigned int depth);

static bool scan_member(struct scan *scan, unsigned int depth)
{
	skip_space(scan);
	if (!scan_string(scan))
		return false;
	skip_space(scan);
	return take(scan, ':') ? scan_value(scan, depth) : fail(scan, "':' expected");
}

/* An array or object behind its first bracket. */
static bool scan_list(struct scan *scan, char close, bool (*scan_item)(struct scan *, unsigned int), unsigned int depth)
{
	if (depth > JSON_TEXT_DEPTH_MAX)
		return fail(scan, "nested too deeply");
	skip_space(scan);
	if (take(scan, close))
		return true;
	do {
		if (!scan_item(scan, depth))
			return false;
		skip_space(scan);
	} while (take(scan, ','));
	return take(scan, close) || fail(scan, "',' or a closing bracket expected");
}

static bool scan_value(struct scan *scan, unsigned int depth)
{
	skip_space(scan);
	switch (peek(scan)) {
	case '{':
		scan->at++;
		return scan_list(scan, '}', scan_member, depth + 1);
	case '[':
		scan->at++;
		return scan_list(scan, ']', scan_value, depth + 1);
	case '"':
		return scan_string(scan);
	case 't':
		return scan_word(scan, "true");
	case 'f':
		return scan_word(scan, "false");
	case 'n':
		return scan_word(scan, "null");
	default:
		return scan_number(scan);
	}
}

bool json_text_check(const char *text, size_t len_bytes, const char **reason)
{
	struct scan scan = { .at = text, .end = text + len_bytes };
	bool good;

	/* This refuses a NUL as well: from here on '\0' is the end. */
	if (!g_utf8_validate_len(text, len_bytes, NULL)) {
		*reason = "not UTF-8";
		return false;
	}
	good = scan_value(&scan, 0);
	if (good) {
		skip_space(&scan);
		good = scan.at == scan.end || fail(&scan, "something behind the value");
	}
	*reason = good ? NULL : scan.reason;
	return good;
}

char *json_text_escape(const char *text)
{
	GString *escaped = g_string_sized_new(strlen(text) + 1);

	for (const unsigned char *c = (const unsigned char *)text; *c; c++)
		if (c[0] == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0)
			g_string_append_printf(escaped, "\\u%04x", (unsigned int)*++c);
		else if ((*c < 0x20 && *c != '\n') || *c == 0x7f)
			g_string_append_printf(escaped, "\\u%04x", (unsigned int)*c);
		else
			g_string_append_c(escaped, (char)*c);
	return g_string_free(escaped, FALSE);
}
