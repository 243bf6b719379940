// SPDX-License-Identifier: MIT
/*
 * dom1 save: a running domain into a file. The file is ours until it is whole: it has no name before, where the file system can do
 * that, and what was there under its name is replaced by it at once.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/domain_command.h"
#include "vmm/error.h"

struct save {
	const char *path;
	gboolean leave_running;
};

/* In the folder of the file that it becomes. */
struct new_file {
	int fd;
	char *name; /* NULL: it has none yet */
};

static bool fail(GError **error, const char *path, const char *what)
{
	g_set_error(error, DOM1_ERROR, DOM1_STATUS_USAGE, "%s: %s: %s", path, what, g_strerror(errno));
	return false;
}

static char *other_name(const char *path)
{
	return g_strdup_printf("%s.%d~", path, (int)getpid());
}

static bool open_new(struct new_file *file, const char *path, GError **error)
{
	g_autofree char *folder = g_path_get_dirname(path);

	*file = (struct new_file){ .fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600) };
	if (file->fd >= 0)
		return true;
	if (errno != EOPNOTSUPP && errno != EISDIR)
		return fail(error, path, "cannot write");
	file->name = other_name(path);
	file->fd = open(file->name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	return file->fd >= 0 || fail(error, path, "cannot write");
}

/* What it holds is on the disk: the domain has seen to that (machine_save.c). */
static bool give_name(struct new_file *file, const char *path, GError **error)
{
	if (!file->name) {
		g_autofree char *source = g_strdup_printf("/proc/self/fd/%d", file->fd);
		g_autofree char *name = other_name(path);

		if (linkat(AT_FDCWD, source, AT_FDCWD, name, AT_SYMLINK_FOLLOW) != 0)
			return fail(error, path, "cannot write");
		file->name = g_steal_pointer(&name);
	}
	if (rename(file->name, path) != 0)
		return fail(error, path, "cannot write");
	g_clear_pointer(&file->name, g_free);
	return true;
}

static void close_new(struct new_file *file)
{
	if (file->name)
		(void)unlink(file->name);
	if (file->fd >= 0)
		close(file->fd);
	g_free(file->name);
}

static bool on_domain(struct control_client *client, const char *name, void *opaque, GError **error)
{
	const struct save *save = opaque;
	struct new_file file;
	bool done = false;

	(void)name;
	if (open_new(&file, save->path, error)) {
		json_t *arguments = json_pack("{s:b}", "leave_running", save->leave_running);
		g_autoptr(json_t) result = control_client_call_with_fds(client, "save", arguments, &file.fd, 1, error);

		done = result && give_name(&file, save->path, error);
	}
	close_new(&file);
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
