// SPDX-License-Identifier: MIT
/*
 * Theory of operation: a line is checked (json_text.h) before json-glib sees it; then the command's entry in the table
 * says which arguments it takes, and only then its function runs. It leaves its result in the call, or an error.
 */
#include "control/commands.h"

#include <stdio.h>
#include <string.h>

#include "control/domain_ops.h"
#include "control/json_text.h"
#include "control/server.h"
#include "vmm/error.h"

#define CLASS_GENERIC   "GenericError"
#define CLASS_NOT_FOUND "CommandNotFound"

struct call {
	const struct control_request *request;
	JsonObject *arguments; /* NULL: none */
	JsonNode *result;      /* NULL: an empty object */
};

enum parameter_type { PARAMETER_NONE, PARAMETER_STRING, PARAMETER_INTEGER, PARAMETER_ANY };

struct parameter {
	const char *name;
	enum parameter_type type;
	bool optional;
};

#define PARAMETERS_MAX 2

struct command {
	const char *name;
	bool (*run)(struct call *call, GError **error);
	struct parameter parameters[PARAMETERS_MAX];
};

static bool not_offered(GError **error)
{
	return refuse_usage(error, "this domain does not offer it");
}

/* Lines */

static char *line_of(JsonNode *node)
{
	g_autofree char *text = json_to_string(node, FALSE);
	g_autofree char *escaped = json_text_escape(text);

	json_node_unref(node);
	return g_strconcat(escaped, "\n", NULL);
}

static JsonNode *object_node(JsonObject *object)
{
	JsonNode *node = json_node_new(JSON_NODE_OBJECT);

	json_node_take_object(node, object);
	return node;
}

static JsonObject *version_object(void)
{
	JsonObject *numbers = json_object_new(), *version = json_object_new();
	unsigned int major = 0, minor = 0, micro = 0;

	(void)sscanf(DOM1_VERSION, "%u.%u.%u", &major, &minor, &micro);
	json_object_set_int_member(numbers, "major", major);
	json_object_set_int_member(numbers, "minor", minor);
	json_object_set_int_member(numbers, "micro", micro);
	json_object_set_object_member(version, "dom1", numbers);
	json_object_set_string_member(version, "package", "dom1 " DOM1_VERSION);
	return version;
}

char *control_greeting(void)
{
	JsonObject *qmp = json_object_new(), *greeting = json_object_new();

	json_object_set_object_member(qmp, "version", version_object());
	json_object_set_array_member(qmp, "capabilities", json_array_new());
	json_object_set_object_member(greeting, "QMP", qmp);
	return line_of(object_node(greeting));
}

char *control_event_line(const char *name, JsonNode *data)
{
	JsonObject *timestamp = json_object_new(), *event = json_object_new();
	gint64 now_us = g_get_real_time();

	json_object_set_string_member(event, "event", name);
	json_object_set_int_member(timestamp, "seconds", now_us / G_USEC_PER_SEC);
	json_object_set_int_member(timestamp, "microseconds", now_us % G_USEC_PER_SEC);
	json_object_set_object_member(event, "timestamp", timestamp);
	json_object_set_member(event, "data", data ? data : object_node(json_object_new()));
	return line_of(object_node(event));
}

/* id: as the client gave it, NULL: it gave none. */
static char *error_line(const char *class, const char *desc, JsonNode *id)
{
	JsonObject *reason = json_object_new(), *answer = json_object_new();
	/* Words of a guest may be in it. */
	g_autofree char *clean = g_utf8_make_valid(desc, -1);

	json_object_set_string_member(reason, "class", class);
	json_object_set_string_member(reason, "desc", clean);
	json_object_set_object_member(answer, "error", reason);
	if (id)
		json_object_set_member(answer, "id", json_node_copy(id));
	return line_of(object_node(answer));
}

char *control_error_line(const char *desc)
{
	return error_line(CLASS_GENERIC, desc, NULL);
}

/* Commands */

static bool has_argument(const struct call *call, const char *name)
{
	return call->arguments && json_object_has_member(call->arguments, name);
}

static struct xenstore *store_of(const struct call *call)
{
	const struct control_request *request = call->request;

	return request->ops->store ? request->ops->store(request->opaque) : NULL;
}

static struct control_status status_of(const struct call *call)
{
	struct control_status status = { 0 };

	call->request->ops->status(call->request->opaque, &status);
	return status;
}

/* For what only a guest that still runs can do. */
static struct xenstore *store_of_guest(const struct call *call, GError **error)
{
	struct xenstore *store = store_of(call);

	if (store && status_of(call).state != CONTROL_SHUTDOWN)
		return store;
	refuse_usage(error, "the guest has shut down");
	return NULL;
}

