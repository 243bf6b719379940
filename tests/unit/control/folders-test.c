// SPDX-License-Identifier: MIT
/* folders.c, holders.c: which domains run, what is stale, and who is signalled. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <glib/gstdio.h>

#include "control/folders.h"
#include "control/harness.h"
#include "vmm/error.h"
#include "vmm/run_folder.h"

static char *runtime;

static char *path_of(const char *name, const char *file)
{
	return g_build_filename(runtime, "dom1", name, file, NULL);
}

static bool exists(const char *name, const char *file)
{
	g_autofree char *path = path_of(name, file);
	struct stat status;

	return lstat(path, &status) == 0;
}

static void set_up(void)
{
	runtime = harness_make_folder();
	g_setenv("XDG_RUNTIME_DIR", runtime, TRUE);
}

static void tear_down(void)
{
	harness_remove_folder(g_steal_pointer(&runtime));
}

static void expect_list(const char *names)
{
	g_autoptr(GError) error = NULL;
	unsigned int n_fds = harness_count_fds();
	g_auto(GStrv) list = folders_list(&error);

	g_assert_no_error(error);
	g_autofree char *joined = g_strjoinv(" ", list);
	g_assert_cmpstr(joined, ==, names);
	g_assert_cmpuint(harness_count_fds(), ==, n_fds);
}

static void expect_no_domain(const char *name)
{
	g_autoptr(GError) error = NULL;
	unsigned int n_fds = harness_count_fds();
	struct domain_folder folder;

	g_assert_false(domain_folder_open(&folder, name, &error));
	g_assert_error(error, DOM1_ERROR, DOM1_STATUS_USAGE);
	g_assert_null(strchr(error->message, '\n'));
	g_assert_cmpuint(harness_count_fds(), ==, n_fds);
}

static void open_folder(struct domain_folder *folder, const char *name)
{
	g_autoptr(GError) error = NULL;

	g_assert_true(domain_folder_open(folder, name, &error));
	g_assert_no_error(error);
}

static void make_folder(const char *name, bool lock, const char *pid)
{
	g_autofree char *path = path_of(name, NULL);
	g_autofree char *lock_path = path_of(name, "lock");
	g_autofree char *pid_path = path_of(name, "pid");

	g_assert_cmpint(g_mkdir_with_parents(path, 0700), ==, 0);
	if (lock)
		g_assert_true(g_file_set_contents(lock_path, "", 0, NULL));
	if (pid)
		g_assert_true(g_file_set_contents(pid_path, pid, -1, NULL));
}

static void test_list(void)
{
	set_up();
	expect_list("");
	expect_no_domain("a");
	pid_t b = harness_start_domain("b", HARNESS_SERVES), a = harness_start_domain("a", HARNESS_HANGS);
	expect_list("a b");
	/* Looking does no harm, and what is there stays. */
	expect_list("a b");
	g_assert_true(exists("a", "lock") && exists("b", "control.sock"));
	/* Killed: stale, and gone when somebody looks. */
	harness_stop_domain(b);
	g_assert_true(exists("b", "control.sock"));
	expect_list("a");
	g_assert_false(exists("b", NULL));
	harness_stop_domain(a);
	expect_no_domain("a");
	g_assert_false(exists("a", NULL));
	tear_down();
}

static void test_what_is_no_domain(void)
{
	g_autofree char *file = NULL, *link = NULL;

	set_up();
	make_folder("stale", true, "1\n");
	make_folder("empty", false, NULL);
	make_folder("odd name", true, NULL);
	make_folder("strange", false, NULL);
	file = path_of("file", NULL);
	g_assert_true(g_file_set_contents(file, "", 0, NULL));
	link = path_of("link", NULL);
	g_assert_cmpint(symlink("stale", link), ==, 0);
	g_autofree char *strange = path_of("strange", "something");
	g_assert_true(g_file_set_contents(strange, "", 0, NULL));
	expect_list("");
	g_assert_false(exists("stale", NULL));
	g_assert_false(exists("empty", NULL));
	/* Not ours to judge. */
	g_assert_true(exists("odd name", "lock"));
	g_assert_true(exists("strange", "something"));
	g_assert_true(exists("file", NULL) && exists("link", NULL));
	static const char *const names[] = { "",     ".",    "..",       "a/b",  "../x",
					     "file", "link", "odd name", "x\ny", "123456789012345678901234567890123" };
	for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
		expect_no_domain(names[i]);
	tear_down();
}

/* A folder that others may write in, or that is a link, is nobody's to trust. */
static void test_not_ours(void)
{
	g_autoptr(GError) error = NULL;
	struct domain_folder folder;

	set_up();
	pid_t pid = harness_start_domain("a", HARNESS_HANGS);
	g_autofree char *parent = path_of(NULL, NULL);
	g_assert_cmpint(chmod(parent, 0777), ==, 0);
	g_assert_null(folders_list(&error));
	g_assert_error(error, DOM1_ERROR, DOM1_STATUS_HOST);
	g_clear_error(&error);
	g_assert_false(domain_folder_open(&folder, "a", &error));
	g_assert_error(error, DOM1_ERROR, DOM1_STATUS_HOST);
	g_assert_cmpint(chmod(parent, 0700), ==, 0);
	g_autofree char *path = path_of("a", NULL);
	g_assert_cmpint(chmod(path, 0722), ==, 0);
	expect_list("");
	expect_no_domain("a");
	g_assert_cmpint(chmod(path, 0700), ==, 0);
	expect_list("a");
	harness_stop_domain(pid);
	tear_down();
}

