// SPDX-License-Identifier: MIT
/*
 * dom1 console: this terminal as the console of a running domain. Ctrl-] detaches, whatever the guest does.
 *
 * A terminal is always read, for its Ctrl-]: what the guest does not take of it is lost, as on a line without flow
 * control. What comes from elsewhere waits where it comes from.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/domain_command.h"
#include "vmm/error.h"
#include "vmm/tty.h"

#define ESCAPE_KEY 0x1d /* Ctrl-] */

struct console_client {
	const char *name;
	int socket_fd; /* non-blocking */
	int signal_fd;
	struct tty tty;
	bool input_ended;
	/* Typed, not yet taken. */
	char pending[4096];
	size_t pending_start, pending_end;
};

enum turn { TURN_GO_ON, TURN_DETACHED, TURN_ENDED, TURN_OUTPUT_GONE };

/* When the other end is gone, reading finds that out, behind what it said last; here it means that nobody takes it. */
static void send_pending(struct console_client *client)
{
	while (client->pending_start < client->pending_end) {
		ssize_t sent = send(client->socket_fd, client->pending + client->pending_start,
				    client->pending_end - client->pending_start, MSG_NOSIGNAL);

		if (sent > 0)
			client->pending_start += (size_t)sent;
		else if (sent < 0 && errno == EINTR)
			continue;
		else if (sent < 0 && errno == EAGAIN)
			return;
		else
			client->pending_start = client->pending_end;
	}
}

static enum turn take_input(struct console_client *client)
{
	ssize_t got = read(STDIN_FILENO, client->pending, sizeof(client->pending));
	char *escape;

	if (got < 0 && (errno == EINTR || errno == EAGAIN))
		return TURN_GO_ON;
	/* The end of a file is no wish to leave: its output is to be seen. A terminal that is gone is. */
	if (got <= 0) {
		client->input_ended = true;
		client->pending_start = client->pending_end = 0;
		return client->tty.fd >= 0 ? TURN_DETACHED : TURN_GO_ON;
	}
	client->pending_start = 0;
	client->pending_end = (size_t)got;
	escape = client->tty.fd >= 0 ? memchr(client->pending, ESCAPE_KEY, (size_t)got) : NULL;
	if (escape)
		client->pending_end = (size_t)(escape - client->pending);
	send_pending(client);
	return escape ? TURN_DETACHED : TURN_GO_ON;
}

static enum turn pass_output(const struct console_client *client)
{
	char bytes[4096];
	ssize_t got = recv(client->socket_fd, bytes, sizeof(bytes), 0);

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return TURN_GO_ON;
	for (ssize_t done = 0; done < got;) {
		ssize_t written = write(STDOUT_FILENO, bytes + done, (size_t)(got - done));

		/* Somebody else may have made the terminal non-blocking. */
		if (written < 0 && errno == EAGAIN)
			(void)poll(&(struct pollfd){ .fd = STDOUT_FILENO, .events = POLLOUT }, 1, -1);
		else if (written < 0 && errno != EINTR)
			return TURN_OUTPUT_GONE;
		done += MAX(written, 0);
	}
	return got > 0 ? TURN_GO_ON : TURN_ENDED;
}

static enum turn take_turn(struct console_client *client)
{
	bool waiting = client->pending_start < client->pending_end;
	struct pollfd fds[] = {
		{ .fd = client->input_ended || (waiting && client->tty.fd < 0) ? -1 : STDIN_FILENO, .events = POLLIN },
		{ .fd = client->socket_fd, .events = (short)(POLLIN | (waiting ? POLLOUT : 0)) },
		{ .fd = client->signal_fd, .events = POLLIN },
	};
	enum turn turn = TURN_GO_ON;

	if (poll(fds, G_N_ELEMENTS(fds), -1) < 0)
		return errno == EINTR ? TURN_GO_ON : TURN_ENDED;
	if (fds[2].revents)
		return TURN_DETACHED;
	if (fds[0].revents)
		turn = take_input(client);
	if (fds[1].revents & POLLOUT)
		send_pending(client);
	if (turn == TURN_GO_ON && (fds[1].revents & (POLLIN | POLLHUP | POLLERR)))
		turn = pass_output(client);
	return turn;
}

/* The terminal is put back on any signal that ends us by being asked. */
static int open_signals(void)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGHUP);
	sigaddset(&signals, SIGQUIT);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	/* Without its reader, writing says EPIPE. */
	signal(SIGPIPE, SIG_IGN);
	return signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int attach(struct console_client *client)
{
	bool person = isatty(STDIN_FILENO);
	enum turn turn = TURN_GO_ON;

	if (person)
		fprintf(stderr, "dom1: console of %s; Ctrl-] detaches\n", client->name);
	client->signal_fd = open_signals();
	tty_enter_raw(&client->tty, STDIN_FILENO);
	while (turn == TURN_GO_ON)
		turn = take_turn(client);
	tty_restore(&client->tty);
	if (client->signal_fd >= 0)
		close(client->signal_fd);
	if (person)
		fprintf(stderr, "\ndom1: console of %s: %s\n", client->name,
			turn == TURN_ENDED ? "it has ended" : "detached");
	if (turn != TURN_OUTPUT_GONE)
		return DOM1_STATUS_OK;
	fprintf(stderr, "dom1: console: cannot write to standard output\n");
	return DOM1_STATUS_USAGE;
}

int cmd_console(int argc, char **argv, uint64_t exec_ns)
{
	static const struct command_syntax syntax = {
		.parameters = "NAME",
		.summary =
			"Connects this terminal to the console of a domain. Ctrl-] detaches; the domain goes on.\n"
			"Status: 0 detached, or the domain has ended; 2 no such domain.",
		.min = 1,
		.max = 1,
	};
	struct console_client client = { .socket_fd = -1 };
	const char *command = argv[0];
	g_autoptr(GError) error = NULL;
	struct domain_folder folder;
	int status;

	(void)exec_ns;
	if (!command_parse(&syntax, &argc, &argv, &error) || !domain_folder_open(&folder, argv[1], &error))
		return command_error(command, error);
	client.name = argv[1];
	client.socket_fd = domain_folder_connect(&folder, "console.sock", 0, &error);
	domain_folder_close(&folder);
	if (client.socket_fd < 0)
		return command_error(command, error);
	(void)fcntl(client.socket_fd, F_SETFL, fcntl(client.socket_fd, F_GETFL) | O_NONBLOCK);
	status = attach(&client);
	close(client.socket_fd);
	return status;
}
