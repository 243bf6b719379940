// SPDX-License-Identifier: MIT
#include "vmm/spawn.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include "vmm/error.h"
#include "vmm/machine.h"

static void enter_namespaces(void)
{
	/* With a user namespace no privilege is needed for the others; root gets by without. */
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS) != 0)
		(void)unshare(CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS);
}

gboolean spawn_machine(const struct machine_setup *setup, pid_t *pid, GError **error)
{
	*pid = fork();
	if (*pid == 0) {
		enter_namespaces();
		exit(machine_main(setup));
	}
	if (*pid < 0)
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_HOST, "cannot start the machine process: %s", g_strerror(errno));
	return *pid > 0;
}
