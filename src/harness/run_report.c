// SPDX-License-Identifier: MIT
#include "harness/run_report.h"

#include <string.h>
#include <sys/stat.h>

#include <json-glib/json-glib.h>

#include "vmm/read_whole.h"

/* A report is some KiB; what is so large is none. */
#define MAX_BYTES   (16 << 20)
#define STATUS_MARK "status="
#define MAX_STATUS  255

/* NULL: empty, or it cannot be read. */
static char *read_text(int fd)
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
	return text;
}

static enum outcome outcome_of(const char *word)
{
	for (enum outcome outcome = OUTCOME_NONE + 1; outcome < N_OUTCOMES; outcome++)
		if (strcmp(word, OUTCOME_NAMES[outcome]) == 0)
			return outcome;
	return OUTCOME_HOST_ERROR;
}

/* What a guest says of itself: it writes "status=N" to its xenstore's data/mark. The last one counts; -1: none. */
static int status_of_marks(JsonObject *object)
{
	JsonNode *node = json_object_get_member(object, "phases");
	JsonArray *phases = node && JSON_NODE_HOLDS_ARRAY(node) ? json_node_get_array(node) : NULL;
	int status = -1;

	for (guint i = 0; phases && i < json_array_get_length(phases); i++) {
		JsonNode *phase = json_array_get_element(phases, i);
		const char *text = JSON_NODE_HOLDS_OBJECT(phase) ?
					   json_object_get_string_member_with_default(json_node_get_object(phase), "text", "") : "";
		guint64 number;

		if (g_str_has_prefix(text, STATUS_MARK) &&
		    g_ascii_string_to_unsigned(text + strlen(STATUS_MARK), 10, 0, MAX_STATUS, &number, NULL))
			status = (int)number;
	}
	return status;
}

void run_report_read(struct run_report *report, int fd)
{
	g_autofree char *text = read_text(fd);
	g_autoptr(JsonParser) parser = json_parser_new();

	*report = (struct run_report){ .outcome = OUTCOME_NONE, .guest_status = -1 };
	if (!text || !json_parser_load_from_data(parser, text, -1, NULL) || !JSON_NODE_HOLDS_OBJECT(json_parser_get_root(parser)))
		return;
	JsonObject *object = json_node_get_object(json_parser_get_root(parser));
	report->outcome = outcome_of(json_object_get_string_member_with_default(object, "outcome", ""));
	report->guest_status = status_of_marks(object);
	report->detail = g_strdup(json_object_get_string_member_with_default(object, "detail", NULL));
}

void run_report_clear(struct run_report *report)
{
	g_clear_pointer(&report->detail, g_free);
}
