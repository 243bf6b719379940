// SPDX-License-Identifier: MIT
#include "control/client.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/folders.h"
#include "control/json_text.h"
#include "control/server.h"
#include "vmm/error.h"
#include "vmm/one_line.h"

/* An answer may be longer than a request: a list of 4096 event channels. */
#define LINE_MAX_BYTES (4u << 20)
/* Events that come while an answer is waited for; nobody needs more of them. */
#define EVENTS_MAX 1024u

struct control_client {
	char *name;
	int fd;
	bool greeted;
	GByteArray *in;
	GQueue *events; /* of lines */
};

static void set_ended(const struct control_client *client, GError **error)
{
	g_set_error(error, DOM1_ERROR, DOM1_STATUS_USAGE, "%s: the domain has ended", client->name);
}

static void set_io_error(const struct control_client *client, GError **error)
{
	if (errno == EPIPE || errno == ECONNRESET)
		set_ended(client, error);
	else
		domain_folder_call_error(client->name, "control.sock", error);
}

/* Takes the next line out of what was received. NULL: there is none yet. */
static char *next_line(struct control_client *client)
{
	const uint8_t *newline = client->in->len > 0 ? memchr(client->in->data, '\n', client->in->len) : NULL;
	char *line;

	if (!newline)
		return NULL;
	size_t len_bytes = (size_t)(newline - client->in->data);
	line = g_strndup((const char *)client->in->data, len_bytes);
	g_byte_array_remove_range(client->in, 0, (guint)len_bytes + 1);
	return line;
}

/* NULL and no error: end of file. */
static char *read_line(struct control_client *client, GError **error)
{
	uint8_t bytes[16384];
	char *line;

	while (!(line = next_line(client))) {
		ssize_t got = recv(client->fd, bytes, sizeof(bytes), 0);

		if (got == 0 || (got < 0 && errno == ECONNRESET))
			return NULL;
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			set_io_error(client, error);
			return NULL;
		}
		g_byte_array_append(client->in, bytes, (guint)got);
		if (client->in->len > LINE_MAX_BYTES) {
			g_set_error(error, DOM1_ERROR, DOM1_STATUS_DEFECT, "%s: an endless line came from control.sock",
				    client->name);
			return NULL;
		}
	}
	return line;
}

/* NULL: not a JSON object. */
static JsonObject *parse_line(const char *line)
{
	g_autoptr(JsonParser) parser = json_parser_new();
	const char *reason;

	if (!json_text_check(line, strlen(line), &reason) ||
	    !json_parser_load_from_data(parser, line, (gssize)strlen(line), NULL) ||
	    !JSON_NODE_HOLDS_OBJECT(json_parser_get_root(parser)))
		return NULL;
	return json_node_dup_object(json_parser_get_root(parser));
}

/* The next line that is not an event. NULL: an error, also for the end of file. */
static JsonObject *read_answer(struct control_client *client, GError **error)
{
	for (;;) {
		GError *problem = NULL;
		g_autofree char *line = read_line(client, &problem);

		if (!line) {
			if (problem)
				g_propagate_error(error, problem);
			else
				set_ended(client, error);
			return NULL;
		}
		JsonObject *object = parse_line(line);
		if (!object) {
			g_set_error(error, DOM1_ERROR, DOM1_STATUS_DEFECT,
				    "%s: what came from control.sock is not JSON", client->name);
			return NULL;
		}
		if (!json_object_has_member(object, "event"))
			return object;
		json_object_unref(object);
		if (g_queue_get_length(client->events) < EVENTS_MAX)
			g_queue_push_tail(client->events, g_steal_pointer(&line));
	}
}

static JsonNode *take_return(const struct control_client *client, JsonObject *answer, GError **error)
{
	JsonNode *problem = json_object_get_member(answer, "error");
	JsonNode *result = json_object_get_member(answer, "return");

	if (!problem && result)
		return json_node_copy(result);
	g_autofree char *desc =
		control_get_text(problem && JSON_NODE_HOLDS_OBJECT(problem) ? json_node_get_object(problem) : answer,
				 "desc", "an answer without a meaning");
	g_set_error(error, DOM1_ERROR, DOM1_STATUS_USAGE, "%s: %s", client->name, desc);
	return NULL;
}

/* Descriptors go with the first bytes. -1 and errno, or how many bytes went. */
static ssize_t send_with_fds(int socket_fd, const char *bytes, size_t len_bytes, const int *fds, unsigned int n_fds)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(CONTROL_FDS_MAX * sizeof(int))];
	} control = { 0 };
	struct iovec vector = { (void *)(uintptr_t)bytes, len_bytes };
	struct msghdr message = { .msg_iov = &vector, .msg_iovlen = 1 };

	g_assert(n_fds <= CONTROL_FDS_MAX);
	if (n_fds > 0) {
		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		memcpy(CMSG_DATA(&control.header), fds, n_fds * sizeof(int));
	}
	return sendmsg(socket_fd, &message, MSG_NOSIGNAL);
}

