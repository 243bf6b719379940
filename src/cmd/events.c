// SPDX-License-Identifier: MIT
/* dom1 events: what happens to a domain, one JSON object a line, until it ends. */
#include <stdio.h>

#include "cmd/cmd.h"
#include "cmd/domain_command.h"
#include "control/json_text.h"
#include "vmm/error.h"

static bool print_events(struct control_client *client, GError **error)
{
	GError *problem = NULL;
	char *line;

	while ((line = control_client_event(client, &problem))) {
		g_autofree char *escaped = json_text_escape(line);
		/* A reader of a pipe wants each one when it happens. */
		bool printed = puts(escaped) >= 0 && fflush(stdout) == 0;

		g_free(line);
		if (!printed)
			break;
	}
	if (problem)
		g_propagate_error(error, problem);
	return !problem;
}

int cmd_events(int argc, char **argv, uint64_t exec_ns)
{
	static const struct command_syntax syntax = {
		.parameters = "NAME",
		.summary = "Prints what happens to a domain, one JSON object a line, until it ends.\n"
			   "Status: 0 it has ended, 2 no such domain, 124 it does not answer.",
		.min = 1,
		.max = 1,
	};
	const char *command = argv[0];
	g_autoptr(GError) error = NULL;
	struct control_client *client = NULL;
	int status;

	(void)exec_ns;
	if (command_parse(&syntax, &argc, &argv, &error) && (client = command_connect(argv[1], ANSWER_MS, &error)) &&
	    print_events(client, &error))
		status = command_finish(command, DOM1_STATUS_OK);
	else
		status = command_error(command, error);
	control_client_free(client);
	return status;
}
