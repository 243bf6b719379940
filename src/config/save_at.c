// SPDX-License-Identifier: MIT
#include "config/save_at.h"

#include <string.h>

#include "vmm/error.h"
#include "vmm/one_line.h"

/* run_init_process() in Linux' init/main.c, unless "quiet" keeps it from the console. */
#define LINUX_STARTS_INIT "^Run /\\S+ as init process$"
#define INIT_MARK         "init"

static void refuse_when(GError **error, const char *option, const char *when, const char *why)
{
	g_autofree char *line = one_line(when);

	g_set_error(error, DOM1_ERROR, DOM1_STATUS_USAGE, "%s=%s: %s", option, line, why);
}

static bool parse_pattern(struct save_at *save_at, const char *option, const char *text, GError **error)
{
	g_autoptr(GError) regex_error = NULL;

	/* Not compiled to machine code: the machine, which matches, may have no memory that is executable. */
	save_at->pattern = g_regex_new(text, G_REGEX_RAW, 0, &regex_error);
	if (save_at->pattern)
		return true;
	g_autofree char *why = g_strdup_printf("not a regular expression: %s", regex_error->message);
	refuse_when(error, option, text, why);
	return false;
}

static bool parse_when(struct save_at *save_at, const char *option, const char *when, GError **error)
{
	if (strcmp(when, "init") == 0) {
		save_at->kind = SAVE_AT_INIT;
		save_at->mark = g_strdup(INIT_MARK);
		return parse_pattern(save_at, option, LINUX_STARTS_INIT, error);
	}
	if (g_str_has_prefix(when, "mark=") && when[strlen("mark=")]) {
		save_at->kind = SAVE_AT_MARK;
		save_at->mark = g_strdup(when + strlen("mark="));
		return true;
	}
	if (g_str_has_prefix(when, "console=") && when[strlen("console=")]) {
		save_at->kind = SAVE_AT_CONSOLE;
		return parse_pattern(save_at, option, when + strlen("console="), error);
	}
	refuse_when(error, option, when, "when must be init, mark=TEXT or console=REGEX");
	return false;
}

struct save_at *save_at_parse_when(const char *option, const char *when, GError **error)
{
	struct save_at *save_at = g_new0(struct save_at, 1);

	if (!parse_when(save_at, option, when, error))
		g_clear_pointer(&save_at, save_at_free);
	return save_at;
}

struct save_at *save_at_parse(const char *text, GError **error)
{
	const char *comma = strchr(text, ',');

	if (!comma || comma == text) {
		refuse_when(error, "--save-at", text, "must be FILE,init, FILE,mark=TEXT or FILE,console=REGEX");
		return NULL;
	}
	struct save_at *save_at = save_at_parse_when("--save-at", comma + 1, error);
	if (save_at)
		save_at->path = g_strndup(text, (gsize)(comma - text));
	return save_at;
}

void save_at_free(struct save_at *save_at)
{
	if (!save_at)
		return;
	if (save_at->pattern)
		g_regex_unref(save_at->pattern);
	g_free(save_at->mark);
	g_free(save_at->path);
	g_free(save_at);
}

bool save_at_is_line(const struct save_at *save_at, const char *line, bool is_whole)
{
	/* A prompt has no line break behind it; but what Linux says has. */
	return save_at->pattern && (is_whole || save_at->kind == SAVE_AT_CONSOLE) && g_regex_match(save_at->pattern, line, 0, NULL);
}

bool save_at_is_mark(const struct save_at *save_at, const char *mark)
{
	return save_at->mark && strcmp(save_at->mark, mark) == 0;
}
