// SPDX-License-Identifier: MIT
/*
 * dom1 list: the domains of this user. A domain that does not answer is listed too: what is known of it then is that
 * its name is taken.
 */
#include <inttypes.h>
#include <stdio.h>

#include "cmd/cmd.h"
#include "cmd/domain_command.h"
#include "control/json_text.h"
#include "vmm/error.h"

/* One that hangs must not make the person wait long for the others. */
#define LIST_ANSWER_MS 2000u

/* What a domain says of itself; without an answer only its name and state. NULL: it has ended meanwhile. */
static json_t *describe(const char *name)
{
	g_autoptr(GError) error = NULL;
	struct domain_folder folder;
	struct control_client *client;
	json_t *info = NULL;

	if (!domain_folder_open(&folder, name, &error))
		return NULL;
	client = control_client_new(&folder, LIST_ANSWER_MS, &error);
	if (client)
		info = control_client_call(client, "info", NULL, &error);
	control_client_free(client);
	if (!json_is_object(info)) {
		json_decref(info);
		info = json_pack("{s:s}", "state", "no-answer");
	}
	/* The folder's name counts, whatever the machine says. */
	json_add_string(info, "name", name);
	json_add_number(info, "pid", domain_folder_pid(&folder));
	bool live = domain_folder_is_live(&folder);
	domain_folder_close(&folder);
	if (!live)
		g_clear_pointer(&info, json_decref);
	return info;
}

static void print_number(int width, int64_t number)
{
	if (number < 0)
		printf(" %*s", width, "-");
	else
		printf(" %*" PRIi64, width, number);
}

static void print_row(const json_t *info)
{
	g_autofree char *name = control_get_text(info, "name", "?");
	g_autofree char *state = control_get_text(info, "state", "?");
	g_autofree char *type = control_get_text(info, "type", "-");
	int64_t memory_kib = control_get_int(info, "memory_kib", -1);
	int64_t uptime_ns = control_get_int(info, "uptime_ns", -1);

	printf("%-32s %-9s %-4s", name, state, type);
	print_number(5, control_get_int(info, "vcpus", -1));
	print_number(10, memory_kib < 0 ? -1 : memory_kib / 1024);
	print_number(9, uptime_ns < 0 ? -1 : uptime_ns / 1000000000);
	print_number(8, control_get_int(info, "pid", -1));
	putchar('\n');
}

static void print_json(json_t *list)
{
	g_autofree char *text = json_text_pretty(json_incref(list));

	fputs(text, stdout);
}

static void print_table(const json_t *list)
{
	const json_t *info;
	size_t i;

	printf("%-32s %-9s %-4s %5s %10s %9s %8s\n", "NAME", "STATE", "TYPE", "VCPUS", "MEMORY/MiB", "UPTIME/s", "PID");
	json_array_foreach(list, i, info)
		print_row(info);
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
	g_autoptr(json_t) list = json_array();
	for (char **name = names; *name; name++) {
		json_t *info = describe(*name);

		if (info)
			json_array_append_new(list, info);
	}
	if (json)
		print_json(list);
	else
		print_table(list);
	return command_finish(command, DOM1_STATUS_OK);
}
