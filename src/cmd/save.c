// SPDX-License-Identifier: MIT
/* dom1 save: a running domain into a file. */
#include "cmd/cmd.h"
#include "cmd/domain_command.h"
#include "saved/new_file.h"
#include "vmm/error.h"

struct save {
	const char *path;
	gboolean leave_running;
};

static bool on_domain(struct control_client *client, const char *name, void *opaque, GError **error)
{
	const struct save *save = opaque;
	struct new_file file;
	bool done = false;

	(void)name;
	if (new_file_open(&file, save->path, error)) {
		json_t *arguments = json_pack("{s:b}", "leave_running", save->leave_running);
		g_autoptr(json_t) result = control_client_call_with_fds(client, "save", arguments, &file.fd, 1, error);

		done = result && new_file_give_name(&file, save->path, error);
	}
	new_file_close(&file);
	return done;
}

int cmd_save(int argc, char **argv, uint64_t exec_ns)
{
	struct save save = { 0 };
	const GOptionEntry entries[] = {
		{ "leave-running", 0, 0, G_OPTION_ARG_NONE, &save.leave_running, "the domain goes on when it is written", NULL },
		{ NULL, 0, 0, 0, NULL, NULL, NULL },
	};
	const struct command_syntax syntax = {
		.parameters = "NAME FILE",
		.summary = "Writes a running domain to FILE, from which dom1 run --restore goes on with it, and ends it. The guest does not notice.\n"
			   "What goes wrong leaves the domain running, and FILE as it was.\n"
			   "Status: 0 done, 2 no such domain, it cannot be saved, or FILE cannot be written, 124 it does not answer.",
		.entries = entries,
		.min = 2,
		.max = 2,
	};
	const char *command = argv[0];
	g_autoptr(GError) error = NULL;

	(void)exec_ns;
	if (!command_parse(&syntax, &argc, &argv, &error))
		return command_error(command, error);
	save.path = argv[2];
	/* All of its memory is written before it answers: there is no bound. */
	struct control_client *client = command_connect(argv[1], 0, &error);
	bool done = client && on_domain(client, argv[1], &save, &error);
	control_client_free(client);
	return done ? DOM1_STATUS_OK : command_error(command, error);
}
