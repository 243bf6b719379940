// SPDX-License-Identifier: MIT
/* Whatever a text holds, a terminal only shows it. */
#include <glib.h>

#include "vmm/one_line.h"

static void test_texts(void)
{
	static const struct {
		const char *text, *line;
	} cases[] = {
		{ "", "" },
		{ "plain ~ text", "plain ~ text" },
		{ "\n", "?" },
		{ "a\nb\033[2Jc\r", "a?b?[2Jc?" },
		{ "\177x", "?x" },
		{ "gr\303\274n", "gr\303\274n" },
		{ "\303\274", "\303\274" },
		/* A C1 control, and what is no UTF-8. */
		{ "a\302\233b", "a?b" },
		{ "a\377b\303", "a\357\277\275b\357\277\275" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *line = one_line(cases[i].text);

		g_assert_cmpstr(line, ==, cases[i].line);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/one-line/texts", test_texts);
	return g_test_run();
}
