// SPDX-License-Identifier: MIT
/*
 * Sets of tests with processes for real. A fork of this program plays dom1 run and its guest, which one says the name of
 * the target. So mixed endings, floods, order, retries, interruptions and what is left behind are seen
 * without KVM.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <glib.h>
#include <glib/gstdio.h>

#include "harness/patterns.h"
#include "harness/test_set.h"
#include "vmm/error.h"

#define HANG_LIMIT_S 120

/* ---- the part of dom1 run ---- */

static volatile sig_atomic_t told_to_end;

static void on_term(int number)
{
	(void)number;
	told_to_end = 1;
}

static int fake_end(struct record *record, enum outcome outcome, int status)
{
	(void)record_end(record, outcome, 0, NULL);
	record_phase(record, PHASE_EXIT, NULL);
	return status;
}

static int fake_flood(struct record *record)
{
	static char text[65536];

	memset(text, 'x', sizeof(text));
	for (unsigned int i = 0; i < 1024 * 16; i++)
		if (fwrite(text, 1, sizeof(text), stdout) != sizeof(text))
			return DOM1_STATUS_DEFECT;
	puts("\nTest result: SUCCESS");
	fflush(stdout);
	return fake_end(record, OUTCOME_POWEROFF, 0);
}

/* Passes when it is run for the second time. */
static int fake_flaky(const char *target, struct record *record)
{
	g_autofree char *marker = g_strconcat(target, ".tried", NULL);
	bool second = g_file_test(marker, G_FILE_TEST_EXISTS);

	g_assert_true(g_file_set_contents(marker, "", 0, NULL));
	puts(second ? "Test result: SUCCESS" : "Test result: FAILURE");
	fflush(stdout);
	return fake_end(record, OUTCOME_POWEROFF, 0);
}

/* Passes twice. */
static int fake_wears(const char *target, struct record *record)
{
	g_autofree char *marker = g_strconcat(target, ".tried", NULL);
	g_autofree char *before = NULL;

	if (!g_file_get_contents(marker, &before, NULL, NULL))
		before = g_strdup("");
	g_autofree char *after = g_strconcat(before, "x", NULL);
	g_assert_true(g_file_set_contents(marker, after, -1, NULL));
	puts(strlen(after) > 2 ? "Test result: FAILURE" : "Test result: SUCCESS");
	fflush(stdout);
	return fake_end(record, OUTCOME_POWEROFF, 0);
}

