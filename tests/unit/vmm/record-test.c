// SPDX-License-Identifier: MIT
/* record.c: what a reader finds after any history, and after a race. */
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <glib.h>

#include "vmm/record.h"

#define N_THREADS 8u

static struct record *new_record(void)
{
	struct record *record = record_new(0);

	g_assert_nonnull(record);
	return record;
}

static void free_record(struct record *record)
{
	/* What lies behind the events, up to the end of the page, was never written. */
	const size_t page_bytes = 4096, whole_bytes = (sizeof(*record) + page_bytes - 1) / page_bytes * page_bytes;
	const size_t events_end = offsetof(struct record, events) + sizeof(record->events);

	for (size_t i = events_end; i < whole_bytes; i++)
		g_assert_cmpuint(((const guint8 *)record)[i], ==, 0);
	munmap(record, sizeof(*record));
}

static unsigned int count(const struct record *record, enum phase phase, unsigned int generation)
{
	unsigned int n = 0;

	for (size_t i = 0; i < RECORD_MAX_EVENTS; i++)
		n += record->events[i].phase == (uint32_t)phase + 1 && record->events[i].generation == generation;
	return n;
}

/* A history short enough to be kept whole: the events are the model's, in order. */
static void check_history(void)
{
	struct record *record = new_record();
	struct {
		enum phase phase;
		unsigned int generation;
		char text[16];
	} expected[RECORD_MAX_EVENTS - 2];
	unsigned int n = 0, generation = 0, seen = 0;

	while (n < G_N_ELEMENTS(expected)) {
		enum phase phase = (enum phase)g_test_rand_int_range(0, N_PHASES);
		gboolean repeats = phase == PHASE_MARK || phase == PHASE_DEVICE_CONNECTED;
		g_autofree char *text = g_strdup_printf("%u", n);

		if (g_test_rand_int_range(0, 12) == 0) {
			record_restart(record);
			generation++;
			seen = 1u << PHASE_EXEC; /* dom1 itself is not started again */
		}
		record_phase(record, phase, text);
		g_assert_true(repeats || record_phase_seen(record, phase));
		if (!repeats && seen & 1u << phase)
			continue;
		seen |= 1u << phase;
		expected[n].phase = phase;
		expected[n].generation = generation;
		g_strlcpy(expected[n++].text, text, sizeof(expected[0].text));
	}
	g_assert_cmpuint(record->generation, ==, generation);
	for (unsigned int i = 0; i < n; i++) {
		g_assert_cmpuint(record->events[i].phase, ==, (uint32_t)expected[i].phase + 1);
		g_assert_cmpuint(record->events[i].generation, ==, expected[i].generation);
		g_assert_cmpstr(record->events[i].text, ==, expected[i].text);
		g_assert_cmpuint(record->events[i].t_ns, <=, record_now_ns(record));
	}
	g_assert_cmpuint(record->events[n].phase, ==, 0);
	free_record(record);
}

static void test_phases_once_a_generation(void)
{
	for (unsigned int i = 0; i < 200; i++)
		check_history();
}

static void test_times(void)
{
	struct record *record = new_record();
	uint64_t last_ns = 0;

	record->exec_ns = record_now_ns(record) - 5;
	record_phase(record, PHASE_EXEC, NULL);
	for (unsigned int i = 0; i < 100; i++)
		record_phase(record, PHASE_MARK, NULL);
	g_assert_cmpuint(record->events[0].t_ns, ==, 0);
	for (unsigned int i = 0; i <= 100; i++) {
		g_assert_cmpuint(record->events[i].t_ns, >=, last_ns);
		g_assert_cmpstr(record->events[i].text, ==, "");
		last_ns = record->events[i].t_ns;
	}
	g_assert_cmpuint(last_ns, >=, 5);
	free_record(record);
}

/* However many marks a guest makes, the end of the story is told, and the beginning is kept. */
static void test_marks_leave_room_for_the_end(void)
{
	for (unsigned int n_marks = 0; n_marks < 3 * RECORD_MAX_EVENTS; n_marks++)
		for (unsigned int shutdown = 0; shutdown < 2; shutdown++) {
			struct record *record = new_record();
			const unsigned int n_late_marks = n_marks % 4;

			for (unsigned int i = 0; i < n_marks; i++)
				record_phase(record, PHASE_MARK, "mark");
			if (shutdown)
				record_phase(record, PHASE_SHUTDOWN, "shutdown");
			for (unsigned int i = 0; i < n_late_marks; i++)
				record_phase(record, PHASE_MARK, "late");
			record_phase(record, PHASE_EXIT, "exit");
			if (count(record, PHASE_SHUTDOWN, 0) != shutdown || count(record, PHASE_EXIT, 0) != 1)
				g_error("%u marks: %u of %u shutdowns and %u of 1 exits are recorded", n_marks,
					count(record, PHASE_SHUTDOWN, 0), shutdown, count(record, PHASE_EXIT, 0));
			g_assert_cmpuint(count(record, PHASE_MARK, 0), >=, MIN(n_marks, RECORD_MAX_EVENTS - 3));
			g_assert_cmpuint(count(record, PHASE_MARK, 0), <=, n_marks + n_late_marks);
			g_assert_cmpuint(record->n_events, ==, n_marks + n_late_marks + shutdown + 1);
			free_record(record);
		}
}

