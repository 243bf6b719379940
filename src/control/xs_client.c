// SPDX-License-Identifier: MIT
#include "control/xs_client.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "xen/abi.h"
#include <xen/io/xs_wire.h>

#include "control/folders.h"
#include "vmm/error.h"

#define WATCH_TOKEN "w"
/* Events that come while a reply is waited for. The store coalesces what would be more. */
#define EVENTS_MAX 4096u
/* One directory, in parts. */
#define LIST_MAX_BYTES (16u << 20)

struct message {
	struct xsd_sockmsg header;
	char payload[XENSTORE_PAYLOAD_MAX + 1]; /* with a NUL behind */
};

struct xs_client {
	char *name;
	int fd;
	uint32_t next_req_id;
	GQueue *events;         /* of paths */
	struct message message; /* the last one received */
};

struct xs_client *xs_client_new(const struct domain_folder *folder, unsigned int timeout_ms, GError **error)
{
	int fd = domain_folder_connect(folder, "xenstore.sock", timeout_ms, error);
	struct xs_client *client;

	if (fd < 0)
		return NULL;
	client = g_new0(struct xs_client, 1);
	client->name = g_strdup(folder->name);
	client->fd = fd;
	client->events = g_queue_new();
	return client;
}

void xs_client_free(struct xs_client *client)
{
	if (!client)
		return;
	close(client->fd);
	g_queue_free_full(client->events, g_free);
	g_free(client->name);
	g_free(client);
}

static void set_ended(const struct xs_client *client, GError **error)
{
	g_set_error(error, DOM1_ERROR, DOM1_STATUS_USAGE, "%s: the domain has ended, or restarted", client->name);
}

static gboolean fail_io(const struct xs_client *client, GError **error)
{
	if (errno == EPIPE || errno == ECONNRESET)
		set_ended(client, error);
	else
		domain_folder_call_error(client->name, "xenstore.sock", error);
	return FALSE;
}

static gboolean send_all(const struct xs_client *client, const void *bytes, size_t len_bytes, GError **error)
{
	for (size_t done_bytes = 0; done_bytes < len_bytes;) {
		ssize_t sent = send(client->fd, (const char *)bytes + done_bytes, len_bytes - done_bytes, MSG_NOSIGNAL);

		if (sent >= 0)
			done_bytes += (size_t)sent;
		else if (errno != EINTR)
			return fail_io(client, error);
	}
	return TRUE;
}

/* FALSE and no error: end of file. */
static gboolean receive_all(const struct xs_client *client, void *bytes, size_t len_bytes, GError **error)
{
	for (size_t done_bytes = 0; done_bytes < len_bytes;) {
		ssize_t got = recv(client->fd, (char *)bytes + done_bytes, len_bytes - done_bytes, 0);

		if (got == 0 || (got < 0 && errno == ECONNRESET))
			return FALSE;
		if (got > 0)
			done_bytes += (size_t)got;
		else if (errno != EINTR)
			return fail_io(client, error);
	}
	return TRUE;
}

static gboolean receive_message(struct xs_client *client, GError **error)
{
	struct message *message = &client->message;

	if (!receive_all(client, &message->header, sizeof(message->header), error))
		return FALSE;
	if (message->header.len > XENSTORE_PAYLOAD_MAX) {
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_DEFECT, "%s: what came from xenstore.sock is no message",
			    client->name);
		return FALSE;
	}
	message->payload[message->header.len] = '\0';
	return receive_all(client, message->payload, message->header.len, error);
}

static gboolean receive_reply(struct xs_client *client, uint32_t req_id, GError **error)
{
	for (;;) {
		const struct message *message = &client->message;
		GError *problem = NULL;

		if (!receive_message(client, &problem)) {
			if (problem)
				g_propagate_error(error, problem);
			else
				set_ended(client, error);
			return FALSE;
		}
		if (message->header.type == XS_WATCH_EVENT) {
			if (g_queue_get_length(client->events) < EVENTS_MAX)
				g_queue_push_tail(client->events, g_strdup(message->payload));
		} else if (message->header.req_id == req_id) {
			return TRUE;
		}
	}
}

/* The reply is in client->message. what: for the person. */
static gboolean call(struct xs_client *client, uint32_t type, const char *what, const void *payload, size_t len_bytes,
		     GError **error)
{
	struct xsd_sockmsg header = { .type = type, .req_id = client->next_req_id++, .len = (uint32_t)len_bytes };

	if (len_bytes > XENSTORE_PAYLOAD_MAX) {
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_USAGE, "%s: longer than the xenstore takes (4096 bytes)",
			    client->name);
		return FALSE;
	}
	if (!send_all(client, &header, sizeof(header), error) || !send_all(client, payload, len_bytes, error) ||
	    !receive_reply(client, header.req_id, error))
		return FALSE;
	if (client->message.header.type != XS_ERROR)
		return TRUE;
	g_autofree char *code = g_strescape(client->message.payload, NULL);
	g_set_error(error, DOM1_ERROR, DOM1_STATUS_TEST_FAILED, "%s: %s: %s", client->name, what, code);
	return FALSE;
}

