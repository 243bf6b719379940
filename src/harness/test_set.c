// SPDX-License-Identifier: MIT
#include "harness/test_set.h"

#include <signal.h>
#include <errno.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "harness/test_run.h"
#include "vmm/error.h"
#include "vmm/event_source.h"

#define MACHINE_BYTES (UINT64_C(16) << 20)
#define PROGRESS_MS   500

struct set {
	const struct test_set_setup *setup;
	GMainContext *context;
	GMainLoop *loop;
	GPtrArray *results; /* NULL where a test is still running */
	GPtrArray *running; /* of struct test_run * */
	guint next;         /* to be started */
	guint told;         /* so many have been */
	unsigned int busy;  /* vCPUs */
	uint64_t taken_bytes;
	const char *stopped; /* why nothing more is started, NULL */
	int signal;
	struct progress_state state;
	gint64 started_us;
};

/* Which place of the results a run is for. */
struct place {
	struct set *set;
	guint index;
};

uint64_t test_set_cost_bytes(const struct test_case *test)
{
	return test->memory_bytes + MACHINE_BYTES;
}

uint64_t test_set_host_memory_bytes(void)
{
	g_autofree char *text = NULL;
	const char *line = g_file_get_contents("/proc/meminfo", &text, NULL, NULL) ? strstr(text, "MemAvailable:") : NULL;

	return line ? g_ascii_strtoull(line + strlen("MemAvailable:"), NULL, 10) * 1024 : UINT64_MAX;
}

static guint n_total(const struct set *set)
{
	return set->setup->rounds * set->setup->cases->len;
}

static const struct test_case *case_at(const struct set *set, guint index)
{
	return set->setup->cases->pdata[index % set->setup->cases->len];
}

static unsigned int width_of(const struct set *set, const struct test_case *test)
{
	return MIN(test->n_vcpus, set->setup->jobs);
}

static void show_progress(struct set *set)
{
	set->state.n_total = n_total(set);
	set->state.n_running = set->running->len;
	set->state.elapsed_us = g_get_monotonic_time() - set->started_us;
	progress_show(set->setup->progress, &set->state);
}

static void tell(struct set *set)
{
	progress_hide(set->setup->progress);
	for (; set->told < set->results->len && set->results->pdata[set->told]; set->told++)
		set->setup->told(set->results->pdata[set->told], set->told + 1, set->setup->opaque);
}

static void put_result(struct set *set, guint index, struct test_result *result)
{
	bool passed = test_result_is_passed(result), skipped = test_result_is_skipped(result);

	if (index >= set->results->len)
		g_ptr_array_set_size(set->results, (gint)index + 1);
	set->results->pdata[index] = result;
	set->state.n_passed += passed;
	set->state.n_skipped += skipped;
	set->state.n_failed += !passed && !skipped;
	if (!passed && !skipped && !set->stopped) {
		if (set->setup->fail_fast)
			set->stopped = "not run: --fail-fast, and a test failed";
		else if (set->setup->until_fail)
			set->stopped = "not run: --until-fail, and a test failed";
	}
}

static void on_over(struct test_run *run, void *opaque);

static bool has_room(const struct set *set, const struct test_case *test)
{
	return set->running->len == 0 || (set->busy + width_of(set, test) <= set->setup->jobs &&
					  set->taken_bytes + test_set_cost_bytes(test) <= set->setup->memory_bytes);
}

static void start(struct set *set, guint index)
{
	const struct test_case *test = case_at(set, index);
	unsigned int round = index / set->setup->cases->len + 1;
	struct place *place;

	if (set->stopped || test->error || test->settings.skip_reason) {
		put_result(set, index, test_run_refused(test, round, set->stopped ? set->stopped :
							test->error ? NULL : test->settings.skip_reason));
		return;
	}
	if (index >= set->results->len)
		g_ptr_array_set_size(set->results, (gint)index + 1);
	place = g_new(struct place, 1);
	*place = (struct place){ set, index };
	const struct test_run_setup setup = { test, index + 1, round, set->setup->output_dir, set->setup->main, set->context, on_over, place };
	g_ptr_array_add(set->running, test_run_start(&setup));
	set->busy += width_of(set, test);
	set->taken_bytes += test_set_cost_bytes(test);
}

