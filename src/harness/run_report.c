// SPDX-License-Identifier: MIT
#include "harness/run_report.h"

#include <string.h>
#include <sys/stat.h>

#include "control/json_text.h"
#include "vmm/read_whole.h"

/* A report is some KiB; what is so large is none. */
#define MAX_BYTES   (16 << 20)
#define STATUS_MARK "status="
#define MAX_STATUS  255

/* NULL: empty, or it cannot be read. */
static char *read_text(int fd, size_t *len_bytes)
{
	struct stat status;

	if (fd < 0 || fstat(fd, &status) != 0 || status.st_size <= 0 || status.st_size > MAX_BYTES)
		return NULL;
	char *text = g_malloc((gsize)status.st_size + 1);
	if (!read_whole(fd, text, (size_t)status.st_size, 0)) {
		g_free(text);
		return NULL;
	}
	text[status.st_size] = '\0';
	*len_bytes = (size_t)status.st_size;
	return text;
}

/* word: NULL, there is none. */
static enum outcome outcome_of(const char *word)
{
	for (enum outcome outcome = OUTCOME_NONE + 1; outcome < N_OUTCOMES; outcome++)
		if (g_strcmp0(word, OUTCOME_NAMES[outcome]) == 0)
			return outcome;
	return OUTCOME_HOST_ERROR;
}

/* What a guest says of itself: it writes "status=N" to its xenstore's data/mark. The last one counts; -1: none. */
static int status_of_marks(const json_t *report)
{
	const json_t *phases = json_object_get(report, "phases"), *phase;
	int status = -1;
	size_t i;

	json_array_foreach(phases, i, phase) {
		const char *text = json_string_value(json_object_get(phase, "text"));
		guint64 number;

		if (text && g_str_has_prefix(text, STATUS_MARK) &&
		    g_ascii_string_to_unsigned(text + strlen(STATUS_MARK), 10, 0, MAX_STATUS, &number, NULL))
			status = (int)number;
	}
	return status;
}

void run_report_read(struct run_report *report, int fd)
{
	size_t len_bytes = 0;
	g_autofree char *text = read_text(fd, &len_bytes);
	g_autoptr(json_t) object = text ? json_text_parse(text, len_bytes, NULL) : NULL;

	*report = (struct run_report){ .outcome = OUTCOME_NONE, .guest_status = -1 };
	if (!json_is_object(object))
		return;
	report->outcome = outcome_of(json_string_value(json_object_get(object, "outcome")));
	report->guest_status = status_of_marks(object);
	report->detail = g_strdup(json_string_value(json_object_get(object, "detail")));
}

void run_report_clear(struct run_report *report)
{
	g_clear_pointer(&report->detail, g_free);
}
