// SPDX-License-Identifier: MIT
#include "harness/job.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/error.h"

#define N_FDS 3

/* Descriptors that must not be among those which the child's own are moved to. */
static int above_standard(int fd)
{
	int moved_fd = fd < 0 || fd >= N_FDS ? fd : fcntl(fd, F_DUPFD_CLOEXEC, N_FDS);

	if (moved_fd != fd)
		close(fd);
	return moved_fd;
}

/* A group of its own: Ctrl-C is for the harness, which tells it. Its end with the harness', signals as at a start. */
static void settle(pid_t parent, const int fds[N_FDS])
{
	sigset_t none;

	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(DOM1_STATUS_DEFECT);
	signal(SIGPIPE, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	for (int i = 0; i < N_FDS; i++)
		if (dup2(fds[i], i) < 0)
			_exit(DOM1_STATUS_DEFECT);
}

static _Noreturn void become(job_main *main, struct record *record, char **arguments)
{
	if (main) {
		(void)close_range(N_FDS, ~0u, 0);
		exit(main((int)g_strv_length(arguments), arguments, record));
	}
	execv("/proc/self/exe", arguments);
	_exit(DOM1_STATUS_DEFECT);
}

static bool open_all(struct job *job, bool has_input, int child_fds[N_FDS])
{
	int input[2] = { -1, -1 }, console[2] = { -1, -1 }, words[2] = { -1, -1 };
	bool ok = pipe2(console, O_CLOEXEC) == 0 && pipe2(words, O_CLOEXEC) == 0 && (!has_input || pipe2(input, O_CLOEXEC) == 0);

	job->input_fd = input[1];

	job->console_fd = console[0];
	job->words_fd = words[0];
	child_fds[0] = above_standard(has_input ? input[0] : open("/dev/null", O_RDONLY | O_CLOEXEC));
	child_fds[1] = above_standard(console[1]);
	child_fds[2] = above_standard(words[1]);
	for (int i = 0; i < N_FDS; i++)
		ok = ok && child_fds[i] >= 0;
	return ok && (!has_input || fcntl(job->input_fd, F_SETFL, O_NONBLOCK) == 0) &&
	       fcntl(job->console_fd, F_SETFL, O_NONBLOCK) == 0 &&
	       fcntl(job->words_fd, F_SETFL, O_NONBLOCK) == 0;
}

bool job_start(struct job *job, job_main *main, struct record *record, char **arguments, bool has_input, GError **error)
{
	int child_fds[N_FDS] = { -1, -1, -1 };
	pid_t parent = getpid();

	*job = JOB_NONE;
	bool ok = open_all(job, has_input, child_fds);
	/* What is still to be written is written once. */
	fflush(NULL);
	if (ok)
		job->pid = fork();
	if (ok && job->pid == 0) {
		settle(parent, child_fds);
		become(main, record, arguments);
	}
	ok = ok && job->pid > 0;
	if (ok)
		job->pid_fd = (int)syscall(SYS_pidfd_open, job->pid, 0);
	if (!ok || job->pid_fd < 0)
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_HOST, "cannot start dom1 run: %s", g_strerror(errno));
	for (int i = 0; i < N_FDS; i++)
		if (child_fds[i] >= 0)
			close(child_fds[i]);
	if (ok && job->pid_fd >= 0)
		return true;
	if (job->pid > 0) {
		kill(job->pid, SIGKILL);
		(void)job_reap(job);
	}
	job_close(job);
	return false;
}

void job_end(const struct job *job)
{
	kill(job->pid, SIGTERM);
}

void job_kill(const struct job *job, bool all)
{
	kill(all ? -job->pid : job->pid, SIGKILL);
}

int job_reap(struct job *job)
{
	int status = 0;

	while (waitpid(job->pid, &status, 0) < 0 && errno == EINTR)
		;
	job->pid = -1;
	return status;
}

void job_close(struct job *job)
{
	int *const fds[] = { &job->pid_fd, &job->input_fd, &job->console_fd, &job->words_fd };

	for (size_t i = 0; i < G_N_ELEMENTS(fds); i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
}
