// SPDX-License-Identifier: MIT
#include "exec/link.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <glib-unix.h>

#include "exec/frames.h"
#include "vmm/event_source.h"

#define CONNECT_STEP_MS 5

struct exec_link {
	char *socket_path;
	int fd;
	struct exec_frames frames;
	exec_link_ended ended;
	void *opaque;
	GByteArray *input; /* frames that the guest has not taken yet */
	bool greeted, input_ended;
	guint connect_source, channel_source, writable_source, input_source;
	bool has_status;
	uint8_t status;
};

/* To whoever reads our output; nobody may do so any more. */
static void write_all(int fd, const uint8_t *bytes, size_t len_bytes)
{
	while (len_bytes > 0) {
		ssize_t written = write(fd, bytes, len_bytes);

		if (written < 0 && errno == EAGAIN)
			g_usleep(1000);
		else if (written < 0 && errno != EINTR)
			return;
		bytes += MAX(written, 0);
		len_bytes -= (size_t)MAX(written, 0);
	}
}

static gboolean on_writable(gint fd, GIOCondition condition, gpointer opaque);
static gboolean on_input(gint fd, GIOCondition condition, gpointer opaque);

static void watch_input(struct exec_link *link)
{
	if (link->greeted && !link->input_ended && !link->input_source && link->input->len == 0)
		link->input_source = g_unix_fd_add(STDIN_FILENO, G_IO_IN | G_IO_HUP | G_IO_ERR | G_IO_NVAL, on_input, link);
}

static void push_input(struct exec_link *link)
{
	ssize_t sent = send(link->fd, link->input->data, link->input->len, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (sent > 0)
		g_byte_array_remove_range(link->input, 0, (guint)sent);
	else if (sent < 0 && errno != EAGAIN && errno != EINTR)
		g_byte_array_set_size(link->input, 0);
	if (link->input->len > 0 && !link->writable_source)
		link->writable_source = g_unix_fd_add(link->fd, G_IO_OUT, on_writable, link);
}

static gboolean on_writable(gint fd, GIOCondition condition, gpointer opaque)
{
	struct exec_link *link = opaque;

	(void)fd, (void)condition;
	link->writable_source = 0;
	push_input(link);
	watch_input(link);
	return G_SOURCE_REMOVE;
}

static void send_frame(struct exec_link *link, uint8_t type, const uint8_t *payload, size_t len_bytes)
{
	uint8_t header[EXEC_HEADER_BYTES];

	exec_frame_header(header, type, len_bytes);
	g_byte_array_append(link->input, header, sizeof(header));
	g_byte_array_append(link->input, payload, (guint)len_bytes);
	push_input(link);
}

/* One frame at a time is under way: what the guest does not take is not read here either. */
static gboolean on_input(gint fd, GIOCondition condition, gpointer opaque)
{
	struct exec_link *link = opaque;
	uint8_t bytes[EXEC_PAYLOAD_BYTES];
	ssize_t len_bytes = read(fd, bytes, sizeof(bytes));

	(void)condition;
	if (len_bytes < 0 && (errno == EAGAIN || errno == EINTR))
		return G_SOURCE_CONTINUE;
	send_frame(link, EXEC_INPUT, bytes, (size_t)MAX(len_bytes, 0));
	link->input_ended = len_bytes <= 0;
	if (!link->input_ended && link->input->len == 0)
		return G_SOURCE_CONTINUE;
	link->input_source = 0;
	return G_SOURCE_REMOVE;
}

static void on_frame(uint8_t type, const uint8_t *payload, size_t len_bytes, void *opaque)
{
	struct exec_link *link = opaque;

	if (link->has_status)
		return;
	switch (type) {
	case EXEC_READY:
		if (!link->greeted)
			send_frame(link, EXEC_GO, NULL, 0);
		link->greeted = true;
		watch_input(link);
		break;
	case EXEC_OUTPUT:
		write_all(STDOUT_FILENO, payload, len_bytes);
		break;
	case EXEC_ERROR:
		write_all(STDERR_FILENO, payload, len_bytes);
		break;
	default:
		link->has_status = true;
		link->status = payload[0];
		link->ended(true, link->opaque);
	}
}

/* FALSE: nothing more will come. */
static bool receive(struct exec_link *link)
{
	uint8_t bytes[16384];
	ssize_t len_bytes = recv(link->fd, bytes, sizeof(bytes), MSG_DONTWAIT);

	if (len_bytes < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (len_bytes > 0 && exec_frames_feed(&link->frames, bytes, (size_t)len_bytes, on_frame, link))
		return true;
	if (len_bytes > 0)
		link->ended(false, link->opaque);
	return false;
}

static gboolean on_channel(gint fd, GIOCondition condition, gpointer opaque)
{
	struct exec_link *link = opaque;

	(void)fd, (void)condition;
	if (receive(link))
		return G_SOURCE_CONTINUE;
	link->channel_source = 0;
	return G_SOURCE_REMOVE;
}

static gboolean on_connect(gpointer opaque)
{
	struct exec_link *link = opaque;
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	g_strlcpy(address.sun_path, link->socket_path, sizeof(address.sun_path));
	if (connect(link->fd, (const struct sockaddr *)&address, sizeof(address)) != 0)
		return G_SOURCE_CONTINUE;
	link->connect_source = 0;
	link->channel_source = g_unix_fd_add(link->fd, G_IO_IN | G_IO_HUP, on_channel, link);
	return G_SOURCE_REMOVE;
}

struct exec_link *exec_link_new(const char *socket_path, exec_link_ended ended, void *opaque)
{
	struct exec_link *link = g_new0(struct exec_link, 1);

	link->socket_path = g_strdup(socket_path);
	link->ended = ended;
	link->opaque = opaque;
	link->input = g_byte_array_new();
	link->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	link->connect_source = g_timeout_add(CONNECT_STEP_MS, on_connect, link);
	return link;
}

bool exec_link_finish(struct exec_link *link, uint8_t *status)
{
	struct pollfd more = { .fd = link->fd, .events = POLLIN };

	while (link->channel_source && poll(&more, 1, 0) == 1 && receive(link))
		;
	*status = link->status;
	return link->has_status;
}

void exec_link_free(struct exec_link *link)
{
	if (!link)
		return;
	event_source_remove(NULL, &link->connect_source);
	event_source_remove(NULL, &link->channel_source);
	event_source_remove(NULL, &link->writable_source);
	event_source_remove(NULL, &link->input_source);
	if (link->fd >= 0)
		close(link->fd);
	g_byte_array_unref(link->input);
	g_free(link->socket_path);
	g_free(link);
}
