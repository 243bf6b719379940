// SPDX-License-Identifier: MIT
#include "harness/spawner.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
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

/* What is asked: pid 0: a run, with the words of its command line behind this and its descriptors beside; else how that one ended. */
struct order {
	pid_t pid;
	char words[ORDER_BYTES];
};

#define HEAD_BYTES offsetof(struct order, words)

/* value: a run's status; errno of one that did not start, whose pid is -1. */
struct answer {
	pid_t pid;
	int value;
};

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

/* The words stay where they are. */
static int run_order(int (*run)(int argc, char **argv), char *words, size_t len_bytes)
{
	char *arguments[ARGUMENTS_MAX + 1];
	int n = 0;

	for (size_t at = 0; at < len_bytes && n < (int)ARGUMENTS_MAX; at += strlen(words + at) + 1)
		arguments[n++] = words + at;
	arguments[n] = NULL;
	return run(n, arguments);
}

static void become_run(pid_t spawner, const int fds[SPAWNER_N_FDS])
{
	int spare_fds[SPAWNER_N_FDS];

	for (int i = 0; i < SPAWNER_N_FDS; i++)
		spare_fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, SPARE_FD);
	spawner_settle(spawner, spare_fds);
	(void)close_range(SPAWNER_N_FDS, ~0u, 0);
	prctl(PR_SET_NAME, "dom1");
}

/* The order's length; 0: there will be none any more. fds: -1, or what came with it. */
static size_t receive_order(int fd, struct order *order, int fds[SPAWNER_N_FDS])
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(SPAWNER_N_FDS * sizeof(int))];
	} control;
	struct iovec piece = { order, sizeof(*order) };
	struct msghdr message = { .msg_iov = &piece, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
	ssize_t got;

	do
		got = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
	while (got < 0 && errno == EINTR);
	const struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	for (int i = 0; i < SPAWNER_N_FDS; i++)
		fds[i] = -1;
	if (header && header->cmsg_len == CMSG_LEN(SPAWNER_N_FDS * sizeof(int)))
		memcpy(fds, CMSG_DATA(header), SPAWNER_N_FDS * sizeof(int));
	return got < (ssize_t)HEAD_BYTES ? 0 : (size_t)got;
}

static struct answer reap(pid_t pid)
{
	struct answer answer = { pid, 0 };

	while (waitpid(pid, &answer.value, 0) < 0)
		if (errno != EINTR)
			return (struct answer){ -1, errno };
	return answer;
}

static _Noreturn void serve(int fd, pid_t harness, int (*run)(int argc, char **argv))
{
	static const char name[] = "dom1-spawner";
	const pid_t self = getpid();
	struct order *order = malloc(sizeof(*order));
	int fds[SPAWNER_N_FDS];
	size_t len_bytes;

	setpgid(0, 0);
	prctl(PR_SET_NAME, name);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!order || getppid() != harness)
		_exit(0);
	while ((len_bytes = receive_order(fd, order, fds)) > 0) {
		struct answer answer;

		if (order->pid) {
			answer = reap(order->pid);
		} else {
			pid_t pid = fork();

			if (pid == 0) {
				become_run(self, fds);
				exit(run_order(run, order->words, len_bytes - HEAD_BYTES));
			}
			answer = (struct answer){ pid, errno };
		}
		for (int i = 0; i < SPAWNER_N_FDS; i++)
			if (fds[i] >= 0)
				close(fds[i]);
		if (send(fd, &answer, sizeof(answer), MSG_NOSIGNAL) != sizeof(answer))
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

/* FALSE: the spawner is gone. */
static bool hear_answer(int fd, struct answer *answer)
{
	ssize_t got;

	do
		got = recv(fd, answer, sizeof(*answer), 0);
	while (got < 0 && errno == EINTR);
	return got == sizeof(*answer);
}

static bool send_order(int fd, char **arguments, const int fds[SPAWNER_N_FDS])
{
	static const pid_t start;
	g_autoptr(GString) words = g_string_new(NULL);
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(SPAWNER_N_FDS * sizeof(int))];
	} control = { 0 };

	for (; *arguments; arguments++)
		g_string_append_len(words, *arguments, (gssize)strlen(*arguments) + 1);
	struct iovec pieces[] = { { (void *)&start, sizeof(start) }, { words->str, words->len } };
	struct msghdr message = { .msg_iov = pieces, .msg_iovlen = 2, .msg_control = &control, .msg_controllen = sizeof(control) };
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(SPAWNER_N_FDS * sizeof(int));
	memcpy(CMSG_DATA(header), fds, SPAWNER_N_FDS * sizeof(int));
	errno = E2BIG;
	return words->len <= ORDER_BYTES && sendmsg(fd, &message, MSG_NOSIGNAL) == (ssize_t)(HEAD_BYTES + words->len);
}

pid_t spawner_fork(const struct spawner *spawner, char **arguments, const int fds[SPAWNER_N_FDS])
{
	struct answer answer;

	if (!send_order(spawner->fd, arguments, fds))
		return -1;
	if (!hear_answer(spawner->fd, &answer))
		answer = (struct answer){ -1, ECHILD };
	errno = answer.value;
	return answer.pid;
}

int spawner_reap(const struct spawner *spawner, pid_t pid)
{
	struct answer answer;

	if (send(spawner->fd, &pid, sizeof(pid), MSG_NOSIGNAL) != sizeof(pid) || !hear_answer(spawner->fd, &answer))
		return -1;
	return answer.pid == pid ? answer.value : -1;
}
