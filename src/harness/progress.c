// SPDX-License-Identifier: MIT
#include "harness/progress.h"

#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define DEFAULT_COLUMNS 80
/* To the line's beginning, and erase all of it (ECMA-48). */
#define ERASE "\r\033[K"

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

void progress_show(struct progress *progress, const struct progress_state *state)
{
	struct winsize size = { 0 };

	if (progress->fd < 0)
		return;
	/* Asked each time: people resize their windows. The last column stays free, where some terminals wrap. */
	unsigned int columns = ioctl(progress->fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : DEFAULT_COLUMNS;
	g_autofree char *text = progress_text(state, columns - 1);
	g_autofree char *line = g_strconcat(ERASE, text, NULL);
	put(progress, line);
	progress->shown = true;
}

void progress_hide(struct progress *progress)
{
	if (progress->shown)
		put(progress, ERASE);
	progress->shown = false;
}
