// SPDX-License-Identifier: MIT
#include "harness/test_run.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/console_keep.h"
#include "harness/evidence_files.h"
#include "harness/job.h"
#include "harness/run_record.h"
#include "harness/script_play.h"
#include "vmm/error.h"
#include "vmm/event_source.h"

/* How much of a console is kept in its file, besides its end. */
#define CONSOLE_LOG_BYTES   (UINT64_C(64) << 20)
#define WORDS_BYTES         16384
#define LAST_LINES          20
#define READ_BYTES          65536
#define NS_PER_US           1000u
/* A prompt is looked at when nothing came for so long. */
#define QUIET_MS            200
/* dom1 run ends at its timeout by itself; if it does not, something is wrong with it and not with the guest. */
#define OVERTIME_S          30
/* And longer where it writes a core. */
#define CORE_OVERTIME_S     120
/* What a Linux does that hangs: its console shows everything, and then all tasks. The test's own options come later, and win. */
#define LAST_WORDS          "--timeout-sysrq=9t"

struct test_run {
	struct test_run_setup setup;
	unsigned int attempt;
	struct job job;
	struct record *record; /* of the attempt; NULL: there was no memory for it */
	struct verdict_rules rules;
	struct verdict_engine *engine;
	struct script_play *play; /* NULL: there is no script */
	char *domain;
	struct console_keep keep;
	struct evidence_files files;
	GString *words;
	gint64 started_us;
	bool has_ended;   /* by us, because the verdict is known */
	bool stuck;       /* killed: it did not end at its time */
	const char *interrupted; /* why, NULL: it was not */
	guint console_source, words_source, end_source, quiet_source, overtime_source;
	struct test_result *result;
};

const struct test_case *test_run_case(const struct test_run *run)
{
	return run->setup.test;
}

static void end_guest(struct test_run *run)
{
	if (!run->has_ended)
		job_end(&run->job);
	run->has_ended = true;
}

static void on_script_over(void *opaque)
{
	struct test_run *run = opaque;
	bool failed = script_play_state(run->play) == SCRIPT_FAILED;

	if (verdict_engine_script(run->engine, failed ? script_play_detail(run->play) : NULL))
		end_guest(run);
}

static gboolean on_quiet(gpointer opaque)
{
	struct test_run *run = opaque;

	run->quiet_source = 0;
	if (run->play)
		script_play_quiet(run->play);
	if (verdict_engine_quiet(run->engine))
		end_guest(run);
	return G_SOURCE_REMOVE;
}

/* FALSE: errno says why there is no more, 0 at the end. One piece: others want to be read too. */
static bool read_console(struct test_run *run)
{
	char bytes[READ_BYTES];
	ssize_t got = read(run->job.console_fd, bytes, sizeof(bytes));

	if (got == 0)
		errno = 0;
	if (got <= 0)
		return got < 0 && errno == EINTR;
	console_keep_add(&run->keep, bytes, (size_t)got);
	if (verdict_engine_feed(run->engine, bytes, (size_t)got))
		end_guest(run);
	if (run->play)
		script_play_feed(run->play, bytes, (size_t)got);
	return true;
}

static gboolean on_console(gint fd, GIOCondition condition, gpointer opaque)
{
	struct test_run *run = opaque;

	(void)fd, (void)condition;
	if (!read_console(run) && errno != EAGAIN) {
		run->console_source = 0;
		return G_SOURCE_REMOVE;
	}
	event_source_remove(run->setup.context, &run->quiet_source);
	if (run->rules.expect->len + run->rules.fail_on->len > 0 || run->play)
		run->quiet_source = event_source_add_timeout(run->setup.context, QUIET_MS, on_quiet, run);
	return G_SOURCE_CONTINUE;
}

static bool read_words(struct test_run *run)
{
	char bytes[4096];
	ssize_t got = read(run->job.words_fd, bytes, sizeof(bytes));

	if (got == 0)
		errno = 0;
	if (got <= 0)
		return got < 0 && errno == EINTR;
	/* All is read, so that nobody waits for us; the beginning is kept. */
	g_string_append_len(run->words, bytes, MIN(got, (ssize_t)(WORDS_BYTES - run->words->len)));
	return true;
}

static gboolean on_words(gint fd, GIOCondition condition, gpointer opaque)
{
	struct test_run *run = opaque;

	(void)fd, (void)condition;
	if (read_words(run) || errno == EAGAIN)
		return G_SOURCE_CONTINUE;
	run->words_source = 0;
	return G_SOURCE_REMOVE;
}

static gboolean on_overtime(gpointer opaque)
{
	struct test_run *run = opaque;

	run->overtime_source = 0;
	run->stuck = true;
	job_kill(&run->job, true);
	return G_SOURCE_REMOVE;
}

