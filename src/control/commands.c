// SPDX-License-Identifier: MIT
/*
 * Theory of operation: a line is parsed (json_text.h); then the command's entry in the table says which arguments it
 * takes, and only then its function runs. It leaves its result in the call, or an error.
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
	const json_t *arguments; /* NULL: none */
	json_t *result;          /* NULL: an empty object */
};

enum parameter_type { PARAMETER_NONE, PARAMETER_STRING, PARAMETER_INTEGER, PARAMETER_BOOLEAN, PARAMETER_ANY };

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

static json_t *version_object(void)
{
	int major = 0, minor = 0, micro = 0;

	(void)sscanf(DOM1_VERSION, "%d.%d.%d", &major, &minor, &micro);
	return json_pack("{s:{s:i, s:i, s:i}, s:s}", "dom1", "major", major, "minor", minor, "micro", micro, "package",
			 "dom1 " DOM1_VERSION);
}

char *control_greeting(void)
{
	return json_text_line(json_pack("{s:{s:o, s:[]}}", "QMP", "version", version_object(), "capabilities"));
}

char *control_event_line(const char *name, json_t *data)
{
	json_int_t now_us = g_get_real_time();

	return json_text_line(json_pack("{s:s, s:{s:I, s:I}, s:o}", "event", name, "timestamp", "seconds",
					now_us / G_USEC_PER_SEC, "microseconds", now_us % G_USEC_PER_SEC, "data",
					data ? data : json_object()));
}

/* id: as the client gave it, NULL: it gave none. Words of a guest may be in desc. */
static char *error_line(const char *class, const char *desc, json_t *id)
{
	return json_text_line(json_pack("{s:{s:s, s:o}, s:O*}", "error", "class", class, "desc", json_any_string(desc), "id", id));
}

char *control_error_line(const char *desc)
{
	return error_line(CLASS_GENERIC, desc, NULL);
}

/* Commands */

static bool has_argument(const struct call *call, const char *name)
{
	return json_object_get(call->arguments, name) != NULL;
}

static const char *text_argument(const struct call *call, const char *name)
{
	return json_string_value(json_object_get(call->arguments, name));
}

static int64_t integer_argument(const struct call *call, const char *name)
{
	return json_integer_value(json_object_get(call->arguments, name));
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
	call->result = version_object();
	return true;
}

static bool run_query_commands(struct call *call, GError **error);

static void add_store_facts(const struct call *call, json_t *info)
{
	struct xenstore *store = store_of(call);
	uint64_t target_kib, max_kib;
	unsigned int online;

	if (!store)
		return;
	if (domain_vcpus(store, &online) > 0)
		json_add_count(info, "vcpus", online);
	if (domain_memory(store, &target_kib, &max_kib)) {
		json_add_count(info, "memory_target_kib", target_kib);
		json_add_count(info, "memory_max_kib", max_kib);
	}
}

static bool run_info(struct call *call, GError **error)
{
	static const char *const states[] = {
		[CONTROL_RUNNING] = "running", [CONTROL_PAUSED] = "paused", [CONTROL_SHUTDOWN] = "shutdown"
	};
	struct control_status status = status_of(call);
	json_t *info = call->result = json_object();

	(void)error;
	json_add_string(info, "name", status.name);
	json_add_string(info, "uuid", status.uuid);
	json_add_count(info, "domid", status.domid);
	json_add_string(info, "type", status.type);
	json_add_string(info, "state", states[status.state]);
	if (status.pause_reason)
		json_add_string(info, "pause_reason", status.pause_reason);
	json_add_count(info, "vcpus", status.max_vcpus);
	json_add_count(info, "max_vcpus", status.max_vcpus);
	json_add_count(info, "memory_kib", status.memory_kib);
	json_add_count(info, "uptime_ns", status.uptime_ns);
	json_add_count(info, "restarts", status.restarts);
	add_store_facts(call, info);
	return true;
}

static void add_if_meant(json_t *object, const char *name, int64_t value)
{
	if (value >= 0)
		json_add_number(object, name, value);
}

