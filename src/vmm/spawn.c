// SPDX-License-Identifier: MIT
#include "vmm/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/error.h"
#include "vmm/machine.h"

struct spawned {
	pid_t pid; /* as the launcher sees it */
	int error; /* of fork(), if pid is -1 */
};

/* Its child is the first process of the new PID namespace. As its own parent it has nothing else to do. */
static _Noreturn void be_parent(const struct machine_setup *setup, int pid_fd)
{
	sandbox_enter_namespaces(&setup->sandbox);
	pid_t pid = fork();
	if (pid == 0) {
		close(pid_fd);
		exit(machine_main(setup));
	}
	const struct spawned spawned = { pid, errno };
	_exit(write(pid_fd, &spawned, sizeof(spawned)) == sizeof(spawned) ? 0 : 1);
}

static pid_t hear_of_child(pid_t parent, int pid_fd)
{
	struct spawned spawned = { -1, ECHILD };
	ssize_t got;

	do
		got = read(pid_fd, &spawned, sizeof(spawned));
	while (got < 0 && errno == EINTR);
	while (waitpid(parent, NULL, 0) < 0 && errno == EINTR)
		;
	errno = spawned.error;
	return spawned.pid;
}

gboolean spawn_machine(const struct machine_setup *setup, pid_t *pid, GError **error)
{
	int pipe_fds[2];

	*pid = -1;
	/* The machine is ours as soon as its parent is gone. */
	if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0 && pipe2(pipe_fds, O_CLOEXEC) == 0) {
		pid_t parent = fork();

		if (parent == 0)
			be_parent(setup, pipe_fds[1]);
		close(pipe_fds[1]);
		if (parent > 0)
			*pid = hear_of_child(parent, pipe_fds[0]);
		int spawn_errno = errno;
		close(pipe_fds[0]);
		errno = spawn_errno;
	}
	if (*pid < 0)
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_HOST, "cannot start the machine process: %s", g_strerror(errno));
	return *pid > 0;
}