/* What the record and the process' status say together. The words of a refusal are dom1's own first line. */
static struct verdict_end end_of(struct test_run *run, int wait_status, struct run_record *record)
{
	struct verdict_end end = { .outcome = OUTCOME_HOST_ERROR, .status = DOM1_STATUS_DEFECT, .guest_status = -1 };
	char *first_line;

	*record = (struct run_record){ .outcome = OUTCOME_NONE, .guest_status = -1 };
	if (run->record)
		run_record_read(record, run->record);
	if (run->stuck || !WIFEXITED(wait_status)) {
		run_record_clear(record);
		record->detail = run->stuck ? g_strdup("dom1 run did not end at its timeout, and was killed") :
					      g_strdup_printf("dom1 run was killed by signal %d", WTERMSIG(wait_status));
	} else {
		end.status = WEXITSTATUS(wait_status);
		end.outcome = record->outcome;
		end.guest_status = record->guest_status;
		if (!record->detail && end.outcome == OUTCOME_NONE) {
			first_line = g_strndup(run->words->str, strcspn(run->words->str, "\n"));
			record->detail = g_str_has_prefix(first_line, "dom1: ") ? g_strdup(first_line + strlen("dom1: ")) :
										  g_strdup(first_line);
			g_free(first_line);
		}
	}
	end.detail = record->detail;
	if (run->play && script_play_state(run->play) == SCRIPT_RUNNING)
		end.script_waited = script_play_detail(run->play);
	return end;
}

static void judge(struct test_run *run, int wait_status)
{
	struct test_result *result = run->result;
	struct run_record record;
	struct verdict_end end = end_of(run, wait_status, &record);

	if (run->interrupted) {
		result->verdict = (struct verdict_result){ .verdict = VERDICT_DESTROYED, .status = DOM1_STATUS_DESTROYED,
							   .detail = g_strdup(run->interrupted) };
	} else
		verdict_engine_conclude(run->engine, &end, &result->verdict);
	run_record_clear(&record);
	result->duration_us = g_get_monotonic_time() - run->started_us;
	result->attempts = run->attempt;
	result->console = console_keep_last_lines(&run->keep, LAST_LINES);
	result->words = g_strdup(run->words->str);
	int write_errno = console_keep_close(&run->keep);
	evidence_files_write(&run->files, run->words->str, write_errno);
	result->folder = g_strdup(run->files.folder);
}

static void clear_attempt(struct test_run *run)
{
	guint *const sources[] = { &run->console_source, &run->words_source, &run->end_source, &run->quiet_source,
				   &run->overtime_source };

	for (size_t i = 0; i < G_N_ELEMENTS(sources); i++)
		event_source_remove(run->setup.context, sources[i]);
	g_clear_pointer(&run->play, script_play_free);
	g_clear_pointer(&run->domain, g_free);
	job_close(&run->job);
	record_free(g_steal_pointer(&run->record));
	verdict_engine_free(run->engine);
	run->engine = NULL;
	g_string_free(run->words, TRUE);
	evidence_files_clear(&run->files);
}

static void clear_judgement(struct test_result *result)
{
	g_clear_pointer(&result->verdict.detail, g_free);
	g_clear_pointer(&result->console, g_free);
	g_clear_pointer(&result->words, g_free);
	g_clear_pointer(&result->folder, g_free);
}

static void start_attempt(struct test_run *run);

static void end_attempt(struct test_run *run, int wait_status)
{
	while (run->console_source && read_console(run))
		;
	while (run->words_source && read_words(run))
		;
	judge(run, wait_status);
	clear_attempt(run);

	bool good = test_result_is_passed(run->result) || test_result_is_skipped(run->result);
	if (!good && !run->interrupted && run->attempt <= run->setup.test->settings.retries) {
		clear_judgement(run->result);
		start_attempt(run);
		return;
	}
	run->result->flaky = good && run->attempt > 1;
	run->setup.over(run, run->setup.opaque);
}

static gboolean on_end(gint fd, GIOCondition condition, gpointer opaque)
{
	struct test_run *run = opaque;

	(void)fd, (void)condition;
	run->end_source = 0;
	end_attempt(run, job_reap(&run->job));
	return G_SOURCE_REMOVE;
}

/* A failure to start is told when the loop runs. */
static gboolean on_no_start(gpointer opaque)
{
	struct test_run *run = opaque;

	run->end_source = 0;
	end_attempt(run, DOM1_STATUS_HOST << 8);
	return G_SOURCE_REMOVE;
}

