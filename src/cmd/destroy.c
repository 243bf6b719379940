// SPDX-License-Identifier: MIT
/*
 * dom1 destroy: ends a domain without asking the guest, and without asking the machine either, which may hang.
 *
 * The launcher is told by a signal, and has its own patience with the machine. Who still holds the lock after that is
 * killed, launcher or machine, and the folder is removed.
 */
#include <signal.h>
#include <stdio.h>

#include "cmd/cmd.h"
#include "cmd/domain_command.h"
#include "vmm/error.h"

#define STEP_MS 20
/* The launcher gives the machine 5 s to end by itself (src/vmm/launcher.c). */
#define LAUNCHER_STEPS (8000 / STEP_MS)
#define KILL_STEPS     (2000 / STEP_MS)

static bool wait_for_end(const struct domain_folder *folder, unsigned int steps)
{
	for (unsigned int i = 0; i < steps; i++) {
		if (!domain_folder_is_live(folder))
			return true;
		g_usleep(STEP_MS * G_TIME_SPAN_MILLISECOND);
	}
	return !domain_folder_is_live(folder);
}

static bool end(const struct domain_folder *folder, bool force)
{
	/* A second SIGTERM ends the launcher's patience. */
	if (!force && domain_folder_signal_launcher(folder, SIGTERM) &&
	    (wait_for_end(folder, LAUNCHER_STEPS) ||
	     (domain_folder_signal_launcher(folder, SIGTERM) && wait_for_end(folder, KILL_STEPS))))
		return true;
	/* Each may free the lock, and so make the next one unknown: as long as there is one. */
	while (domain_folder_is_live(folder) && domain_folder_signal_all(folder, SIGKILL))
		(void)wait_for_end(folder, KILL_STEPS / 10);
	return wait_for_end(folder, KILL_STEPS);
}

static bool destroy(const char *name, bool force, GError **error)
{
	struct domain_folder folder;
	bool ended;

	if (!domain_folder_open(&folder, name, error))
		return false;
	ended = end(&folder, force);
	if (ended)
		domain_folder_clean(&folder);
	else
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_HOST,
			    "%s: the processes that hold %s cannot be found or killed", name, "its lock");
	domain_folder_close(&folder);
	return ended;
}

int cmd_destroy(int argc, char **argv, uint64_t exec_ns)
{
	gboolean force = FALSE;
	const GOptionEntry entries[] = {
		{ "force", 'f', 0, G_OPTION_ARG_NONE, &force, "Kill its processes at once: no report, no last words",
		  NULL },
		{ .long_name = NULL },
	};
	const struct command_syntax syntax = {
		.parameters = "NAME...",
		.summary = "Ends domains at once, also those that hang. The guest is not asked: see dom1 shutdown.\n"
			   "Status: 0 ended, 2 no such domain, 3 its processes cannot be killed.",
		.entries = entries,
		.min = 1,
		.max = G_MAXINT,
	};
	const char *command = argv[0];
	g_autoptr(GError) usage = NULL;
	int status = DOM1_STATUS_OK;

	(void)exec_ns;
	if (!command_parse(&syntax, &argc, &argv, &usage))
		return command_error(command, usage);
	for (char **name = argv + 1; *name; name++) {
		g_autoptr(GError) error = NULL;

		if (!destroy(*name, force, &error))
			status = command_error(command, error);
	}
	return status;
}
