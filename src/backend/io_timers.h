// SPDX-License-Identifier: MIT
/*
 * What the I/O thread waits for besides completions and events, as a pure core: timers, and for how many completions a
 * turn may wait.
 *
 * A busy disk has time: its timer says how many completions are worth a turn before it is due. A turn waits for so many
 * only if nobody else waits for one: no timer without such a number, nothing in flight of a queue with little to do
 * (n_quiet), and no event of others a moment ago (hurry). So a completion of a quiet disk never waits for those of a busy
 * one. An event that comes after a longer silence may: the kernel counts events as completions. It waits until the timer
 * is due at most.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Runs once, some time later. Embedded in what it is about. */
struct io_timer {
	void (*run)(struct io_timer *timer);
	uint64_t due_ns; /* CLOCK_MONOTONIC */
	/* How many completions are worth a turn before it is due; NULL: one. */
	unsigned int (*worth)(const struct io_timer *timer);
	bool is_set;
	struct io_timer *next;
};

/* All zero at first. */
struct io_timers {
	struct io_timer *first; /* few are set at a time: no order */
	uint64_t hurry_until_ns;
	unsigned int n_quiet; /* queues with little in flight, but something */
};

void io_timers_set(struct io_timers *timers, struct io_timer *timer, uint64_t due_ns); /* it is not set */
void io_timers_clear(struct io_timers *timers, struct io_timer *timer);                /* fine when it is not set */

/* Somebody with little to do has sent an event: what comes next is his perhaps. */
void io_timers_hurry(struct io_timers *timers, uint64_t now_ns);

/* How long to the next, 0 if it is due; -1: none is set. */
int64_t io_timers_left_ns(const struct io_timers *timers, uint64_t now_ns);
/* For how many completions or events the next turn may wait; at least 1, UINT_MAX: for the next timer. */
unsigned int io_timers_n_wanted(const struct io_timers *timers, uint64_t now_ns);
/* Those that are due, one after the other: each may set and clear others. */
void io_timers_run(struct io_timers *timers, uint64_t now_ns);