static bool run_event_channels(struct call *call, GError **error)
{
	const struct control_ops *ops = call->request->ops;

	if (!ops->event_channel)
		return not_offered(error);
	call->result = json_array();
	for (uint32_t port = 1; port < ops->n_ports; port++) {
		struct control_event_channel channel = { .remote_domid = -1, .remote_port = -1, .virq = -1 };

		if (!ops->event_channel(call->request->opaque, port, &channel))
			continue;
		json_t *entry = json_append_object(call->result);
		json_add_number(entry, "port", port);
		json_add_string(entry, "kind", channel.kind);
		json_add_number(entry, "vcpu", channel.vcpu);
		add_if_meant(entry, "remote_domid", channel.remote_domid);
		add_if_meant(entry, "remote_port", channel.remote_port);
		add_if_meant(entry, "virq", channel.virq);
		json_add_boolean(entry, "pending", channel.pending);
		json_add_boolean(entry, "masked", channel.masked);
	}
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
	call->result = json_pack("{s:b}", "heeded", heeded);
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

static bool run_save(struct call *call, GError **error)
{
	const struct control_request *request = call->request;
	uint64_t stored_bytes;

	if (!request->ops->save)
		return not_offered(error);
	if (request->n_fds == 0 || request->fds[0] < 0)
		return refuse_usage(error, "save: the descriptor of an empty file comes with the request");
	if (!request->ops->save(request->opaque, json_is_true(json_object_get(call->arguments, "leave_running")), request->fds[0],
				&stored_bytes, error))
		return false;
	call->result = json_object();
	json_add_count(call->result, "bytes", stored_bytes);
	return true;
}

static bool run_sysrq(struct call *call, GError **error)
{
	struct xenstore *store = store_of_guest(call, error);
	const char *key;
	bool heeded;

	if (!store)
		return false;
	key = text_argument(call, "key");
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
	int64_t bytes = integer_argument(call, "bytes");
	if (bytes < 0)
		return refuse_usage(error, "bytes: must not be negative");
	if (!domain_set_memory(store, (uint64_t)bytes, &target_kib, error))
		return false;
	call->result = json_object();
	json_add_count(call->result, "target_kib", target_kib);
	return true;
}

static bool run_vcpu_set(struct call *call, GError **error)
{
	struct xenstore *store = store_of_guest(call, error);

	if (!store)
		return false;
	int64_t vcpus = integer_argument(call, "vcpus");
	/* Out of range is out of range: the text has the number as the client sees it. */
	return domain_set_vcpus(store, (unsigned int)CLAMP(vcpus, 0, G_MAXINT32), error);
}

static bool run_trigger(struct call *call, GError **error)
{
	const struct control_ops *ops = call->request->ops;
	struct control_status status = status_of(call);
	enum control_trigger trigger;
	int64_t vcpu;

	if (!ops->trigger)
		return not_offered(error);
	if (status.state == CONTROL_SHUTDOWN)
		return refuse_usage(error, "the guest has shut down");
	const char *type = text_argument(call, "type");
	if (strcmp(type, "nmi") == 0)
		trigger = CONTROL_TRIGGER_NMI;
	else if (strcmp(type, "debug") == 0)
		trigger = CONTROL_TRIGGER_DEBUG;
	else
		return refuse_usage(error, "type: must be nmi or debug");
	vcpu = trigger == CONTROL_TRIGGER_NMI ? 0 : CONTROL_EVERY_VCPU;
	if (has_argument(call, "vcpu")) {
		vcpu = integer_argument(call, "vcpu");
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

	if (!ops->disk)
		return not_offered(error);
	call->result = json_array();
	for (unsigned int i = 0; ops->disk(call->request->opaque, i, &disk); i++) {
		json_t *entry = json_append_object(call->result);

		json_add_string(entry, "vdev", disk.vdev);
		json_add_string(entry, "path", disk.path);
		json_add_count(entry, "bytes", disk.bytes);
		json_add_boolean(entry, "read_only", disk.read_only);
		json_add_boolean(entry, "snapshot", disk.snapshot);
		json_add_boolean(entry, "connected", disk.connected);
		json_add_boolean(entry, "leaving", disk.leaving);
		json_add_count(entry, "requests", disk.requests);
		json_add_count(entry, "transferred_bytes", disk.transferred_bytes);
		json_add_count(entry, "failed", disk.failed);
		json_add_count(entry, "events_from_guest", disk.events_from_guest);
		json_add_count(entry, "events_to_guest", disk.events_to_guest);
	}
	return true;
}

static bool run_disk_attach(struct call *call, GError **error)
{
	const struct control_request *request = call->request;

	if (!request->ops->disk_attach)
		return not_offered(error);
	if (request->n_fds == 0)
		return refuse_usage(error, "disk-attach: the descriptor of the open image comes with the request");
	return request->ops->disk_attach(request->opaque, text_argument(call, "disk"), request->fds, request->n_fds, error);
}

static bool call_with_vdev(const struct call *call, bool (*function)(void *opaque, const char *vdev, GError **error),
			   GError **error)
{
	return function ? function(call->request->opaque, text_argument(call, "vdev"), error) : not_offered(error);
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
	int64_t bytes = integer_argument(call, "bytes"); /* 0: without it */
	uint64_t size_bytes = (uint64_t)bytes;

	if (!ops->disk_resize)
		return not_offered(error);
	if (bytes < 0)
		return refuse_usage(error, "bytes: must not be negative");
	if (!ops->disk_resize(call->request->opaque, text_argument(call, "vdev"), &size_bytes, error))
		return false;
	call->result = json_object();
	json_add_count(call->result, "bytes", size_bytes);
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
	{ "save", run_save, { { "leave_running", PARAMETER_BOOLEAN, true } } },
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
	(void)error;
	call->result = json_array();
	for (size_t i = 0; i < G_N_ELEMENTS(COMMANDS); i++)
		json_add_string(json_append_object(call->result), "name", COMMANDS[i].name);
	return true;
}

/* From a line to the call */

static bool type_fits(const struct parameter *parameter, const json_t *value)
{
	switch (parameter->type) {
	case PARAMETER_STRING:
		return json_is_string(value);
	case PARAMETER_INTEGER:
		return json_is_integer(value);
	case PARAMETER_BOOLEAN:
		return json_is_boolean(value);
	default:
		return true;
	}
}

static bool check_arguments(const struct command *command, const json_t *arguments, GError **error)
{
	size_t n_known = 0;

	for (unsigned int i = 0; i < PARAMETERS_MAX && command->parameters[i].name; i++) {
		const struct parameter *parameter = &command->parameters[i];
		const json_t *value = json_object_get(arguments, parameter->name);

		n_known += value != NULL;
		if (!value && !parameter->optional)
			return refuse_usage(error, "argument %s is missing", parameter->name);
		if (value && !type_fits(parameter, value))
			return refuse_usage(error, "argument %s must be %s", parameter->name,
				      parameter->type == PARAMETER_STRING	 ? "a string" :
				      parameter->type == PARAMETER_BOOLEAN ? "true or false" : "an integer");
	}
	return json_object_size(arguments) == n_known || refuse_usage(error, "%s takes no other arguments", command->name);
}

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < G_N_ELEMENTS(COMMANDS); i++)
		if (strcmp(COMMANDS[i].name, name) == 0)
			return &COMMANDS[i];
	return NULL;
}

