// SPDX-License-Identifier: MIT
#include <glib.h>

#include "config/save_at.h"
#include "vmm/error.h"

static struct save_at *parse(const char *text)
{
	g_autoptr(GError) error = NULL;
	struct save_at *save_at = save_at_parse(text, &error);

	g_assert_no_error(error);
	return save_at;
}

static void test_init(void)
{
	struct save_at *save_at = parse("/tmp/a b,init");

	g_assert_cmpstr(save_at->path, ==, "/tmp/a b");
	g_assert_true(save_at_is_line(save_at, "Run /init as init process", true));
	g_assert_true(save_at_is_line(save_at, "Run /usr/lib/systemd/systemd as init process", true));
	/* Linux ends its lines; and what is in the midst of one is somebody else's words. */
	g_assert_false(save_at_is_line(save_at, "Run /init as init process", false));
	g_assert_false(save_at_is_line(save_at, "echo Run /init as init process", true));
	g_assert_false(save_at_is_line(save_at, "Run /init as init processes", true));
	g_assert_true(save_at_is_mark(save_at, "init"));
	g_assert_false(save_at_is_mark(save_at, "init2"));
	save_at_free(save_at);
}

static void test_mark(void)
{
	struct save_at *save_at = parse("file,mark=a,b=c");

	g_assert_cmpstr(save_at->path, ==, "file");
	g_assert_true(save_at_is_mark(save_at, "a,b=c"));
	g_assert_false(save_at_is_mark(save_at, "a"));
	g_assert_false(save_at_is_mark(save_at, ""));
	g_assert_false(save_at_is_line(save_at, "a,b=c", true));
	save_at_free(save_at);
}

static void test_console(void)
{
	struct save_at *save_at = parse("file,console=^[a-z]{1,3} login: $");

	g_assert_true(save_at_is_line(save_at, "vm login: ", false)); /* a prompt */
	g_assert_true(save_at_is_line(save_at, "vm login: ", true));
	g_assert_false(save_at_is_line(save_at, "machine login: ", false));
	g_assert_false(save_at_is_mark(save_at, "vm login: "));
	save_at_free(save_at);
	/* Bytes, not characters. */
	save_at = parse("file,console=\xff");
	g_assert_true(save_at_is_line(save_at, "a\xff", true));
	save_at_free(save_at);
}

static void test_refused(void)
{
	static const char *const texts[] = { "",	  "file",	  ",init",	  "file,",	 "file,mark",	   "file,mark=",
					     "file,console=", "file,console=[", "file,Init", "file,init,x", "file,at=init" };

	for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
		g_autoptr(GError) error = NULL;

		g_assert_null(save_at_parse(texts[i], &error));
		g_assert_error(error, DOM1_ERROR, DOM1_STATUS_USAGE);
		g_assert_true(g_str_has_prefix(error->message, "--save-at="));
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/save-at/init", test_init);
	g_test_add_func("/save-at/mark", test_mark);
	g_test_add_func("/save-at/console", test_console);
	g_test_add_func("/save-at/refused", test_refused);
	return g_test_run();
}
