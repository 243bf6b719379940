// SPDX-License-Identifier: MIT
/* dom1 test: which tests there are, their running, and what is told of them. docs/harness.md is its contract. */
#include <stdio.h>
#include <sched.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/domain_command.h"
#include "control/folders.h"
#include "harness/boot_once.h"
#include "harness/present.h"
#include "harness/targets.h"
#include "harness/test_case.h"
#include "harness/test_options.h"
#include "harness/test_set.h"
#include "vmm/error.h"
#include "vmm/one_line.h"

#define SUITE "dom1"

struct testing {
	struct test_options options;
	GPtrArray *cases; /* of struct test_case * */
	struct boot_once *once; /* NULL: each test boots */
	GPtrArray *results;
	struct progress progress;
	gint64 began_us;
	int signal;
};

static struct test_case *new_case(const struct test_options *options, const char *path)
{
	return options->from ? test_case_from(options->from, path, &options->common, options->run_options) :
			       test_case_new(path, &options->common, options->run_options);
}

static bool find_cases(struct testing *testing, GError **error)
{
	const struct test_options *options = &testing->options;
	GPtrArray *paths = targets_find(options->targets, error);
	guint place = 0;

	if (!paths)
		return false;
	testing->cases = g_ptr_array_new_with_free_func((GDestroyNotify)test_case_free);
	for (guint i = 0; i < paths->len; i++)
		if (target_is_wanted(paths->pdata[i], options->filters) && shard_has(&options->shard, place++))
			g_ptr_array_add(testing->cases, new_case(options, paths->pdata[i]));
	/* Without a target, the saved domain is the test. */
	if (options->from && !options->targets[0] && shard_has(&options->shard, place++))
		g_ptr_array_add(testing->cases, new_case(options, NULL));
	g_ptr_array_unref(paths);
	/* A shard of few tests may have none; but a set without any is a mistake. */
	if (place > 0)
		return true;
	g_set_error(error, DOM1_ERROR, DOM1_STATUS_USAGE, "no tests: %s",
		    options->filters ? "--filter leaves none" : "the targets hold neither kernels nor configurations");
	return false;
}

static void print_list(const struct testing *testing)
{
	for (guint i = 0; i < testing->cases->len; i++) {
		const struct test_case *test = testing->cases->pdata[i];
		g_autofree char *name = one_line(test->name);

		puts(name);
	}
}

static void tell(const struct test_result *result, guint n, void *opaque)
{
	const struct testing *testing = opaque;
	g_autofree char *text = testing->options.format == FORMAT_TEXT ? present_result_text(result) :
				testing->options.format == FORMAT_TAP  ? present_result_tap(result, n) :
									 NULL;

	if (text) {
		fputs(text, stdout);
		fflush(stdout);
	}
}

static unsigned int count_cpus(void)
{
	cpu_set_t cpus;

	return sched_getaffinity(0, sizeof(cpus), &cpus) == 0 ? (unsigned int)CPU_COUNT(&cpus) : 1;
}

/* In a process of its own, as dom1 run. */
static int run_guest(int argc, char **argv, struct record *record)
{
	return run_with_record(argc - 1, argv + 1, record);
}

/* Nothing of a single guest need be known before it runs: it finds room, or says that it does not. */
static uint64_t room_for_all(const struct testing *testing)
{
	const struct test_options *options = &testing->options;
	const bool alone = testing->cases->len <= 1 && options->rounds == 1;

	for (guint i = 0; i < testing->cases->len && (!alone || options->output_dir); i++)
		test_case_read_needs(testing->cases->pdata[i]);
	return alone ? UINT64_MAX : test_set_host_memory_bytes();
}

