// SPDX-License-Identifier: MIT
/*
 * Results of the Test Anything Protocol (versions 12 to 14) and the kernel's KTAP on a console, between whatever else is
 * printed there. A version line or a plan opens a stream; without one, "ok 1" is just a line. Only results that are not
 * indented count: they sum up those below them. Several streams may follow each other; the worst counts. Pure; memory is
 * bounded. Sources: testanything.org's specifications, Documentation/dev-tools/ktap.rst of Linux.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define TAP_NAME_BYTES 128

/* In the order of their badness. */
enum tap_result { TAP_NONE, TAP_PASSED, TAP_SKIPPED, TAP_BROKEN, TAP_FAILED };

struct tap {
	bool open; /* a stream has begun */
	bool kernel; /* it is KTAP: a plan may be missing */
	bool planned;
	bool bailed;
	uint64_t plan;
	uint64_t n_passed, n_failed, n_skipped, n_todo; /* of this stream */
	enum tap_result earlier; /* of the streams before */
	uint64_t total_passed, total_failed, total_skipped, total_todo;
	char first_failed[TAP_NAME_BYTES];  /* its name, "" */
	char problem[TAP_NAME_BYTES];       /* of BROKEN: what is wrong with it */
};

/* Zeroed memory is a fresh one. Whether the line belongs to a stream. */
bool tap_line(struct tap *tap, const char *line);

/* What the streams say if nothing more comes. */
enum tap_result tap_result(struct tap *tap);
