// SPDX-License-Identifier: MIT
/*
 * dom1 exec: a command in a guest that is there for nothing else.
 *
 *   root, command --exec/root.c--> initramfs --> dom1 run (a process of its own, harness/job.h) <--hvc1--> exec/link.c
 *
 * The guest's standard streams and its status come by hvc1, apart from the kernel's messages, which are the console's. What
 * ends without a status has failed before the command could.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <glib-unix.h>
#include <glib/gstdio.h>

#include "cmd/cmd.h"
#include "cmd/domain_command.h"
#include "exec/link.h"
#include "exec/root.h"
#include "exec/wire.h"
#include "harness/console_keep.h"
#include "harness/job.h"
#include "vmm/error.h"

#define POWER_OFF_S       10
#define TAIL_LINES        20
#define KERNEL_WORDS      "rdinit=/" EXEC_INIT_NAME " quiet panic=-1"
#define LEAST_MEMORY_MIB  512u
/* The archive, and what the kernel makes of it: at most half of the memory may be files. */
#define MEMORY_FOR_ROOT   4u
#define SUMMARY \
	"Boots the kernel with a root of your choice, runs COMMAND in it, and ends. Standard input, output and error are COMMAND's,\n" \
	"and so is the exit status. Other options are those of dom1 run: --kernel, --type, --vcpus, --disk, --net, --timeout..."

struct exec_options {
	char *root, *append, *memory, *cwd;
	char **modules;
	gboolean verbose;
};

struct exec {
	struct exec_options options;
	char **run_options; /* of dom1 run */
	char **command;
	int root_fd;
	uint64_t root_bytes;
	struct job job;
	char *folder, *socket_path;
	GMainLoop *loop;
	struct exec_link *link;
	struct console_keep console;
	int signal;
};

static gboolean on_no_power_off(gpointer opaque)
{
	struct exec *exec = opaque;

	job_end(&exec->job);
	return G_SOURCE_REMOVE;
}

static void on_link_ended(bool in_order, void *opaque)
{
	struct exec *exec = opaque;

	if (in_order) {
		g_timeout_add_seconds(POWER_OFF_S, on_no_power_off, exec);
		return;
	}
	fprintf(stderr, "dom1: exec: what comes by hvc1 is not from dom1's init: does something else in the guest write to it?\n");
	job_end(&exec->job);
}

/* FALSE: there is nothing more, now or ever. */
static bool take_console(struct exec *exec)
{
	char piece[4096];
	ssize_t len_bytes = read(exec->job.console_fd, piece, sizeof(piece));

	if (len_bytes <= 0)
		return false;
	console_keep_add(&exec->console, piece, (size_t)len_bytes);
	if (exec->options.verbose)
		(void)fwrite(piece, 1, (size_t)len_bytes, stderr);
	return true;
}

static bool take_words(struct exec *exec)
{
	char piece[4096];
	ssize_t len_bytes = read(exec->job.words_fd, piece, sizeof(piece));

	return len_bytes > 0 && fwrite(piece, 1, (size_t)len_bytes, stderr) == (size_t)len_bytes;
}

static gboolean on_console(gint fd, GIOCondition condition, gpointer opaque)
{
	(void)fd;
	return take_console(opaque) || !(condition & G_IO_HUP);
}

static gboolean on_words(gint fd, GIOCondition condition, gpointer opaque)
{
	(void)fd;
	return take_words(opaque) || !(condition & G_IO_HUP);
}

static gboolean on_end(gint fd, GIOCondition condition, gpointer opaque)
{
	struct exec *exec = opaque;

	(void)fd, (void)condition;
	g_main_loop_quit(exec->loop);
	return G_SOURCE_REMOVE;
}

static gboolean on_signal(struct exec *exec, int signal)
{
	exec->signal = signal;
	job_end(&exec->job);
	return G_SOURCE_CONTINUE;
}

static gboolean on_interrupt(gpointer opaque)
{
	return on_signal(opaque, SIGINT);
}

static gboolean on_terminate(gpointer opaque)
{
	return on_signal(opaque, SIGTERM);
}

static bool is_folder(const char *path)
{
	return g_file_test(path, G_FILE_TEST_IS_DIR);
}

