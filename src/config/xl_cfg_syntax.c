// SPDX-License-Identifier: MIT
/*
 * Follows Xen's tools/libs/util/libxlu_cfg_l.l and libxlu_cfg_y.y: a file is assignments, each ended by a newline or
 * a semicolon; a value is a quoted string, a number, or a list in brackets, inside of which newlines are free.
 *
 * Where Xen's own reader is careless this one is strict: an escape that xl drops without a word (\z, and by a slip
 * \x41 and \101 too) is an error or does what it says. Where xl is strict for no reason this one is not: a comment may
 * end the file, keys may have capitals (they are unknown then, but named), lines may end with CR LF.
 *
 * The text is bytes of any kind. Nothing here is recursive without bound, and time is linear in the length.
 */
#include "config/xl_cfg_syntax.h"

#include <string.h>

#define MAX_LIST_DEPTH 8 /* xl's deepest, vnuma, needs 2 */

enum token_kind {
	TOKEN_END,
	TOKEN_NEWLINE,
	TOKEN_KEY,
	TOKEN_NUMBER,
	TOKEN_STRING,
	TOKEN_EQUALS,
	TOKEN_PLUS_EQUALS,
	TOKEN_COMMA,
	TOKEN_SEMICOLON,
	TOKEN_LIST_OPEN,
	TOKEN_LIST_CLOSE,
};

struct reader {
	const char *text;
	size_t len_bytes;
	size_t at;
	struct config_origin here; /* of text[at] */
	GPtrArray *warnings;
	GError **error;

	/* The token under consideration. */
	enum token_kind kind;
	struct config_origin origin;
	GString *word; /* of a key, number or string */
};

static void value_free(struct xl_value *value)
{
	if (!value)
		return;
	if (value->text)
		g_string_free(value->text, TRUE);
	if (value->items)
		g_ptr_array_unref(value->items);
	g_free(value);
}

static struct xl_value *value_new(enum xl_value_kind kind, const struct config_origin *origin)
{
	struct xl_value *value = g_new0(struct xl_value, 1);

	value->kind = kind;
	value->origin = *origin;
	if (kind == XL_LIST)
		value->items = g_ptr_array_new_with_free_func((GDestroyNotify)value_free);
	return value;
}

static void setting_free(struct xl_setting *setting)
{
	g_free(setting->key);
	value_free(setting->value);
	g_free(setting);
}

/* Tokens */

/* -1 at the end. */
static int peek(const struct reader *reader, size_t ahead)
{
	return ahead < reader->len_bytes - reader->at ? (unsigned char)reader->text[reader->at + ahead] : -1;
}

static void advance(struct reader *reader)
{
	if (reader->text[reader->at++] == '\n') {
		reader->here.line++;
		reader->here.column = 1;
	} else {
		reader->here.column++;
	}
}

static void skip_space(struct reader *reader)
{
	while (peek(reader, 0) == ' ' || peek(reader, 0) == '\t' || peek(reader, 0) == '\r')
		advance(reader);
	if (peek(reader, 0) == '#')
		while (peek(reader, 0) != -1 && peek(reader, 0) != '\n')
			advance(reader);
}

/* One to max digits of a base; FALSE and an error when there are fewer than min, or when they make a NUL. */
static gboolean read_code(struct reader *reader, const struct config_origin *start, unsigned int base, unsigned int min,
			  unsigned int max)
{
	unsigned int n_digits = 0, code = 0;

	for (; n_digits < max && peek(reader, 0) != -1; n_digits++) {
		int digit = g_ascii_xdigit_value((char)peek(reader, 0));
		if (digit < 0 || (unsigned int)digit >= base)
			break;
		code = code * base + (unsigned int)digit;
		advance(reader);
	}
	if (n_digits < min)
		return config_fail(reader->error, start,
				   "escape: too few digits after the backslash: give \\xHH or \\OOO, or double the "
				   "backslash");
	if (code == 0 || code > 0xff)
		return config_fail(reader->error, start, "escape: %u is no byte a string can hold: give 1 to 255",
				   code);
	g_string_append_c(reader->word, (char)code);
	return TRUE;
}

