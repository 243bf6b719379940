// SPDX-License-Identifier: MIT
/*
 * The phases of runs, from their reports (docs/report.md), drawn: as text for a terminal, as SVG, and several side by
 * side. Pure: texts in, strings out, to g_free(). Reports are anybody's files: what is in them is bounded and printed clean.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

struct timeline_phase {
	char *label; /* the phase, with its path or text; printable; the same word twice is numbered */
	uint64_t t_ns;
};

struct timeline {
	char *name, *outcome;
	int status;
	GPtrArray *phases; /* of struct timeline_phase *, in order of time */
};

/* path: for messages. NULL: DOM1_STATUS_FILE, it is no report. */
struct timeline *timeline_parse(const char *text, size_t len_bytes, const char *path, GError **error);
void timeline_free(struct timeline *timeline);

/* One run: a line for each phase, with when it came, how long after the one before, and a bar. */
char *timeline_text(const struct timeline *timeline, unsigned int columns);
/* Several, of struct timeline *: each phase's time in each run, and what changed from the first to the last. */
char *timeline_compare(const GPtrArray *timelines);
/* One or several. */
char *timeline_svg(const GPtrArray *timelines);