static bool run_capabilities(struct call *call, GError **error)
{
	(void)call, (void)error;
	return true;
}

static bool run_query_version(struct call *call, GError **error)
{
	(void)error;
	call->result = object_node(version_object());
	return true;
}

static bool run_query_commands(struct call *call, GError **error);

static void add_store_facts(const struct call *call, JsonObject *info)
{
	struct xenstore *store = store_of(call);
	uint64_t target_kib, max_kib;
	unsigned int online;

	if (!store)
		return;
	if (domain_vcpus(store, &online) > 0)
		json_object_set_int_member(info, "vcpus", online);
	if (domain_memory(store, &target_kib, &max_kib)) {
		json_object_set_int_member(info, "memory_target_kib", (gint64)target_kib);
		json_object_set_int_member(info, "memory_max_kib", (gint64)max_kib);
	}
}

static bool run_info(struct call *call, GError **error)
{
	static const char *const states[] = {
		[CONTROL_RUNNING] = "running", [CONTROL_PAUSED] = "paused", [CONTROL_SHUTDOWN] = "shutdown"
	};
	struct control_status status = status_of(call);
	JsonObject *info = json_object_new();

	(void)error;
	json_object_set_string_member(info, "name", status.name);
	json_object_set_string_member(info, "uuid", status.uuid);
	json_object_set_int_member(info, "domid", status.domid);
	json_object_set_string_member(info, "type", status.type);
	json_object_set_string_member(info, "state", states[status.state]);
	if (status.pause_reason)
		json_object_set_string_member(info, "pause_reason", status.pause_reason);
	json_object_set_int_member(info, "vcpus", status.max_vcpus);
	json_object_set_int_member(info, "max_vcpus", status.max_vcpus);
	json_object_set_int_member(info, "memory_kib", (gint64)status.memory_kib);
	json_object_set_int_member(info, "uptime_ns", (gint64)status.uptime_ns);
	json_object_set_int_member(info, "restarts", status.restarts);
	add_store_facts(call, info);
	call->result = object_node(info);
	return true;
}

static void set_if_meant(JsonObject *object, const char *name, gint64 value)
{
	if (value >= 0)
		json_object_set_int_member(object, name, value);
}

static bool run_event_channels(struct call *call, GError **error)
{
	const struct control_ops *ops = call->request->ops;
	JsonArray *list;

	if (!ops->event_channel)
		return not_offered(error);
	list = json_array_new();
	for (uint32_t port = 1; port < ops->n_ports; port++) {
		struct control_event_channel channel = { .remote_domid = -1, .remote_port = -1, .virq = -1 };
		JsonObject *entry;

		if (!ops->event_channel(call->request->opaque, port, &channel))
			continue;
		entry = json_object_new();
		json_object_set_int_member(entry, "port", port);
		json_object_set_string_member(entry, "kind", channel.kind);
		json_object_set_int_member(entry, "vcpu", channel.vcpu);
		set_if_meant(entry, "remote_domid", channel.remote_domid);
		set_if_meant(entry, "remote_port", channel.remote_port);
		set_if_meant(entry, "virq", channel.virq);
		json_object_set_boolean_member(entry, "pending", channel.pending);
		json_object_set_boolean_member(entry, "masked", channel.masked);
		json_array_add_object_element(list, entry);
	}
	call->result = json_node_new(JSON_NODE_ARRAY);
	json_node_take_array(call->result, list);
	return true;
}

/* Tells everybody, unless nothing changed. */
static bool change_state(struct call *call, bool (*change)(void *opaque, GError **error), const char *event,
			 GError **error)
{
	enum control_state before = status_of(call).state;

	if (!change)
		return not_offered(error);
	if (before == CONTROL_SHUTDOWN)
		return refuse_usage(error, "the guest has shut down");
	if (!change(call->request->opaque, error))
		return false;
	if (status_of(call).state != before)
		control_server_event(call->request->server, event, NULL);
	return true;
}

static bool run_pause(struct call *call, GError **error)
{
	return change_state(call, call->request->ops->pause, "PAUSE", error);
}

static bool run_unpause(struct call *call, GError **error)
{
	return change_state(call, call->request->ops->unpause, "UNPAUSE", error);
}

static void set_heeded(struct call *call, bool heeded)
{
	JsonObject *result = json_object_new();

	json_object_set_boolean_member(result, "heeded", heeded);
	call->result = object_node(result);
}

static bool ask(struct call *call, bool (*request)(struct xenstore *store, bool *heeded, GError **error),
		GError **error)
{
	struct xenstore *store = store_of_guest(call, error);
	bool heeded;

	if (!store || !request(store, &heeded, error))
		return false;
	set_heeded(call, heeded);
	return true;
}

