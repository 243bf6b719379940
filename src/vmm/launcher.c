// SPDX-License-Identifier: MIT
#include "vmm/launcher.h"

#include <errno.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <glib-unix.h>

#include "vmm/error.h"
#include "vmm/machine.h"
#include "vmm/spawn.h"

#define ESCAPE_KEY 0x1d /* Ctrl-] */
/* How long the machine may take to end by itself; it has no reason to take more than a moment. */
#define GRACE_S 5u
/* And longer where it asks the guest for last words, or writes a core. */
#define LAST_WORDS_S 10u
#define CORE_S       120u

struct launcher {
	const struct machine_setup *setup;
	const struct launcher_files *files;
	GMainLoop *loop;
	pid_t machine_pid;
	int ending_signal;   /* the signal that made us end the domain, 0 */
	enum outcome ending; /* what the machine was told, OUTCOME_NONE: nothing */
	bool escape;       /* the terminal is a person's: Ctrl-] ends the domain */
	int wait_status;
	guint stdin_source, input_source, grace_source;
	uint8_t pending[4096]; /* typed, not yet taken by the machine */
	size_t pending_start, pending_end;
};

void launcher_block_signals(sigset_t *signals)
{
	static const int ending[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGCHLD };

	sigemptyset(signals);
	for (size_t i = 0; i < G_N_ELEMENTS(ending); i++)
		sigaddset(signals, ending[i]);
	sigprocmask(SIG_BLOCK, signals, NULL);
	/* A reader that goes away must not take us with it. */
	signal(SIGPIPE, SIG_IGN);
}

/* It does not answer: what was to happen happens now. */
static void kill_machine(const struct launcher *launcher)
{
	machine_record_stop(launcher->setup, launcher->ending);
	kill(launcher->machine_pid, SIGKILL);
}

static gboolean on_grace_over(gpointer opaque)
{
	struct launcher *launcher = opaque;

	launcher->grace_source = 0;
	kill_machine(launcher);
	return G_SOURCE_REMOVE;
}

static guint grace_s(const struct launcher *launcher)
{
	guint seconds = GRACE_S;

	if (launcher->ending == OUTCOME_TIMEOUT && launcher->setup->config->timeout_sysrq)
		seconds += LAST_WORDS_S;
	return launcher->setup->core_fd >= 0 ? seconds + CORE_S : seconds;
}

static void end_domain(struct launcher *launcher, enum outcome outcome)
{
	const char *keys = launcher->setup->config->timeout_sysrq;
	const uint8_t message = outcome == OUTCOME_TIMEOUT && keys && keys[0] ? MACHINE_LAST_WORDS : (uint8_t)outcome;
	bool told_before = launcher->ending != OUTCOME_NONE;

	if (!told_before)
		launcher->ending = outcome;
	/* A second wish, or a machine that hears nothing any more: no more patience. */
	if (told_before || send(launcher->files->machine_fd, &message, sizeof(message), MSG_DONTWAIT) < 0)
		kill_machine(launcher);
	else
		launcher->grace_source = g_timeout_add_seconds(grace_s(launcher), on_grace_over, launcher);
}

static gboolean on_timeout(gpointer opaque)
{
	end_domain(opaque, OUTCOME_TIMEOUT);
	return G_SOURCE_REMOVE;
}

static void reap(struct launcher *launcher)
{
	pid_t pid;
	int status;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		if (pid == launcher->machine_pid) {
			launcher->wait_status = status;
			g_main_loop_quit(launcher->loop);
		}
}

static gboolean on_signal(gint fd, GIOCondition condition, gpointer opaque)
{
	struct launcher *launcher = opaque;
	struct signalfd_siginfo info;

	(void)condition;
	while (read(fd, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGCHLD) {
			reap(launcher);
			continue;
		}
		if (launcher->ending_signal == 0)
			launcher->ending_signal = (int)info.ssi_signo;
		end_domain(launcher, OUTCOME_DESTROYED);
	}
	return G_SOURCE_CONTINUE;
}

static void pass_on(struct launcher *launcher);

static gboolean on_input_room(gint fd, GIOCondition condition, gpointer opaque)
{
	struct launcher *launcher = opaque;

	(void)fd, (void)condition;
	launcher->input_source = 0;
	pass_on(launcher);
	return G_SOURCE_REMOVE;
}

static gboolean on_stdin(gint fd, GIOCondition condition, gpointer opaque)
{
	struct launcher *launcher = opaque;

	(void)condition;
	ssize_t got = read(fd, launcher->pending, sizeof(launcher->pending));
	if (got < 0 && (errno == EINTR || errno == EAGAIN))
		return G_SOURCE_CONTINUE;
	launcher->stdin_source = 0;
	if (got <= 0)
		return G_SOURCE_REMOVE;
	launcher->pending_start = 0;
	launcher->pending_end = (size_t)got;
	for (ssize_t i = 0; launcher->escape && i < got; i++)
		if (launcher->pending[i] == ESCAPE_KEY) {
			end_domain(launcher, OUTCOME_DESTROYED);
			launcher->pending_end = (size_t)i;
		}
	pass_on(launcher);
	return G_SOURCE_REMOVE;
}

