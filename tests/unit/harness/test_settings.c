// SPDX-License-Identifier: MIT
/* Settings of a test in its guest's own file: each key, what wins, and what is refused with its line. */
#include <string.h>

#include <glib.h>

#include "harness/patterns.h"
#include "harness/settings.h"
#include "harness/test_options.h"
#include "vmm/error.h"

static bool read_text(struct test_settings *settings, const char *text, GError **error)
{
	return test_settings_read(settings, text, strlen(text), "guest.cfg", error);
}

static void test_keys(void)
{
	struct test_settings settings, copy;
	GError *error = NULL;

	test_settings_init(&settings);
	g_assert_true(patterns_add(settings.expect, "--expect", "common", NULL));
	g_assert_true(read_text(&settings,
				"name = 'x' # dom1-test: timeout=1\n"
				"# dom1-test: timeout=7\r\n"
				"\t#dom1-test:retry = 2\n"
				"// dom1-test: expect=a = b #c\n"
				"# dom1-test: fail-on=BUG\n"
				"# dom1-test: expect-end=crash\n"
				"# dom1-test: skip=no such device here\n"
				"# dom1-test: option=--vcpus=2\n"
				"# dom1-test: option=--append=console=hvc0 quiet",
				&error));
	g_assert_no_error(error);
	test_settings_copy(&copy, &settings);
	test_settings_clear(&settings);
	g_assert_cmpuint(copy.timeout_s, ==, 7);
	g_assert_cmpuint(copy.retries, ==, 2);
	g_assert_cmpuint(copy.expect->len, ==, 2);
	g_assert_cmpstr(patterns_text(copy.expect, 0), ==, "common");
	g_assert_cmpstr(patterns_text(copy.expect, 1), ==, "a = b #c");
	g_assert_cmpstr(patterns_text(copy.fail_on, 0), ==, "BUG");
	g_assert_cmpint(copy.expected_end, ==, OUTCOME_CRASH);
	g_assert_cmpstr(copy.skip_reason, ==, "no such device here");
	g_assert_cmpuint(copy.options->len, ==, 2);
	g_assert_cmpstr(copy.options->pdata[1], ==, "--append=console=hvc0 quiet");
	test_settings_clear(&copy);
}

static void test_refused(void)
{
	static const char *const texts[] = {
		"\n# dom1-test: timeot=7\n", "\n# dom1-test: timeout=0\n", "\n# dom1-test: timeout\n",
		"\n# dom1-test: expect=(\n", "\n# dom1-test: expect-end=timeout\n", "\n# dom1-test: retry=-1\n",
	};

	for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
		struct test_settings settings;
		GError *error = NULL;

		test_settings_init(&settings);
		g_assert_false(read_text(&settings, texts[i], &error));
		g_assert_error(error, DOM1_ERROR, DOM1_STATUS_FILE);
		g_assert_true(g_str_has_prefix(error->message, "guest.cfg:2: "));
		g_assert_null(strchr(error->message, '\n'));
		g_error_free(error);
		test_settings_clear(&settings);
	}
}

/* words: the command line in one string, split at blanks. */
static bool parse(struct test_options *options, const char *words, GError **error)
{
	g_auto(GStrv) argv = g_strsplit(words, " ", -1);

	return test_options_parse(options, (int)g_strv_length(argv), argv, error);
}

static void test_command_line(void)
{
	struct test_options options;
	GError *error = NULL;

	g_assert_true(parse(&options, "test -j 3 a --timeout=9 --shard 2/5 b --format junit --repeat 4 --filter x* -- --memory 64M -c 2", &error));
	g_assert_no_error(error);
	g_assert_cmpuint(options.jobs, ==, 3);
	g_assert_cmpuint(options.common.timeout_s, ==, 9);
	g_assert_cmpuint(options.shard.index, ==, 2);
	g_assert_cmpuint(options.shard.count, ==, 5);
	g_assert_cmpint(options.format, ==, FORMAT_JUNIT);
	g_assert_cmpuint(options.rounds, ==, 4);
	g_assert_cmpuint(g_strv_length(options.targets), ==, 2);
	g_assert_cmpstr(options.targets[1], ==, "b");
	g_assert_cmpuint(g_strv_length(options.run_options), ==, 4);
	g_assert_cmpstr(options.run_options[3], ==, "2");
	test_options_clear(&options);

	g_assert_true(parse(&options, "test --until-fail a", &error));
	g_assert_cmpuint(options.rounds, ==, 0);
	test_options_clear(&options);
	g_assert_true(parse(&options, "test --help", &error));
	g_assert_nonnull(strstr(options.help, "--until-fail"));
	test_options_clear(&options);
}

static void test_command_line_refused(void)
{
	static const char *const lines[] = {
		"test", "test -- a", "test a --jobs 0", "test a --jobs x", "test a --shard 3/2", "test a --shard 0/2", "test a --shard 1",
		"test a --shard 1/2/3", "test a --format xml", "test a --expect (", "test a --fail-fast --keep-going", "test a --no-such",
		"test a --repeat 0", "test a --expect-end dead",
	};

	for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
		struct test_options options;
		GError *error = NULL;

		if (parse(&options, lines[i], &error))
			g_error("%s: not refused", lines[i]);
		g_assert_error(error, DOM1_ERROR, DOM1_STATUS_USAGE);
		g_assert_null(strchr(error->message, '\n'));
		g_error_free(error);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/harness/settings/keys", test_keys);
	g_test_add_func("/harness/settings/refused", test_refused);
	g_test_add_func("/harness/settings/command_line", test_command_line);
	g_test_add_func("/harness/settings/command_line_refused", test_command_line_refused);
	return g_test_run();
}