/* NULL: an error, and its class. */
static const struct command *find_call(const json_t *object, const json_t *arguments, const char **class, GError **error)
{
	const json_t *execute = json_object_get(object, "execute");
	const struct command *command;
	size_t n_known = 1;

	if (!json_is_string(execute)) {
		refuse_usage(error, "execute: must be there, and the name of a command");
		return NULL;
	}
	if (arguments && !json_is_object(arguments)) {
		refuse_usage(error, "arguments: must be an object");
		return NULL;
	}
	n_known += arguments != NULL;
	n_known += json_object_get(object, "id") != NULL;
	if (json_object_size(object) != n_known) {
		refuse_usage(error, "a request has execute, arguments and id, nothing else");
		return NULL;
	}
	command = find_command(json_string_value(execute));
	if (!command) {
		*class = CLASS_NOT_FOUND;
		refuse_usage(error, "%s: no such command (query-commands lists them)", json_string_value(execute));
	}
	return command;
}

static char *execute_object(const struct control_request *request, const json_t *object)
{
	struct call call = { .request = request, .arguments = json_object_get(object, "arguments") };
	json_t *id = json_object_get(object, "id");
	const char *class = CLASS_GENERIC;
	g_autoptr(GError) error = NULL;
	const struct command *command = find_call(object, call.arguments, &class, &error);

	if (!command || !check_arguments(command, call.arguments, &error) || !command->run(&call, &error)) {
		json_decref(call.result);
		return error_line(class, error ? error->message : "failed", id);
	}
	return json_text_line(json_pack("{s:o, s:O*}", "return", call.result ? call.result : json_object(), "id", id));
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
	g_autoptr(json_t) object = NULL;
	g_autoptr(GError) error = NULL;

	if (is_blank(line, len_bytes))
		return NULL;
	object = json_text_parse(line, len_bytes, &error);
	if (!object) {
		g_autofree char *desc = g_strdup_printf("not JSON: %s", error->message);

		return control_error_line(desc);
	}
	return json_is_object(object) ? execute_object(request, object) : control_error_line("a request is a JSON object");
}
