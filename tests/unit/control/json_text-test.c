// SPDX-License-Identifier: MIT
/* json_text.c: RFC 8259 to the letter, and its bounds. */
#include <string.h>

#include <json-glib/json-glib.h>

#include "control/json_text.h"

static bool check(const char *text, size_t len_bytes)
{
	/* Exactly as long as it says: a sanitizer sees a byte too many. */
	g_autofree char *copy = g_memdup2(text, MAX(len_bytes, 1));
	const char *reason = "";
	bool good = json_text_check(copy, len_bytes, &reason);

	g_assert_true(good ? reason == NULL : reason && reason[0]);
	return good;
}

static void test_good(void)
{
	static const char *const texts[] = {
		"{}", "[]", " \t\r\n{ } ", "null", "true", "false", "0", "-0", "1.5", "-1.5e-3", "1E+2",
		"\"\"",
		"\"\\u00e9\\ud83d\\ude00\\n\\/\\\"\\\\\"", "\"\xc3\xa9\"", "{\"a\":[1,{\"b\":null}],\"a\":2}",
		"[[],[]]",
		"999999999999999999", "-999999999999999999", "\"\x7f\"", "1e308",
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
		"0x10", "1_000", "1000000000000000000", "1e309", "-1e999",
		"\"", "\"\\\"", "\"\\x\"", "\"\\u\"", "\"\\u12\"", "\"\\u12g4\"", "\"\\u0000\"", "\"\\ud800\"",
		"\"\\udc00\"",
		"\"\\ud800\\ud800\"", "\"\\ud800x\"", "\"a\nb\"", "\"\t\"", "\"\x80\"", "\"\xc0\xaf\"",
		"\"\xed\xa0\x80\"",
		"\"\xf4\x90\x80\x80\"", "\xef\xbb\xbf{}", "{} {}", "{}x", "// c\n{}", "/* c */ {}",
		"var a = {};", "[1 2]", "{\"a\" 1}",
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
	/* Would end the stack of a parser that only recurses. */
	g_autofree char *abyss = nested(1000000, "[", "", "");

	g_assert_true(check(fits, strlen(fits)));
	g_assert_true(check(objects, strlen(objects)));
	g_assert_false(check(deep, strlen(deep)));
	g_assert_false(check(deep_objects, strlen(deep_objects)));
	g_assert_false(check(abyss, strlen(abyss)));
}

/* What passes, json-glib takes, and what it prints of it passes again. */
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
		if (!check(text->str, text->len))
			continue;
		n_good++;
		g_autoptr(JsonParser) parser = json_parser_new();
		g_autoptr(GError) error = NULL;
		g_assert_true(json_parser_load_from_data(parser, text->str, (gssize)text->len, &error));
		g_autofree char *printed = json_to_string(json_parser_get_root(parser), FALSE);
		g_assert_true(check(printed, strlen(printed)));
	}
	g_assert_cmpuint(n_good, >, 100);
	g_assert_cmpuint(n_good, <, 9900);
}

static void test_escape(void)
{
	static const char *const texts[][2] = {
		{ "{\"a\": \"b\"}", "{\"a\": \"b\"}" },
		{ "[\n \"\x1f\x7f\x1b[2J\"\n]", "[\n \"\\u001f\\u007f\\u001b[2J\"\n]" },
		{ "\"\xc2\x9b\xc2\x80\xc2\xa0\xc3\x9f\"", "\"\\u009b\\u0080\xc2\xa0\xc3\x9f\"" },
		{ "\xc2", "\xc2" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
		g_autofree char *got = json_text_escape(texts[i][0]);

		g_assert_cmpstr(got, ==, texts[i][1]);
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
	return g_test_run();
}
