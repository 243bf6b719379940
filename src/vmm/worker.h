// SPDX-License-Identifier: MIT
/*
 * The machine's threads. All are made at its start, before it locks itself in for good, and live as long as it: a restart of
 * the domain gives them something else to do. So nothing in the machine may make a thread afterwards, and each has a
 * seccomp filter of its own (sandbox/sandbox.h), which no other one's contains.
 *
 * A worker does one thing at a time, which somebody hands to it.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <glib.h>

#include "sandbox/sandbox.h"

struct worker;

struct worker_kind {
	const char *name; /* up to 15 bytes: in ps, and in what is said of a violation */
	enum sandbox_thread filter;
	size_t stack_bytes;  /* 0: the library's default */
	int kick_signal;     /* the one that it may get from others; 0: none */
	bool waits_for_traps; /* SIGBUS is blocked, to be waited for */
};

/* sandbox: NULL, as in tests: no filter. Borrowed. NULL and DOM1_STATUS_HOST. */
struct worker *worker_new(const struct worker_kind *kind, const struct sandbox *sandbox, GError **error);
/* What it does is waited for. NULL is fine. */
void worker_free(struct worker *worker);

/* Any thread but its own. Waits until the worker has nothing else to do, not until it has done this. */
void worker_start(struct worker *worker, void (*fn)(void *opaque), void *opaque);
/* Until it has nothing to do. */
void worker_wait(struct worker *worker);
/* Done when this returns. By the worker, or by the caller, if that is the worker itself or there is none: NULL. */
void worker_run(struct worker *worker, void (*fn)(void *opaque), void *opaque);

/* The signals that are blocked in it, as the kernel has them. */
uint64_t worker_blocked_signals(const struct worker *worker);
pthread_t worker_thread(const struct worker *worker);
/* Sends the kick signal. Any thread, also a signal more than is needed: costs one system call. */
void worker_kick(const struct worker *worker);
