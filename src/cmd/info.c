// SPDX-License-Identifier: MIT
/* dom1 info: what a domain says of itself. */
#include <inttypes.h>
#include <stdio.h>

#include "cmd/cmd.h"
#include "cmd/domain_command.h"
#include "control/json_text.h"
#include "vmm/error.h"
#include "vmm/one_line.h"

struct info_options {
	gboolean json, event_channels;
	json_t *list; /* of what --json prints */
};

static void print_members(json_t *info)
{
	const char *name;
	json_t *value;

	json_object_foreach(info, name, value) {
		g_autofree char *key = one_line(name);

		if (json_is_string(value)) {
			g_autofree char *text = one_line(json_string_value(value));

			printf("%s: %s\n", key, text);
		} else if (json_is_integer(value)) {
			printf("%s: %" JSON_INTEGER_FORMAT "\n", key, json_integer_value(value));
		}
	}
}

static void print_channel(const json_t *channel)
{
	static const char *const numbers[] = { "remote_domid", "remote_port", "virq" };
	g_autofree char *kind = control_get_text(channel, "kind", "?");

	printf("event channel %" PRIi64 ": %s, vcpu %" PRIi64, control_get_int(channel, "port", 0), kind,
	       control_get_int(channel, "vcpu", 0));
	for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++)
		if (json_object_get(channel, numbers[i]))
			printf(", %s %" PRIi64, numbers[i], control_get_int(channel, numbers[i], 0));
	printf("%s%s\n", json_is_true(json_object_get(channel, "pending")) ? ", pending" : "",
	       json_is_true(json_object_get(channel, "masked")) ? ", masked" : "");
}

static void print_text(json_t *info, const json_t *channels)
{
	const json_t *channel;
	size_t i;

	print_members(info);
	json_array_foreach(channels, i, channel)
		if (json_is_object(channel))
			print_channel(channel);
}

static bool on_domain(struct control_client *client, const char *name, void *opaque, GError **error)
{
	const struct info_options *options = opaque;
	g_autoptr(json_t) info = control_client_call(client, "info", NULL, error);
	g_autoptr(json_t) channels = NULL;

	if (!info ||
	    (options->event_channels && !(channels = control_client_call(client, "event-channels", NULL, error))))
		return false;
	if (!json_is_object(info) || (channels && !json_is_array(channels))) {
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_DEFECT, "%s: an answer without a meaning", name);
		return false;
	}
	if (!options->json) {
		print_text(info, channels);
		return true;
	}
	if (channels)
		json_object_set(info, "event_channels", channels);
	json_array_append(options->list, info);
	return true;
}

static void print_json(const json_t *list)
{
	json_t *info;
	size_t i;

	json_array_foreach(list, i, info) {
		g_autofree char *line = json_text_line(json_incref(info));

		fputs(line, stdout);
	}
}

int cmd_info(int argc, char **argv, uint64_t exec_ns)
{
	struct info_options options = { .json = FALSE };
	const GOptionEntry entries[] = {
		{ "json", 0, 0, G_OPTION_ARG_NONE, &options.json, "As JSON: one object a domain, one line each", NULL },
		{ "event-channels", 0, 0, G_OPTION_ARG_NONE, &options.event_channels, "Also the guest's event channels",
		  NULL },
		{ .long_name = NULL },
	};
	const struct command_syntax syntax = {
		.parameters = "NAME...",
		.summary =
			"Says what a domain is. memory_kib is the RAM seen from outside; memory_target_kib and\n"
			"memory_max_kib are what its balloon aims at, and the most it may have.\n"
			"Status: 0, 2 no such domain, 124 it does not answer.",
		.entries = entries,
		.min = 1,
		.max = G_MAXINT,
	};
	const char *command = argv[0];
	g_autoptr(GError) error = NULL;

	(void)exec_ns;
	if (!command_parse(&syntax, &argc, &argv, &error))
		return command_error(command, error);
	g_autoptr(json_t) list = options.list = json_array();
	int status = command_on_each(command, argv + 1, on_domain, &options);
	print_json(list);
	return command_finish(command, status);
}
