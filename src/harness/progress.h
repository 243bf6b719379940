// SPDX-License-Identifier: MIT
/* The line at the bottom of a person's terminal that says how far the tests are. Elsewhere there is none. */
#pragma once

#include <stdbool.h>

#include <glib.h>

struct progress {
	int fd; /* of the terminal; -1: there is none */
	unsigned int shown_columns; /* of the line that is there; 0: none is */
};

/* What the line says. */
struct progress_state {
	guint n_total; /* 0: nobody knows, it goes on until one fails */
	guint n_running, n_passed, n_failed, n_skipped;
	gint64 elapsed_us;
};

/* fd: a terminal or not. */
void progress_init(struct progress *progress, int fd);
void progress_show(struct progress *progress, const struct progress_state *state);
/* Before anything else is printed on the terminal. */
void progress_hide(struct progress *progress);

/* The line, at most so many columns wide; ASCII. g_free() */
char *progress_text(const struct progress_state *state, unsigned int columns);