static bool run_cases(struct testing *testing, GError **error)
{
	const struct test_options *options = &testing->options;
	const uint64_t memory_bytes = room_for_all(testing);

	/* Their needs first: those of the domains that they are clones of. */
	if (options->boot_once)
		testing->once = boot_once_prepare(testing->cases, options->boot_once, options->rounds != 1, run_guest);
	const struct test_set_setup setup = {
		.cases = testing->cases,
		.jobs = options->jobs ? options->jobs : count_cpus(),
		.memory_bytes = memory_bytes,
		/* A shard without tests has no rounds to wait for either. */
		.rounds = testing->cases->len ? options->rounds : 1,
		.until_fail = options->until_fail,
		.fail_fast = options->fail_fast,
		.output_dir = options->output_dir,
		.main = run_guest,
		.progress = &testing->progress,
		.told = tell,
		.opaque = testing,
	};

	/* What killed runs have left is cleaned by looking for who runs. */
	g_strfreev(folders_list(NULL));
	if (options->format == FORMAT_TAP)
		puts("TAP version 14");
	testing->results = test_set_run(&setup, &testing->signal, error);
	return testing->results != NULL;
}

static bool write_file(const char *dir, const char *name, const char *text, GError **error)
{
	g_autofree char *path = g_build_filename(dir, name, NULL);
	g_autoptr(GError) write_error = NULL;

	if (g_mkdir_with_parents(dir, 0777) == 0 && g_file_set_contents(path, text, -1, &write_error))
		return true;
	g_set_error(error, DOM1_ERROR, DOM1_STATUS_USAGE, "--output: %s: cannot write: %s", path,
		    write_error ? write_error->message : "the folder cannot be made");
	return false;
}

static bool present_files(const struct testing *testing, gint64 duration_us, GError **error)
{
	const struct test_options *options = &testing->options;

	if (!options->output_dir)
		return true;
	g_autofree char *junit = present_junit(testing->results, SUITE, &options->shard, duration_us);
	g_autofree char *json = present_results_json(testing->results, &options->shard, duration_us);

	return write_file(options->output_dir, "junit.xml", junit, error) && write_file(options->output_dir, "results.json", json, error);
}

static bool present_all(const struct testing *testing, GError **error)
{
	const struct test_options *options = &testing->options;
	gint64 duration_us = g_get_monotonic_time() - testing->began_us;
	g_autofree char *text = options->format == FORMAT_TAP   ? g_strdup_printf("1..%u\n", testing->results->len) :
				options->format == FORMAT_JUNIT ? present_junit(testing->results, SUITE, &options->shard, duration_us) :
				options->format == FORMAT_JSON  ? present_results_json(testing->results, &options->shard, duration_us) :
								  present_summary(testing->results);

	fputs(text, stdout);
	return present_files(testing, duration_us, error);
}

static int status_of(const struct testing *testing)
{
	struct test_counts counts;

	if (testing->signal)
		return DOM1_STATUS_SIGNAL_BASE + testing->signal;
	test_results_count(testing->results, &counts);
	return counts.status;
}

static bool test(struct testing *testing, int *status, GError **error)
{
	*status = DOM1_STATUS_OK;
	if (testing->options.help) {
		fputs(testing->options.help, stdout);
		return true;
	}
	if (!find_cases(testing, error))
		return false;
	if (testing->options.list) {
		print_list(testing);
		return true;
	}
	if (!run_cases(testing, error))
		return false;
	*status = status_of(testing);
	return present_all(testing, error);
}

int cmd_test(int argc, char **argv, uint64_t exec_ns)
{
	struct testing testing = { .began_us = g_get_monotonic_time() };
	g_autoptr(GError) error = NULL;
	int status = DOM1_STATUS_USAGE;

	(void)exec_ns;
	progress_init(&testing.progress, STDERR_FILENO);
	if (!test_options_parse(&testing.options, argc, argv, &error))
		return command_error("test", error);
	if (!test(&testing, &status, &error))
		status = verdict_worse_status(status, command_error("test", error));
	if (testing.results)
		g_ptr_array_unref(testing.results);
	boot_once_free(testing.once);
	if (testing.cases)
		g_ptr_array_unref(testing.cases);
	test_options_clear(&testing.options);
	return command_finish("test", status);
}