static gboolean call_path(struct xs_client *client, uint32_t type, const char *path, GError **error)
{
	return call(client, type, path, path, strlen(path) + 1, error);
}

GBytes *xs_client_read(struct xs_client *client, const char *path, GError **error)
{
	uint32_t len_bytes;

	if (!call_path(client, XS_READ, path, error))
		return NULL;
	len_bytes = client->message.header.len;
	char *copy = g_memdup2(client->message.payload, len_bytes + 1);
	/* The NUL is there, but not counted. */
	return g_bytes_new_with_free_func(copy, len_bytes, g_free, copy);
}

gboolean xs_client_write(struct xs_client *client, const char *path, const char *value, GError **error)
{
	g_autoptr(GByteArray) payload = g_byte_array_new();

	g_byte_array_append(payload, (const guint8 *)path, (guint)strlen(path) + 1);
	g_byte_array_append(payload, (const guint8 *)value, (guint)strlen(value));
	return call(client, XS_WRITE, path, payload->data, payload->len, error);
}

gboolean xs_client_remove(struct xs_client *client, const char *path, GError **error)
{
	return call_path(client, XS_RM, path, error);
}

static char **split_names(const char *names, size_t len_bytes)
{
	GPtrArray *list = g_ptr_array_new();

	for (size_t at = 0; at < len_bytes; at += strlen(names + at) + 1)
		g_ptr_array_add(list, g_strdup(names + at));
	g_ptr_array_add(list, NULL);
	return (char **)g_ptr_array_free(list, FALSE);
}

/*
 * A directory too large for one message: parts, each "generation" NUL and names from an offset on; the last one ends
 * with an empty name. When the generation changes meanwhile, it begins anew.
 */
static char **list_by_parts(struct xs_client *client, const char *path, GError **error)
{
	g_autoptr(GByteArray) names = g_byte_array_new();
	g_autofree char *generation = g_strdup("");

	for (bool last = false; !last;) {
		g_autofree char *offset = g_strdup_printf("%u", names->len);
		g_autofree char *payload = g_strconcat(path, "\n", offset, NULL);
		const char *reply = client->message.payload;
		size_t path_bytes = strlen(path);

		payload[path_bytes] = '\0';
		if (!call(client, XS_DIRECTORY_PART, path, payload, path_bytes + 1 + strlen(offset) + 1, error))
			return NULL;
		size_t len_bytes = client->message.header.len, skip_bytes = strlen(reply) + 1;
		if (skip_bytes >= len_bytes || names->len > LIST_MAX_BYTES) {
			g_set_error(error, DOM1_ERROR, DOM1_STATUS_DEFECT, "%s: %s: a list without an end",
				    client->name, path);
			return NULL;
		}
		if (names->len > 0 && strcmp(generation, reply) != 0) {
			g_byte_array_set_size(names, 0);
			continue;
		}
		g_free(generation);
		generation = g_strdup(reply);
		g_byte_array_append(names, (const guint8 *)reply + skip_bytes, (guint)(len_bytes - skip_bytes));
		last = (names->len == 1 || names->data[names->len - 2] == '\0') && names->data[names->len - 1] == '\0';
	}
	return split_names((const char *)names->data, names->len - 1);
}

char **xs_client_list(struct xs_client *client, const char *path, GError **error)
{
	GError *problem = NULL;

	if (call_path(client, XS_DIRECTORY, path, &problem))
		return split_names(client->message.payload, client->message.header.len);
	if (problem->code == DOM1_STATUS_TEST_FAILED && strcmp(client->message.payload, "E2BIG") == 0) {
		g_clear_error(&problem);
		return list_by_parts(client, path, error);
	}
	g_propagate_error(error, problem);
	return NULL;
}

gboolean xs_client_watch(struct xs_client *client, const char *path, GError **error)
{
	g_autofree char *payload = g_strconcat(path, "\n" WATCH_TOKEN, NULL);
	size_t path_bytes = strlen(path);

	payload[path_bytes] = '\0';
	return call(client, XS_WATCH, path, payload, path_bytes + sizeof("\n" WATCH_TOKEN), error);
}

char *xs_client_event(struct xs_client *client, GError **error)
{
	const struct timeval no_bound = { 0, 0 };
	char *path = g_queue_pop_head(client->events);

	(void)setsockopt(client->fd, SOL_SOCKET, SO_RCVTIMEO, &no_bound, sizeof(no_bound));
	while (!path && receive_message(client, error))
		if (client->message.header.type == XS_WATCH_EVENT)
			path = g_strdup(client->message.payload);
	return path;
}
