// SPDX-License-Identifier: MIT
/* Timers, and for how many completions a turn waits, by a clock that is a number. */
#include "backend/io_timers.h"

#include <limits.h>

#include <glib.h>

#define MS UINT64_C(1000000)
/* How long after an event of somebody with little to do nothing waits: io_thread_hurry(). */
#define HURRY (10 * MS)

struct timer {
	struct io_timer timer;
	struct io_timers *timers;
	unsigned int worth, n_runs;
	uint64_t again_ns; /* 0: not */
	struct timer *clears;
};

static unsigned int worth(const struct io_timer *timer)
{
	return ((const struct timer *)(const void *)timer)->worth;
}

static void run(struct io_timer *base)
{
	struct timer *timer = (struct timer *)(void *)base;

	timer->n_runs++;
	g_assert_false(base->is_set);
	if (timer->again_ns)
		io_timers_set(timer->timers, base, timer->again_ns);
	if (timer->clears)
		io_timers_clear(timer->timers, &timer->clears->timer);
}

static void test_due(void)
{
	struct io_timers timers = { 0 };
	struct timer a = { .timer.run = run, .timers = &timers }, b = a, c = a;

	g_assert_cmpint(io_timers_left_ns(&timers, 5), ==, -1);
	io_timers_clear(&timers, &a.timer);
	io_timers_set(&timers, &a.timer, 100);
	io_timers_set(&timers, &b.timer, 70);
	io_timers_set(&timers, &c.timer, 200);
	g_assert_cmpint(io_timers_left_ns(&timers, 5), ==, 65);
	g_assert_cmpint(io_timers_left_ns(&timers, 70), ==, 0);
	g_assert_cmpint(io_timers_left_ns(&timers, 300), ==, 0);
	io_timers_run(&timers, 69);
	g_assert_cmpuint(a.n_runs + b.n_runs + c.n_runs, ==, 0);

	/* One sets itself again, and takes another away that was due as well. */
	b.again_ns = 150;
	b.clears = &a;
	a.clears = &b;
	io_timers_run(&timers, 100);
	g_assert_cmpuint(a.n_runs + b.n_runs, ==, 1);
	g_assert_cmpuint(c.n_runs, ==, 0);
	b.again_ns = 0;
	io_timers_run(&timers, 200);
	g_assert_cmpuint(c.n_runs, ==, 1);
	g_assert_cmpint(io_timers_left_ns(&timers, 0), ==, -1);
}

static void test_n_wanted(void)
{
	struct io_timers timers = { 0 };
	struct timer busy = { .timer = { .run = run, .worth = worth }, .timers = &timers, .worth = 6 }, busier = busy;
	struct timer other = { .timer.run = run, .timers = &timers };

	/* Nobody is patient: each is worth a turn. */
	g_assert_cmpuint(io_timers_n_wanted(&timers, 0), ==, 1);
	io_timers_set(&timers, &busy.timer, 100);
	g_assert_cmpuint(io_timers_n_wanted(&timers, 0), ==, 6);
	/* The least patient of all. */
	busier.worth = 20;
	io_timers_set(&timers, &busier.timer, 100);
	g_assert_cmpuint(io_timers_n_wanted(&timers, 0), ==, 6);
	busier.worth = 2;
	g_assert_cmpuint(io_timers_n_wanted(&timers, 0), ==, 2);
	/* One that knows of no such thing. */
	io_timers_set(&timers, &other.timer, 5000);
	g_assert_cmpuint(io_timers_n_wanted(&timers, 0), ==, 1);
	io_timers_clear(&timers, &other.timer);
	g_assert_cmpuint(io_timers_n_wanted(&timers, 0), ==, 2);
}

/* Somebody with little to do sent an event: for 10 ms nothing waits for several. */
static void test_hurry(void)
{
	struct io_timers timers = { 0 };
	struct timer busy = { .timer = { .run = run, .worth = worth }, .timers = &timers, .worth = 6 };

	io_timers_set(&timers, &busy.timer, 1000 * MS);
	io_timers_hurry(&timers, 50 * MS);
	g_assert_cmpuint(io_timers_n_wanted(&timers, 50 * MS), ==, 1);
	g_assert_cmpuint(io_timers_n_wanted(&timers, 50 * MS + HURRY - 1), ==, 1);
	g_assert_cmpuint(io_timers_n_wanted(&timers, 50 * MS + HURRY), ==, 6);
	/* From the last event on. */
	io_timers_hurry(&timers, 70 * MS);
	io_timers_hurry(&timers, 75 * MS);
	g_assert_cmpuint(io_timers_n_wanted(&timers, 75 * MS + HURRY - 1), ==, 1);
	g_assert_cmpuint(io_timers_n_wanted(&timers, 75 * MS + HURRY), ==, 6);
}

/* A completion of a quiet queue waits for those of no other, however long it takes. */
static void test_quiet(void)
{
	struct io_timers timers = { 0 };
	struct timer busy = { .timer = { .run = run, .worth = worth }, .timers = &timers, .worth = UINT_MAX };

	io_timers_set(&timers, &busy.timer, 1000 * MS);
	timers.n_quiet = 2;
	for (uint64_t now_ns = 0; now_ns < 1000 * MS; now_ns += 7 * MS)
		g_assert_cmpuint(io_timers_n_wanted(&timers, now_ns), ==, 1);
	timers.n_quiet = 1;
	g_assert_cmpuint(io_timers_n_wanted(&timers, 500 * MS), ==, 1);
	timers.n_quiet = 0;
	g_assert_cmpuint(io_timers_n_wanted(&timers, 500 * MS), ==, UINT_MAX);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/backend/io_timers/due", test_due);
	g_test_add_func("/backend/io_timers/n-wanted", test_n_wanted);
	g_test_add_func("/backend/io_timers/hurry", test_hurry);
	g_test_add_func("/backend/io_timers/quiet", test_quiet);
	return g_test_run();
}
