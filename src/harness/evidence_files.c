// SPDX-License-Identifier: MIT
#include "harness/evidence_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/error.h"

/* NAME_MAX is 255; the rest is for what follows the name. */
#define NAME_BYTES 180

char *evidence_folder_name(const char *name, unsigned int round, unsigned int attempt)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._+,@=-";
	GString *folder = g_string_new(name);

	g_strcanon(folder->str, plain, '_');
	/* Of two tests whose names differ in what was replaced or left out. */
	if (strcmp(folder->str, name) != 0 || folder->len > NAME_BYTES || folder->str[0] == '.') {
		if (folder->str[0] == '.')
			folder->str[0] = '_';
		g_string_truncate(folder, MIN(folder->len, (gsize)NAME_BYTES));
		g_string_append_printf(folder, "-%08x", g_str_hash(name));
	}
	if (round > 1)
		g_string_append_printf(folder, ".round%u", round);
	if (attempt > 1)
		g_string_append_printf(folder, ".attempt%u", attempt);
	return g_string_free(folder, FALSE);
}

static bool fail(const char *path, GError **error)
{
	g_set_error(error, DOM1_ERROR, DOM1_STATUS_USAGE, "--output: %s: cannot write: %s", path, g_strerror(errno));
	return false;
}

bool evidence_files_open(struct evidence_files *files, const char *output_dir, const char *name, unsigned int round,
			 unsigned int attempt, GError **error)
{
	static const char *const old[] = { "shim.log", "report.json", "messages.txt", "core" };

	*files = (struct evidence_files){ .console_fd = -1 };
	if (!output_dir)
		return true;
	g_autofree char *folder_name = evidence_folder_name(name, round, attempt);
	g_autofree char *folder = g_build_filename(output_dir, folder_name, NULL);
	g_autofree char *console = g_build_filename(folder, "console.log", NULL);
	if (g_mkdir_with_parents(folder, 0777) != 0)
		return fail(folder, error);
	for (size_t i = 0; i < G_N_ELEMENTS(old); i++) {
		g_autofree char *path = g_build_filename(folder, old[i], NULL);

		(void)unlink(path);
	}
	files->console_fd = open(console, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (files->console_fd < 0)
		return fail(console, error);
	files->folder = g_steal_pointer(&folder);
	return true;
}

static void complain(const char *path, const char *why)
{
	fprintf(stderr, "dom1: %s: cannot write all of it: %s\n", path, why);
}

/* dom1 run was killed before it could write it. */
static void remove_empty(const char *folder, const char *name)
{
	g_autofree char *path = g_build_filename(folder, name, NULL);
	struct stat status;

	if (stat(path, &status) == 0 && status.st_size == 0)
		(void)unlink(path);
}

void evidence_files_write(const struct evidence_files *files, const char *messages, int console_errno)
{
	g_autoptr(GError) error = NULL;

	if (!files->folder)
		return;
	remove_empty(files->folder, "report.json");
	g_autofree char *words = g_build_filename(files->folder, "messages.txt", NULL);
	if (messages[0] != '\0' && !g_file_set_contents(words, messages, -1, &error))
		complain(words, error->message);
	if (console_errno)
		complain(files->folder, g_strerror(console_errno));
}

void evidence_files_clear(struct evidence_files *files)
{
	g_free(files->folder);
	*files = (struct evidence_files){ .console_fd = -1 };
}
