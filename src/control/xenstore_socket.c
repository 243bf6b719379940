// SPDX-License-Identifier: MIT
/*
 * Theory of operation: a client has one of two sources at a time. While nothing waits for it, its socket is read, and
 * what was read goes into the store. As soon as something waits that the socket does not take, nothing is read any more
 * and only the socket's room is waited for. A client that hangs up ends either wait.
 *
 * The store calls on_pending() from inside its own work, for instance while another client's write is carried out. It
 * only arms the second source: sending is done from the main loop, where a client may be removed.
 */
#include "control/xenstore_socket.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <glib-unix.h>

#include "control/listener.h"
#include "vmm/event_source.h"
#include "xen/domid.h"
#include "xen/xenstore/xenstore.h"

struct client {
	struct xenstore_socket *socket;
	int fd;
	struct xs_conn *conn;
	guint in_source, out_source;
	bool serving; /* on_ready() is on the stack, and sends what is pending */
	/* Read, but not yet taken by the store. */
	uint8_t in[4096];
	size_t in_start, in_end;
};

struct xenstore_socket {
	struct listener *listener;
	struct xenstore *store;
	GPtrArray *clients;
};

static gboolean on_ready(gint fd, GIOCondition condition, gpointer opaque);

static void wait_for_room(struct client *client)
{
	event_source_remove(NULL, &client->in_source);
	if (!client->out_source)
		client->out_source = g_unix_fd_add(client->fd, G_IO_OUT, on_ready, client);
}

static void wait_for_requests(struct client *client)
{
	event_source_remove(NULL, &client->out_source);
	if (!client->in_source)
		client->in_source = g_unix_fd_add(client->fd, G_IO_IN | G_IO_HUP, on_ready, client);
}

static void on_pending(void *opaque)
{
	struct client *client = opaque;

	if (!client->serving)
		wait_for_room(client);
}

enum progress { PROGRESS_DONE, PROGRESS_WAITS, PROGRESS_GONE };

/* syscalls(main): sendto */
static enum progress send_pending(struct client *client)
{
	size_t len_bytes;
	const void *pending;

	while ((pending = xs_conn_pending(client->conn, &len_bytes)) && len_bytes > 0) {
		ssize_t sent = send(client->fd, pending, len_bytes, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (sent > 0)
			xs_conn_sent(client->conn, (size_t)sent);
		else if (sent < 0 && errno == EAGAIN)
			return PROGRESS_WAITS;
		else if (sent == 0 || errno != EINTR)
			return PROGRESS_GONE;
	}
	return PROGRESS_DONE;
}

static void client_free(void *opaque)
{
	struct client *client = opaque;

	event_source_remove(NULL, &client->in_source);
	event_source_remove(NULL, &client->out_source);
	xenstore_lock(client->socket->store);
	/* A last event, above all that the domain is gone: as much as the client takes at once. */
	(void)send_pending(client);
	xs_conn_free(client->conn);
	xenstore_unlock(client->socket->store);
	close(client->fd);
	g_free(client);
}

/* Hands over what was read. DONE: all of it, and all replies are sent. */
static enum progress feed_store(struct client *client)
{
	enum progress progress = send_pending(client);

	while (progress == PROGRESS_DONE && client->in_start < client->in_end) {
		size_t taken_bytes =
			xs_conn_feed(client->conn, client->in + client->in_start, client->in_end - client->in_start);

		client->in_start += taken_bytes;
		progress = send_pending(client);
		/* A client that talks nonsense; or memory is out, and nothing is pending that could make room. */
		if (xs_conn_broken(client->conn) || (taken_bytes == 0 && progress == PROGRESS_DONE))
			return PROGRESS_GONE;
	}
	return progress;
}

/* syscalls(main): recvfrom close */
static enum progress serve(struct client *client)
{
	enum progress progress = feed_store(client);

	if (progress != PROGRESS_DONE)
		return progress;
	ssize_t got = recv(client->fd, client->in, sizeof(client->in), MSG_DONTWAIT);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return PROGRESS_DONE;
	if (got <= 0)
		return PROGRESS_GONE;
	client->in_start = 0;
	client->in_end = (size_t)got;
	return feed_store(client);
}

static gboolean on_ready(gint fd, GIOCondition condition, gpointer opaque)
{
	struct client *client = opaque;
	enum progress progress;

	(void)fd, (void)condition;
	xenstore_lock(client->socket->store);
	client->serving = true;
	progress = serve(client);
	client->serving = false;
	xenstore_unlock(client->socket->store);
	/* These may remove the source that called: GLib knows, whatever is returned. */
	if (progress == PROGRESS_GONE)
		g_ptr_array_remove_fast(client->socket->clients, client);
	else if (progress == PROGRESS_WAITS)
		wait_for_room(client);
	else
		wait_for_requests(client);
	return G_SOURCE_CONTINUE;
}

static void on_client(void *opaque, int fd)
{
	struct xenstore_socket *socket = opaque;
	struct client *client;

	if (socket->clients->len >= XENSTORE_SOCKET_CLIENTS_MAX) {
		close(fd);
		return;
	}
	client = g_new0(struct client, 1);
	client->socket = socket;
	client->fd = fd;
	xenstore_lock(socket->store);
	client->conn = xs_conn_new(socket->store, BACKEND_DOMID, on_pending, client);
	xenstore_unlock(socket->store);
	if (!client->conn) {
		close(fd);
		g_free(client);
		return;
	}
	g_ptr_array_add(socket->clients, client);
	wait_for_requests(client);
}

struct xenstore_socket *xenstore_socket_new(int listen_fd, struct xenstore *store)
{
	struct xenstore_socket *socket = g_new0(struct xenstore_socket, 1);

	socket->store = store;
	socket->clients = g_ptr_array_new_with_free_func(client_free);
	socket->listener = listener_new(listen_fd, on_client, socket);
	return socket;
}

void xenstore_socket_free(struct xenstore_socket *socket)
{
	if (!socket)
		return;
	listener_free(socket->listener);
	g_ptr_array_unref(socket->clients);
	g_free(socket);
}
