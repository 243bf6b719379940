// SPDX-License-Identifier: MIT
/* dom1 run: files, sockets and connections that a person named, or that the domain is reached by. */
#include "cmd/run.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "backend/console_files.h"
#include "config/channel_option.h"
#include "config/save_at.h"
#include "control/folders.h"
#include "vmm/error.h"

/*
 * Files are emptied when all are open: should something be refused after this one, it is as it was, or gone if it was not
 * there.
 */
static bool open_output_file(struct run *run, int *fd, const char *option, const char *path, GError **error)
{
	*fd = -1;
	if (!path)
		return true;
	*fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	bool created = *fd >= 0;
	if (!created && errno == EEXIST)
		*fd = open(path, O_WRONLY | O_CLOEXEC);
	if (*fd < 0) {
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_USAGE, "%s=%s: cannot write: %s", option, path, g_strerror(errno));
		return false;
	}
	g_assert(run->n_outputs < G_N_ELEMENTS(run->outputs));
	run->outputs[run->n_outputs++] = (struct output_file){ *fd, created ? path : NULL };
	return true;
}

void run_settle_files(struct run *run, bool refused)
{
	struct stat status;

	for (size_t i = 0; i < run->n_outputs; i++) {
		const struct output_file *output = &run->outputs[i];

		if (refused && output->created_path)
			(void)unlink(output->created_path);
		else if (!refused && fstat(output->fd, &status) == 0 && S_ISREG(status.st_mode) && ftruncate(output->fd, 0) != 0)
			fprintf(stderr, "dom1: an old log could not be emptied: %s\n", g_strerror(errno));
	}
}

static bool console_error(GError **error, const struct run *run, const char *what)
{
	g_set_error(error, DOM1_ERROR, DOM1_STATUS_USAGE, "--console=%s: cannot open: %s",
		    run->config.console_path ? run->config.console_path : what, g_strerror(errno));
	return false;
}

static bool open_stdio_console(struct run *run, GError **error)
{
	struct console_files *console = &run->setup.console;
	int pipe_fds[2];
	struct stat status;

	/* What is typed goes through the launcher, which knows the escape even when the machine is stuck. */
	if (pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK) != 0)
		return console_error(error, run, "stdio");
	console->in_fd = pipe_fds[0];
	run->launcher.input_fd = pipe_fds[1];
	run->launcher.stdin_fd = fcntl(STDIN_FILENO, F_GETFD) < 0 ? -1 : STDIN_FILENO;

	console->out_fd = tty_reopen_nonblocking(STDOUT_FILENO, O_WRONLY);
	/* Closed: nobody reads. A socket cannot be opened again: it is shared, and made non-blocking for all. */
	if (console->out_fd < 0 && fstat(STDOUT_FILENO, &status) == 0) {
		console->out_fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
		if (console->out_fd >= 0)
			fcntl(console->out_fd, F_SETFL, fcntl(console->out_fd, F_GETFL) | O_NONBLOCK);
	}
	/* A file that the shell opened is written where the shell stands in it. */
	if (console->out_fd >= 0 && fstat(console->out_fd, &status) == 0 && S_ISREG(status.st_mode)) {
		close(console->out_fd);
		console->out_fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
	}
	run->setup.console_patient = true;
	return true;
}

/* of: whose other side that is. */
static int open_pty(struct run *run, struct console_files *files, const char *of)
{
	g_autofree char *name = NULL;
	int rc = console_files_open_pty(files, &name);

	if (rc == 0)
		fprintf(stderr, "dom1: %s: %s on %s\n", run->config.name, of, name);
	return rc;
}

static bool open_socket_console(struct run *run, GError **error)
{
	errno = console_files_listen(&run->setup.console, run->config.console_path);
	if (errno != 0)
		return console_error(error, run, "socket");
	run->socket_path = g_strdup(run->config.console_path);
	return true;
}

static bool open_console(struct run *run, GError **error)
{
	switch (run->config.console) {
	case CONSOLE_STDIO:
		return open_stdio_console(run, error);
	case CONSOLE_FILE:
		return open_output_file(run, &run->setup.console.out_fd, "--console", run->config.console_path, error);
	case CONSOLE_PTY:
		errno = open_pty(run, &run->setup.console, "console");
		return errno == 0 || console_error(error, run, "pty");
	case CONSOLE_SOCKET:
		return open_socket_console(run, error);
	default:
		return true;
	}
}

/* Half of what the kernel lets a process have is for windows: the rest is the guest's, and a reserve. */
static size_t lending_mappings(void)
{
	enum { KERNELS_DEFAULT = 65530 };
	g_autofree char *text = NULL;
	guint64 limit = KERNELS_DEFAULT;

	if (g_file_get_contents("/proc/sys/vm/max_map_count", &text, NULL, NULL))
		limit = MIN(g_ascii_strtoull(text, NULL, 10), G_MAXINT);
	return (size_t)limit / 2;
}

/* FALSE and errno. A path that is NULL is none to connect to. */
static bool connect_to(const char *path, int flags, int *fd)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (!path)
		return true;
	if (strlen(path) >= sizeof(address.sun_path)) {
		errno = ENAMETOOLONG;
		return false;
	}
	strcpy(address.sun_path, path);
	*fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
	return *fd >= 0 && connect(*fd, (const struct sockaddr *)&address, sizeof(address)) == 0;
}