/* Fails when another one of its kind is running. */
static int fake_alone(const char *target, struct record *record)
{
	g_autofree char *dir = g_path_get_dirname(target);
	g_autofree char *marker = g_build_filename(dir, "running", NULL);
	int fd = open(marker, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	usleep(50000);
	if (fd >= 0)
		unlink(marker);
	puts(fd >= 0 ? "Test result: SUCCESS" : "Test result: FAILURE");
	fflush(stdout);
	return fake_end(record, OUTCOME_POWEROFF, 0);
}

/* Each of the four waits for the others: alone it would be killed as a hang. */
static int fake_together(const char *target, struct record *record)
{
	g_autofree char *dir = g_path_get_dirname(target);
	g_autofree char *marker = g_strconcat(target, ".here", NULL);

	g_assert_true(g_file_set_contents(marker, "", 0, NULL));
	for (unsigned int n = 0; n < 4;) {
		GDir *files = g_dir_open(dir, 0, NULL);

		n = 0;
		for (const char *name; (name = g_dir_read_name(files)) != NULL;)
			n += g_str_has_suffix(name, ".here") ? 1u : 0u;
		g_dir_close(files);
		usleep(1000);
	}
	return fake_end(record, OUTCOME_POWEROFF, 0);
}

static int fake_hang(const char *target, struct record *record)
{
	g_autofree char *marker = g_strconcat(target, ".hangs", NULL);

	signal(SIGTERM, on_term);
	g_assert_true(g_file_set_contents(marker, "", 0, NULL));
	puts("login: ");
	fflush(stdout);
	while (!told_to_end)
		usleep(1000);
	return fake_end(record, OUTCOME_DESTROYED, DOM1_STATUS_DESTROYED);
}

static const struct {
	const char *name, *console;
	enum outcome outcome;
	int status;
} FAKES[] = {
	{ "pass", "hello\n", OUTCOME_POWEROFF, 0 },
	{ "skip", "Test result: SKIP\n", OUTCOME_POWEROFF, 0 },
	{ "fail", "Test result: FAILURE\n", OUTCOME_POWEROFF, 0 },
	{ "half", "Test result: SUCC", OUTCOME_POWEROFF, 0 },
	{ "tap", "TAP version 13\n1..2\nok 1\nnot ok 2 - second\n", OUTCOME_POWEROFF, 0 },
	{ "reboot", "", OUTCOME_REBOOT, 32 },
	{ "crash", "Oops\n", OUTCOME_CRASH, 34 },
	{ "shim", "", OUTCOME_SHIM_CRASH, 35 },
	{ "timeout", "", OUTCOME_TIMEOUT, 124 },
	{ "defect", "", OUTCOME_HOST_ERROR, 125 },
};

static int fake_run(const char *target, struct record *record)
{
	g_autofree char *base = g_path_get_basename(target);
	size_t len_bytes = strcspn(base, "-.");

	base[len_bytes] = '\0';
	for (size_t i = 0; i < G_N_ELEMENTS(FAKES); i++)
		if (strcmp(base, FAKES[i].name) == 0) {
			fputs(FAKES[i].console, stdout);
			fflush(stdout);
			return fake_end(record, FAKES[i].outcome, FAKES[i].status);
		}
	if (strcmp(base, "host") == 0) {
		fputs("dom1: no KVM here\n", stderr);
		return DOM1_STATUS_HOST;
	}
	if (strcmp(base, "status3") == 0 || strcmp(base, "status0") == 0) {
		record_phase(record, PHASE_MARK, "status=0");
		if (base[6] == '3')
			record_phase(record, PHASE_MARK, "status=3");
		return fake_end(record, OUTCOME_POWEROFF, 0);
	}
	if (strcmp(base, "killed") == 0)
		raise(SIGKILL);
	return strcmp(base, "flood") == 0 ? fake_flood(record) :
	       strcmp(base, "flaky") == 0 ? fake_flaky(target, record) :
	       strcmp(base, "wears") == 0 ? fake_wears(target, record) :
	       strcmp(base, "alone") == 0 ? fake_alone(target, record) :
	       strcmp(base, "together") == 0 ? fake_together(target, record) :
					    fake_hang(target, record);
}

/* In a fork of this program, as dom1 test runs its guests. */
static int fake_main(int argc, char **argv, struct record *record)
{
	g_assert_cmpint(argc, >, 2);
	return fake_run(argv[2], record);
}

/* ---- the tests ---- */

struct fixture {
	char *dir;
	GPtrArray *cases;
	struct test_settings common;
	struct progress progress;
	GString *order; /* names as they were told */
	guint interrupt_at; /* SIGINT comes when so many have been */
	GPtrArray *results;
	int signal;
};

static void setup(struct fixture *f, gconstpointer data)
{
	(void)data;
	*f = (struct fixture){ .dir = g_dir_make_tmp("set-XXXXXX", NULL), .progress = { .fd = -1 }, .order = g_string_new(NULL) };
	f->cases = g_ptr_array_new_with_free_func((GDestroyNotify)test_case_free);
	test_settings_init(&f->common);
	alarm(HANG_LIMIT_S);
}

static void teardown(struct fixture *f, gconstpointer data)
{
	const char *const command[] = { "rm", "-rf", "--", f->dir, NULL };

	(void)data;
	alarm(0);
	g_assert_true(g_spawn_sync(NULL, (char **)(void *)(uintptr_t)command, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL,
				   NULL, NULL));
	g_free(f->dir);
	g_ptr_array_unref(f->cases);
	g_clear_pointer(&f->results, g_ptr_array_unref);
	test_settings_clear(&f->common);
	g_string_free(f->order, TRUE);
	/* No child is left, dead or alive. */
	g_assert_cmpint(waitpid(-1, NULL, WNOHANG), ==, -1);
}

/* A test named NAME-i.cfg; text: what is in its file. */
static void add(struct fixture *f, const char *name, const char *text)
{
	g_autofree char *path = g_strdup_printf("%s/%s-%u.cfg", f->dir, name, f->cases->len);
	g_autofree char *content = g_strdup_printf("kernel = \"/k\"\nmemory = 16\n%s\n", text);

	g_assert_true(g_file_set_contents(path, content, -1, NULL));
	struct test_case *test = test_case_new(path, &f->common, NULL);

	test_case_read_needs(test);
	g_ptr_array_add(f->cases, test);
}

static void told(const struct test_result *one, guint n, void *opaque)
{
	struct fixture *f = opaque;

	g_string_append_printf(f->order, "%u:%s:%u ", n, strrchr(one->name, '/') + 1, one->round);
	if (n == f->interrupt_at)
		kill(getpid(), SIGINT);
}

static void run(struct fixture *f, struct test_set_setup extra)
{
	GError *error = NULL;

	extra.cases = f->cases;
	extra.jobs = extra.jobs ? extra.jobs : 4;
	extra.main = fake_main;
	extra.memory_bytes = extra.memory_bytes ? extra.memory_bytes : UINT64_MAX;
	extra.rounds = extra.rounds || extra.until_fail ? extra.rounds : 1;
	extra.progress = &f->progress;
	extra.told = told;
	extra.opaque = f;
	f->results = test_set_run(&extra, &f->signal, &error);
	g_assert_no_error(error);
}

static struct test_result *result(const struct fixture *f, guint i)
{
	return f->results->pdata[i];
}

/* Two hundred with mixed endings: each has its verdict, in its place, and the counts are exact. */
static void test_mixed(struct fixture *f, gconstpointer data)
{
	static const struct {
		const char *name;
		enum verdict verdict;
		int status;
	} kinds[] = {
		{ "pass", VERDICT_PASSED, 0 },	      { "skip", VERDICT_SKIPPED, 0 },
		{ "fail", VERDICT_FAILED, 1 },	      { "half", VERDICT_ERROR, 1 },
		{ "tap", VERDICT_FAILED, 1 },	      { "reboot", VERDICT_REBOOT, 32 },
		{ "crash", VERDICT_CRASH, 34 },	      { "shim", VERDICT_SHIM_CRASH, 35 },
		{ "timeout", VERDICT_TIMEOUT, 124 },  { "defect", VERDICT_HOST_ERROR, 125 },
		{ "host", VERDICT_HOST_ERROR, 3 },    { "killed", VERDICT_HOST_ERROR, 125 },
	};
	unsigned int expected[N_VERDICTS] = { 0 };
	GRand *random = g_rand_new_with_seed(1);
	guint chosen[200];
	g_autoptr(GString) order = g_string_new(NULL);
	struct test_counts counts;

	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(chosen); i++) {
		chosen[i] = (guint)g_rand_int_range(random, 0, G_N_ELEMENTS(kinds));
		add(f, kinds[chosen[i]].name, "");
		expected[kinds[chosen[i]].verdict]++;
		g_string_append_printf(order, "%u:%s-%u.cfg:1 ", i + 1, kinds[chosen[i]].name, i);
	}
	run(f, (struct test_set_setup){ .jobs = 8 });
	g_assert_cmpstr(f->order->str, ==, order->str);
	for (guint i = 0; i < G_N_ELEMENTS(chosen); i++) {
		g_assert_cmpint(result(f, i)->verdict.verdict, ==, kinds[chosen[i]].verdict);
		g_assert_cmpint(result(f, i)->verdict.status, ==, kinds[chosen[i]].status);
	}
	test_results_count(f->results, &counts);
	g_assert_cmpuint(counts.n, ==, 200);
	for (size_t i = 0; i < N_VERDICTS; i++)
		g_assert_cmpuint(counts.by_verdict[i], ==, expected[i]);
	g_assert_cmpint(counts.status, ==, 125);
	g_rand_free(random);
}

