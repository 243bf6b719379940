// SPDX-License-Identifier: MIT
/*
 * Runs a list of tests side by side: as many as there are CPUs and memory for, in the order of the list; results are told
 * in that order too, however the tests end. SIGINT, SIGTERM or SIGHUP ends what runs and starts nothing more; a second
 * one kills.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "harness/job.h"
#include "harness/progress.h"
#include "harness/result.h"
#include "harness/test_case.h"

typedef void (*test_set_told)(const struct test_result *result, guint n, void *opaque);

struct test_set_setup {
	const GPtrArray *cases; /* of struct test_case * */
	unsigned int jobs;      /* vCPUs that may be at work, 1 or more; a larger test runs alone */
	uint64_t memory_bytes;  /* that the domains of the moment may take */
	unsigned int rounds;    /* 0: until one fails */
	bool until_fail, fail_fast;
	const char *output_dir;
	job_main *main; /* what a run does: job_start() */
	struct progress *progress;
	test_set_told told;     /* in order; n from 1 on */
	void *opaque;
};

/*
 * To the end. Of struct test_result *, in order; to g_ptr_array_unref(). *signal: what ended it early, 0. Blocks the
 * signals and leaves them so. NULL: DOM1_STATUS_HOST.
 */
GPtrArray *test_set_run(const struct test_set_setup *setup, int *signal, GError **error);

/* What a domain of so much memory takes, with the machine process itself. */
uint64_t test_set_cost_bytes(const struct test_case *test);
/* How much memory this host can give now. */
uint64_t test_set_host_memory_bytes(void);