/*
 * More is read only when all of it was taken: what nobody reads waits where it comes from. But a terminal is read
 * whatever happens, for its Ctrl-]: what the guest does not take of it is lost, as on a line without flow control.
 */
static void pass_on(struct launcher *launcher)
{
	while (launcher->pending_start < launcher->pending_end) {
		ssize_t sent = write(launcher->files->input_fd, launcher->pending + launcher->pending_start,
				     launcher->pending_end - launcher->pending_start);
		if (sent > 0)
			launcher->pending_start += (size_t)sent;
		else if (sent < 0 && errno == EINTR)
			continue;
		else if (sent < 0 && errno == EAGAIN && !launcher->escape) {
			launcher->input_source = g_unix_fd_add(launcher->files->input_fd, G_IO_OUT, on_input_room, launcher);
			return;
		} else
			break;
	}
	launcher->stdin_source = g_unix_fd_add(launcher->files->stdin_fd, G_IO_IN | G_IO_HUP, on_stdin, launcher);
}

static int status_of(const struct launcher *launcher)
{
	struct record *record = launcher->setup->record;
	uint32_t status = atomic_load(&record->status);

	switch (atomic_load(&record->outcome)) {
	case OUTCOME_POWEROFF:
	case OUTCOME_SAVED:
		return DOM1_STATUS_OK;
	case OUTCOME_REBOOT:
		return DOM1_STATUS_REBOOT;
	case OUTCOME_CRASH:
		return DOM1_STATUS_CRASH;
	case OUTCOME_SHIM_CRASH:
		return DOM1_STATUS_SHIM_CRASH;
	case OUTCOME_TIMEOUT:
		return DOM1_STATUS_TIMEOUT;
	case OUTCOME_DESTROYED:
		return launcher->ending_signal ? DOM1_STATUS_SIGNAL_BASE + launcher->ending_signal : DOM1_STATUS_DESTROYED;
	case OUTCOME_HOST_ERROR:
		return status > 0 && status <= DOM1_STATUS_DEFECT ? (int)status : DOM1_STATUS_DEFECT;
	default:
		return DOM1_STATUS_DEFECT;
	}
}

static void find_end(const struct launcher *launcher, struct launcher_end *end)
{
	struct record *record = launcher->setup->record;

	*end = (struct launcher_end){ 0 };
	if (WIFSIGNALED(launcher->wait_status))
		end->machine_signal = WTERMSIG(launcher->wait_status);
	/* Killed between two lives of the domain: what the first one ended with is not how the domain ended. */
	if (end->machine_signal && machine_wants_restart(launcher->setup)) {
		record_forget_end(record);
		if (launcher->ending != OUTCOME_NONE)
			machine_record_stop(launcher->setup, launcher->ending);
	}
	/* Killed by somebody else, before anything was decided. */
	if (end->machine_signal && record_end(record, OUTCOME_HOST_ERROR, DOM1_STATUS_DEFECT,
					      "the machine process was killed by signal %d (%s)", end->machine_signal,
					      g_strsignal(end->machine_signal)))
		end->status = DOM1_STATUS_SIGNAL_BASE + end->machine_signal;
	else
		end->status = status_of(launcher);
}

gboolean launcher_run(const struct machine_setup *setup, const struct launcher_files *files, const sigset_t *signals,
		      struct launcher_end *end, GError **error)
{
	struct launcher launcher = { .setup = setup, .files = files, .escape = setup->tty_fd >= 0 };
	int signal_fd = signalfd(-1, signals, SFD_CLOEXEC | SFD_NONBLOCK);
	guint timeout_source = 0;

	if (signal_fd < 0) {
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_HOST, "signalfd: %s", g_strerror(errno));
		return FALSE;
	}
	/* The machine must not inherit the sources: they are made after it. */
	if (!spawn_machine(setup, &launcher.machine_pid, error)) {
		close(signal_fd);
		return FALSE;
	}
	close(files->machine_end_fd);
	launcher.loop = g_main_loop_new(NULL, FALSE);
	guint signal_source = g_unix_fd_add(signal_fd, G_IO_IN, on_signal, &launcher);
	if (files->stdin_fd >= 0)
		pass_on(&launcher);
	if (setup->config->timeout_s > 0)
		timeout_source = g_timeout_add_seconds(setup->config->timeout_s, on_timeout, &launcher);

	g_main_loop_run(launcher.loop);

	/* The number was of the machine's table of descriptors; in ours it is somebody else. */
	setup->record->phase_fd = -1;
	find_end(&launcher, end);
	g_source_remove(signal_source);
	const guint sources[] = { launcher.stdin_source, launcher.input_source, launcher.grace_source };
	for (size_t i = 0; i < G_N_ELEMENTS(sources); i++)
		if (sources[i])
			g_source_remove(sources[i]);
	GSource *timeout = timeout_source ? g_main_context_find_source_by_id(NULL, timeout_source) : NULL;
	if (timeout)
		g_source_destroy(timeout);
	g_main_loop_unref(launcher.loop);
	close(signal_fd);
	return TRUE;
}
