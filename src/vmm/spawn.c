// SPDX-License-Identifier: MIT
#include "vmm/spawn.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/error.h"
#include "vmm/machine.h"

static void enter_namespaces(void)
{
	/* With a user namespace no privilege is needed for the others; root gets by without. */
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS) != 0)
		(void)unshare(CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS);
}

static void intermediate_main(const struct machine_setup *setup, int report_fd)
{
	enter_namespaces();
	pid_t pid = fork();

	if (pid == 0) {
		close(report_fd);
		exit(machine_main(setup));
	}
	ssize_t written = pid > 0 ? write(report_fd, &pid, sizeof(pid)) : -1;
	_exit(written == sizeof(pid) ? 0 : 1);
}

gboolean spawn_machine(const struct machine_setup *setup, pid_t *pid, GError **error)
{
	int report[2];
	int status;

	prctl(PR_SET_CHILD_SUBREAPER, 1);
	if (pipe(report) != 0)
		goto fail;
	pid_t intermediate = fork();
	if (intermediate == 0) {
		close(report[0]);
		intermediate_main(setup, report[1]);
	}
	close(report[1]);
	ssize_t got = intermediate > 0 ? read(report[0], pid, sizeof(*pid)) : -1;
	close(report[0]);
	if (intermediate > 0)
		(void)waitpid(intermediate, &status, 0);
	if (got == sizeof(*pid))
		return TRUE;
fail:
	g_set_error(error, DOM1_ERROR, DOM1_STATUS_HOST, "cannot start the machine process: %s", g_strerror(errno));
	return FALSE;
}