static void test_words(struct fixture *f, gconstpointer data)
{
	(void)data;
	add(f, "host", "");
	add(f, "crash", "");
	add(f, "pass", "# dom1-test: timeot=1");
	add(f, "pass", "# dom1-test: skip=not today");
	add(f, "status3", "");
	add(f, "status0", "");
	run(f, (struct test_set_setup){ 0 });
	g_assert_cmpint(result(f, 4)->verdict.verdict, ==, VERDICT_FAILED);
	g_assert_cmpstr(result(f, 4)->verdict.detail, ==, "the guest's status is 3");
	g_assert_cmpint(result(f, 5)->verdict.verdict, ==, VERDICT_PASSED);
	g_assert_cmpstr(result(f, 0)->verdict.detail, ==, "no KVM here");
	g_assert_cmpstr(result(f, 1)->console, ==, "Oops");
	g_assert_cmpint(result(f, 2)->verdict.status, ==, DOM1_STATUS_FILE);
	g_assert_cmpuint(result(f, 2)->attempts, ==, 0);
	g_assert_cmpint(result(f, 3)->verdict.verdict, ==, VERDICT_SKIPPED);
	g_assert_cmpstr(result(f, 3)->verdict.detail, ==, "not today");
}

/* A gigabyte on the console: all of it is read, the result behind it counts, and the file has its beginning and its end. */
static void test_flood(struct fixture *f, gconstpointer data)
{
	g_autofree char *out = g_build_filename(f->dir, "out", NULL);
	g_autofree char *text = NULL;
	gsize len_bytes;

	(void)data;
	add(f, "flood", "");
	run(f, (struct test_set_setup){ .output_dir = out });
	g_assert_cmpint(result(f, 0)->verdict.verdict, ==, VERDICT_PASSED);
	g_autofree char *log = g_build_filename(result(f, 0)->folder, "console.log", NULL);
	g_assert_true(g_file_get_contents(log, &text, &len_bytes, NULL));
	g_assert_cmpuint(len_bytes, <, 70 << 20);
	g_assert_true(g_str_has_suffix(text, "xx\nTest result: SUCCESS\n"));
	g_assert_nonnull(strstr(text, " bytes left out]\n"));
}

