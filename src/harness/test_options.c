// SPDX-License-Identifier: MIT
#include "harness/test_options.h"

#include <string.h>

#include "config/save_at.h"
#include "harness/patterns.h"
#include "vmm/error.h"
#include "vmm/one_line.h"

static const char SUMMARY[] =
	"Runs each TARGET as a guest, side by side, and says which of them work. A target is a kernel image, a configuration\n"
	"(xl.cfg, .dtb, .dts), or a folder of them. What follows -- are options of dom1 run, for all tests.\n"
	"\n"
	"The verdict is the first that applies: a \"Test result:\" line (Xen Test Framework), TAP or KTAP on the console,\n"
	"--fail-on and --expect, and how the guest ended. A guest that just powers off has passed.\n"
	"\n"
	"Example:\n"
	"  dom1 test --timeout 30 --format junit guests/ -- --memory 128M";

/* The words of the command line, before they mean anything. */
struct words {
	char *jobs, *timeout, *expect_end, *retry, *repeat, *shard, *format, *script;
	char **expect, **fail_on;
	gboolean boot_once, keep_going, fail_fast, until_fail, list, core, help;
};

static void words_clear(struct words *words)
{
	g_free(words->jobs);
	g_free(words->timeout);
	g_free(words->expect_end);
	g_free(words->retry);
	g_free(words->repeat);
	g_free(words->shard);
	g_free(words->format);
	g_free(words->script);
	g_strfreev(words->expect);
	g_strfreev(words->fail_on);
}

static bool add_patterns(GPtrArray *patterns, const char *option, char **texts, GError **error)
{
	for (; texts && *texts; texts++)
		if (!patterns_add(patterns, option, *texts, error))
			return false;
	return true;
}

static bool parse_format(const char *word, enum test_format *format, GError **error)
{
	static const char *const names[] = {
		[FORMAT_TEXT] = "text", [FORMAT_TAP] = "tap", [FORMAT_JUNIT] = "junit", [FORMAT_JSON] = "json"
	};

	for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
		if (strcmp(word, names[i]) == 0) {
			*format = (enum test_format)i;
			return true;
		}
	g_autofree char *line = one_line(word);
	g_set_error(error, DOM1_ERROR, DOM1_STATUS_USAGE, "--format=%s: must be text, tap, junit or json", line);
	return false;
}

static bool interpret(struct test_options *options, const struct words *words, GError **error)
{
	struct test_settings *common = &options->common;

	options->shard = (struct shard){ 1, 1 };
	options->rounds = words->until_fail ? 0 : 1;
	options->until_fail = words->until_fail;
	options->fail_fast = words->fail_fast;
	options->list = words->list;
	common->core = words->core;
	if (words->boot_once && !options->boot_once)
		options->boot_once = g_strdup("init");
	if (options->boot_once) {
		struct save_at *save_at = save_at_parse_when("--boot-until", options->boot_once, error);

		if (!save_at)
			return false;
		save_at_free(save_at);
	}
	if (options->boot_once && options->from) {
		g_set_error_literal(error, DOM1_ERROR, DOM1_STATUS_USAGE, "--from and --boot-once: give one of them");
		return false;
	}
	if (words->core && !options->output_dir) {
		g_set_error_literal(error, DOM1_ERROR, DOM1_STATUS_USAGE, "--core: cores are kept with the other evidence: give --output DIR");
		return false;
	}
	if (words->fail_fast && words->keep_going) {
		g_set_error_literal(error, DOM1_ERROR, DOM1_STATUS_USAGE, "--fail-fast and --keep-going: give one of them");
		return false;
	}
	return (!words->jobs || test_settings_parse_count("--jobs", words->jobs, 1, &options->jobs, error)) &&
	       (!words->timeout || test_settings_parse_count("--timeout", words->timeout, 1, &common->timeout_s, error)) &&
	       (!words->retry || test_settings_parse_count("--retry", words->retry, 0, &common->retries, error)) &&
	       (!words->repeat || test_settings_parse_count("--repeat", words->repeat, 1, &options->rounds, error)) &&
	       (!words->expect_end ||
		test_settings_parse_end("--expect-end", words->expect_end, &common->expected_end, error)) &&
	       (!words->shard || shard_parse(words->shard, &options->shard, error)) &&
	       (!words->format || parse_format(words->format, &options->format, error)) &&
	       (!words->script || (common->script = script_read(words->script, error))) &&
	       add_patterns(common->expect, "--expect", words->expect, error) &&
	       add_patterns(common->fail_on, "--fail-on", words->fail_on, error);
}

/* What stands behind the first "--" is not ours. */
static int split(struct test_options *options, int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], "--") == 0) {
			options->run_options = g_strdupv(argv + i + 1);
			return i;
		}
	return argc;
}