static bool pack_root(struct exec *exec, GError **error)
{
	const char *root_path = exec->options.root;
	g_autofree char *program = NULL;

	/* Without a root: the program is all there is. */
	if (!root_path) {
		program = realpath(exec->command[0], NULL);
		if (!program || !g_file_test(program, G_FILE_TEST_IS_EXECUTABLE) || is_folder(program))
			return refuse_usage(error, "%s: is no program here: without --root, COMMAND is a static program of this host",
					    exec->command[0]);
		g_free(exec->command[0]);
		exec->command[0] = g_strdup(program);
	}
	const struct exec_root root = {
		.folder = root_path && is_folder(root_path) ? root_path : NULL,
		.program = program,
		.modules = exec->options.modules,
		.cwd = exec->options.cwd ? exec->options.cwd : "/",
		.command = exec->command,
	};
	exec->root_fd = exec_root_pack(&root, &exec->root_bytes, error);
	return exec->root_fd >= 0;
}

/* As much as the root takes, when nobody says otherwise. */
static char *memory_for(const struct exec *exec)
{
	uint64_t mib = LEAST_MEMORY_MIB + MEMORY_FOR_ROOT * (exec->root_bytes >> 20);

	return exec->options.memory ? g_strdup(exec->options.memory) : g_strdup_printf("%" PRIu64 "M", mib);
}

static char **run_arguments(const struct exec *exec)
{
	const char *root_path = exec->options.root;
	g_autoptr(GStrvBuilder) words = g_strv_builder_new();
	g_autofree char *name = g_strdup_printf("exec-%d", (int)getpid());
	g_autofree char *initrd = g_strdup_printf("/proc/%d/fd/%d", (int)getpid(), exec->root_fd);
	g_autofree char *memory = memory_for(exec);
	g_autofree char *channel = g_strconcat("socket:", exec->socket_path, NULL);
	bool is_disk = root_path && !is_folder(root_path);
	g_autofree char *disk = is_disk ? g_strconcat(root_path, ",snapshot=on,vdev=xvda", NULL) : NULL;
	g_autofree char *append = g_strconcat(exec->options.append ? exec->options.append : "console=hvc0", " ", KERNEL_WORDS,
					      is_disk ? " " EXEC_DISK_WORD "xvda" : "", NULL);
	const char *const fixed[] = { "dom1", "run", "--name", name, "--initrd", initrd, "--append", append, "--memory", memory,
				      "--channel", channel, "--on-reboot", "stop", NULL };

	g_strv_builder_addv(words, (const char **)fixed);
	if (disk)
		g_strv_builder_add_many(words, "--disk", disk, NULL);
	g_strv_builder_addv(words, (const char **)exec->run_options);
	return g_strv_builder_end(words);
}

static bool start(struct exec *exec, GError **error)
{
	g_autoptr(GError) folder_error = NULL;

	exec->folder = g_dir_make_tmp("dom1-exec-XXXXXX", &folder_error);
	if (!exec->folder) {
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_HOST, "no place for a socket: %s", folder_error->message);
		return false;
	}
	exec->socket_path = g_build_filename(exec->folder, "hvc1", NULL);
	g_auto(GStrv) arguments = run_arguments(exec);
	if (!job_start(&exec->job, NULL, NULL, arguments, false, error))
		return false;
	exec->link = exec_link_new(exec->socket_path, on_link_ended, exec);
	(void)g_unix_fd_add(exec->job.console_fd, G_IO_IN | G_IO_HUP, on_console, exec);
	(void)g_unix_fd_add(exec->job.words_fd, G_IO_IN | G_IO_HUP, on_words, exec);
	(void)g_unix_fd_add(exec->job.pid_fd, G_IO_IN, on_end, exec);
	(void)g_unix_signal_add(SIGINT, on_interrupt, exec);
	(void)g_unix_signal_add(SIGTERM, on_terminate, exec);
	return true;
}

static int judge(struct exec *exec, int how)
{
	int run_status = WIFEXITED(how) ? WEXITSTATUS(how) : DOM1_STATUS_DEFECT;
	uint8_t status;

	if (exec_link_finish(exec->link, &status) && !exec->signal)
		return status;
	if (exec->signal)
		return DOM1_STATUS_SIGNAL_BASE + exec->signal;
	g_autofree char *lines = console_keep_last_lines(&exec->console, TAIL_LINES);
	if (!exec->options.verbose && lines[0])
		fprintf(stderr, "dom1: exec: the last lines of the guest's console:\n%s", lines);
	if (run_status == DOM1_STATUS_OK)
		fprintf(stderr, "dom1: exec: the guest ended before COMMAND had a status\n");
	return run_status == DOM1_STATUS_OK ? DOM1_STATUS_DEFECT : run_status;
}

