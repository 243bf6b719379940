// SPDX-License-Identifier: MIT
/* A console's bytes as lines: what is text in them, what is not, and where a line ends. */
#include <string.h>

#include <glib.h>

#include "harness/console_lines.h"

static void collect(void *opaque, const char *line)
{
	GString *all = opaque;

	g_string_append_printf(all, "<%s>", line);
}

/* The lines of the text, each in <>, then what is left over. */
static char *lines_of(const char *text, size_t len_bytes)
{
	g_autofree struct console_lines *lines = g_new0(struct console_lines, 1);
	GString *all = g_string_new(NULL);

	console_lines_feed(lines, text, len_bytes, collect, all);
	g_string_append(all, console_lines_unfinished(lines));
	return g_string_free(all, FALSE);
}

static void check(const char *text, const char *expected)
{
	g_autofree char *lines = lines_of(text, strlen(text));

	g_assert_cmpstr(lines, ==, expected);
}

static void test_text(void)
{
	check("one\ntwo\r\nthree", "<one><two>three");
	check("10%\r20%\r\n\n\r\n", "<10%><20%>");
	check("a\tb \x80\xff\n", "<a\tb \x80\xff>");
	check("a\001b\x7f\bc\n", "<abc>");
	check("\033[1;31mred\033[0m\033(B\033=x\n", "<redx>");
	check("\033]0;title\007text\n\033]0;title\033\\text\n", "<text><text>");
}

/* A sequence that never ends takes no more than its line with it. */
static void test_unended_escape(void)
{
	check("\033]0;title\ntext\n", "<text>");
	check("a\033[12;12\ntext\n", "<a><text>");
	check("a\033\ntext\n", "<a><text>");
}

static void test_stamps(void)
{
	check("[    0.123456] ok 1\n[   12.000001]     ok 2\n", "<ok 1><    ok 2>");
	check("[    0.123456][    T1] ok\n[    0.5][C12] x\n", "<ok><x>");
	check("[1] a\n[] b\n[ 1.] c\n[1.2 d\n[T1] e\n[", "<[1] a><[] b><c><[1.2 d><[T1] e>[");
	check("[    0.1] [2.3] twice", "[2.3] twice");
}

static void test_bounds(void)
{
	g_autofree char *much = g_strnfill(1000000, 'x');
	g_autofree char *lines = lines_of(much, 1000000);
	static const char with_nul[] = "a\0b\n";

	g_assert_cmpuint(strlen(lines), ==, CONSOLE_LINE_BYTES);
	g_autofree char *without_nul = lines_of(with_nul, sizeof(with_nul) - 1);
	g_assert_cmpstr(without_nul, ==, "<ab>");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/harness/console_lines/text", test_text);
	g_test_add_func("/harness/console_lines/unended_escape", test_unended_escape);
	g_test_add_func("/harness/console_lines/stamps", test_stamps);
	g_test_add_func("/harness/console_lines/bounds", test_bounds);
	return g_test_run();
}
