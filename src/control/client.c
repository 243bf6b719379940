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
static json_t *parse_line(const char *line)
{
	json_t *object = json_text_parse(line, strlen(line), NULL);

	if (!json_is_object(object))
		g_clear_pointer(&object, json_decref);
	return object;
}

/* The next line that is not an event. NULL: an error, also for the end of file. */
static json_t *read_answer(struct control_client *client, GError **error)
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
		json_t *object = parse_line(line);
		if (!object) {
			g_set_error(error, DOM1_ERROR, DOM1_STATUS_DEFECT,
				    "%s: what came from control.sock is not JSON", client->name);
			return NULL;
		}
		if (!json_object_get(object, "event"))
			return object;
		json_decref(object);
		if (g_queue_get_length(client->events) < EVENTS_MAX)
			g_queue_push_tail(client->events, g_steal_pointer(&line));
	}
}

static json_t *take_return(const struct control_client *client, const json_t *answer, GError **error)
{
	const json_t *problem = json_object_get(answer, "error");
	json_t *result = json_object_get(answer, "return");

	if (!problem && result)
		return json_incref(result);
	g_autofree char *desc = control_get_text(problem, "desc", "an answer without a meaning");
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
	json_t *greeting;

	if (fd < 0)
		return NULL;
	client = g_new0(struct control_client, 1);
	client->name = g_strdup(folder->name);
	client->fd = fd;
	client->in = g_byte_array_new();
	client->events = g_queue_new();
	greeting = read_answer(client, error);
	/* Instead of a greeting it may be an error: too many clients. */
	if (greeting && !json_object_get(greeting, "QMP")) {
		g_clear_pointer(&greeting, json_decref);
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_USAGE, "%s: has too many clients on control.sock",
			    folder->name);
	}
	if (!greeting) {
		control_client_free(client);
		return NULL;
	}
	json_decref(greeting);
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

json_t *control_client_call(struct control_client *client, const char *command, json_t *arguments, GError **error)
{
	return control_client_call_with_fds(client, command, arguments, NULL, 0, error);
}

json_t *control_client_call_with_fds(struct control_client *client, const char *command, json_t *arguments,
				     const int *fds, unsigned int n_fds, GError **error)
{
	g_autofree char *line = json_text_line(json_pack("{s:s, s:o*}", "execute", command, "arguments", arguments));
	g_autoptr(json_t) answer = NULL;

	if (!send_line(client, line, fds, n_fds, error) || !(answer = read_answer(client, error)))
		return NULL;
	return take_return(client, answer, error);
}

char *control_client_event(struct control_client *client, GError **error)
{
	const struct timeval no_bound = { 0, 0 };
	char *line = g_queue_pop_head(client->events);

	(void)setsockopt(client->fd, SOL_SOCKET, SO_RCVTIMEO, &no_bound, sizeof(no_bound));
	while (!line && (line = read_line(client, error))) {
		g_autoptr(json_t) object = parse_line(line);

		if (!json_object_get(object, "event"))
			g_clear_pointer(&line, g_free);
	}
	return line;
}

static char *event_name(const char *line)
{
	g_autoptr(json_t) event = parse_line(line);

	return json_object_get(event, "event") ? control_get_text(event, "event", "") : NULL;
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

int64_t control_get_int(const json_t *object, const char *name, int64_t otherwise)
{
	const json_t *value = json_object_get(object, name);

	return json_is_integer(value) ? json_integer_value(value) : otherwise;
}

char *control_get_text(const json_t *object, const char *name, const char *otherwise)
{
	const json_t *value = json_object_get(object, name);

	return one_line(json_is_string(value) ? json_string_value(value) : otherwise);
}