bool test_options_parse(struct test_options *options, int argc, char **argv, GError **error)
{
	struct words words = { 0 };

	*options = (struct test_options){ 0 };
	test_settings_init(&options->common);
	const GOptionEntry entries[] = {
		{ "jobs", 'j', 0, G_OPTION_ARG_FILENAME, &words.jobs, "vCPUs at work at the same time (default: as many as there are CPUs); memory limits it too", "N" },
		{ "timeout", 0, 0, G_OPTION_ARG_FILENAME, &words.timeout, "for each test (default 60)", "SECONDS" },
		{ "expect", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &words.expect, "a line of the console must match; any number: then all. When all have come, the guest is ended", "REGEX" },
		{ "fail-on", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &words.fail_on, "no line of the console may match; any number", "REGEX" },
		{ "script", 0, 0, G_OPTION_ARG_FILENAME, &words.script, "a dialogue with the guest, of lines expect, send, timeout, mark, xenstore, write, event", "FILE" },
		{ "expect-end", 0, 0, G_OPTION_ARG_FILENAME, &words.expect_end, "how the guest must end: poweroff (default), reboot or crash", "END" },
		{ "retry", 0, 0, G_OPTION_ARG_FILENAME, &words.retry, "run a test that fails again, up to N times; one that then passes is flaky", "N" },
		{ "repeat", 0, 0, G_OPTION_ARG_FILENAME, &words.repeat, "run all of them N times", "N" },
		{ "until-fail", 0, 0, G_OPTION_ARG_NONE, &words.until_fail, "run them again and again until one fails (with --repeat: N times at most)", NULL },
		{ "fail-fast", 0, 0, G_OPTION_ARG_NONE, &words.fail_fast, "start no more tests when one has failed", NULL },
		{ "keep-going", 0, 0, G_OPTION_ARG_NONE, &words.keep_going, "run all of them (the default)", NULL },
		{ "filter", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &options->filters, "only tests of such a name, with * and ?; any number", "PATTERN" },
		{ "shard", 0, 0, G_OPTION_ARG_FILENAME, &words.shard, "only part I of N: each test is in one of them", "I/N" },
		{ "from", 0, 0, G_OPTION_ARG_FILENAME, &options->from, "each test is a clone of the domain that dom1 save wrote to FILE; targets are dialogues, as of --script, or configurations, of which only the tests' settings count", "FILE" },
		{ "boot-once", 0, 0, G_OPTION_ARG_NONE, &words.boot_once, "tests of the same kernel and machine are clones of one that was booted and saved (docs/harness.md)", NULL },
		{ "boot-until", 0, 0, G_OPTION_ARG_FILENAME, &options->boot_once, "the same, and when it is saved: init (default), mark=TEXT or console=REGEX", "WHEN" },
		{ "list", 0, 0, G_OPTION_ARG_NONE, &words.list, "only print their names", NULL },
		{ "format", 0, 0, G_OPTION_ARG_FILENAME, &words.format, "on standard output: text (default), tap, junit or json", "FORMAT" },
		{ "output", 'o', 0, G_OPTION_ARG_FILENAME, &options->output_dir, "keep there: each test's console, shim's log, report and messages; junit.xml, results.json", "DIR" },
		{ "core", 0, 0, G_OPTION_ARG_NONE, &words.core, "and of a guest that ends badly its memory, an ELF core: --output DIR is needed", NULL },
		{ "help", 'h', 0, G_OPTION_ARG_NONE, &words.help, "this text", NULL },
		{ NULL, 0, 0, 0, NULL, NULL, NULL },
	};
	g_autoptr(GOptionContext) context = g_option_context_new("TARGET... [-- OPTIONS OF DOM1 RUN]");
	g_autofree char **mine = g_new0(char *, (gsize)argc + 1);
	int n = split(options, argc, argv);

	memcpy(mine, argv, (size_t)n * sizeof(*mine));
	g_option_context_set_summary(context, SUMMARY);
	g_option_context_add_main_entries(context, entries, NULL);
	g_option_context_set_help_enabled(context, FALSE);
	char **rest = mine;
	bool ok = g_option_context_parse(context, &n, &rest, error);
	if (!ok && error && *error) {
		g_autofree char *line = one_line((*error)->message);

		g_clear_error(error);
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_USAGE, "%s (dom1 test --help shows the options)", line);
	}
	if (ok && words.help)
		options->help = g_option_context_get_help(context, TRUE, NULL);
	else if (ok && n < 2 && !options->from) {
		g_set_error_literal(error, DOM1_ERROR, DOM1_STATUS_USAGE,
				    "no target: give kernels, configurations, or folders of them (dom1 test --help shows the rest)");
		ok = false;
	} else if (ok) {
		options->targets = g_strdupv(rest + 1);
		ok = interpret(options, &words, error);
	}
	words_clear(&words);
	if (!ok)
		test_options_clear(options);
	return ok;
}

void test_options_clear(struct test_options *options)
{
	g_free(options->help);
	g_strfreev(options->targets);
	g_strfreev(options->run_options);
	g_strfreev(options->filters);
	g_free(options->from);
	g_free(options->boot_once);
	if (options->common.expect)
		test_settings_clear(&options->common);
	g_free(options->output_dir);
	*options = (struct test_options){ 0 };
}
