// SPDX-License-Identifier: MIT
/*
 * The I/O thread: one engine, and the data paths of all devices of the domain. Nothing there is locked; who else wants
 * something of it posts a task, and is answered by one.
 *
 *      main thread --io_thread_post()--> I/O thread --io_thread_reply()--> main thread
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "backend/io_timers.h"

struct io_engine;
struct io_thread;
struct sandbox;

/* Embedded in what it is about, so that no message needs memory. In one list at a time. */
struct io_task {
	void (*run)(struct io_task *task);
	struct io_task *next;
	bool queued; /* of deferred ones only */
};

/* use_uring: unless this host forbids it. sandbox: of its thread; NULL: none. Borrowed. NULL and DOM1_STATUS_HOST. */
struct io_thread *io_thread_new(bool use_uring, const struct sandbox *sandbox, GError **error);
/* Until it is ready for all that follows. FALSE and DOM1_STATUS_HOST. */
bool io_thread_await(struct io_thread *io, GError **error);
void io_thread_free(struct io_thread *io); /* nothing is left to do in it */

/* "uring" or "sync" */
const char *io_thread_engine_name(const struct io_thread *io);

/* The main thread's: the task runs in the I/O thread. Tasks and replies keep their order. */
void io_thread_post(struct io_thread *io, struct io_task *task);
/* Waits for a reply and runs it, and what else has come; for who cannot go on without. */
void io_thread_wait_reply(struct io_thread *io);

/* The I/O thread's. */
struct io_engine *io_thread_engine(struct io_thread *io);
void io_thread_reply(struct io_thread *io, struct io_task *task); /* runs in the main thread */
void io_thread_defer(struct io_thread *io, struct io_task *task); /* runs at the end of this turn, once */
uint64_t io_thread_now_ns(void);
void io_thread_set_timer(struct io_thread *io, struct io_timer *timer, uint64_t due_ns); /* it is not set */
void io_thread_clear_timer(struct io_thread *io, struct io_timer *timer);                /* fine when it is not set */
void io_thread_hurry(struct io_thread *io); /* for a while nothing waits for several completions */
void io_thread_count_quiet(struct io_thread *io, int more); /* 1 or -1: see io_timers.n_quiet */
unsigned int io_thread_n_wanted(const struct io_thread *io); /* for how many completions it would wait now */
