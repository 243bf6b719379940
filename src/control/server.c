// SPDX-License-Identifier: MIT
/*
 * Theory of operation: what a client sends is collected until a line is whole; the line is carried out at once, and the
 * answer goes to the socket, or waits in the client's buffer until the socket takes it.
 *
 * A client may have to go while it is being served, or while an event is told to all. Then it is only marked, and
 * removed when nobody uses the list any more (busy is 0).
 *
 * Descriptors: the kernel never returns bytes from beyond the message that carried descriptors in one call. So the last
 * byte received with them belongs to their message: they are kept until the line with that byte was carried out.
 */
#include "control/server.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <glib-unix.h>

#include "control/commands.h"
#include "control/listener.h"
#include "vmm/event_source.h"

#define READ_BYTES 16384
/* The kernel's own limit of descriptors in one message (SCM_MAX_FD). */
#define MESSAGE_FDS_MAX 253

struct client {
	struct control_server *server;
	int fd;
	guint in_source, out_source;
	bool ending; /* nothing more is read; gone when everything is sent */
	bool doomed; /* gone as soon as nobody looks */

	GByteArray *in;
	size_t scanned_bytes; /* of in: there is no newline in them */
	uint64_t first_byte;  /* in's place in the stream */

	GByteArray *out;
	size_t sent_bytes; /* of out */

	int fds[CONTROL_FDS_MAX];
	unsigned int n_fds;
	uint64_t fds_byte; /* the last one received with them */
};

struct control_server {
	struct listener *listener;
	const struct control_ops *ops;
	void *opaque;
	GPtrArray *clients;
	unsigned int busy;
};

static gboolean on_writable(gint fd, GIOCondition condition, gpointer opaque);

static void close_fds(struct client *client)
{
	for (unsigned int i = 0; i < client->n_fds; i++)
		if (client->fds[i] >= 0)
			close(client->fds[i]);
	client->n_fds = 0;
}

static void client_free(void *opaque)
{
	struct client *client = opaque;

	event_source_remove(NULL, &client->in_source);
	event_source_remove(NULL, &client->out_source);
	close_fds(client);
	g_byte_array_unref(client->in);
	g_byte_array_unref(client->out);
	close(client->fd);
	g_free(client);
}

static void leave(struct control_server *server)
{
	if (--server->busy > 0)
		return;
	for (guint i = server->clients->len; i-- > 0;) {
		const struct client *client = server->clients->pdata[i];

		if (client->doomed)
			g_ptr_array_remove_index_fast(server->clients, i);
	}
}

/* Sending */

/* syscalls(main): sendto */
static void flush(struct client *client)
{
	while (client->sent_bytes < client->out->len) {
		ssize_t sent = send(client->fd, client->out->data + client->sent_bytes,
				    client->out->len - client->sent_bytes, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (sent > 0) {
			client->sent_bytes += (size_t)sent;
		} else if (sent < 0 && errno == EINTR) {
			continue;
		} else if (sent < 0 && errno == EAGAIN) {
			if (!client->out_source)
				client->out_source = g_unix_fd_add(client->fd, G_IO_OUT, on_writable, client);
			return;
		} else {
			client->doomed = true;
			return;
		}
	}
	g_byte_array_set_size(client->out, 0);
	client->sent_bytes = 0;
	client->doomed |= client->ending;
}

static void client_send(struct client *client, const char *line)
{
	if (client->doomed)
		return;
	if (client->out->len - client->sent_bytes > CONTROL_UNREAD_MAX) {
		client->doomed = true;
		return;
	}
	if (client->sent_bytes > 0) {
		g_byte_array_remove_range(client->out, 0, (guint)client->sent_bytes);
		client->sent_bytes = 0;
	}
	g_byte_array_append(client->out, (const guint8 *)line, (guint)strlen(line));
	/* Else the socket is full, and on_writable() goes on. */
	if (!client->out_source)
		flush(client);
}

static gboolean on_writable(gint fd, GIOCondition condition, gpointer opaque)
{
	struct client *client = opaque;
	struct control_server *server = client->server;

	(void)fd, (void)condition;
	server->busy++;
	client->out_source = 0;
	flush(client);
	leave(server);
	return G_SOURCE_REMOVE;
}

/* Receiving */

static void carry_out(struct client *client, const char *line, size_t len_bytes)
{
	const struct control_request request = {
		.server = client->server,
		.ops = client->server->ops,
		.opaque = client->server->opaque,
		.fds = client->fds,
		.n_fds = client->n_fds,
	};
	g_autofree char *answer = control_execute(&request, line, len_bytes);

	if (answer)
		client_send(client, answer);
}

static void end_input(struct client *client)
{
	client->ending = true;
	event_source_remove(NULL, &client->in_source);
	close_fds(client);
	flush(client);
}

static void take_lines(struct client *client)
{
	GByteArray *in = client->in;
	size_t done_bytes = 0;
	const uint8_t *newline;

	while (!client->doomed &&
	       (newline = memchr(in->data + client->scanned_bytes, '\n', in->len - client->scanned_bytes))) {
		size_t end_bytes = (size_t)(newline - in->data);

		/* Else it is refused below. */
		if (end_bytes - done_bytes > CONTROL_LINE_MAX)
			break;
		carry_out(client, (const char *)in->data + done_bytes, end_bytes - done_bytes);
		if (client->n_fds > 0 && client->first_byte + end_bytes >= client->fds_byte)
			close_fds(client);
		done_bytes = client->scanned_bytes = end_bytes + 1;
	}
	if (done_bytes > 0)
		g_byte_array_remove_range(in, 0, (guint)done_bytes);
	client->first_byte += done_bytes;
	client->scanned_bytes = in->len;
	if (in->len > CONTROL_LINE_MAX) {
		g_autofree char *line = control_error_line("a request is longer than 64 KiB");

		client_send(client, line);
		end_input(client);
	}
}

/* A file that ends without a newline is still a request. */
static void take_rest(struct client *client)
{
	if (client->in->len > 0)
		carry_out(client, (const char *)client->in->data, client->in->len);
}

static void keep_fds(struct client *client, const int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (client->n_fds < CONTROL_FDS_MAX)
			client->fds[client->n_fds++] = fds[i];
		else
			close(fds[i]);
	client->fds_byte = client->first_byte + client->in->len - 1;
}

static void receive_fds(struct client *client, struct msghdr *message)
{
	for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header; header = CMSG_NXTHDR(message, header)) {
		int fds[MESSAGE_FDS_MAX];

		if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
			continue;
		size_t n = MIN((header->cmsg_len - CMSG_LEN(0)) / sizeof(int), MESSAGE_FDS_MAX);
		memcpy(fds, CMSG_DATA(header), n * sizeof(int));
		keep_fds(client, fds, n);
	}
}

