// SPDX-License-Identifier: MIT
/*
 * Runs a command on a terminal, as a person's shell would, and tells how it left the terminal behind.
 *
 *   on-pty RESULT COMMAND [ARGUMENT...]
 *
 * Standard input is typed at the terminal, what the terminal shows goes to standard output. The status is COMMAND's.
 * RESULT gets the lines "pid N" when it starts and, after its end, "status N", "raw yes|no" (was the terminal raw
 * meanwhile?) and "restored yes|no" (are the settings those of the start?).
 *
 * A process between us and COMMAND leads the session and stays, like a shell: the terminal must not be hung up when
 * COMMAND is killed.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define STEP_MS       50
/* After the command was killed, somebody else may need a moment to restore the terminal. */
#define RESTORE_STEPS (5000 / STEP_MS)

struct session {
	int master, slave;
	int events; /* the leader writes an int twice: COMMAND's pid, its wait status */
	pid_t leader;
	pid_t command;
	struct termios before;
	bool was_raw;
};

_Noreturn static void fail(const char *what)
{
	fprintf(stderr, "on-pty: %s: %s\n", what, strerror(errno));
	_exit(125);
}

_Noreturn static void run_command(int slave, char **argv)
{
	setpgid(0, 0);
	/* From the background, this would stop us. */
	signal(SIGTTOU, SIG_IGN);
	tcsetpgrp(slave, getpid());
	signal(SIGTTOU, SIG_DFL);
	for (int fd = 0; fd < 3; fd++)
		dup2(slave, fd);
	if (slave > 2)
		close(slave);
	execvp(argv[0], argv);
	fail(argv[0]);
}

_Noreturn static void lead_session(int slave, int events, char **argv)
{
	int status;

	setsid();
	if (ioctl(slave, TIOCSCTTY, 0) < 0)
		fail("TIOCSCTTY");
	pid_t pid = fork();
	if (pid < 0)
		fail("fork");
	if (pid == 0) {
		close(events);
		run_command(slave, argv);
	}
	if (write(events, &pid, sizeof(pid)) != sizeof(pid))
		fail("pipe");
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			fail("waitpid");
	if (write(events, &status, sizeof(status)) != sizeof(status))
		fail("pipe");
	for (;;)
		pause();
}

static void start(struct session *session, char **argv)
{
	const struct winsize size = { .ws_row = 24, .ws_col = 80 };
	struct termios termios;
	int events[2];

	if (openpty(&session->master, &session->slave, NULL, NULL, &size) < 0 || pipe(events) < 0)
		fail("openpty");
	/* Unusual settings: restoring the usual ones is not enough. */
	if (tcgetattr(session->slave, &termios) < 0)
		fail("tcgetattr");
	termios.c_cc[VERASE] = '\b';
	termios.c_lflag &= ~(tcflag_t)ECHOCTL;
	if (tcsetattr(session->slave, TCSANOW, &termios) < 0 || tcgetattr(session->slave, &session->before) < 0)
		fail("tcsetattr");

	fcntl(session->master, F_SETFD, FD_CLOEXEC);
	fcntl(events[0], F_SETFD, FD_CLOEXEC);
	session->leader = fork();
	if (session->leader < 0)
		fail("fork");
	if (session->leader == 0)
		lead_session(session->slave, events[1], argv);
	close(events[1]);
	session->events = events[0];
	if (read(session->events, &session->command, sizeof(session->command)) != sizeof(session->command))
		_exit(125);
}

static bool write_all(int fd, const char *bytes, ssize_t len_bytes)
{
	while (len_bytes > 0) {
		ssize_t written = write(fd, bytes, (size_t)len_bytes);

		if (written < 0 && errno != EINTR)
			return false;
		if (written > 0) {
			bytes += written;
			len_bytes -= written;
		}
	}
	return true;
}

static bool is_restored(const struct session *session)
{
	struct termios now;

	if (tcgetattr(session->slave, &now) < 0)
		fail("tcgetattr");
	return now.c_iflag == session->before.c_iflag && now.c_oflag == session->before.c_oflag &&
	       now.c_cflag == session->before.c_cflag && now.c_lflag == session->before.c_lflag &&
	       !memcmp(now.c_cc, session->before.c_cc, sizeof(now.c_cc));
}

static void look_at_terminal(struct session *session)
{
	struct termios now;

	if (tcgetattr(session->slave, &now) == 0 && !(now.c_lflag & (ICANON | ISIG)))
		session->was_raw = true;
}

/* FALSE: nothing came within STEP_MS. */
static bool show(const struct session *session, struct pollfd *master)
{
	char bytes[4096];

	if (!(master->revents & POLLIN))
		return false;
	ssize_t got = read(session->master, bytes, sizeof(bytes));
	if (got > 0 && !write_all(STDOUT_FILENO, bytes, got))
		fail("standard output");
	return got > 0;
}

/* Until COMMAND has ended; its wait status. */
static int carry(struct session *session)
{
	struct pollfd polls[] = {
		{ .fd = session->events, .events = POLLIN },
		{ .fd = session->master, .events = POLLIN },
		{ .fd = STDIN_FILENO, .events = POLLIN },
	};
	char typed[1024];
	int status;

	for (;;) {
		if (poll(polls, 3, STEP_MS) < 0 && errno != EINTR)
			fail("poll");
		look_at_terminal(session);
		show(session, &polls[1]);
		if (polls[2].revents) {
			ssize_t got = read(STDIN_FILENO, typed, sizeof(typed));

			if (got <= 0)
				polls[2].fd = -1;
			else if (!write_all(session->master, typed, got))
				fail("typing");
		}
		if (polls[0].revents) {
			if (read(session->events, &status, sizeof(status)) != sizeof(status))
				fail("the session's leader is gone");
			return status;
		}
	}
}

int main(int argc, char **argv)
{
	struct session session = { 0 };

	if (argc < 3) {
		fputs("usage: on-pty RESULT COMMAND [ARGUMENT...]\n", stderr);
		return 125;
	}
	FILE *result = fopen(argv[1], "we");
	if (!result)
		fail(argv[1]);
	start(&session, argv + 2);
	fprintf(result, "pid %d\n", (int)session.command);
	fflush(result);

	int raw = carry(&session);
	int status = WIFSIGNALED(raw) ? 128 + WTERMSIG(raw) : WEXITSTATUS(raw);
	for (int i = 0; i < RESTORE_STEPS && !is_restored(&session); i++)
		nanosleep(&(struct timespec){ .tv_nsec = STEP_MS * 1000000L }, NULL);
	struct pollfd master = { .fd = session.master, .events = POLLIN };
	while (poll(&master, 1, STEP_MS) > 0 && show(&session, &master))
		;
	fprintf(result, "status %d\nraw %s\nrestored %s\n", status, session.was_raw ? "yes" : "no",
		is_restored(&session) ? "yes" : "no");
	if (fclose(result) != 0)
		fail(argv[1]);
	kill(session.leader, SIGKILL);
	waitpid(session.leader, NULL, 0);
	return status;
}