/* The same over restarts: each generation ends, and the last one's end is what counts. */
static void test_last_end_after_many_restarts(void)
{
	for (unsigned int n_restarts = 0; n_restarts < 2 * RECORD_MAX_EVENTS; n_restarts++) {
		struct record *record = new_record();
		unsigned int n_marks = n_restarts % 4;

		for (unsigned int i = 0; i <= n_restarts; i++) {
			for (unsigned int j = 0; j < n_marks; j++)
				record_phase(record, PHASE_MARK, NULL);
			record_phase(record, PHASE_SHUTDOWN, NULL);
			if (i < n_restarts)
				record_restart(record);
		}
		record_phase(record, PHASE_EXIT, NULL);
		g_assert_cmpuint(count(record, PHASE_SHUTDOWN, n_restarts), ==, 1);
		g_assert_cmpuint(count(record, PHASE_EXIT, n_restarts), ==, 1);
		free_record(record);
	}
}

/* A guest that marks for an hour brings the counter to where it stops. The end is recorded all the same. */
static void test_counter_does_not_wrap(void)
{
	struct record *record = new_record();
	uint32_t last = 0;

	for (unsigned int i = 0; i < RECORD_MAX_EVENTS; i++)
		record_phase(record, PHASE_MARK, NULL);
	record->n_events = UINT32_MAX / 2 - 5;
	for (unsigned int i = 0; i < 100; i++) {
		record_phase(record, PHASE_MARK, NULL);
		g_assert_cmpuint(record->n_events, >=, last);
		last = record->n_events;
	}
	g_assert_cmpuint(last, <, UINT32_MAX - 1000);
	record_phase(record, PHASE_SHUTDOWN, NULL);
	record_phase(record, PHASE_EXIT, NULL);
	g_assert_cmpuint(count(record, PHASE_SHUTDOWN, 0), ==, 1);
	g_assert_cmpuint(count(record, PHASE_EXIT, 0), ==, 1);
	free_record(record);
}

static void test_texts_are_cut(void)
{
	struct record *record = new_record();
	g_autofree char *longest = g_strnfill(4096, 'x');

	record_phase(record, PHASE_MARK, longest);
	g_assert_cmpuint(strlen(record->events[0].text), ==, RECORD_TEXT_BYTES - 1);
	g_assert_true(g_str_has_prefix(longest, record->events[0].text));
	g_assert_true(record_end(record, OUTCOME_CRASH, 0, "%s", longest));
	g_assert_cmpuint(strlen(record->detail), ==, sizeof(record->detail) - 1);
	g_assert_cmpuint(record->detail_ready, ==, 1);
	free_record(record);
}

static void test_phase_fd(void)
{
	struct record *record = new_record();
	uint64_t told = 0;

	record->phase_fd = eventfd(0, EFD_NONBLOCK);
	record_phase(record, PHASE_VM_CREATED, NULL);
	record_phase(record, PHASE_VM_CREATED, NULL);
	record_phase(record, PHASE_MARK, NULL);
	g_assert_cmpint(read(record->phase_fd, &told, sizeof(told)), ==, sizeof(told));
	g_assert_cmpuint(told, ==, 2);
	close(record->phase_fd);
	free_record(record);
}

/* Threads */

struct racer {
	struct record *record;
	unsigned int number;
	unsigned int *start; /* all run when it is set */
	unsigned int n_wins;
};

static void *end_first(void *opaque)
{
	struct racer *racer = opaque;

	while (!__atomic_load_n(racer->start, __ATOMIC_ACQUIRE))
		;
	racer->n_wins += record_end(racer->record, OUTCOME_POWEROFF + racer->number % (N_OUTCOMES - 1),
				    100 + racer->number, "told by %u", racer->number);
	return NULL;
}

static void race(struct record *record, void *(*run)(void *), struct racer racers[N_THREADS])
{
	GThread *threads[N_THREADS];
	unsigned int start = 0;

	for (unsigned int i = 0; i < N_THREADS; i++) {
		racers[i] = (struct racer){.record = record, .number = i, .start = &start};
		threads[i] = g_thread_new("racer", run, &racers[i]);
	}
	__atomic_store_n(&start, 1, __ATOMIC_RELEASE);
	for (unsigned int i = 0; i < N_THREADS; i++)
		g_thread_join(threads[i]);
}