static gboolean read_escape(struct reader *reader)
{
	static const char letters[] = "abfnrtv\"'\\", meanings[] = "\a\b\f\n\r\t\v\"'\\";
	struct config_origin start = reader->here;

	advance(reader);
	int c = peek(reader, 0);
	const char *letter = c > 0 ? memchr(letters, c, sizeof(letters) - 1) : NULL;
	if (letter) {
		advance(reader);
		g_string_append_c(reader->word, meanings[letter - letters]);
		return TRUE;
	}
	if (c >= '0' && c <= '7')
		return read_code(reader, &start, 8, 1, 3);
	if (c == 'x') {
		advance(reader);
		return read_code(reader, &start, 16, 2, 2);
	}
	return config_fail(reader->error, &start,
			   "escape: no such one in a string: double the backslash if you mean one");
}

static gboolean read_string(struct reader *reader)
{
	int quote = peek(reader, 0);

	advance(reader);
	for (;;) {
		int c = peek(reader, 0);

		if (c == -1 || c == '\n')
			return config_fail(reader->error, &reader->origin,
					   "string: it does not end on its line: close it with %c", quote);
		if (c == '\0')
			return config_fail(reader->error, &reader->here,
					   "string: it holds a NUL byte: is this a text file?");
		if (c == '\\') {
			if (!read_escape(reader))
				return FALSE;
			continue;
		}
		advance(reader);
		if (c == quote)
			return TRUE;
		g_string_append_c(reader->word, (char)c);
	}
}

static gboolean is_word_byte(int c)
{
	return c > 0 && (g_ascii_isalnum((char)c) || c == '_');
}

static gboolean read_word(struct reader *reader)
{
	while (is_word_byte(peek(reader, 0))) {
		g_string_append_c(reader->word, (char)peek(reader, 0));
		advance(reader);
	}
	/* xl: [0-9][0-9a-fx]*, and what that is worth is asked when it is used. */
	if (reader->kind == TOKEN_NUMBER && reader->word->str[strspn(reader->word->str, "0123456789abcdefxABCDEFX")])
		return config_fail(reader->error, &reader->origin,
				   "%.60s: neither a number nor a string: give digits alone (memory counts in MiB), "
				   "or put it in quotes",
				   reader->word->str);
	return TRUE;
}

static gboolean bad_byte(struct reader *reader, int c)
{
	if (c > 0 && strchr("+-.():{}", c))
		return config_fail(reader->error, &reader->origin,
				   "'%c': it has no meaning here: xl.cfg is not Python, a value is a string in "
				   "quotes, a number or a list",
				   c);
	if (c > ' ' && c < 0x7f)
		return config_fail(reader->error, &reader->origin,
				   "'%c': it has no meaning here: put a string in quotes, begin a comment with #",
				   c);
	return config_fail(reader->error, &reader->origin,
			   "byte 0x%02x: it has no meaning here: is this a text file, in ASCII outside of strings?",
			   (unsigned int)c);
}

static gboolean next_token(struct reader *reader)
{
	static const struct {
		char byte;
		enum token_kind kind;
	} marks[] = {
		{ '\n', TOKEN_NEWLINE },  { '=', TOKEN_EQUALS },    { ',', TOKEN_COMMA },
		{ ';', TOKEN_SEMICOLON }, { '[', TOKEN_LIST_OPEN }, { ']', TOKEN_LIST_CLOSE },
	};

	skip_space(reader);
	reader->origin = reader->here;
	g_string_truncate(reader->word, 0);
	int c = peek(reader, 0);
	if (c == -1) {
		reader->kind = TOKEN_END;
		return TRUE;
	}
	for (size_t i = 0; i < G_N_ELEMENTS(marks); i++)
		if (c == marks[i].byte) {
			reader->kind = marks[i].kind;
			advance(reader);
			return TRUE;
		}
	if (c == '+' && peek(reader, 1) == '=') {
		reader->kind = TOKEN_PLUS_EQUALS;
		advance(reader);
		advance(reader);
		return TRUE;
	}
	if (c == '"' || c == '\'') {
		reader->kind = TOKEN_STRING;
		return read_string(reader);
	}
	if (!is_word_byte(c))
		return bad_byte(reader, c);
	reader->kind = g_ascii_isdigit((char)c) ? TOKEN_NUMBER : TOKEN_KEY;
	return read_word(reader);
}

