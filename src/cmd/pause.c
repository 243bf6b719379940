// SPDX-License-Identifier: MIT
/* dom1 pause, dom1 unpause: the guest's vCPUs stop and go on; it does not notice. */
#include "cmd/cmd.h"
#include "cmd/domain_command.h"
#include "vmm/error.h"

/* The request has the command's name. */
static bool on_domain(struct control_client *client, const char *name, void *opaque, GError **error)
{
	(void)name;
	return command_request(client, opaque, NULL, error);
}

static int run(int argc, char **argv, const char *summary)
{
	const struct command_syntax syntax = { .parameters = "NAME...", .summary = summary, .min = 1, .max = G_MAXINT };
	char *command = argv[0];
	g_autoptr(GError) error = NULL;

	if (!command_parse(&syntax, &argc, &argv, &error))
		return command_error(command, error);
	return command_on_each(command, argv + 1, on_domain, command);
}

int cmd_pause(int argc, char **argv, uint64_t exec_ns)
{
	(void)exec_ns;
	return run(argc, argv,
		   "Stops the vCPUs of running domains until dom1 unpause. A domain that is paused already stays so.\n"
		   "Status: 0 done, 2 no such domain or it has shut down, 124 it does not answer.");
}

int cmd_unpause(int argc, char **argv, uint64_t exec_ns)
{
	(void)exec_ns;
	return run(argc, argv,
		   "Lets the vCPUs of paused domains go on.\n"
		   "Status: 0 done, 2 no such domain or it has shut down, 124 it does not answer.");
}
