// SPDX-License-Identifier: MIT
/* json_text.c, json_members.c: RFC 8259 to the letter, and its bounds; and that nothing is lost on the way out. */
#include <string.h>

#include "control/json_text.h"
#include "vmm/error.h"

static bool check(const char *text, size_t len_bytes)
{
	/* Exactly as long as it says: a sanitizer sees a byte too many. */
	g_autofree char *copy = g_memdup2(text, MAX(len_bytes, 1));
	g_autoptr(GError) error = NULL;
	g_autoptr(json_t) value = json_text_parse(copy, len_bytes, &error);

	if (value) {
		g_assert_no_error(error);
		return true;
	}
	/* One line, and fit for a terminal, whatever it quotes. */
	g_assert_error(error, DOM1_ERROR, DOM1_STATUS_FILE);
	g_assert_true(g_utf8_validate(error->message, -1, NULL));
	for (const char *c = error->message; *c; c = g_utf8_next_char(c))
		g_assert_false(g_unichar_iscntrl(g_utf8_get_char(c)));
	return false;
}

static void test_good(void)
{
	static const char *const texts[] = {
		"{}", "[]", " \t\r\n{ } ", "null", "true", "false", "0", "-0", "1.5", "-1.5e-3", "1E+2",
		"\"\"",
		"\"\\u00e9\\ud83d\\ude00\\n\\/\\\"\\\\\"", "\"\xc3\xa9\"", "{\"a\":[1,{\"b\":null}],\"b\":2}",
		"[[],[]]",
		"9223372036854775807", "-9223372036854775808", "\"\x7f\"", "1e308", "{\"\":{\"\":0}}", "\"[{\\\"[\"",
	};

	for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
		g_autofree char *shown = g_strescape(texts[i], NULL);

		g_test_message("%s", shown);
		g_assert_true(check(texts[i], strlen(texts[i])));
	}
}

static void test_bad(void)
{
	static const char *const texts[] = {
		"", " ", "{", "}", "[", "]", "{]", "[}", "{,}", "[,]", "[1,]", "{\"a\":1,}", "{\"a\"}",
		"{\"a\":}", "{1:1}",
		"{a:1}", "{'a':1}", "nul", "nulll", "True", "NaN", "Infinity", "-", "+1", "01", "-01", "1.", ".5",
		"1e", "1e+",
		"0x10", "1_000", "9223372036854775808", "-9223372036854775809", "1e309", "-1e999",
		"\"", "\"\\\"", "\"\\x\"", "\"\\u\"", "\"\\u12\"", "\"\\u12g4\"", "\"\\u0000\"", "\"\\ud800\"",
		"\"\\udc00\"",
		"\"\\ud800\\ud800\"", "\"\\ud800x\"", "\"a\nb\"", "\"\t\"", "\"\x80\"", "\"\xc0\xaf\"",
		"\"\xed\xa0\x80\"",
		"\"\xf4\x90\x80\x80\"", "\xef\xbb\xbf{}", "{} {}", "{}x", "// c\n{}", "/* c */ {}",
		"var a = {};", "[1 2]", "{\"a\" 1}", "{\"a\":1,\"b\":2,\"a\":1}",
	};

	for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
		g_autofree char *shown = g_strescape(texts[i], NULL);

		g_test_message("%s", shown);
		g_assert_false(check(texts[i], strlen(texts[i])));
	}
	g_assert_false(check("{}\0", 3));
	g_assert_false(check("\"a\0b\"", 5));
	g_assert_false(check("\0", 1));
}

static char *nested(unsigned int depth, const char *open, const char *inside, const char *close)
{
	GString *text = g_string_new(NULL);

	for (unsigned int i = 0; i < depth; i++)
		g_string_append(text, open);
	g_string_append(text, inside);
	for (unsigned int i = 0; i < depth; i++)
		g_string_append(text, close);
	return g_string_free(text, FALSE);
}

static void test_depth(void)
{
	g_autofree char *fits = nested(JSON_TEXT_DEPTH_MAX, "[", "", "]");
	g_autofree char *objects = nested(JSON_TEXT_DEPTH_MAX, "{\"a\":", "1", "}");
	g_autofree char *deep = nested(JSON_TEXT_DEPTH_MAX + 1, "[", "", "]");
	g_autofree char *deep_objects = nested(JSON_TEXT_DEPTH_MAX + 1, "{\"a\":", "1", "}");
	/* Beside each other, and inside of a string, they are not in each other. */
	g_autofree char *flat = nested(JSON_TEXT_DEPTH_MAX + 1, "[],", "[", "");
	g_autofree char *row = g_strdup_printf("[%.*s]", (int)(3 * JSON_TEXT_DEPTH_MAX + 2), flat);
	g_autofree char *brackets = nested(JSON_TEXT_DEPTH_MAX, "[", "\"\\\"[[{{\"", "]");
	/* Would end the stack of a parser that only recurses; and what looks flat because a quote is missing. */
	g_autofree char *abyss = nested(1000000, "[", "", "");
	g_autofree char *hidden = nested(1000000, "[", "", "");
	hidden[1] = '"';

	g_assert_true(check(fits, strlen(fits)));
	g_assert_true(check(objects, strlen(objects)));
	g_assert_true(check(row, strlen(row)));
	g_assert_true(check(brackets, strlen(brackets)));
	g_assert_false(check(deep, strlen(deep)));
	g_assert_false(check(deep_objects, strlen(deep_objects)));
	g_assert_false(check(abyss, strlen(abyss)));
	g_assert_false(check(hidden, strlen(hidden)));
}

