// SPDX-License-Identifier: MIT
#include "control/listener.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/socket.h>

#include <glib-unix.h>

/* Without descriptors to spare a waiting client stays readable: looking again at once would be a busy loop. */
#define RETRY_MS 200

struct listener {
	int fd;
	void (*on_client)(void *opaque, int client_fd);
	void *opaque;
	guint source;
};

static gboolean on_connection(gint fd, GIOCondition condition, gpointer opaque);

static gboolean on_retry(gpointer opaque)
{
	struct listener *listener = opaque;

	listener->source = g_unix_fd_add(listener->fd, G_IO_IN, on_connection, listener);
	return G_SOURCE_REMOVE;
}

/* syscalls(main): accept4 */
static gboolean on_connection(gint fd, GIOCondition condition, gpointer opaque)
{
	struct listener *listener = opaque;
	int client_fd = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)condition;
	if (client_fd >= 0) {
		listener->on_client(listener->opaque, client_fd);
		return G_SOURCE_CONTINUE;
	}
	/* Whoever knocked may be gone again. */
	if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)
		return G_SOURCE_CONTINUE;
	listener->source = g_timeout_add(RETRY_MS, on_retry, listener);
	return G_SOURCE_REMOVE;
}

struct listener *listener_new(int listen_fd, void (*on_client)(void *opaque, int client_fd), void *opaque)
{
	struct listener *listener = g_new0(struct listener, 1);

	listener->fd = listen_fd;
	listener->on_client = on_client;
	listener->opaque = opaque;
	listener->source = g_unix_fd_add(listen_fd, G_IO_IN, on_connection, listener);
	return listener;
}

void listener_free(struct listener *listener)
{
	if (!listener)
		return;
	g_source_remove(listener->source);
	g_free(listener);
}