static bool run_shutdown(struct call *call, GError **error)
{
	return ask(call, domain_ask_shutdown, error);
}

static bool run_reboot(struct call *call, GError **error)
{
	return ask(call, domain_ask_reboot, error);
}

static bool run_destroy(struct call *call, GError **error)
{
	const struct control_ops *ops = call->request->ops;

	return ops->destroy ? ops->destroy(call->request->opaque, error) : not_offered(error);
}

static bool run_sysrq(struct call *call, GError **error)
{
	struct xenstore *store = store_of_guest(call, error);
	const char *key;
	bool heeded;

	if (!store)
		return false;
	key = json_object_get_string_member(call->arguments, "key");
	/* What is not one character is refused like a character that is no key. */
	if (!domain_ask_sysrq(store, strlen(key) == 1 ? key[0] : '\0', &heeded, error))
		return false;
	set_heeded(call, heeded);
	return true;
}

static bool run_balloon(struct call *call, GError **error)
{
	struct xenstore *store = store_of_guest(call, error);
	uint64_t target_kib;

	if (!store)
		return false;
	gint64 bytes = json_object_get_int_member(call->arguments, "bytes");
	if (bytes < 0)
		return refuse_usage(error, "bytes: must not be negative");
	if (!domain_set_memory(store, (uint64_t)bytes, &target_kib, error))
		return false;
	JsonObject *result = json_object_new();
	json_object_set_int_member(result, "target_kib", (gint64)target_kib);
	call->result = object_node(result);
	return true;
}

static bool run_vcpu_set(struct call *call, GError **error)
{
	struct xenstore *store = store_of_guest(call, error);

	if (!store)
		return false;
	gint64 vcpus = json_object_get_int_member(call->arguments, "vcpus");
	/* Out of range is out of range: the text has the number as the client sees it. */
	return domain_set_vcpus(store, (unsigned int)CLAMP(vcpus, 0, G_MAXINT32), error);
}

static bool run_trigger(struct call *call, GError **error)
{
	const struct control_ops *ops = call->request->ops;
	struct control_status status = status_of(call);
	enum control_trigger trigger;
	gint64 vcpu;

	if (!ops->trigger)
		return not_offered(error);
	if (status.state == CONTROL_SHUTDOWN)
		return refuse_usage(error, "the guest has shut down");
	const char *type = json_object_get_string_member(call->arguments, "type");
	if (strcmp(type, "nmi") == 0)
		trigger = CONTROL_TRIGGER_NMI;
	else if (strcmp(type, "debug") == 0)
		trigger = CONTROL_TRIGGER_DEBUG;
	else
		return refuse_usage(error, "type: must be nmi or debug");
	vcpu = trigger == CONTROL_TRIGGER_NMI ? 0 : CONTROL_EVERY_VCPU;
	if (has_argument(call, "vcpu")) {
		vcpu = json_object_get_int_member(call->arguments, "vcpu");
		if (vcpu < 0 || vcpu >= status.max_vcpus)
			return refuse_usage(error, "vcpu: this guest has vCPUs 0 to %u", status.max_vcpus - 1);
	}
	return ops->trigger(call->request->opaque, trigger, (int)vcpu, error);
}

/* Disks */

static bool run_disks(struct call *call, GError **error)
{
	const struct control_ops *ops = call->request->ops;
	struct control_disk disk;
	JsonArray *list;

	if (!ops->disk)
		return not_offered(error);
	list = json_array_new();
	for (unsigned int i = 0; ops->disk(call->request->opaque, i, &disk); i++) {
		JsonObject *entry = json_object_new();
		/* A file's name may be any bytes. */
		g_autofree char *path = g_utf8_make_valid(disk.path, -1);

		json_object_set_string_member(entry, "vdev", disk.vdev);
		json_object_set_string_member(entry, "path", path);
		json_object_set_int_member(entry, "bytes", (gint64)disk.bytes);
		json_object_set_boolean_member(entry, "read_only", disk.read_only);
		json_object_set_boolean_member(entry, "snapshot", disk.snapshot);
		json_object_set_boolean_member(entry, "connected", disk.connected);
		json_object_set_boolean_member(entry, "leaving", disk.leaving);
		json_object_set_int_member(entry, "requests", (gint64)disk.requests);
		json_object_set_int_member(entry, "transferred_bytes", (gint64)disk.transferred_bytes);
		json_object_set_int_member(entry, "failed", (gint64)disk.failed);
		json_object_set_int_member(entry, "events_from_guest", (gint64)disk.events_from_guest);
		json_object_set_int_member(entry, "events_to_guest", (gint64)disk.events_to_guest);
		json_array_add_object_element(list, entry);
	}
	call->result = json_node_new(JSON_NODE_ARRAY);
	json_node_take_array(call->result, list);
	return true;
}

