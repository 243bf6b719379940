// SPDX-License-Identifier: MIT
/*
 * Starting the machine process. By now everything is open. A child enters namespaces of its own while it has one thread
 * (sandbox/sandbox.h), and ends when it has forked the machine, which then is the launcher's child. Only the machine
 * makes the VM, which belongs to the process that made it. The launcher keeps the host's namespaces, and may open
 * things for the machine later.
 */
#pragma once

#include <sys/types.h>

#include <glib.h>

struct machine_setup;

/*
 * *pid: the machine's, a child of the caller. The caller has one thread.
 * FALSE and DOM1_STATUS_HOST.
 */
gboolean spawn_machine(const struct machine_setup *setup, pid_t *pid, GError **error);
