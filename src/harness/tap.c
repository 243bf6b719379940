// SPDX-License-Identifier: MIT
#include "harness/tap.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <glib.h>

/* More are no number of tests. */
#define MAX_DIGITS 12

/* A decimal number at *text, which moves behind it. */
static bool take_number(const char **text, uint64_t *number)
{
	size_t n = strspn(*text, "0123456789");

	if (n == 0 || n > MAX_DIGITS)
		return false;
	*number = g_ascii_strtoull(*text, NULL, 10);
	*text += n;
	return true;
}

/* "TAP version 13": a stream begins. */
static bool is_version(const char *line, bool *kernel)
{
	uint64_t version;

	*kernel = line[0] == 'K';
	line += *kernel;
	if (!g_str_has_prefix(line, "TAP version "))
		return false;
	line += strlen("TAP version ");
	return take_number(&line, &version) && line[strspn(line, " \t")] == '\0';
}

/* "1..4", perhaps with a remark. */
static bool is_plan(const char *line, uint64_t *plan)
{
	if (!g_str_has_prefix(line, "1.."))
		return false;
	line += strlen("1..");
	if (!take_number(&line, plan))
		return false;
	line += strspn(line, " \t");
	return line[0] == '\0' || line[0] == '#';
}

/* The directive behind the last '#' that is not escaped: "# SKIP why", "# TODO why", in any case of letters. */
static bool has_directive(const char *text, const char *word)
{
	for (const char *hash = strchr(text, '#'); hash; hash = strchr(hash + 1, '#')) {
		if (hash > text && hash[-1] == '\\')
			continue;
		const char *begin = hash + 1 + strspn(hash + 1, " \t");
		if (g_ascii_strncasecmp(begin, word, strlen(word)) == 0)
			return true;
	}
	return false;
}

static enum tap_result stream_result(struct tap *tap)
{
	uint64_t n = tap->n_passed + tap->n_failed + tap->n_skipped + tap->n_todo;

	if (!tap->open)
		return TAP_NONE;
	if (tap->n_failed > 0 || tap->bailed)
		return TAP_FAILED;
	if (!tap->planned && (!tap->kernel || n == 0)) {
		snprintf(tap->problem, sizeof(tap->problem), "there is no plan");
		return TAP_BROKEN;
	}
	if (tap->planned && tap->plan != n) {
		snprintf(tap->problem, sizeof(tap->problem), "%" PRIu64 " planned, %" PRIu64 " came", tap->plan, n);
		return TAP_BROKEN;
	}
	/* Nothing to do is said by "1..0 # SKIP why". */
	return tap->n_passed + tap->n_todo > 0 ? TAP_PASSED : TAP_SKIPPED;
}

/* SKIPPED is what is left when no stream has more to say. */
static enum tap_result worse(enum tap_result a, enum tap_result b)
{
	if (MIN(a, b) == TAP_PASSED && MAX(a, b) == TAP_SKIPPED)
		return TAP_PASSED;
	return MAX(a, b);
}

static void begin_stream(struct tap *tap, bool kernel)
{
	tap->earlier = worse(tap->earlier, stream_result(tap));
	tap->open = true;
	tap->kernel = kernel;
	tap->planned = tap->bailed = false;
	tap->plan = 0;
	tap->n_passed = tap->n_failed = tap->n_skipped = tap->n_todo = 0;
}

static void keep_name(struct tap *tap, const char *rest)
{
	uint64_t number;

	if (tap->first_failed[0] != '\0')
		return;
	rest += strspn(rest, " \t");
	(void)take_number(&rest, &number);
	rest += strspn(rest, " \t-");
	snprintf(tap->first_failed, sizeof(tap->first_failed), "%s", rest[0] ? rest : "without a name");
}

/* "ok 1 - name # SKIP why" */
static bool take_result(struct tap *tap, const char *line)
{
	bool failed = g_str_has_prefix(line, "not ok");
	const char *rest = line + (failed ? strlen("not ok") : strlen("ok"));

	if ((!failed && !g_str_has_prefix(line, "ok")) || (rest[0] != '\0' && rest[0] != ' ' && rest[0] != '\t'))
		return false;
	if (has_directive(rest, "TODO")) {
		tap->n_todo++;
		tap->total_todo++;
	} else if (has_directive(rest, "SKIP")) {
		tap->n_skipped++;
		tap->total_skipped++;
	} else if (failed) {
		tap->n_failed++;
		tap->total_failed++;
		keep_name(tap, rest);
	} else {
		tap->n_passed++;
		tap->total_passed++;
	}
	return true;
}

bool tap_line(struct tap *tap, const char *line)
{
	bool kernel;
	uint64_t plan;

	if (is_version(line, &kernel)) {
		begin_stream(tap, kernel);
		return true;
	}
	if (is_plan(line, &plan)) {
		/* A second plan is of a second stream, of a program that prints no version. */
		if (!tap->open || tap->planned)
			begin_stream(tap, false);
		tap->planned = true;
		tap->plan = plan;
		return true;
	}
	if (!tap->open)
		return false;
	if (g_str_has_prefix(line, "Bail out!")) {
		tap->bailed = true;
		if (tap->first_failed[0] == '\0')
			snprintf(tap->first_failed, sizeof(tap->first_failed), "%s", line);
		return true;
	}
	return take_result(tap, line);
}

enum tap_result tap_result(struct tap *tap)
{
	return worse(tap->earlier, stream_result(tap));
}
