// SPDX-License-Identifier: MIT
/* dom1 save: a running domain into a file, or into a pipe. */
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/domain_command.h"
#include "saved/new_file.h"
#include "saved/stream.h"
#include "vmm/error.h"

struct save {
	const char *path;
	gboolean leave_running;
};

/* The domain has ended, or goes on; what was saved of it must not be lost when nobody takes it. */
static bool send(struct new_file *file, const char *name, GError **error)
{
	g_autofree char *kept = g_strdup_printf("%s/dom1-%s.%d.saved", g_get_tmp_dir(), name, (int)getpid());
	g_autoptr(GError) send_error = NULL;

	if (saved_stream_write(file->fd, STDOUT_FILENO, &send_error))
		return true;
	if (!new_file_give_name(file, kept, error))
		return false;
	g_set_error(error, DOM1_ERROR, send_error->code, "%s; what was saved is kept: dom1 run --restore %s", send_error->message, kept);
	return false;
}

static bool on_domain(struct control_client *client, const char *name, const struct save *save, GError **error)
{
	const bool sends = strcmp(save->path, "-") == 0;
	g_autofree char *other = sends ? g_build_filename(g_get_tmp_dir(), "dom1-save", NULL) : NULL;
	struct new_file file;
	bool done = false;

	if (new_file_open(&file, sends ? other : save->path, error)) {
		json_t *arguments = json_pack("{s:b}", "leave_running", save->leave_running);
		g_autoptr(json_t) result = control_client_call_with_fds(client, "save", arguments, &file.fd, 1, error);

		done = result && (sends ? send(&file, name, error) : new_file_give_name(&file, save->path, error));
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
			   "What goes wrong leaves the domain running, and FILE as it was. To -, standard output, it goes as a stream for\n"
			   "dom1 run --restore -; where nobody takes it, it is kept in a file.\n"
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
	if (strcmp(save.path, "-") == 0 && isatty(STDOUT_FILENO)) {
		refuse_usage(&error, "standard output is a terminal: name a file, or a pipe to dom1 run --restore -");
		return command_error(command, error);
	}
	/* Whoever reads may be gone. */
	signal(SIGPIPE, SIG_IGN);
	/* All of its memory is written before it answers: there is no bound. */
	struct control_client *client = command_connect(argv[1], 0, &error);
	bool done = client && on_domain(client, argv[1], &save, &error);
	control_client_free(client);
	return done ? DOM1_STATUS_OK : command_error(command, error);
}