/* What stands at the token, for a message. */
static const char *token_text(const struct reader *reader)
{
	static const char *const texts[] = {
		[TOKEN_END] = "the end of the file",
		[TOKEN_NEWLINE] = "the end of the line",
		[TOKEN_KEY] = "a bare word",
		[TOKEN_NUMBER] = "a number",
		[TOKEN_STRING] = "a string",
		[TOKEN_EQUALS] = "=",
		[TOKEN_PLUS_EQUALS] = "+=",
		[TOKEN_COMMA] = "a comma",
		[TOKEN_SEMICOLON] = "a semicolon",
		[TOKEN_LIST_OPEN] = "[",
		[TOKEN_LIST_CLOSE] = "]",
	};

	return texts[reader->kind];
}

/* Grammar: the current token is the first of what a function reads; on return it is the one after. */

static gboolean skip_newlines(struct reader *reader)
{
	while (reader->kind == TOKEN_NEWLINE)
		if (!next_token(reader))
			return FALSE;
	return TRUE;
}

static struct xl_value *read_value(struct reader *reader, const char *key, unsigned int depth);

/* After '[': items with commas between, perhaps one at the end, and newlines anywhere. */
static gboolean read_items(struct reader *reader, struct xl_value *list, const char *key, unsigned int depth)
{
	if (depth == MAX_LIST_DEPTH)
		return config_fail(reader->error, &reader->origin,
				   "%.60s: lists inside lists, %d deep: nothing needs that; remove brackets",
				   key, MAX_LIST_DEPTH);
	if (!next_token(reader) || !skip_newlines(reader))
		return FALSE;
	while (reader->kind != TOKEN_LIST_CLOSE) {
		struct xl_value *item = read_value(reader, key, depth + 1);

		if (!item)
			return FALSE;
		g_ptr_array_add(list->items, item);
		if (!skip_newlines(reader))
			return FALSE;
		if (reader->kind == TOKEN_LIST_CLOSE)
			break;
		if (reader->kind != TOKEN_COMMA)
			return config_fail(reader->error, &reader->origin,
					   "%.60s: %s in a list that began in line %u: put a comma between its items "
					   "and ] at its end",
					   key, token_text(reader), list->origin.line);
		if (!next_token(reader) || !skip_newlines(reader))
			return FALSE;
	}
	return next_token(reader);
}

/* depth: of lists around the value. */
static struct xl_value *read_value(struct reader *reader, const char *key, unsigned int depth)
{
	struct xl_value *value;

	switch (reader->kind) {
	case TOKEN_STRING:
	case TOKEN_NUMBER:
		value = value_new(reader->kind == TOKEN_STRING ? XL_STRING : XL_NUMBER, &reader->origin);
		value->text = g_string_new_len(reader->word->str, (gssize)reader->word->len);
		if (next_token(reader))
			return value;
		break;
	case TOKEN_LIST_OPEN:
		value = value_new(XL_LIST, &reader->origin);
		if (read_items(reader, value, key, depth))
			return value;
		break;
	case TOKEN_KEY:
		config_fail(reader->error, &reader->origin, "%.60s: the bare word %.60s is no value: put it in quotes",
			    key, reader->word->str);
		return NULL;
	default:
		config_fail(reader->error, &reader->origin,
			    "%.60s: %s where a value should be: give a string in quotes, a number or a list",
			    key, token_text(reader));
		return NULL;
	}
	value_free(value);
	return NULL;
}

