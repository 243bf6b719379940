// SPDX-License-Identifier: MIT
/*
 * dom1 list: the domains of this user. A domain that does not answer is listed too: what is known of it then is that
 * its name is taken.
 */
#include <stdio.h>

#include "cmd/cmd.h"
#include "cmd/domain_command.h"
#include "vmm/error.h"

/* One that hangs must not make the person wait long for the others. */
#define LIST_ANSWER_MS 2000u

/* What a domain says of itself; without an answer only its name and state. NULL: it has ended meanwhile. */
static JsonObject *describe(const char *name)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(JsonNode) answer = NULL;
	struct domain_folder folder;
	struct control_client *client;
	JsonObject *info;

	if (!domain_folder_open(&folder, name, &error))
		return NULL;
	client = control_client_new(&folder, LIST_ANSWER_MS, &error);
	if (client)
		answer = control_client_call(client, "info", NULL, &error);
	control_client_free(client);
	if (answer && JSON_NODE_HOLDS_OBJECT(answer)) {
		info = json_node_dup_object(answer);
	} else {
		info = json_object_new();
		json_object_set_string_member(info, "state", "no-answer");
	}
	/* The folder's name counts, whatever the machine says. */
	json_object_set_string_member(info, "name", name);
	json_object_set_int_member(info, "pid", domain_folder_pid(&folder));
	bool live = domain_folder_is_live(&folder);
	domain_folder_close(&folder);
	if (!live)
		g_clear_pointer(&info, json_object_unref);
	return info;
}

static void print_number(int width, gint64 number)
{
	if (number < 0)
		printf(" %*s", width, "-");
	else
		printf(" %*" G_GINT64_FORMAT, width, number);
}

static void print_row(JsonObject *info)
{
	g_autofree char *name = control_get_text(info, "name", "?");
	g_autofree char *state = control_get_text(info, "state", "?");
	g_autofree char *type = control_get_text(info, "type", "-");
	gint64 memory_kib = control_get_int(info, "memory_kib", -1);
	gint64 uptime_ns = control_get_int(info, "uptime_ns", -1);

	printf("%-32s %-9s %-4s", name, state, type);
	print_number(5, control_get_int(info, "vcpus", -1));
	print_number(10, memory_kib < 0 ? -1 : memory_kib / 1024);
	print_number(9, uptime_ns < 0 ? -1 : uptime_ns / 1000000000);
	print_number(8, control_get_int(info, "pid", -1));
	putchar('\n');
}

static void print_json(JsonArray *list)
{
	g_autoptr(JsonNode) node = json_node_new(JSON_NODE_ARRAY);

	json_node_set_array(node, list);
	(void)command_print_json(node, true);
}

static void print_table(JsonArray *list)
{
	printf("%-32s %-9s %-4s %5s %10s %9s %8s\n", "NAME", "STATE", "TYPE", "VCPUS", "MEMORY/MiB", "UPTIME/s", "PID");
	for (guint i = 0; i < json_array_get_length(list); i++)
		print_row(json_array_get_object_element(list, i));
}

int cmd_list(int argc, char **argv, uint64_t exec_ns)
{
	gboolean json = FALSE;
	const GOptionEntry entries[] = {
		{ "json", 0, 0, G_OPTION_ARG_NONE, &json, "As one JSON array", NULL },
		{ .long_name = NULL },
	};
	static const char summary[] = "Lists your running domains. Folders that killed processes left are removed.\n"
				      "Status: 0, also without a domain; 3 the folder of the domains cannot be read.";
	const struct command_syntax syntax = { .summary = summary, .entries = entries, .max = 0 };
	const char *command = argv[0];
	g_autoptr(GError) error = NULL;
	g_auto(GStrv) names = NULL;

	(void)exec_ns;
	if (!command_parse(&syntax, &argc, &argv, &error) || !(names = folders_list(&error)))
		return command_error(command, error);
	g_autoptr(JsonArray) list = json_array_new();
	for (char **name = names; *name; name++) {
		JsonObject *info = describe(*name);

		if (info)
			json_array_add_object_element(list, info);
	}
	if (json)
		print_json(list);
	else
		print_table(list);
	return command_finish(command, DOM1_STATUS_OK);
}
