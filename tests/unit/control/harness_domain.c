// SPDX-License-Identifier: MIT
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <glib-unix.h>

#include "control/folders.h"
#include "control/harness.h"
#include "control/listener.h"
#include "control/server.h"
#include "control/xenstore_socket.h"
#include "vmm/run_folder.h"

/* Of the child process only. */
static GMainLoop *loop;

static void quit(void)
{
	g_main_loop_quit(loop);
}

static gboolean on_signal(gint fd, GIOCondition condition, gpointer opaque)
{
	(void)fd, (void)condition, (void)opaque;
	quit();
	return G_SOURCE_REMOVE;
}

static gboolean on_console(gint fd, GIOCondition condition, gpointer opaque)
{
	char bytes[4096];
	ssize_t got = recv(fd, bytes, sizeof(bytes), 0);

	(void)condition, (void)opaque;
	if (got < 0 && errno == EAGAIN)
		return G_SOURCE_CONTINUE;
	if (got <= 0 || send(fd, bytes, (size_t)got, MSG_NOSIGNAL) != got) {
		close(fd);
		return G_SOURCE_REMOVE;
	}
	return G_SOURCE_CONTINUE;
}

static void on_console_client(void *opaque, int fd)
{
	(void)opaque;
	g_assert_cmpint(send(fd, "hello\n", 6, MSG_NOSIGNAL), ==, 6);
	g_unix_fd_add(fd, G_IO_IN | G_IO_HUP, on_console, NULL);
}

static void ready(int fd)
{
	g_assert_cmpint(write(fd, "x", 1), ==, 1);
	close(fd);
}

static G_NORETURN void hang(int ready_fd)
{
	ready(ready_fd);
	for (;;)
		pause();
}

static void serve(struct run_folder *folder, int ready_fd)
{
	int control_fd = folder_listen(folder->fd, "control.sock", NULL);
	int xenstore_fd = folder_listen(folder->fd, "xenstore.sock", NULL);
	int console_fd = folder_listen(folder->fd, "console.sock", NULL);
	struct fake_machine machine;
	sigset_t signals;

	fake_machine_init(&machine);
	machine.on_destroy = quit;
	loop = g_main_loop_new(NULL, FALSE);
	struct control_server *server = machine.server = control_server_new(control_fd, &FAKE_OPS, &machine);
	struct xenstore_socket *xenstore = xenstore_socket_new(xenstore_fd, machine.store);
	struct listener *console = listener_new(console_fd, on_console_client, NULL);
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	g_unix_fd_add(signalfd(-1, &signals, SFD_CLOEXEC), G_IO_IN, on_signal, NULL);
	ready(ready_fd);
	g_main_loop_run(loop);
	control_server_event(server, "SHUTDOWN", json_pack("{s:s}", "outcome", "destroyed"));
	listener_free(console);
	xenstore_socket_free(xenstore);
	control_server_free(server);
	fake_machine_clear(&machine);
}

static G_NORETURN void domain_main(const char *name, enum harness_manner manner, int ready_fd)
{
	struct run_folder folder;
	sigset_t signals;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	g_assert_true(run_folder_take(&folder, name, NULL));
	/* SIGTERM stays blocked, and nobody looks. */
	if (manner == HARNESS_HANGS) {
		(void)folder_listen(folder.fd, "control.sock", NULL);
		hang(ready_fd);
	}
	if (manner == HARNESS_ORPHANED && fork() != 0)
		_exit(0);
	if (manner == HARNESS_ORPHANED)
		hang(ready_fd);
	serve(&folder, ready_fd);
	run_folder_release(&folder);
	_exit(0);
}

pid_t harness_start_domain(const char *name, enum harness_manner manner)
{
	int fds[2];
	char byte;

	g_assert_cmpint(pipe(fds), ==, 0);
	pid_t pid = fork();
	g_assert_cmpint(pid, >=, 0);
	if (pid == 0) {
		close(fds[0]);
		domain_main(name, manner, fds[1]);
	}
	close(fds[1]);
	g_assert_cmpint(read(fds[0], &byte, 1), ==, 1);
	close(fds[0]);
	return pid;
}

int harness_stop_domain(pid_t pid)
{
	int status;

	kill(pid, SIGKILL);
	g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
	return status;
}