/* run_folder.c's view and this one are the same. */
static void test_own_lock(void)
{
	struct run_folder own;
	struct domain_folder folder;

	set_up();
	g_assert_true(run_folder_take(&own, "mine", NULL));
	expect_list("mine");
	open_folder(&folder, "mine");
	g_assert_cmpint(domain_folder_pid(&folder), ==, getpid());
	domain_folder_clean(&folder);
	g_assert_true(exists("mine", "lock"));
	run_folder_release(&own);
	g_assert_false(domain_folder_is_live(&folder));
	/* The name is taken anew: what is cleaned is not the new one. */
	g_assert_true(run_folder_take(&own, "mine", NULL));
	domain_folder_clean(&folder);
	g_assert_true(exists("mine", "lock"));
	expect_list("mine");
	domain_folder_close(&folder);
	run_folder_release(&own);
	tear_down();
}

/* A path that sun_path could not hold, and a socket that a killed process left. */
static void test_sockets(void)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *deep = NULL;
	struct run_folder own;
	struct domain_folder folder;

	set_up();
	g_autofree char *long_name = g_strnfill(150, 'x');
	deep = g_build_filename(runtime, long_name, NULL);
	g_assert_cmpint(g_mkdir(deep, 0700), ==, 0);
	g_setenv("XDG_RUNTIME_DIR", deep, TRUE);
	g_assert_true(run_folder_take(&own, "deep", NULL));
	close(folder_listen(own.fd, "control.sock", &error));
	int listen_fd = folder_listen(own.fd, "control.sock", &error);
	g_assert_no_error(error);
	g_assert_cmpint(fcntl(listen_fd, F_GETFL) & O_NONBLOCK, !=, 0);
	g_assert_cmpint(fcntl(listen_fd, F_GETFD) & FD_CLOEXEC, !=, 0);
	open_folder(&folder, "deep");
	int fd = domain_folder_connect(&folder, "control.sock", 1000, &error);
	g_assert_no_error(error);
	close(fd);
	g_assert_cmpint(domain_folder_connect(&folder, "console.sock", 1000, &error), ==, -1);
	g_assert_error(error, DOM1_ERROR, DOM1_STATUS_USAGE);
	g_clear_error(&error);
	close(listen_fd);
	g_assert_cmpint(domain_folder_connect(&folder, "control.sock", 1000, &error), ==, -1);
	g_assert_error(error, DOM1_ERROR, DOM1_STATUS_USAGE);
	g_clear_error(&error);
	run_folder_release(&own);
	g_assert_cmpint(folder_listen(own.fd, "control.sock", &error), ==, -1);
	g_assert_error(error, DOM1_ERROR, DOM1_STATUS_HOST);
	domain_folder_close(&folder);
	tear_down();
}

/* Only who holds the lock is signalled, whatever the pid file says. */
static void test_signals(void)
{
	g_autofree char *text = NULL;
	struct domain_folder folder;
	int status;

	set_up();
	pid_t bystander = fork();
	if (bystander == 0)
		for (;;)
			pause();
	pid_t pid = harness_start_domain("a", HARNESS_HANGS);
	open_folder(&folder, "a");
	g_assert_cmpint(domain_folder_pid(&folder), ==, pid);
	g_assert_true(domain_folder_signal_launcher(&folder, 0));
	static const char *const lies[] = { "", "0\n", "-1\n", "1\n", "nonsense", "99999999999999999999\n" };
	for (size_t i = 0; i < G_N_ELEMENTS(lies); i++) {
		g_unlink(text ? text : "");
		g_free(text);
		text = path_of("a", "pid");
		g_assert_true(g_file_set_contents(text, lies[i], -1, NULL));
		g_assert_false(domain_folder_signal_launcher(&folder, SIGKILL));
	}
	g_autofree char *other = g_strdup_printf("%d\n", (int)bystander);
	g_assert_true(g_file_set_contents(text, other, -1, NULL));
	g_assert_false(domain_folder_signal_launcher(&folder, SIGKILL));
	g_assert_cmpint(waitpid(bystander, &status, WNOHANG), ==, 0);
	/* We have the lock file open, as dom1 list has; we do not hold the lock. */
	g_assert_true(domain_folder_signal_all(&folder, SIGKILL));
	g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
	g_assert_true(WIFSIGNALED(status));
	g_assert_false(domain_folder_is_live(&folder));
	g_assert_false(domain_folder_signal_all(&folder, SIGKILL));
	g_assert_cmpint(waitpid(bystander, &status, WNOHANG), ==, 0);
	harness_stop_domain(bystander);
	domain_folder_close(&folder);
	tear_down();
}

/* Who looks which domains run does not keep anybody from starting one. */
static void test_list_and_take(void)
{
	struct run_folder own;

	set_up();
	pid_t looker = fork();
	while (looker == 0)
		g_strfreev(folders_list(NULL));
	for (unsigned int i = 0; i < 5000; i++) {
		g_autoptr(GError) error = NULL;

		run_folder_take(&own, "x", &error);
		g_assert_no_error(error);
		run_folder_release(&own);
	}
	harness_stop_domain(looker);
	tear_down();
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/control/folders/list", test_list);
	g_test_add_func("/control/folders/what-is-no-domain", test_what_is_no_domain);
	g_test_add_func("/control/folders/not-ours", test_not_ours);
	g_test_add_func("/control/folders/own-lock", test_own_lock);
	g_test_add_func("/control/folders/sockets", test_sockets);
	g_test_add_func("/control/folders/signals", test_signals);
	g_test_add_func("/control/folders/list-and-take", test_list_and_take);
	return g_test_run();
}