/* syscalls(main): recvmsg close */
static void receive(struct client *client)
{
	uint8_t bytes[READ_BYTES];
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(MESSAGE_FDS_MAX * sizeof(int))];
	} control;
	struct iovec vector = { bytes, sizeof(bytes) };
	struct msghdr message = {
		.msg_iov = &vector, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)
	};
	ssize_t got = recvmsg(client->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got < 0) {
		client->doomed = true;
		return;
	}
	if (got == 0) {
		take_rest(client);
		end_input(client);
		return;
	}
	g_byte_array_append(client->in, bytes, (guint)got);
	receive_fds(client, &message);
	take_lines(client);
}

static gboolean on_readable(gint fd, GIOCondition condition, gpointer opaque)
{
	struct client *client = opaque;
	struct control_server *server = client->server;

	(void)fd, (void)condition;
	server->busy++;
	receive(client);
	/* The source is gone when the client is, and GLib knows: what is returned then means nothing. */
	leave(server);
	return G_SOURCE_CONTINUE;
}

static void on_client(void *opaque, int fd)
{
	struct control_server *server = opaque;
	struct client *client;

	if (server->clients->len >= CONTROL_CLIENTS_MAX) {
		g_autofree char *line = control_error_line("too many clients");
		ssize_t sent = send(fd, line, strlen(line), MSG_NOSIGNAL | MSG_DONTWAIT);

		(void)sent;
		close(fd);
		return;
	}
	client = g_new0(struct client, 1);
	client->server = server;
	client->fd = fd;
	client->in = g_byte_array_new();
	client->out = g_byte_array_new();
	client->in_source = g_unix_fd_add(fd, G_IO_IN | G_IO_HUP, on_readable, client);
	g_ptr_array_add(server->clients, client);
	server->busy++;
	g_autofree char *greeting = control_greeting();
	client_send(client, greeting);
	leave(server);
}

struct control_server *control_server_new(int listen_fd, const struct control_ops *ops, void *opaque)
{
	struct control_server *server = g_new0(struct control_server, 1);

	server->ops = ops;
	server->opaque = opaque;
	server->clients = g_ptr_array_new_with_free_func(client_free);
	server->listener = listener_new(listen_fd, on_client, server);
	return server;
}

void control_server_free(struct control_server *server)
{
	if (!server)
		return;
	g_assert(server->busy == 0);
	listener_free(server->listener);
	/* What waits was offered to the socket already, and more than that is not waited for. */
	g_ptr_array_unref(server->clients);
	g_free(server);
}

void control_server_event(struct control_server *server, const char *name, json_t *data)
{
	g_autofree char *line = NULL;

	if (server->clients->len == 0) {
		json_decref(data);
		return;
	}
	line = control_event_line(name, data);
	server->busy++;
	for (guint i = 0; i < server->clients->len; i++)
		client_send(server->clients->pdata[i], line);
	leave(server);
}