static bool run_disk_attach(struct call *call, GError **error)
{
	const struct control_request *request = call->request;

	if (!request->ops->disk_attach)
		return not_offered(error);
	if (request->n_fds == 0)
		return refuse_usage(error, "disk-attach: the descriptor of the open image comes with the request");
	return request->ops->disk_attach(request->opaque, json_object_get_string_member(call->arguments, "disk"),
					 request->fds, request->n_fds, error);
}

static bool call_with_vdev(const struct call *call, bool (*function)(void *opaque, const char *vdev, GError **error),
			   GError **error)
{
	return function ? function(call->request->opaque, json_object_get_string_member(call->arguments, "vdev"), error) :
			  not_offered(error);
}

static bool run_disk_detach(struct call *call, GError **error)
{
	return call_with_vdev(call, call->request->ops->disk_detach, error);
}

static bool run_disk_eject(struct call *call, GError **error)
{
	return call_with_vdev(call, call->request->ops->disk_eject, error);
}

static bool run_disk_resize(struct call *call, GError **error)
{
	const struct control_ops *ops = call->request->ops;
	gint64 bytes = has_argument(call, "bytes") ? json_object_get_int_member(call->arguments, "bytes") : 0;
	uint64_t size_bytes = (uint64_t)bytes;

	if (!ops->disk_resize)
		return not_offered(error);
	if (bytes < 0)
		return refuse_usage(error, "bytes: must not be negative");
	if (!ops->disk_resize(call->request->opaque, json_object_get_string_member(call->arguments, "vdev"), &size_bytes, error))
		return false;
	JsonObject *result = json_object_new();
	json_object_set_int_member(result, "bytes", (gint64)size_bytes);
	call->result = object_node(result);
	return true;
}

/* "enable" of qmp_capabilities: QMP's clients may send it; there is no capability to enable. */
static const struct command COMMANDS[] = {
	{ "qmp_capabilities", run_capabilities, { { "enable", PARAMETER_ANY, true } } },
	{ "query-version", run_query_version, { { NULL } } },
	{ "query-commands", run_query_commands, { { NULL } } },
	{ "info", run_info, { { NULL } } },
	{ "event-channels", run_event_channels, { { NULL } } },
	{ "pause", run_pause, { { NULL } } },
	{ "unpause", run_unpause, { { NULL } } },
	{ "shutdown", run_shutdown, { { NULL } } },
	{ "reboot", run_reboot, { { NULL } } },
	{ "destroy", run_destroy, { { NULL } } },
	{ "sysrq", run_sysrq, { { "key", PARAMETER_STRING, false } } },
	{ "balloon", run_balloon, { { "bytes", PARAMETER_INTEGER, false } } },
	{ "vcpu-set", run_vcpu_set, { { "vcpus", PARAMETER_INTEGER, false } } },
	{ "disks", run_disks, { { NULL } } },
	{ "disk-attach", run_disk_attach, { { "disk", PARAMETER_STRING, false } } },
	{ "disk-detach", run_disk_detach, { { "vdev", PARAMETER_STRING, false } } },
	{ "disk-eject", run_disk_eject, { { "vdev", PARAMETER_STRING, false } } },
	{ "disk-resize", run_disk_resize, { { "vdev", PARAMETER_STRING, false }, { "bytes", PARAMETER_INTEGER, true } } },
	{ "trigger", run_trigger, { { "type", PARAMETER_STRING, false }, { "vcpu", PARAMETER_INTEGER, true } } },
};

static bool run_query_commands(struct call *call, GError **error)
{
	JsonArray *list = json_array_new();

	(void)error;
	for (size_t i = 0; i < G_N_ELEMENTS(COMMANDS); i++) {
		JsonObject *entry = json_object_new();

		json_object_set_string_member(entry, "name", COMMANDS[i].name);
		json_array_add_object_element(list, entry);
	}
	call->result = json_node_new(JSON_NODE_ARRAY);
	json_node_take_array(call->result, list);
	return true;
}

/* From a line to the call */

static bool type_fits(const struct parameter *parameter, JsonNode *value)
{
	bool is_value = JSON_NODE_HOLDS_VALUE(value);

	switch (parameter->type) {
	case PARAMETER_STRING:
		return is_value && json_node_get_value_type(value) == G_TYPE_STRING;
	case PARAMETER_INTEGER:
		return is_value && json_node_get_value_type(value) == G_TYPE_INT64;
	default:
		return true;
	}
}

