// SPDX-License-Identifier: MIT
/* dom1 info: what a domain says of itself. */
#include <stdio.h>

#include "cmd/cmd.h"
#include "cmd/domain_command.h"
#include "vmm/error.h"

struct info_options {
	gboolean json, event_channels;
	JsonArray *list; /* of what --json prints */
};

static void print_member(JsonObject *object, const char *name, JsonNode *value, gpointer opaque)
{
	GType type = JSON_NODE_HOLDS_VALUE(value) ? json_node_get_value_type(value) : G_TYPE_INVALID;
	g_autofree char *key = control_get_text(object, "", name);

	(void)opaque;
	if (type == G_TYPE_STRING) {
		g_autofree char *text = control_get_text(object, name, "");

		printf("%s: %s\n", key, text);
	} else if (type == G_TYPE_INT64) {
		printf("%s: %" G_GINT64_FORMAT "\n", key, json_node_get_int(value));
	}
}

static void print_channel(JsonArray *list, guint i, JsonNode *element, gpointer opaque)
{
	static const char *const numbers[] = { "remote_domid", "remote_port", "virq" };
	JsonObject *channel = JSON_NODE_HOLDS_OBJECT(element) ? json_node_get_object(element) : NULL;

	(void)list, (void)i, (void)opaque;
	if (!channel)
		return;
	g_autofree char *kind = control_get_text(channel, "kind", "?");
	printf("event channel %" G_GINT64_FORMAT ": %s, vcpu %" G_GINT64_FORMAT, control_get_int(channel, "port", 0),
	       kind, control_get_int(channel, "vcpu", 0));
	for (guint n = 0; n < G_N_ELEMENTS(numbers); n++)
		if (json_object_has_member(channel, numbers[n]))
			printf(", %s %" G_GINT64_FORMAT, numbers[n], control_get_int(channel, numbers[n], 0));
	printf("%s%s\n", json_object_get_boolean_member_with_default(channel, "pending", FALSE) ? ", pending" : "",
	       json_object_get_boolean_member_with_default(channel, "masked", FALSE) ? ", masked" : "");
}

static bool on_domain(struct control_client *client, const char *name, void *opaque, GError **error)
{
	const struct info_options *options = opaque;
	g_autoptr(JsonNode) info = control_client_call(client, "info", NULL, error);
	g_autoptr(JsonNode) channels = NULL;

	if (!info ||
	    (options->event_channels && !(channels = control_client_call(client, "event-channels", NULL, error))))
		return false;
	if (!JSON_NODE_HOLDS_OBJECT(info) || (channels && !JSON_NODE_HOLDS_ARRAY(channels))) {
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_DEFECT, "%s: an answer without a meaning", name);
		return false;
	}
	JsonObject *object = json_node_get_object(info);
	if (options->json) {
		JsonObject *copy = json_node_dup_object(info);

		if (channels)
			json_object_set_array_member(copy, "event_channels", json_node_dup_array(channels));
		json_array_add_object_element(options->list, copy);
		return true;
	}
	json_object_foreach_member(object, print_member, NULL);
	if (channels)
		json_array_foreach_element(json_node_get_array(channels), print_channel, NULL);
	return true;
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
	g_autoptr(JsonArray) list = options.list = json_array_new();
	int status = command_on_each(command, argv + 1, on_domain, &options);
	for (guint i = 0; i < json_array_get_length(list); i++)
		(void)command_print_json(json_array_get_element(list, i), false);
	return command_finish(command, status);
}
