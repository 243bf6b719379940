// SPDX-License-Identifier: MIT
/* dom1 sysrq: a SysRq key for a Linux guest, by control/sysrq in the xenstore. */
#include <stdio.h>
#include <string.h>

#include "cmd/cmd.h"
#include "cmd/domain_command.h"
#include "vmm/error.h"

static bool on_domain(struct control_client *client, const char *name, void *opaque, GError **error)
{
	g_autoptr(json_t) result = control_client_call(client, "sysrq", json_pack("{s:s}", "key", (const char *)opaque), error);

	if (!result)
		return false;
	if (json_is_false(json_object_get(result, "heeded")))
		fprintf(stderr, "dom1: sysrq: %s: sent, but the guest has not said that it listens\n", name);
	return true;
}

int cmd_sysrq(int argc, char **argv, uint64_t exec_ns)
{
	static const struct command_syntax syntax = {
		.parameters = "NAME KEY",
		.summary =
			"Sends a SysRq key to a Linux guest: w shows blocked tasks, c crashes it, h lists the keys.\n"
			"Status: 0 sent, 2 no such domain or no such key, 124 it does not answer.",
		.min = 2,
		.max = 2,
	};
	const char *command = argv[0];
	g_autoptr(GError) error = NULL;

	(void)exec_ns;
	if (command_parse(&syntax, &argc, &argv, &error)) {
		char *names[] = { argv[1], NULL };

		if (strlen(argv[2]) == 1 && g_ascii_isgraph(argv[2][0]))
			return command_on_each(command, names, on_domain, argv[2]);
		g_set_error(&error, DOM1_ERROR, DOM1_STATUS_USAGE, "%s: a SysRq key is one printable character",
			    argv[2]);
	}
	return command_error(command, error);
}