static void test_first_outcome_wins(void)
{
	struct record *record = new_record();

	for (unsigned int round = 0; round < 200; round++) {
		struct racer racers[N_THREADS];
		unsigned int n_wins = 0, winner = 0;

		race(record, end_first, racers);
		for (unsigned int i = 0; i < N_THREADS; i++) {
			n_wins += racers[i].n_wins;
			winner = racers[i].n_wins ? i : winner;
		}
		g_assert_cmpuint(n_wins, ==, 1);
		/* All that is told is the winner's. */
		g_autofree char *detail = g_strdup_printf("told by %u", winner);
		g_assert_cmpuint(record->outcome, ==, OUTCOME_POWEROFF + winner % (N_OUTCOMES - 1));
		g_assert_cmpuint(record->status, ==, 100 + winner);
		g_assert_cmpuint(record->detail_ready, ==, 1);
		g_assert_cmpstr(record->detail, ==, detail);

		g_assert_false(record_end(record, OUTCOME_HOST_ERROR, 1, "too late"));
		g_assert_cmpstr(record->detail, ==, detail);
		record_restart(record);
		g_assert_cmpuint(record->outcome, ==, OUTCOME_NONE);
		g_assert_cmpuint(record->detail_ready, ==, 0);
	}
	/* It was not the end, and no other life has begun. */
	const uint32_t generation = record->generation;
	g_assert_true(record_end(record, OUTCOME_REBOOT, 0, "again"));
	record_forget_end(record);
	g_assert_cmpuint(record->generation, ==, generation);
	g_assert_cmpuint(record->outcome, ==, OUTCOME_NONE);
	g_assert_true(record_end(record, OUTCOME_POWEROFF, 0, NULL));
	g_assert_cmpstr(record->detail, ==, "");
	g_assert_cmpuint(record->detail_ready, ==, 1);
	free_record(record);
}

static void *mark_all(void *opaque)
{
	struct racer *racer = opaque;

	while (!__atomic_load_n(racer->start, __ATOMIC_ACQUIRE))
		;
	for (enum phase phase = PHASE_EXEC; phase < PHASE_SHUTDOWN; phase++) {
		g_autofree char *text = g_strdup_printf("%u of %u", (unsigned int)phase, racer->number);

		record_phase(racer->record, phase, text);
	}
	return NULL;
}

static void test_phases_under_race(void)
{
	for (unsigned int round = 0; round < 100; round++) {
		struct record *record = new_record();
		struct racer racers[N_THREADS];

		race(record, mark_all, racers);
		for (enum phase phase = PHASE_EXEC; phase < PHASE_SHUTDOWN; phase++)
			g_assert_cmpuint(count(record, phase, 0), ==,
					 phase == PHASE_MARK || phase == PHASE_DEVICE_CONNECTED ? N_THREADS : 1);
		for (unsigned int i = 0; i < record->n_events; i++) {
			unsigned int phase, number;

			/* No event has one thread's phase and another one's text. */
			g_assert_cmpint(sscanf(record->events[i].text, "%u of %u", &phase, &number), ==, 2);
			g_assert_cmpuint(record->events[i].phase, ==, phase + 1);
		}
		free_record(record);
	}
}

/* The launcher reads what the machine wrote, also when the machine had no time to say farewell. */
static void test_shared_with_a_fork(void)
{
	struct record *record = new_record();
	pid_t child = fork();
	int status;

	if (child == 0) {
		record_phase(record, PHASE_VM_CREATED, "child");
		record_end(record, OUTCOME_CRASH, 7, "child");
		record_count(&record->exits[EXIT_IO]);
		raise(SIGKILL);
	}
	g_assert_cmpint(waitpid(child, &status, 0), ==, child);
	g_assert_true(WIFSIGNALED(status));
	g_assert_cmpstr(record->events[0].text, ==, "child");
	g_assert_cmpuint(record->outcome, ==, OUTCOME_CRASH);
	g_assert_cmpuint(record->exits[EXIT_IO], ==, 1);
	g_assert_false(record_end(record, OUTCOME_POWEROFF, 0, NULL));
	free_record(record);
}

static void check_names(const char *const names[], size_t n, size_t n_same)
{
	size_t found_same = 0;

	for (size_t i = 0; i < n; i++) {
		g_assert_nonnull(names[i]);
		for (size_t j = 0; j < i; j++)
			found_same += strcmp(names[i], names[j]) == 0;
	}
	g_assert_cmpuint(found_same, ==, n_same);
}

static void test_names(void)
{
	check_names(PHASE_NAMES, N_PHASES, 0);
	check_names(EXIT_KIND_NAMES, N_EXIT_KINDS, 0);
	check_names(OUTCOME_NAMES, N_OUTCOMES, 1); /* no outcome is told as an error of the host */
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/record/phases-once-a-generation", test_phases_once_a_generation);
	g_test_add_func("/record/times", test_times);
	g_test_add_func("/record/marks-leave-room-for-the-end", test_marks_leave_room_for_the_end);
	g_test_add_func("/record/last-end-after-many-restarts", test_last_end_after_many_restarts);
	g_test_add_func("/record/counter-does-not-wrap", test_counter_does_not_wrap);
	g_test_add_func("/record/texts-are-cut", test_texts_are_cut);
	g_test_add_func("/record/phase-fd", test_phase_fd);
	g_test_add_func("/record/first-outcome-wins", test_first_outcome_wins);
	g_test_add_func("/record/phases-under-race", test_phases_under_race);
	g_test_add_func("/record/shared-with-a-fork", test_shared_with_a_fork);
	g_test_add_func("/record/names", test_names);
	return g_test_run();
}