static void test_expect(struct fixture *f, gconstpointer data)
{
	(void)data;
	add(f, "hang", "# dom1-test: expect=^login:");
	add(f, "hang", "# dom1-test: fail-on=login");
	add(f, "crash", "# dom1-test: expect=Oops\n# dom1-test: expect-end=crash");
	add(f, "pass", "# dom1-test: expect=goodbye");
	run(f, (struct test_set_setup){ 0 });
	g_assert_cmpint(result(f, 0)->verdict.verdict, ==, VERDICT_PASSED);
	g_assert_cmpint(result(f, 1)->verdict.verdict, ==, VERDICT_FAILED);
	g_assert_cmpint(result(f, 2)->verdict.verdict, ==, VERDICT_PASSED);
	g_assert_cmpint(result(f, 3)->verdict.verdict, ==, VERDICT_FAILED);
}

static void test_retry(struct fixture *f, gconstpointer data)
{
	struct test_counts counts;

	(void)data;
	f->common.retries = 2;
	add(f, "flaky", "");
	add(f, "fail", "");
	add(f, "pass", "");
	add(f, "flaky", "# dom1-test: retry=0");
	run(f, (struct test_set_setup){ 0 });
	g_assert_true(result(f, 0)->flaky);
	g_assert_cmpuint(result(f, 0)->attempts, ==, 2);
	g_assert_cmpuint(result(f, 1)->attempts, ==, 3);
	g_assert_false(result(f, 2)->flaky);
	test_results_count(f->results, &counts);
	g_assert_cmpuint(counts.passed, ==, 2);
	g_assert_cmpuint(counts.failed, ==, 2);
	g_assert_cmpuint(counts.flaky, ==, 1);
}

static void test_rounds(struct fixture *f, gconstpointer data)
{
	(void)data;
	add(f, "pass", "");
	add(f, "skip", "");
	run(f, (struct test_set_setup){ .rounds = 3 });
	g_assert_cmpstr(f->order->str, ==,
			"1:pass-0.cfg:1 2:skip-1.cfg:1 3:pass-0.cfg:2 4:skip-1.cfg:2 5:pass-0.cfg:3 6:skip-1.cfg:3 ");
}

/* Without an end, until one of them has worn out. */
static void test_until_fail(struct fixture *f, gconstpointer data)
{
	struct test_counts counts;

	(void)data;
	add(f, "pass", "");
	add(f, "wears", "");
	run(f, (struct test_set_setup){ .until_fail = true, .jobs = 1 });
	test_results_count(f->results, &counts);
	g_assert_cmpuint(counts.n, ==, 6);
	g_assert_cmpuint(counts.passed, ==, 5);
	g_assert_cmpuint(counts.failed, ==, 1);
}

