// SPDX-License-Identifier: MIT
#include "harness/progress.h"

#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define DEFAULT_COLUMNS 80
/* To the line's beginning, and erase all of it (ECMA-48). */
#define ERASE "\r\033[K"
#define LINE_UP     "\033[A"
#define ERASE_BELOW "\r\033[J" /* and all below */

void progress_init(struct progress *progress, int fd)
{
	const char *kind = g_getenv("TERM");

	*progress = (struct progress){ .fd = isatty(fd) && g_strcmp0(kind, "dumb") != 0 ? fd : -1 };
}

static void append_time(GString *line, gint64 us)
{
	gint64 s = us / G_USEC_PER_SEC;

	if (s >= 3600)
		g_string_append_printf(line, "%d h %02d min", (int)(s / 3600), (int)(s / 60 % 60));
	else if (s >= 60)
		g_string_append_printf(line, "%d min %02d s", (int)(s / 60), (int)(s % 60));
	else
		g_string_append_printf(line, "%d s", (int)s);
}

char *progress_text(const struct progress_state *state, unsigned int columns)
{
	GString *line = g_string_new(NULL);
	guint n_done = state->n_passed + state->n_failed + state->n_skipped;

	if (state->n_total > 0)
		g_string_append_printf(line, "[%u/%u] ", n_done, state->n_total);
	g_string_append_printf(line, "%u running, %u passed, %u failed", state->n_running, state->n_passed, state->n_failed);
	if (state->n_skipped > 0)
		g_string_append_printf(line, ", %u skipped", state->n_skipped);
	if (n_done > 0 && state->n_total > n_done) {
		g_string_append(line, ", about ");
		append_time(line, state->elapsed_us * (gint64)(state->n_total - n_done) / (gint64)n_done);
		g_string_append(line, " left");
	}
	if (line->len > columns)
		g_string_truncate(line, columns);
	return g_string_free(line, FALSE);
}

static void put(const struct progress *progress, const char *text)
{
	/* A terminal that is gone is told by its SIGHUP. */
	(void)!write(progress->fd, text, strlen(text));
}

static unsigned int columns_of(const struct progress *progress)
{
	struct winsize size = { 0 };

	/* Asked each time: people resize their windows. */
	return ioctl(progress->fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : DEFAULT_COLUMNS;
}

/*
 * In a window that has become narrower a terminal that keeps its lines whole, as tmux does, has broken ours: then it begins
 * some rows higher. One that cuts them off loses as many lines of what stood above.
 */
static void erase(const struct progress *progress, unsigned int columns)
{
	const unsigned int more_rows = progress->shown_columns > 0 ? (progress->shown_columns - 1) / columns : 0;

	for (unsigned int i = 0; i < more_rows; i++)
		put(progress, LINE_UP);
	put(progress, more_rows > 0 ? ERASE_BELOW : ERASE);
}

void progress_show(struct progress *progress, const struct progress_state *state)
{
	if (progress->fd < 0)
		return;
	const unsigned int columns = columns_of(progress);
	/* The last column stays free, where some terminals wrap. */
	g_autofree char *text = progress_text(state, columns - 1);
	erase(progress, columns);
	put(progress, text);
	progress->shown_columns = (unsigned int)strlen(text);
}

void progress_hide(struct progress *progress)
{
	if (progress->shown_columns > 0)
		erase(progress, columns_of(progress));
	progress->shown_columns = 0;
}