static int run_exec(struct exec *exec, GError **error)
{
	int status = DOM1_STATUS_OK;

	exec->loop = g_main_loop_new(NULL, FALSE);
	console_keep_init(&exec->console, -1, 0);
	if (pack_root(exec, error) && start(exec, error)) {
		g_main_loop_run(exec->loop);
		while (take_console(exec) || take_words(exec))
			;
		status = judge(exec, job_reap(&exec->job));
		job_close(&exec->job);
	}
	(void)console_keep_close(&exec->console);
	if (exec->socket_path)
		(void)unlink(exec->socket_path);
	if (exec->folder)
		(void)rmdir(exec->folder);
	return status;
}

static void exec_clear(struct exec *exec)
{
	exec_link_free(exec->link);
	g_clear_pointer(&exec->loop, g_main_loop_unref);
	if (exec->root_fd >= 0)
		close(exec->root_fd);
	g_free(exec->socket_path);
	g_free(exec->folder);
	g_strfreev(exec->command);
	g_strfreev(exec->run_options);
	g_strfreev(exec->options.modules);
	g_free(exec->options.root);
	g_free(exec->options.append);
	g_free(exec->options.memory);
	g_free(exec->options.cwd);
}

static bool parse(struct exec *exec, int argc, char **argv, GError **error)
{
	struct exec_options *options = &exec->options;
	const GOptionEntry entries[] = {
		{ "root", 'r', 0, G_OPTION_ARG_FILENAME, &options->root, "a folder, or a disk's words as of --disk: the guest's root, which is not changed", "DIR|IMAGE" },
		{ "cwd", 0, 0, G_OPTION_ARG_FILENAME, &options->cwd, "COMMAND's working directory in the guest (default /)", "DIR" },
		{ "module", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &options->modules, "a driver that is loaded first; any number, in this order", "FILE" },
		{ "append", 'a', 0, G_OPTION_ARG_FILENAME, &options->append, "the guest's command line (default console=hvc0), to which init's words are added", "TEXT" },
		{ "memory", 'm', 0, G_OPTION_ARG_FILENAME, &options->memory, "RAM of the guest (default: as much as the root needs)", "SIZE" },
		{ "verbose", 'v', 0, G_OPTION_ARG_NONE, &options->verbose, "show the guest's console on standard error", NULL },
		{ NULL, 0, 0, 0, NULL, NULL, NULL },
	};
	g_autoptr(GOptionContext) context = g_option_context_new("-- COMMAND [ARGUMENT...]");
	g_autoptr(GError) parse_error = NULL;
	int end = 1;

	while (end < argc && strcmp(argv[end], "--") != 0)
		end++;
	int n = end;
	g_option_context_set_summary(context, SUMMARY);
	g_option_context_add_main_entries(context, entries, NULL);
	g_option_context_set_ignore_unknown_options(context, TRUE);
	char **own = g_new0(char *, (gsize)n + 1);
	memcpy(own, argv, (size_t)n * sizeof(*own));
	if (!g_option_context_parse(context, &n, &own, &parse_error))
		return refuse_usage(error, "%s (dom1 exec --help shows the options)", parse_error->message);
	own[n] = NULL;
	exec->run_options = g_strdupv(own + 1);
	g_free(own);
	if (end + 1 >= argc)
		return refuse_usage(error, "no command: dom1 exec --kernel FILE [--root DIR] -- COMMAND...");
	exec->command = g_strdupv(argv + end + 1);
	return true;
}

int cmd_exec(int argc, char **argv, uint64_t exec_ns)
{
	struct exec exec = { .root_fd = -1 };
	g_autoptr(GError) error = NULL;
	int status = 0;

	(void)exec_ns;
	if (parse(&exec, argc, argv, &error))
		status = run_exec(&exec, &error);
	exec_clear(&exec);
	return error ? command_error("exec", error) : status;
}