/* Whether there is another one; without an end in sight, when nothing has stopped it. */
static bool has_next(const struct set *set)
{
	return n_total(set) > 0 ? set->next < n_total(set) : !set->stopped;
}

static void fill(struct set *set)
{
	while (has_next(set)) {
		const struct test_case *test = case_at(set, set->next);
		bool runs = !set->stopped && !test->error && !test->settings.skip_reason;

		if (runs && !has_room(set, test))
			break;
		start(set, set->next++);
	}
	tell(set);
	show_progress(set);
	if (set->running->len == 0 && !has_next(set))
		g_main_loop_quit(set->loop);
}

static void on_over(struct test_run *run, void *opaque)
{
	struct place *place = opaque;
	struct set *set = place->set;
	const struct test_case *test = test_run_case(run);

	set->busy -= width_of(set, test);
	set->taken_bytes -= test_set_cost_bytes(test);
	g_ptr_array_remove(set->running, run);
	put_result(set, place->index, test_run_finish(run));
	g_free(place);
	fill(set);
}

static gboolean on_signal(gint fd, GIOCondition condition, gpointer opaque)
{
	struct set *set = opaque;
	struct signalfd_siginfo info;

	(void)condition;
	while (read(fd, &info, sizeof(info)) == sizeof(info)) {
		bool again = set->signal != 0;
		if (!again)
			set->signal = (int)info.ssi_signo;
		set->stopped = "not run: interrupted";
		for (guint i = 0; i < set->running->len; i++)
			test_run_interrupt(set->running->pdata[i], "interrupted", again);
	}
	return G_SOURCE_CONTINUE;
}

static gboolean on_tick(gpointer opaque)
{
	show_progress(opaque);
	return G_SOURCE_CONTINUE;
}

/* The first tests start when the loop runs, which may then be quit. */
static gboolean on_begin(gpointer opaque)
{
	fill(opaque);
	return G_SOURCE_REMOVE;
}

/* Those that end a set are read in the loop. */
static int open_signals(GError **error)
{
	static const int ending[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
	sigset_t signals;

	sigemptyset(&signals);
	for (size_t i = 0; i < G_N_ELEMENTS(ending); i++)
		sigaddset(&signals, ending[i]);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	int fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_HOST, "signalfd: %s", g_strerror(errno));
	return fd;
}

GPtrArray *test_set_run(const struct test_set_setup *setup, int *signal, GError **error)
{
	struct set set = { .setup = setup, .started_us = g_get_monotonic_time() };

	int signal_fd = open_signals(error);
	if (signal_fd < 0)
		return NULL;
	/* Not the program's default one, which a run needs as new: job.h. */
	g_autoptr(GMainContext) context = g_main_context_new();
	set.context = context;
	set.loop = g_main_loop_new(context, FALSE);
	set.results = g_ptr_array_new_with_free_func((GDestroyNotify)test_result_free);
	set.running = g_ptr_array_new();
	guint sources[] = { event_source_add_to(context, signal_fd, G_IO_IN, on_signal, &set),
			    setup->progress->fd >= 0 ? event_source_add_timeout(context, PROGRESS_MS, on_tick, &set) : 0 };
	event_source_add_idle(context, on_begin, &set);
	g_main_loop_run(set.loop);
	progress_hide(setup->progress);
	for (size_t i = 0; i < G_N_ELEMENTS(sources); i++)
		event_source_remove(context, &sources[i]);
	close(signal_fd);
	g_ptr_array_unref(set.running);
	g_main_loop_unref(set.loop);
	*signal = set.signal;
	return set.results;
}