static bool check_arguments(const struct command *command, JsonObject *arguments, GError **error)
{
	guint n_known = 0;

	for (unsigned int i = 0; i < PARAMETERS_MAX && command->parameters[i].name; i++) {
		const struct parameter *parameter = &command->parameters[i];
		JsonNode *value = arguments ? json_object_get_member(arguments, parameter->name) : NULL;

		n_known += value != NULL;
		if (!value && !parameter->optional)
			return refuse_usage(error, "argument %s is missing", parameter->name);
		if (value && !type_fits(parameter, value))
			return refuse_usage(error, "argument %s must be %s", parameter->name,
				      parameter->type == PARAMETER_STRING ? "a string" : "an integer");
	}
	return !arguments || json_object_get_size(arguments) == n_known ||
	       refuse_usage(error, "%s takes no other arguments", command->name);
}

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < G_N_ELEMENTS(COMMANDS); i++)
		if (strcmp(COMMANDS[i].name, name) == 0)
			return &COMMANDS[i];
	return NULL;
}

static JsonNode *member_of_kind(JsonObject *object, const char *name, JsonNodeType kind, GError **error)
{
	JsonNode *node = json_object_get_member(object, name);

	if (!node || json_node_get_node_type(node) == kind)
		return node;
	refuse_usage(error, "%s: must be %s", name, kind == JSON_NODE_OBJECT ? "an object" : "a string");
	return NULL;
}

/* NULL: an error, and its class. */
static const struct command *find_call(JsonObject *object, JsonNode **arguments, const char **class, GError **error)
{
	GError *problem = NULL;
	JsonNode *execute = member_of_kind(object, "execute", JSON_NODE_VALUE, &problem);
	const struct command *command = NULL;

	*arguments = problem ? NULL : member_of_kind(object, "arguments", JSON_NODE_OBJECT, &problem);
	if (problem) {
		g_propagate_error(error, problem);
		return NULL;
	}
	if (!execute || json_node_get_value_type(execute) != G_TYPE_STRING) {
		refuse_usage(error, "execute: must be there, and the name of a command");
		return NULL;
	}
	guint n_known = 1;
	n_known += *arguments != NULL;
	n_known += json_object_has_member(object, "id") != FALSE;
	if (json_object_get_size(object) != n_known) {
		refuse_usage(error, "a request has execute, arguments and id, nothing else");
		return NULL;
	}
	command = find_command(json_node_get_string(execute));
	if (!command) {
		*class = CLASS_NOT_FOUND;
		refuse_usage(error, "%s: no such command (query-commands lists them)", json_node_get_string(execute));
	}
	return command;
}

static char *execute_object(const struct control_request *request, JsonObject *object)
{
	struct call call = { .request = request };
	JsonNode *id = json_object_get_member(object, "id");
	JsonNode *arguments;
	const char *class = CLASS_GENERIC;
	g_autoptr(GError) error = NULL;
	const struct command *command = find_call(object, &arguments, &class, &error);

	if (command) {
		call.arguments = arguments ? json_node_get_object(arguments) : NULL;
		if (!check_arguments(command, call.arguments, &error))
			command = NULL;
	}
	if (!command || !command->run(&call, &error)) {
		g_clear_pointer(&call.result, json_node_unref);
		return error_line(class, error ? error->message : "failed", id);
	}
	JsonObject *answer = json_object_new();
	json_object_set_member(answer, "return", call.result ? call.result : object_node(json_object_new()));
	if (id)
		json_object_set_member(answer, "id", json_node_copy(id));
	return line_of(object_node(answer));
}

static bool is_blank(const char *line, size_t len_bytes)
{
	for (size_t i = 0; i < len_bytes; i++)
		if (!g_ascii_isspace(line[i]))
			return false;
	return true;
}

char *control_execute(const struct control_request *request, const char *line, size_t len_bytes)
{
	g_autoptr(JsonParser) parser = NULL;
	const char *reason;

	if (is_blank(line, len_bytes))
		return NULL;
	if (!json_text_check(line, len_bytes, &reason)) {
		g_autofree char *desc = g_strdup_printf("not JSON: %s", reason);

		return control_error_line(desc);
	}
	parser = json_parser_new_immutable();
	if (!json_parser_load_from_data(parser, line, (gssize)len_bytes, NULL) ||
	    !JSON_NODE_HOLDS_OBJECT(json_parser_get_root(parser)))
		return control_error_line("a request is a JSON object");
	return execute_object(request, json_node_get_object(json_parser_get_root(parser)));
}