/* The connections are the authority, so it is the person's who names them. */
static bool open_lending(struct run *run, GError **error)
{
	const struct vm_config *config = &run->config;

	if (!connect_to(config->lend_to_path, 0, &run->setup.lend_to_fd)) {
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_USAGE, "--lend-to: %s: %s: is there a domain with --lend-window?",
			    config->lend_to_path, g_strerror(errno));
		return false;
	}
	if (!connect_to(config->memory_lent_path, SOCK_NONBLOCK, &run->setup.memory_lent_fd)) {
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_USAGE, "--memory-lent: %s: %s: is there a lender that listens?",
			    config->memory_lent_path, g_strerror(errno));
		return false;
	}
	if (run->config.lend_windows->len == 0)
		return true;
	run->setup.lending.max_mappings = lending_mappings();
	run->setup.lending.listen_fd = folder_listen(run->folder.fd, "lend.sock", error);
	return run->setup.lending.listen_fd >= 0;
}

/* What came before it stays open: release() closes it. */
static bool open_channel(struct run *run, const struct channel_config *config, unsigned int number, GError **error)
{
	static const char *const kinds[] = { [CHANNEL_PTY] = "pty", [CHANNEL_SOCKET] = "socket", [CHANNEL_FILE] = "file" };
	struct channel *channel = &run->setup.channels[run->setup.n_channels];
	char console[8];

	*channel = (struct channel){ .name = config->name, .kind = kinds[config->connection], .files = CONSOLE_FILES_NONE };
	if (config->connection == CHANNEL_FILE) {
		if (!open_output_file(run, &channel->files.out_fd, "--channel", config->path, error))
			return false;
		run->setup.n_channels++;
		return true;
	}
	g_snprintf(console, sizeof(console), "hvc%u", number);
	errno = config->connection == CHANNEL_PTY ? open_pty(run, &channel->files, console) :
						    console_files_listen(&channel->files, config->path);
	if (errno != 0) {
		g_autofree char *where = channel_where(config);

		g_set_error(error, DOM1_ERROR, DOM1_STATUS_USAGE, "channel: %s: cannot open: %s", where, g_strerror(errno));
		return false;
	}
	channel->socket_path = config->path;
	run->setup.n_channels++;
	return true;
}

static bool open_channels(struct run *run, GError **error)
{
	const GPtrArray *channels = run->config.channels;

	run->setup.channels = g_new0(struct channel, channels->len);
	for (guint i = 0; i < channels->len; i++)
		if (!open_channel(run, channels->pdata[i], i + 1, error))
			return false;
	return true;
}

bool run_open_files(struct run *run, GError **error)
{
	const struct vm_config *config = &run->config;
	int sockets[2];

	run->setup.console.hold_input = config->restore_path ? run->saved.rings.console_holds_input : config->type == GUEST_PV;
	if (!open_output_file(run, &run->report_fd, "--report", config->report_path, error) ||
	    !open_output_file(run, &run->setup.console.log_fd, "--console-log", config->console_log_path, error) ||
	    !open_output_file(run, &run->setup.shim_log_fd, "--shim-log", config->shim_log_path, error) ||
	    (config->trace_log_path && !open_output_file(run, &run->setup.trace_fd, "--trace-log", config->trace_log_path, error)) ||
	    !open_output_file(run, &run->setup.core_fd, "--core", config->core_path, error) || !open_console(run, error) ||
	    !open_channels(run, error))
		return false;
	if ((run->setup.control_fd = folder_listen(run->folder.fd, "control.sock", error)) < 0 ||
	    (run->setup.xenstore_fd = folder_listen(run->folder.fd, "xenstore.sock", error)) < 0 ||
	    (run->setup.console.attach_fd = folder_listen(run->folder.fd, "console.sock", error)) < 0)
		return false;
	if (!open_lending(run, error) || (config->save_at && !new_file_open(&run->save_file, config->save_at->path, error)))
		return false;
	run->setup.save_at_fd = run->save_file.fd;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) != 0) {
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_HOST, "socketpair: %s", g_strerror(errno));
		return false;
	}
	run->launcher.machine_fd = sockets[0];
	run->launcher.machine_end_fd = run->setup.launcher_fd = sockets[1];
	return true;
}

void run_close_files(struct run *run)
{
	new_file_close(&run->save_file);
	if (run->socket_path)
		unlink(run->socket_path);
	g_free(run->socket_path);
	for (size_t i = 0; i < run->setup.n_channels; i++)
		if (run->setup.channels[i].socket_path)
			unlink(run->setup.channels[i].socket_path);
	g_free(run->setup.channels);
}

void run_settle_core(const struct run *run)
{
	struct stat status;

	if (run->setup.core_fd < 0 || fstat(run->setup.core_fd, &status) != 0 || !S_ISREG(status.st_mode))
		return;
	if (status.st_size > 0) {
		fprintf(stderr, "dom1: %s: a core is in %s\n", run->config.name, run->config.core_path);
		return;
	}
	for (size_t i = 0; i < run->n_outputs; i++)
		if (run->outputs[i].fd == run->setup.core_fd && run->outputs[i].created_path)
			(void)unlink(run->outputs[i].created_path);
}

bool run_settle_saved(struct run *run, GError **error)
{
	const struct save_at *save_at = run->config.save_at;

	/* Why it could not run has been said. */
	if (!save_at || record_outcome(run->setup.record) == OUTCOME_HOST_ERROR)
		return true;
	if (record_outcome(run->setup.record) == OUTCOME_SAVED && new_file_is_whole(&run->save_file))
		return new_file_give_name(&run->save_file, save_at->path, error);
	g_set_error(error, DOM1_ERROR, DOM1_STATUS_TEST_FAILED, "--save-at=%s: the domain has ended without having been saved there", save_at->path);
	return false;
}