/* What passes is printed so that it passes again, and is the same. */
static void test_mutations(void)
{
	static const char seed[] = "{\"execute\":\"trigger\",\"arguments\":{\"type\":\"nmi\",\"vcpu\":-1.5e3,"
				   "\"x\":[true,null,"
				   "\"\\u00e9\\ud83d\\ude00\"]},\"id\":[1,{\"a\":\"\xc3\xa9\"}]}";
	static const char alphabet[] = "{}[]\",:\\ue+-.0123456789truefalsn \t\xc3\xa9\xff";
	unsigned int n_good = 0;

	for (unsigned int round = 0; round < 10000; round++) {
		g_autoptr(GString) text = g_string_new(seed);
		gint n = g_test_rand_int_range(1, 4);

		for (gint i = 0; i < n; i++) {
			gssize at = g_test_rand_int_range(0, (gint)text->len);
			char byte = alphabet[g_test_rand_int_range(0, sizeof(alphabet) - 1)];

			switch (g_test_rand_int_range(0, 3)) {
			case 0:
				text->str[at] = byte;
				break;
			case 1:
				g_string_erase(text, at, 1);
				break;
			default:
				g_string_insert_c(text, at, byte);
			}
		}
		g_autoptr(json_t) value = json_text_parse(text->str, text->len, NULL);
		g_assert_cmpint(check(text->str, text->len), ==, value != NULL);
		if (!value)
			continue;
		n_good++;
		g_autofree char *line = json_text_line(json_incref(value));
		g_autofree char *pretty = json_text_pretty(json_incref(value));
		g_autoptr(json_t) from_line = json_text_parse(line, strlen(line), NULL);
		g_autoptr(json_t) from_pretty = json_text_parse(pretty, strlen(pretty), NULL);
		g_assert_true(json_equal(value, from_line) && json_equal(value, from_pretty));
		g_assert_true(strchr(line, '\n') == line + strlen(line) - 1);
	}
	g_assert_cmpuint(n_good, >, 100);
	g_assert_cmpuint(n_good, <, 9900);
}

static void test_escape(void)
{
	static const char *const texts[][2] = {
		{ "{\"a\": \"b\"}", "{\"a\": \"b\"}" },
		{ "[\n \"\x1f\x7f\x1b[2J\"\n]", "[\n \"\\u001F\\u007F\\u001B[2J\"\n]" },
		{ "\"\xc2\x9b\xc2\x80\xc2\xa0\xc3\x9f\"", "\"\\u009B\\u0080\xc2\xa0\xc3\x9f\"" },
		{ "\xc2", "\xc2" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
		g_autofree char *got = json_text_escape(texts[i][0]);

		g_assert_cmpstr(got, ==, texts[i][1]);
	}
}

static void test_position(void)
{
	static const char text[] = "{\n \"a\": 1,\n \"b\": \x1b[2J}";
	g_autoptr(GError) error = NULL;

	g_assert_null(json_text_parse(text, strlen(text), &error));
	g_assert_true(g_str_has_prefix(error->message, "line 3, column 7: "));
}

/* Strings of any bytes are members all the same, and in the text there is nothing that a terminal obeys. */
static void test_any_bytes(void)
{
	for (unsigned int round = 0; round < 2000; round++) {
		char bytes[64] = "";
		gint n = g_test_rand_int_range(0, sizeof(bytes));

		for (gint i = 0; i < n; i++)
			bytes[i] = (char)g_test_rand_int_range(round % 2 ? 0x80 : 1, 256);
		g_autofree char *valid = g_utf8_make_valid(bytes, -1);
		json_t *object = json_object();
		json_add_string(object, "text", bytes);
		json_add_string(object, "none", NULL);
		json_add_count(object, "most", UINT64_MAX);
		json_add_hex(object, "hex", UINT64_MAX);
		g_autofree char *line = json_text_line(object);
		for (const char *c = line; *c; c = g_utf8_next_char(c))
			g_assert_true(!g_unichar_iscntrl(g_utf8_get_char(c)) || strcmp(c, "\n") == 0);
		g_autoptr(json_t) back = json_text_parse(line, strlen(line), NULL);
		g_assert_cmpuint(json_object_size(back), ==, 4);
		g_assert_cmpstr(json_string_value(json_object_get(back, "text")), ==, valid);
		g_assert_true(json_is_null(json_object_get(back, "none")));
		g_assert_true(json_integer_value(json_object_get(back, "most")) == INT64_MAX);
		g_assert_cmpstr(json_string_value(json_object_get(back, "hex")), ==, "0xffffffffffffffff");
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/control/json_text/good", test_good);
	g_test_add_func("/control/json_text/bad", test_bad);
	g_test_add_func("/control/json_text/depth", test_depth);
	g_test_add_func("/control/json_text/mutations", test_mutations);
	g_test_add_func("/control/json_text/escape", test_escape);
	g_test_add_func("/control/json_text/position", test_position);
	g_test_add_func("/control/json_text/any-bytes", test_any_bytes);
	return g_test_run();
}
