// SPDX-License-Identifier: MIT
/*
 * Input for a PV guest is held back until the guest has written something. The shim hands events of this port on to its
 * guest, and while there is none yet, an event makes it panic (pv_shim_inject_evtchn). What is typed ahead waits in the
 * pipe or socket from which it comes.
 *
 * Output of the first console is moved by the vCPU that sends the event (console_serve()), as long as that is a matter of
 * two writes that do not wait: it costs less than to wake a thread, and what a guest says before it crashes is out when
 * its hypercall returns. Everything else is the main thread's: all sources, slow readers, lost ones, who is attached,
 * input.
 */
#include "backend/console.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <glib-unix.h>

#include "backend/backend_port.h"
#include "backend/console_ring.h"
#include "vmm/event_source.h"
#include "vmm/record.h"
#include "vmm/write_whole.h"

#define IMPATIENT_MS  1000
/* A guest that writes without end gets this many rings full at a time; then others have their turn. */
#define ROUNDS_MAX    8
#define PTY_REOPEN_MS 200

/* How a turn of moving output ended. */
enum output {
	OUTPUT_DONE, /* nothing is left */
	OUTPUT_MORE, /* others have their turn first */
	OUTPUT_SLOW, /* the reader does not take it now */
	OUTPUT_LOST, /* the reader went away */
};

struct console {
	GMutex lock; /* of all that follows, and of the ring's host side */
	struct console_ring ring;
	struct backend_port port;
	struct record *record;
	struct console_files files;
	bool holds_input;
	bool leaves_ring; /* what is in it stays there */
	bool client; /* in_fd and out_fd are a client's of listen_fd, and ours to close */

	guint port_source, in_source, out_source, listen_source;
	int attached_fd; /* -1: nobody is attached */
	guint attach_source, attached_source;

	/* Taken from the ring and logged, not yet output. */
	uint8_t pending[2048];
	size_t pending_start, pending_end;
};

static gboolean on_output_ready(gint fd, GIOCondition condition, gpointer opaque);
static gboolean on_input(gint fd, GIOCondition condition, gpointer opaque);
static gboolean on_client(gint fd, GIOCondition condition, gpointer opaque);

/* The reader went away. A client makes room for the next one; for other outputs nobody reads from now on. */
/* syscalls(main): close */
static void lose_output(struct console *console)
{
	event_source_remove(NULL, &console->out_source);
	console->pending_start = console->pending_end = 0;
	if (console->client) {
		event_source_remove(NULL, &console->in_source);
		close(console->files.out_fd);
		console->files.in_fd = console->files.out_fd = -1;
		console->client = false;
		console->listen_source = g_unix_fd_add(console->files.listen_fd, G_IO_IN, on_client, console);
	} else {
		console->files.out_fd = -1;
	}
}

/* syscalls(main): poll */
static bool pty_is_closed(const struct console *console)
{
	struct pollfd master = { .fd = console->files.out_fd };

	return console->files.out_is_pty && poll(&master, 1, 0) == 1 && (master.revents & POLLHUP);
}

static enum output flush_pending(struct console *console)
{
	while (console->pending_start < console->pending_end) {
		if (console->files.out_fd < 0 || pty_is_closed(console)) {
			console->pending_start = console->pending_end;
			break;
		}
		ssize_t written = write(console->files.out_fd, console->pending + console->pending_start,
					console->pending_end - console->pending_start);
		if (written >= 0)
			console->pending_start += (size_t)written;
		else if (errno == EAGAIN)
			return OUTPUT_SLOW;
		else if (errno != EINTR)
			return OUTPUT_LOST;
	}
	return OUTPUT_DONE;
}

static void detach(struct console *console);