static bool send_line(const struct control_client *client, const char *line, const int *fds, unsigned int n_fds, GError **error)
{
	size_t len_bytes = strlen(line), sent_bytes = 0;

	while (sent_bytes < len_bytes) {
		ssize_t sent = send_with_fds(client->fd, line + sent_bytes, len_bytes - sent_bytes, fds, sent_bytes == 0 ? n_fds : 0);

		if (sent >= 0) {
			sent_bytes += (size_t)sent;
		} else if (errno != EINTR) {
			set_io_error(client, error);
			return false;
		}
	}
	return true;
}

struct control_client *control_client_new(const struct domain_folder *folder, unsigned int timeout_ms, GError **error)
{
	struct control_client *client;
	int fd = domain_folder_connect(folder, "control.sock", timeout_ms, error);
	JsonObject *greeting;

	if (fd < 0)
		return NULL;
	client = g_new0(struct control_client, 1);
	client->name = g_strdup(folder->name);
	client->fd = fd;
	client->in = g_byte_array_new();
	client->events = g_queue_new();
	greeting = read_answer(client, error);
	/* Instead of a greeting it may be an error: too many clients. */
	if (greeting && !json_object_has_member(greeting, "QMP")) {
		g_clear_pointer(&greeting, json_object_unref);
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_USAGE, "%s: has too many clients on control.sock",
			    folder->name);
	}
	if (!greeting) {
		control_client_free(client);
		return NULL;
	}
	json_object_unref(greeting);
	return client;
}

void control_client_free(struct control_client *client)
{
	if (!client)
		return;
	close(client->fd);
	g_byte_array_unref(client->in);
	g_queue_free_full(client->events, g_free);
	g_free(client->name);
	g_free(client);
}

JsonNode *control_client_call(struct control_client *client, const char *command, JsonObject *arguments, GError **error)
{
	return control_client_call_with_fds(client, command, arguments, NULL, 0, error);
}

JsonNode *control_client_call_with_fds(struct control_client *client, const char *command, JsonObject *arguments,
				       const int *fds, unsigned int n_fds, GError **error)
{
	JsonObject *request = json_object_new();
	g_autoptr(JsonNode) node = json_node_new(JSON_NODE_OBJECT);
	JsonNode *result = NULL;

	json_object_set_string_member(request, "execute", command);
	if (arguments)
		json_object_set_object_member(request, "arguments", arguments);
	json_node_take_object(node, request);
	g_autofree char *text = json_to_string(node, FALSE);
	g_autofree char *line = g_strconcat(text, "\n", NULL);
	if (!send_line(client, line, fds, n_fds, error))
		return NULL;
	JsonObject *answer = read_answer(client, error);
	if (answer) {
		result = take_return(client, answer, error);
		json_object_unref(answer);
	}
	return result;
}

char *control_client_event(struct control_client *client, GError **error)
{
	const struct timeval no_bound = { 0, 0 };
	char *line = g_queue_pop_head(client->events);

	(void)setsockopt(client->fd, SOL_SOCKET, SO_RCVTIMEO, &no_bound, sizeof(no_bound));
	while (!line && (line = read_line(client, error))) {
		JsonObject *object = parse_line(line);

		if (!object || !json_object_has_member(object, "event"))
			g_clear_pointer(&line, g_free);
		if (object)
			json_object_unref(object);
	}
	return line;
}

static char *event_name(const char *line)
{
	g_autoptr(JsonObject) event = parse_line(line);

	return event && json_object_has_member(event, "event") ? control_get_text(event, "event", "") : NULL;
}

char *control_client_poll_event(struct control_client *client)
{
	uint8_t bytes[16384];
	ssize_t got;
	char *name = NULL, *line;

	/* What is endless is left where it is: its sender waits. */
	while (client->in->len <= LINE_MAX_BYTES && (got = recv(client->fd, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0)
		g_byte_array_append(client->in, bytes, (guint)got);
	while (!name && ((line = g_queue_pop_head(client->events)) || (line = next_line(client)))) {
		name = event_name(line);
		g_free(line);
	}
	return name;
}

gint64 control_get_int(JsonObject *object, const char *name, gint64 otherwise)
{
	JsonNode *node = json_object_get_member(object, name);

	return node && JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_INT64 ?
		       json_node_get_int(node) :
		       otherwise;
}

char *control_get_text(JsonObject *object, const char *name, const char *otherwise)
{
	JsonNode *node = json_object_get_member(object, name);
	bool is_text = node && JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_STRING;

	return one_line(is_text ? json_node_get_string(node) : otherwise);
}