/* Of dom1 run, with what the harness needs; what comes last wins. */
static GPtrArray *arguments_of(const struct test_run *run)
{
	const struct test_case *test = run->setup.test;
	GPtrArray *arguments = g_ptr_array_new_with_free_func(g_free);

	g_ptr_array_add(arguments, g_strdup("dom1"));
	for (guint i = 0; i < test->arguments->len; i++) {
		g_ptr_array_add(arguments, g_strdup(test->arguments->pdata[i]));
		/* The first two are the command and the target. */
		if (i == 1)
			g_ptr_array_add(arguments, g_strdup(LAST_WORDS));
	}
	g_ptr_array_add(arguments, g_strdup_printf("--name=%s", run->domain));
	g_ptr_array_add(arguments, g_strdup_printf("--timeout=%u", test->settings.timeout_s));
	static const char *const fixed[] = { "--no-memory-samples", "--console=stdio", "--on-poweroff=stop", "--on-reboot=stop", "--on-crash=stop" };
	for (size_t i = 0; i < G_N_ELEMENTS(fixed); i++)
		g_ptr_array_add(arguments, g_strdup(fixed[i]));
	if (run->files.folder)
		g_ptr_array_add(arguments, g_strdup_printf("--report=%s/report.json", run->files.folder));
	if (test->has_shim && run->files.folder)
		g_ptr_array_add(arguments, g_strdup_printf("--shim-log=%s/shim.log", run->files.folder));
	if (test->settings.core && run->files.folder)
		g_ptr_array_add(arguments, g_strdup_printf("--core=%s/core", run->files.folder));
	g_ptr_array_add(arguments, NULL);
	return arguments;
}

static bool start_job(struct test_run *run, GError **error)
{
	run->record = record_new((uint64_t)run->started_us * NS_PER_US);
	if (!run->record) {
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_HOST, "no memory for a record: %s", g_strerror(errno));
		return false;
	}
	GPtrArray *arguments = arguments_of(run);
	bool ok = job_start(&run->job, run->setup.main, run->record, (char **)arguments->pdata, run->setup.test->settings.script, error);

	g_ptr_array_unref(arguments);
	return ok;
}

static void start_attempt(struct test_run *run)
{
	const struct test_case *test = run->setup.test;
	g_autoptr(GError) error = NULL;

	run->attempt++;
	run->has_ended = run->stuck = false;
	run->words = g_string_new(NULL);
	run->started_us = g_get_monotonic_time();
	run->engine = verdict_engine_new(&run->rules);
	bool ok = evidence_files_open(&run->files, run->setup.output_dir, test->name, run->setup.round, run->attempt, &error);
	console_keep_init(&run->keep, run->files.console_fd, CONSOLE_LOG_BYTES);
	run->domain = g_strdup_printf("test-%d-%u", (int)getpid(), run->setup.number);
	ok = ok && start_job(run, &error);
	if (!ok) {
		g_string_assign(run->words, error->message);
		run->end_source = event_source_add_idle(run->setup.context, on_no_start, run);
		return;
	}
	if (test->settings.script)
		run->play = script_play_new(test->settings.script, run->setup.context, run->domain, run->job.input_fd, on_script_over, run);
	run->console_source = event_source_add_to(run->setup.context, run->job.console_fd, G_IO_IN | G_IO_HUP, on_console, run);
	run->words_source = event_source_add_to(run->setup.context, run->job.words_fd, G_IO_IN | G_IO_HUP, on_words, run);
	run->end_source = event_source_add_to(run->setup.context, run->job.pid_fd, G_IO_IN, on_end, run);
	const guint limit_s = test->settings.timeout_s + OVERTIME_S + (test->settings.core ? CORE_OVERTIME_S : 0);
	run->overtime_source = event_source_add_timeout(run->setup.context, limit_s * 1000, on_overtime, run);
}

static struct test_result *result_of(const struct test_case *test, unsigned int round)
{
	struct test_result *result = g_new0(struct test_result, 1);

	result->name = g_strdup(test->name);
	result->path = g_strdup(test->path);
	result->round = round;
	return result;
}

struct test_run *test_run_start(const struct test_run_setup *setup)
{
	struct test_run *run = g_new0(struct test_run, 1);

	run->setup = *setup;
	run->job = JOB_NONE;
	run->rules = (struct verdict_rules){ setup->test->settings.expect, setup->test->settings.fail_on,
					     setup->test->settings.script != NULL, setup->test->settings.expected_end };
	run->result = result_of(setup->test, setup->round);
	start_attempt(run);
	return run;
}

void test_run_interrupt(struct test_run *run, const char *why, bool kill)
{
	if (!run->interrupted)
		run->interrupted = why;
	if (run->job.pid <= 0)
		return;
	if (kill)
		job_kill(&run->job, false);
	else
		end_guest(run);
}

struct test_result *test_run_finish(struct test_run *run)
{
	struct test_result *result = run->result;

	g_free(run);
	return result;
}

struct test_result *test_run_refused(const struct test_case *test, unsigned int round, const char *reason)
{
	struct test_result *result = result_of(test, round);

	result->console = g_strdup("");
	result->words = g_strdup("");
	result->verdict.verdict = reason ? VERDICT_SKIPPED : VERDICT_HOST_ERROR;
	result->verdict.status = reason ? DOM1_STATUS_OK : test->error->code;
	result->verdict.detail = g_strdup(reason ? reason : test->error->message);
	return result;
}