static void test_fail_fast(struct fixture *f, gconstpointer data)
{
	struct test_counts counts;

	(void)data;
	add(f, "pass", "");
	add(f, "fail", "");
	for (unsigned int i = 0; i < 10; i++)
		add(f, "pass", "");
	run(f, (struct test_set_setup){ .fail_fast = true, .jobs = 1 });
	test_results_count(f->results, &counts);
	g_assert_cmpuint(counts.n, ==, 12);
	g_assert_cmpuint(counts.passed, ==, 1);
	g_assert_cmpuint(counts.failed, ==, 1);
	g_assert_cmpuint(counts.skipped, ==, 10);
	g_assert_true(g_str_has_prefix(result(f, 5)->verdict.detail, "not run: --fail-fast"));
}

/* Where there is memory for one, or a CPU for one, they run one after the other; else side by side. */
static void test_room(struct fixture *f, gconstpointer data)
{
	struct test_counts counts;
	static const struct test_set_setup rooms[] = { { .memory_bytes = 1, .jobs = 100 }, { .jobs = 1 } };

	(void)data;
	for (unsigned int i = 0; i < 4; i++)
		add(f, "alone", "");
	for (size_t i = 0; i < G_N_ELEMENTS(rooms); i++) {
		g_clear_pointer(&f->results, g_ptr_array_unref);
		run(f, rooms[i]);
		test_results_count(f->results, &counts);
		g_assert_cmpuint(counts.passed, ==, 4);
	}
	g_clear_pointer(&f->results, g_ptr_array_unref);
	g_ptr_array_set_size(f->cases, 0);
	for (unsigned int i = 0; i < 4; i++)
		add(f, "together", "");
	run(f, (struct test_set_setup){ .jobs = 4 });
	test_results_count(f->results, &counts);
	g_assert_cmpuint(counts.passed, ==, 4);
}

static void test_interrupt(struct fixture *f, gconstpointer data)
{
	struct test_counts counts;

	(void)data;
	add(f, "pass", "");
	for (unsigned int i = 0; i < 6; i++)
		add(f, "hang", "");
	f->interrupt_at = 1;
	run(f, (struct test_set_setup){ .jobs = 3 });
	g_assert_cmpint(f->signal, ==, SIGINT);
	test_results_count(f->results, &counts);
	g_assert_cmpuint(counts.n, ==, 7);
	g_assert_cmpuint(counts.passed, ==, 1);
	g_assert_cmpuint(counts.by_verdict[VERDICT_DESTROYED], ==, 3);
	g_assert_cmpuint(counts.skipped, ==, 3);
	g_assert_cmpstr(result(f, 1)->verdict.detail, ==, "interrupted");
}

/* The harness is killed: its runs end too. */
static void test_killed(struct fixture *f, gconstpointer data)
{
	int alive[2];
	char byte;

	(void)data;
	for (unsigned int i = 0; i < 3; i++)
		add(f, "hang", "");
	g_assert_cmpint(pipe2(alive, O_CLOEXEC), ==, 0);
	/* Not at a number that a run's own descriptors get. */
	int held_fd = fcntl(alive[1], F_DUPFD, 20);
	pid_t pid = fork();
	if (pid == 0) {
		/* The runs inherit this end, and hold it for as long as they live. */
		close(alive[0]);
		run(f, (struct test_set_setup){ .jobs = 3 });
		_exit(0);
	}
	close(alive[1]);
	close(held_fd);
	for (guint i = 0; i < f->cases->len;) {
		const struct test_case *test = f->cases->pdata[i];
		g_autofree char *marker = g_strconcat(test->path, ".hangs", NULL);

		if (g_file_test(marker, G_FILE_TEST_EXISTS))
			i++;
		else
			g_usleep(1000);
	}
	g_assert_cmpint(kill(pid, SIGKILL), ==, 0);
	g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
	g_assert_cmpint(read(alive[0], &byte, 1), ==, 0);
	close(alive[0]);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define ADD(name) g_test_add("/harness/set/" #name, struct fixture, NULL, setup, test_##name, teardown)
	ADD(mixed);
	ADD(words);
	ADD(flood);
	ADD(expect);
	ADD(retry);
	ADD(rounds);
	ADD(until_fail);
	ADD(fail_fast);
	ADD(room);
	ADD(interrupt);
	ADD(killed);
	return g_test_run();
}
