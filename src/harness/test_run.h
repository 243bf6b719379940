// SPDX-License-Identifier: MIT
/*
 * One test being run: its process, what comes from it, its clock. When it is over (all attempts, where it may be tried
 * again), it says so.
 */
#pragma once

#include "harness/job.h"
#include "harness/result.h"
#include "harness/test_case.h"

struct test_run;

/* In the main loop, never from within test_run_start(). */
typedef void (*test_run_over)(struct test_run *run, void *opaque);

struct test_run_setup {
	const struct test_case *test; /* must outlive the run, and can be run (no error, no reason to skip) */
	unsigned int number; /* among those of this process; of its domain's name */
	unsigned int round;
	const char *output_dir; /* NULL: no files */
	job_main *main; /* what a run does: job_start() */
	GMainContext *context; /* of the loop in which it is watched; not the program's default one: job.h */
	test_run_over over;
	void *opaque;
};

/* Starts at once; a failure to do so is a result like others. */
struct test_run *test_run_start(const struct test_run_setup *setup);
const struct test_case *test_run_case(const struct test_run *run);

/* Its guest is ended, the result says why, and there is no other attempt. kill: no patience any more. */
void test_run_interrupt(struct test_run *run, const char *why, bool kill);

/* When it is over: the result is the caller's, the run is gone. */
struct test_result *test_run_finish(struct test_run *run);

/* The result of a test that is not run: its error, or skipped for the reason. */
struct test_result *test_run_refused(const struct test_case *test, unsigned int round, const char *reason);