/* key += value: strings are joined, lists too; takes what it needs out of value. */
static gboolean add_value(struct reader *reader, struct xl_setting *setting, struct xl_value *value)
{
	struct xl_value *old = setting->value;

	if (old->kind == XL_LIST && value->kind == XL_LIST) {
		g_ptr_array_extend_and_steal(old->items, g_steal_pointer(&value->items));
		return TRUE;
	}
	if (old->kind == XL_STRING && value->kind == XL_STRING) {
		g_string_append_len(old->text, value->text->str, (gssize)value->text->len);
		return TRUE;
	}
	return config_fail(reader->error, &value->origin,
			   "%.60s: += adds a string to a string or a list to a list, and in line %u it is another "
			   "kind: write the whole value with =",
			   setting->key, old->origin.line);
}

static gboolean assign(struct reader *reader, GPtrArray *settings, GHashTable *by_key, struct xl_setting *new,
		       gboolean add)
{
	struct xl_setting *old = g_hash_table_lookup(by_key, new->key);

	if (!old) {
		g_ptr_array_add(settings, new);
		g_hash_table_insert(by_key, new->key, new);
		return TRUE;
	}
	gboolean ok = TRUE;
	if (add) {
		ok = add_value(reader, old, new->value);
	} else {
		config_warn(reader->warnings, &new->origin,
			    "%.60s: given before, in line %u: this one counts; delete the other", new->key,
			    old->origin.line);
		old->origin = new->origin;
		struct xl_value *value = old->value;
		old->value = new->value;
		new->value = value;
	}
	setting_free(new);
	return ok;
}

static gboolean read_assignment(struct reader *reader, GPtrArray *settings, GHashTable *by_key)
{
	g_autofree char *key = g_strdup(reader->word->str);
	struct config_origin origin = reader->origin;

	if (reader->kind != TOKEN_KEY)
		return config_fail(reader->error, &reader->origin, "%s where a key should be: write KEY = VALUE",
				   token_text(reader));
	if (!next_token(reader))
		return FALSE;
	gboolean add = reader->kind == TOKEN_PLUS_EQUALS;
	if (!add && reader->kind != TOKEN_EQUALS)
		return config_fail(reader->error, &reader->origin, "%.60s: %s where = should be: write KEY = VALUE",
				   key, token_text(reader));
	if (!next_token(reader))
		return FALSE;
	struct xl_value *value = read_value(reader, key, 0);
	if (!value)
		return FALSE;
	if (reader->kind != TOKEN_NEWLINE && reader->kind != TOKEN_SEMICOLON && reader->kind != TOKEN_END) {
		value_free(value);
		return config_fail(reader->error, &reader->origin,
				   "%.60s: %s after the value: end it with a new line or a semicolon, put a list in "
				   "brackets",
				   key, token_text(reader));
	}
	struct xl_setting *setting = g_new0(struct xl_setting, 1);
	*setting = (struct xl_setting){ g_steal_pointer(&key), origin, value };
	return assign(reader, settings, by_key, setting, add);
}

static gboolean read_file(struct reader *reader, GPtrArray *settings)
{
	g_autoptr(GHashTable) by_key = g_hash_table_new(g_str_hash, g_str_equal);

	if (reader->len_bytes > GUEST_CONFIG_MAX_BYTES)
		return config_fail(reader->error, &reader->here,
				   "configuration: it is longer than %u KiB: is this the right file?",
				   GUEST_CONFIG_MAX_BYTES >> 10);
	if (!next_token(reader))
		return FALSE;
	while (reader->kind != TOKEN_END) {
		gboolean ok = reader->kind == TOKEN_NEWLINE || reader->kind == TOKEN_SEMICOLON ?
				      next_token(reader) :
				      read_assignment(reader, settings, by_key);
		if (!ok)
			return FALSE;
	}
	return TRUE;
}

GPtrArray *xl_syntax_read(const char *text, size_t len_bytes, const char *file, GPtrArray *warnings, GError **error)
{
	struct reader reader = { .text = text,
				 .len_bytes = len_bytes,
				 .here = { file, 1, 1 },
				 .warnings = warnings,
				 .error = error,
				 .word = g_string_new(NULL) };
	g_autoptr(GPtrArray) settings = g_ptr_array_new_with_free_func((GDestroyNotify)setting_free);
	gboolean ok = read_file(&reader, settings);

	g_string_free(reader.word, TRUE);
	return ok ? g_steal_pointer(&settings) : NULL;
}