/* syscalls(main): sendto */
static void show_attached(struct console *console, const uint8_t *bytes, size_t len_bytes)
{
	if (console->attached_fd < 0)
		return;
	if (send(console->attached_fd, bytes, len_bytes, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno != EAGAIN)
		detach(console);
}

static void record_output(struct record *record, const uint8_t *bytes, size_t len_bytes)
{
	if (!record_phase_seen(record, PHASE_FIRST_CONSOLE_BYTE))
		record_phase(record, PHASE_FIRST_CONSOLE_BYTE, NULL);
	evidence_tail_add(&record->evidence.console, bytes, (uint32_t)len_bytes);
}

/* syscalls(main, vcpu): write */
static enum output move_output(struct console *console)
{
	for (unsigned int rounds = 0; rounds < ROUNDS_MAX; rounds++) {
		enum output flushed = flush_pending(console);
		if (flushed != OUTPUT_DONE || console->leaves_ring)
			return flushed;
		size_t taken_bytes = console_ring_take(&console->ring, console->pending, sizeof(console->pending));
		if (taken_bytes == 0)
			return OUTPUT_DONE;
		/* First of all: the guest's other vCPUs go on while what it wrote is shown. */
		backend_port_notify(&console->port);
		console->holds_input = false;
		console->pending_start = 0;
		console->pending_end = taken_bytes;
		if (console->record)
			record_output(console->record, console->pending, taken_bytes);
		if (console->files.on_output)
			console->files.on_output(console->files.on_output_opaque, console->pending, taken_bytes);
		show_attached(console, console->pending, taken_bytes);
		if (console->files.log_fd >= 0)
			/* A full disk costs the log, not the guest. */
			(void)write_whole(console->files.log_fd, console->pending, taken_bytes);
	}
	return OUTPUT_MORE;
}

/* Under the lock, in the main thread. */
static void pump(struct console *console)
{
	enum output end;

	while ((end = move_output(console)) == OUTPUT_LOST)
		lose_output(console);
	if (end == OUTPUT_SLOW && !console->out_source)
		console->out_source = g_unix_fd_add(console->files.out_fd, G_IO_OUT, on_output_ready, console);
	else if (end == OUTPUT_MORE)
		backend_port_wake(&console->port);
}

void console_pump(struct console *console)
{
	g_mutex_lock(&console->lock);
	pump(console);
	g_mutex_unlock(&console->lock);
}

void console_leave_ring(struct console *console)
{
	g_mutex_lock(&console->lock);
	console->leaves_ring = true;
	g_mutex_unlock(&console->lock);
}

bool console_holds_input(struct console *console)
{
	g_mutex_lock(&console->lock);
	bool holds_input = console->holds_input;
	g_mutex_unlock(&console->lock);
	return holds_input;
}

static gboolean on_output_ready(gint fd, GIOCondition condition, gpointer opaque)
{
	struct console *console = opaque;

	(void)fd, (void)condition;
	g_mutex_lock(&console->lock);
	console->out_source = 0;
	pump(console);
	g_mutex_unlock(&console->lock);
	return G_SOURCE_REMOVE;
}

static bool wants_input(struct console *console)
{
	return !console->holds_input && console->files.in_fd >= 0 && !console->in_source && console_ring_room(&console->ring) > 0;
}

bool console_serve(void *opaque)
{
	struct console *console = opaque;

	if (!g_mutex_trylock(&console->lock))
		return false;
	bool is_done = !console->files.on_output && !console->out_source && console->attached_fd < 0 && !console->files.out_is_pty &&
		       move_output(console) == OUTPUT_DONE && !wants_input(console);
	g_mutex_unlock(&console->lock);
	return is_done;
}

/* Input is listened to while the guest has room for it; its event of having read starts that again. */
static void watch_input(struct console *console)
{
	if (wants_input(console))
		console->in_source = g_unix_fd_add(console->files.in_fd, G_IO_IN | G_IO_HUP, on_input, console);
}

static gboolean on_pty_reopen(gpointer opaque)
{
	struct console *console = opaque;
	G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&console->lock);

	if (pty_is_closed(console))
		return G_SOURCE_CONTINUE;
	console->in_source = 0;
	watch_input(console);
	return G_SOURCE_REMOVE;
}

/* Who asked for room first loses nothing: only the guest makes less of it, and then it is its own loss. */
static void put_input(struct console *console, const uint8_t *bytes, size_t len_bytes)
{
	(void)console_ring_put(&console->ring, bytes, len_bytes);
	backend_port_notify(&console->port);
}

/* syscalls(main): read */
static gboolean on_input(gint fd, GIOCondition condition, gpointer opaque)
{
	struct console *console = opaque;
	G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&console->lock);
	uint8_t bytes[1024];
	size_t room_bytes = console_ring_room(&console->ring);

	(void)condition;
	if (room_bytes == 0) {
		console->in_source = 0;
		return G_SOURCE_REMOVE;
	}
	ssize_t len_bytes = read(fd, bytes, MIN(room_bytes, sizeof(bytes)));
	if (len_bytes < 0 && (errno == EAGAIN || errno == EINTR))
		return G_SOURCE_CONTINUE;
	if (len_bytes <= 0) {
		/* A pty whose other side is closed reads as EIO, and may be opened again: look once in a while. */
		console->in_source = 0;
		if (console->client)
			lose_output(console);
		else if (console->files.out_is_pty)
			console->in_source = g_timeout_add(PTY_REOPEN_MS, on_pty_reopen, console);
		else
			console->files.in_fd = -1;
		return G_SOURCE_REMOVE;
	}
	put_input(console, bytes, (size_t)len_bytes);
	return G_SOURCE_CONTINUE;
}

void console_type(struct console *console, const uint8_t *bytes, size_t len_bytes)
{
	G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&console->lock);

	if (!console->holds_input)
		put_input(console, bytes, len_bytes);
}

