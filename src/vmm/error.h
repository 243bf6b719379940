// SPDX-License-Identifier: MIT
/*
 * The channel of errors meant for the person who runs dom1.
 *
 * A function that can fail for a reason outside dom1 takes a GError **. The message is one line: what, which
 * file, why, and what to do about it. The code is the exit status dom1 ends with when nobody handles the error.
 * Errors of a guest never come this way: a guest gets Xen's errno (src/xen).
 */
#pragma once

#include <stdbool.h>

#include <glib.h>

/* The exit statuses of dom1; docs/man/dom1.1 says the same in words. */
enum dom1_status {
	DOM1_STATUS_OK = 0,
	DOM1_STATUS_TEST_FAILED = 1,
	DOM1_STATUS_USAGE = 2,
	DOM1_STATUS_HOST = 3,
	DOM1_STATUS_FILE = 4,
	DOM1_STATUS_BACKEND = 5,
	DOM1_STATUS_REBOOT = 32,
	DOM1_STATUS_CRASH = 34,
	DOM1_STATUS_SHIM_CRASH = 35,
	DOM1_STATUS_TIMEOUT = 124,
	DOM1_STATUS_DEFECT = 125,
	DOM1_STATUS_SIGNAL_BASE = 128, /* plus the number of the signal that ended the domain */
	DOM1_STATUS_DESTROYED = 143,   /* the host ended it: 128 + SIGTERM */
};

#define DOM1_ERROR dom1_error_quark()
GQuark dom1_error_quark(void);

/* DOM1_STATUS_USAGE; FALSE always, to be returned. */
bool refuse_usage(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);
