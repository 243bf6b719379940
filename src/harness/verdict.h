// SPDX-License-Identifier: MIT
/*
 * What a run of a guest was worth: from the console's bytes and from the way it ended.
 *
 * Who speaks first: the result line of the Xen Test Framework, TAP or KTAP, --fail-on and --expect, the guest's own
 * status, the way it ended. A reported failure stands, however the guest ended after it. A reported success needs an
 * orderly end: else the end is the verdict. So nothing bad hides behind a good word, and what crashed is never
 * "failed" nor the other way round. docs/harness.md has the whole order.
 *
 * Pure. The verdict does not depend on how the bytes were cut, and memory on nothing that a guest prints.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <glib.h>

#include "vmm/record.h"

enum verdict {
	VERDICT_PASSED,
	VERDICT_SKIPPED,
	VERDICT_FAILED,     /* the guest, or an expectation, says so */
	VERDICT_ERROR,      /* the guest could not test: it says so, or its results are incomplete */
	VERDICT_REBOOT,     /* it rebooted where it should not */
	VERDICT_TIMEOUT,
	VERDICT_DESTROYED,  /* from the host, not by us */
	VERDICT_CRASH,
	VERDICT_SHIM_CRASH,
	VERDICT_HOST_ERROR, /* nothing is known of the guest */
	N_VERDICTS,
};

extern const char *const VERDICT_NAMES[N_VERDICTS];

struct verdict_rules {
	const GPtrArray *expect, *fail_on; /* of patterns.h */
	bool has_script;                   /* verdict_engine_script() tells how it goes */
	enum outcome expected_end;         /* OUTCOME_POWEROFF, unless the test is about another one */
};

/* How the domain ended. */
struct verdict_end {
	enum outcome outcome;
	int status;          /* what dom1 run exited with */
	int guest_status;    /* what the guest says of itself; -1: nothing */
	const char *detail;  /* of the report; may be NULL */
	const char *script_waited; /* what the script still waited for; NULL: nothing */
};

struct verdict_result {
	enum verdict verdict;
	int status;   /* of enum dom1_status, for this test alone */
	char *detail; /* one line that a terminal obeys nothing of, "" when there is no more to say; g_free() */
	uint64_t n_passed, n_failed, n_skipped, n_todo; /* of TAP */
};

struct verdict_engine;

/* rules must outlive it. */
struct verdict_engine *verdict_engine_new(const struct verdict_rules *rules);
void verdict_engine_free(struct verdict_engine *engine);

/* TRUE when nothing that follows can change the verdict: the guest need not go on. What is fed then is ignored. */
bool verdict_engine_feed(struct verdict_engine *engine, const void *bytes, size_t len_bytes);
/* The same for a console that has been quiet for a while: a prompt has no line break behind it. */
bool verdict_engine_quiet(struct verdict_engine *engine);

/* The script is done (NULL), or has failed: why. TRUE: as feed(). */
bool verdict_engine_script(struct verdict_engine *engine, const char *problem);

/* Once, when all bytes have been fed. */
void verdict_engine_conclude(struct verdict_engine *engine, const struct verdict_end *end, struct verdict_result *result);

/* Of two exit statuses the one that counts for a set. */
int verdict_worse_status(int a, int b);
