// SPDX-License-Identifier: MIT
#include "harness/spawner.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/error.h"

#define ORDER_BYTES    (64u << 10)
#define ARGUMENTS_MAX  1024u
/* Above those that a run gets. */
#define SPARE_FD       16

void spawner_settle(pid_t parent, const int fds[SPAWNER_N_FDS])
{
	sigset_t none;

	/* A group of its own: Ctrl-C is for the harness, which tells it. */
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(DOM1_STATUS_DEFECT);
	signal(SIGPIPE, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	for (int i = 0; i < SPAWNER_N_FDS; i++)
		if (dup2(fds[i], i) < 0)
			_exit(DOM1_STATUS_DEFECT);
}

/* The order's words, in its own bytes. */
static int run_order(int (*run)(int argc, char **argv), char *order, size_t len_bytes)
{
	char *arguments[ARGUMENTS_MAX + 1];
	int n = 0;

	for (size_t at = 0; at < len_bytes && n < (int)ARGUMENTS_MAX; at += strlen(order + at) + 1)
		arguments[n++] = order + at;
	arguments[n] = NULL;
	return run(n, arguments);
}

/* gone_fd: the spawner closes its end when the one in between is gone, and the harness our parent. */
static void become_run(pid_t harness, int gone_fd, const int fds[SPAWNER_N_FDS])
{
	int spare_fds[SPAWNER_N_FDS];
	char byte;

	while (read(gone_fd, &byte, sizeof(byte)) < 0 && errno == EINTR)
		;
	for (int i = 0; i < SPAWNER_N_FDS; i++)
		spare_fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, SPARE_FD);
	spawner_settle(harness, spare_fds);
	(void)close_range(SPAWNER_N_FDS, ~0u, 0);
}

/* TRUE in the run, when it is one. FALSE in the spawner: *pid is the run's, or -1 and errno. */
static bool fork_twice(pid_t harness, const int fds[SPAWNER_N_FDS], pid_t *pid)
{
	int gone[2], told[2];
	pid_t between;

	*pid = -1;
	if (pipe2(gone, O_CLOEXEC) != 0)
		return false;
	if (pipe2(told, O_CLOEXEC) != 0) {
		close(gone[0]);
		close(gone[1]);
		return false;
	}
	between = fork();
	if (between == 0) {
		close(gone[1]);
		pid_t child = fork();

		if (child == 0) {
			become_run(harness, gone[0], fds);
			return true;
		}
		ssize_t written = write(told[1], &child, sizeof(child));
		_exit(written == sizeof(child) ? 0 : 1);
	}
	close(gone[0]);
	close(told[1]);
	if (between > 0 && read(told[0], pid, sizeof(*pid)) != sizeof(*pid))
		*pid = -1;
	close(told[0]);
	/* A process that ends closes its files before its children get another parent: only now it has, and may go on. */
	while (between > 0 && waitpid(between, NULL, 0) < 0 && errno == EINTR)
		;
	close(gone[1]);
	if (*pid <= 0)
		errno = EAGAIN;
	return false;
}

/* The order's length; 0: there will be none any more. */
static size_t receive_order(int fd, char order[ORDER_BYTES], int fds[SPAWNER_N_FDS])
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(SPAWNER_N_FDS * sizeof(int))];
	} control;
	struct iovec piece = { order, ORDER_BYTES };
	struct msghdr message = { .msg_iov = &piece, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
	ssize_t got;

	do
		got = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
	while (got < 0 && errno == EINTR);
	const struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	if (got <= 0 || order[got - 1] != '\0' || !header || header->cmsg_len != CMSG_LEN(SPAWNER_N_FDS * sizeof(int)))
		return 0;
	memcpy(fds, CMSG_DATA(header), SPAWNER_N_FDS * sizeof(int));
	return (size_t)got;
}

static _Noreturn void serve(int fd, pid_t harness, int (*run)(int argc, char **argv))
{
	static const char name[] = "dom1-spawner";
	char *order = malloc(ORDER_BYTES);
	int fds[SPAWNER_N_FDS];
	size_t len_bytes;

	setpgid(0, 0);
	prctl(PR_SET_NAME, name);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!order || getppid() != harness)
		_exit(0);
	while ((len_bytes = receive_order(fd, order, fds)) > 0) {
		pid_t pid;

		if (fork_twice(harness, fds, &pid)) {
			prctl(PR_SET_NAME, "dom1");
			exit(run_order(run, order, len_bytes));
		}
		for (int i = 0; i < SPAWNER_N_FDS; i++)
			close(fds[i]);
		if (send(fd, &pid, sizeof(pid), MSG_NOSIGNAL) != sizeof(pid))
			break;
	}
	_exit(0);
}

bool spawner_start(struct spawner *spawner, int (*run)(int argc, char **argv), GError **error)
{
	const pid_t harness = getpid();
	int sockets[2];

	*spawner = (struct spawner){ .pid = -1, .fd = -1 };
	fflush(NULL);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) == 0) {
		spawner->pid = fork();
		if (spawner->pid == 0) {
			close(sockets[0]);
			serve(sockets[1], harness, run);
		}
		close(sockets[1]);
		spawner->fd = sockets[0];
	}
	if (spawner->pid > 0)
		return true;
	g_set_error(error, DOM1_ERROR, DOM1_STATUS_HOST, "cannot start a process: %s", g_strerror(errno));
	if (spawner->fd >= 0)
		close(spawner->fd);
	return false;
}

void spawner_stop(struct spawner *spawner)
{
	close(spawner->fd);
	while (waitpid(spawner->pid, NULL, 0) < 0 && errno == EINTR)
		;
	*spawner = (struct spawner){ .pid = -1, .fd = -1 };
}

static bool send_order(int fd, char **arguments, const int fds[SPAWNER_N_FDS])
{
	GString *order = g_string_new(NULL);
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(SPAWNER_N_FDS * sizeof(int))];
	} control = { 0 };
	struct msghdr message = { .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };

	for (; *arguments; arguments++)
		g_string_append_len(order, *arguments, (gssize)strlen(*arguments) + 1);
	struct iovec piece = { order->str, order->len };
	message.msg_iov = &piece;
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(SPAWNER_N_FDS * sizeof(int));
	memcpy(CMSG_DATA(header), fds, SPAWNER_N_FDS * sizeof(int));
	errno = E2BIG;
	bool ok = order->len <= ORDER_BYTES && sendmsg(fd, &message, MSG_NOSIGNAL) == (ssize_t)order->len;
	g_string_free(order, TRUE);
	return ok;
}

pid_t spawner_fork(const struct spawner *spawner, char **arguments, const int fds[SPAWNER_N_FDS])
{
	pid_t pid = -1;
	ssize_t got = -1;

	/* For the moment in which the one in between ends: other orphans are not ours. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	bool ok = send_order(spawner->fd, arguments, fds);
	while (ok && (got = recv(spawner->fd, &pid, sizeof(pid), 0)) < 0 && errno == EINTR)
		;
	prctl(PR_SET_CHILD_SUBREAPER, 0);
	if (ok && got != sizeof(pid))
		errno = ECHILD;
	else if (ok && pid <= 0)
		errno = EAGAIN;
	return ok && got == sizeof(pid) && pid > 0 ? pid : -1;
}
