// SPDX-License-Identifier: MIT
/*
 * Prints what tests ask of a report as lines, and fails if the file is not one:
 *
 *   report-facts FILE
 *
 *   outcome WORD, status N, restarts N, in order: phase NAME [TEXT or path]
 *
 * That phases come in the order of their times is checked here.
 */
#include <stdio.h>

#include <json-glib/json-glib.h>

static gboolean print_phases(JsonArray *phases)
{
	gint64 last_ns = 0;

	for (guint i = 0; i < json_array_get_length(phases); i++) {
		JsonObject *phase = json_array_get_object_element(phases, i);
		gint64 t_ns = json_object_get_int_member_with_default(phase, "t_ns", -1);
		const char *name = json_object_get_string_member_with_default(phase, "phase", NULL);
		const char *text = json_object_get_string_member_with_default(phase, "text", NULL);

		if (!name || t_ns < last_ns) {
			fprintf(stderr, "report-facts: phase %u has no name or goes back in time\n", i);
			return FALSE;
		}
		last_ns = t_ns;
		printf("phase %s%s%s\n", name, text ? " " : "", text ? text : "");
	}
	return TRUE;
}

int main(int argc, char **argv)
{
	g_autoptr(JsonParser) parser = json_parser_new();
	g_autoptr(GError) error = NULL;

	if (argc != 2) {
		fputs("usage: report-facts FILE\n", stderr);
		return 2;
	}
	if (!json_parser_load_from_file(parser, argv[1], &error)) {
		fprintf(stderr, "report-facts: %s\n", error->message);
		return 1;
	}
	JsonNode *root = json_parser_get_root(parser);
	JsonObject *report = root && JSON_NODE_HOLDS_OBJECT(root) ? json_node_get_object(root) : NULL;
	if (!report || json_object_get_int_member_with_default(report, "version", 0) != 1 ||
	    !json_object_has_member(report, "phases") || !json_object_has_member(report, "counters") ||
	    !json_object_has_member(report, "memory") || !json_object_has_member(report, "machine") ||
	    !json_object_has_member(report, "host")) {
		fputs("report-facts: not a report of version 1\n", stderr);
		return 1;
	}
	printf("outcome %s\n", json_object_get_string_member_with_default(report, "outcome", ""));
	printf("status %" G_GINT64_FORMAT "\n", json_object_get_int_member_with_default(report, "status", -1));
	JsonObject *counters = json_object_get_object_member(report, "counters");
	printf("restarts %" G_GINT64_FORMAT "\n", json_object_get_int_member_with_default(counters, "restarts", -1));
	return print_phases(json_object_get_array_member(report, "phases")) ? 0 : 1;
}