/* syscalls(main): accept4 */
static gboolean on_client(gint fd, GIOCondition condition, gpointer opaque)
{
	struct console *console = opaque;
	G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&console->lock);
	int client_fd = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)condition;
	if (client_fd < 0)
		return G_SOURCE_CONTINUE;
	console->client = true;
	console->files.in_fd = console->files.out_fd = client_fd;
	watch_input(console);
	/* One client at a time: the next one waits in the backlog. */
	console->listen_source = 0;
	return G_SOURCE_REMOVE;
}

static gboolean on_attached_input(gint fd, GIOCondition condition, gpointer opaque)
{
	struct console *console = opaque;
	G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&console->lock);
	uint8_t bytes[1024];
	size_t room_bytes = console_ring_room(&console->ring);

	(void)condition;
	if (room_bytes == 0) {
		/* Until the guest has read: its event calls watch_attached(). */
		console->attached_source = 0;
		return G_SOURCE_REMOVE;
	}
	ssize_t len_bytes = read(fd, bytes, MIN(room_bytes, sizeof(bytes)));
	if (len_bytes < 0 && (errno == EAGAIN || errno == EINTR))
		return G_SOURCE_CONTINUE;
	if (len_bytes <= 0) {
		console->attached_source = 0;
		detach(console);
		return G_SOURCE_REMOVE;
	}
	put_input(console, bytes, (size_t)len_bytes);
	return G_SOURCE_CONTINUE;
}

static void watch_attached(struct console *console)
{
	if (!console->holds_input && console->attached_fd >= 0 && !console->attached_source && console_ring_room(&console->ring) > 0)
		console->attached_source = g_unix_fd_add(console->attached_fd, G_IO_IN | G_IO_HUP, on_attached_input, console);
}

static gboolean on_attach(gint fd, GIOCondition condition, gpointer opaque)
{
	struct console *console = opaque;
	G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&console->lock);
	int client_fd = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)condition;
	if (client_fd < 0)
		return G_SOURCE_CONTINUE;
	/* One at a time: who comes second learns it at once. */
	if (console->attached_fd >= 0) {
		close(client_fd);
		return G_SOURCE_CONTINUE;
	}
	console->attached_fd = client_fd;
	watch_attached(console);
	return G_SOURCE_CONTINUE;
}

static void watch_attach(struct console *console)
{
	if (console->files.attach_fd >= 0)
		console->attach_source = g_unix_fd_add(console->files.attach_fd, G_IO_IN, on_attach, console);
}

static void detach(struct console *console)
{
	event_source_remove(NULL, &console->attached_source);
	close(console->attached_fd);
	console->attached_fd = -1;
}

static gboolean on_port(gint fd, GIOCondition condition, gpointer opaque)
{
	struct console *console = opaque;
	G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&console->lock);
	uint64_t count;
	ssize_t got = read(fd, &count, sizeof(count));

	(void)condition, (void)got;
	pump(console);
	watch_input(console);
	watch_attached(console);
	return G_SOURCE_CONTINUE;
}

struct console *console_new(void *page, const struct backend_port *port, const struct console_files *files,
			    struct record *record)
{
	struct console *console = g_new0(struct console, 1);

	g_mutex_init(&console->lock);
	console->ring.page = page;
	console->port = *port;
	console->files = *files;
	console->holds_input = files->hold_input;
	console->record = record;
	console->port_source = event_source_add(port->from_guest_fd, G_IO_IN, on_port, console);
	if (files->listen_fd >= 0)
		console->listen_source = g_unix_fd_add(files->listen_fd, G_IO_IN, on_client, console);
	console->attached_fd = -1;
	watch_attach(console);
	watch_input(console);
	return console;
}

void console_drain(struct console *console, bool patient, int interrupt_fd)
{
	console_pump(console);
	while (console->out_source) {
		struct pollfd fds[] = {
			{ .fd = console->files.out_fd, .events = POLLOUT },
			{ .fd = interrupt_fd, .events = POLLIN },
		};
		int rc = poll(fds, 2, patient ? -1 : IMPATIENT_MS);

		if (rc == 0 || (rc > 0 && fds[1].revents))
			return;
		event_source_remove(NULL, &console->out_source);
		console_pump(console);
	}
}

void console_free(struct console *console)
{
	if (!console)
		return;
	event_source_remove(NULL, &console->port_source);
	event_source_remove(NULL, &console->in_source);
	event_source_remove(NULL, &console->out_source);
	event_source_remove(NULL, &console->listen_source);
	event_source_remove(NULL, &console->attach_source);
	event_source_remove(NULL, &console->attached_source);
	if (console->attached_fd >= 0)
		close(console->attached_fd);
	if (console->client)
		close(console->files.out_fd);
	g_mutex_clear(&console->lock);
	g_free(console);
}
