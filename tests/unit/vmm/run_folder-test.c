// SPDX-License-Identifier: MIT
/* run_folder.c: one name, one domain; with processes that come, race and die, in a folder of the test's own. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <glib.h>
#include <glib/gstdio.h>

#include "sandbox/sandbox.h"
#include "vmm/error.h"
#include "vmm/run_folder.h"

static char *runtime_dir; /* of the whole executable */

/*
 * In place of the C library's: lets the folder vanish right after it was seen to exist, as it does when the domain
 * that has the name ends in this moment.
 */
static unsigned int n_vanishing;

int mkdirat(int at_fd, const char *path, mode_t mode)
{
	if (n_vanishing && path[0] != '/') {
		n_vanishing--;
		errno = EEXIST;
		return -1;
	}
	return (int)syscall(SYS_mkdirat, at_fd, path, mode);
}

/*
 * The same for the lock: before it is locked, its owner ends and removes it, and another one makes a new file of the
 * name. Who locks the old one then has a lock on nothing.
 */
static unsigned int n_replaced;
static char *replaced_path;

int flock(int fd, int operation)
{
	if (n_replaced) {
		n_replaced--;
		g_assert_cmpint(g_unlink(replaced_path), ==, 0);
		g_assert_true(g_file_set_contents(replaced_path, "", 0, NULL));
	}
	return (int)syscall(SYS_flock, fd, operation);
}

/* The n-th one from now on fails, as where there are too many files; 0: none. */
static unsigned int refused_open;

int openat(int at_fd, const char *path, int flags, ...)
{
	va_list arguments;

	va_start(arguments, flags);
	const mode_t mode = flags & O_CREAT ? va_arg(arguments, mode_t) : 0;
	va_end(arguments);
	if (refused_open > 0 && --refused_open == 0) {
		errno = EMFILE;
		return -1;
	}
	return (int)syscall(SYS_openat, at_fd, path, flags, mode);
}

static char *path_of(const char *name, const char *file)
{
	return g_build_filename(runtime_dir, "dom1", name, file, NULL);
}

static gboolean exists(const char *name, const char *file)
{
	g_autofree char *path = path_of(name, file);
	struct stat status;

	return lstat(path, &status) == 0;
}

static unsigned int count_entries(const char *path)
{
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
	unsigned int n = 0;

	while (dir && g_dir_read_name(dir))
		n++;
	return n;
}

static unsigned int count_names(void)
{
	g_autofree char *parent = g_build_filename(runtime_dir, "dom1", NULL);

	return count_entries(parent);
}

static void take(struct run_folder *folder, const char *name)
{
	g_autoptr(GError) error = NULL;
	gboolean ok = run_folder_take(folder, name, &error);

	g_assert_no_error(error);
	g_assert_true(ok);
	g_assert_cmpstr(folder->name, ==, name);
}

static void expect_refusal(const char *name, enum dom1_status status)
{
	g_autoptr(GError) error = NULL;
	struct run_folder folder;
	unsigned int n_fds = count_entries("/proc/self/fd");

	memset(&folder, 0xa5, sizeof(folder));
	g_assert_false(run_folder_take(&folder, name, &error));
	g_assert_error(error, DOM1_ERROR, (int)status);
	g_assert_null(strchr(error->message, '\n'));
	if (status == DOM1_STATUS_USAGE)
		g_assert_nonnull(strstr(error->message, name));
	g_assert_cmpuint(count_entries("/proc/self/fd"), ==, n_fds);
	run_folder_release(&folder); /* holds nothing: no harm */
}

static void expect_pid(const char *name, pid_t pid)
{
	g_autofree char *path = path_of(name, "pid");
	g_autofree char *text = NULL;
	g_autofree char *expected = g_strdup_printf("%d\n", (int)pid);

	g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
	g_assert_cmpstr(text, ==, expected);
}

static void reap(pid_t child)
{
	int status;

	g_assert_cmpint(waitpid(child, &status, 0), ==, child);
	g_assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void test_take_and_release(void)
{
	unsigned int n_fds = count_entries("/proc/self/fd");
	struct run_folder a, b;
	struct stat status;

	take(&a, "a");
	take(&b, "b"); /* another name is another domain's */
	g_assert_cmpint(fstat(a.fd, &status), ==, 0);
	g_assert_cmpuint(status.st_mode & 0777, ==, 0700);
	expect_pid("a", getpid());
	g_assert_true(fcntl(a.fd, F_GETFD) & FD_CLOEXEC);
	g_assert_true(fcntl(a.lock_fd, F_GETFD) & FD_CLOEXEC);
	g_assert_true(fcntl(a.parent_fd, F_GETFD) & FD_CLOEXEC);
	run_folder_release(&a);
	g_assert_false(exists("a", NULL));
	g_assert_true(exists("b", "lock"));
	run_folder_release(&a); /* once more does no harm */
	run_folder_release(&b);
	g_assert_cmpuint(count_names(), ==, 0);
	g_assert_cmpuint(count_entries("/proc/self/fd"), ==, n_fds);
}

static void test_taken_twice(void)
{
	struct run_folder folder;

	take(&folder, "twice");
	for (unsigned int i = 0; i < 3; i++) {
		expect_refusal("twice", DOM1_STATUS_USAGE);
		pid_t child = fork();
		if (child == 0) {
			expect_refusal("twice", DOM1_STATUS_USAGE);
			_exit(0);
		}
		reap(child);
	}
	expect_pid("twice", getpid()); /* who came too late has not left its own */
	run_folder_release(&folder);
	take(&folder, "twice");
	run_folder_release(&folder);
	g_assert_cmpuint(count_names(), ==, 0);
}

/* A process that takes the name, says so, and waits for its death. */
static pid_t start_holder(const char *name)
{
	int fds[2];
	char byte;

	g_assert_cmpint(pipe(fds), ==, 0);
	pid_t child = fork();
	if (child == 0) {
		struct run_folder folder;

		take(&folder, name);
		g_assert_cmpint(write(fds[1], "x", 1), ==, 1);
		for (;;)
			pause();
	}
	close(fds[1]);
	g_assert_cmpint(read(fds[0], &byte, 1), ==, 1);
	close(fds[0]);
	return child;
}

static void kill_and_reap(pid_t child)
{
	int status;

	g_assert_cmpint(kill(child, SIGKILL), ==, 0);
	g_assert_cmpint(waitpid(child, &status, 0), ==, child);
	g_assert_true(WIFSIGNALED(status));
}

/* After SIGKILL the folder is there, with all that a domain has in it, and nobody holds it. */
static void test_stale_folder_is_reused(void)
{
	static const char *const left_over[] = {"control.sock", "xenstore.sock", "console.sock", "lend.sock"};
	pid_t holder = start_holder("stale");
	struct run_folder folder;

	for (size_t i = 0; i < G_N_ELEMENTS(left_over); i++) {
		g_autofree char *path = path_of("stale", left_over[i]);

		g_assert_true(g_file_set_contents(path, "", 0, NULL));
	}
	expect_refusal("stale", DOM1_STATUS_USAGE);
	kill_and_reap(holder);
	g_assert_true(exists("stale", "lock"));
	take(&folder, "stale");
	expect_pid("stale", getpid());
	expect_refusal("stale", DOM1_STATUS_USAGE);
	run_folder_release(&folder);
	g_assert_cmpuint(count_names(), ==, 0);
}

/* The launcher dies, the machine lives on: the name is its own until it ends as well. */
static void test_machine_keeps_the_name(void)
{
	int *machine_pid = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct run_folder folder;
	int fds[2], status;
	char byte;

	g_assert_cmpint(pipe(fds), ==, 0);
	pid_t launcher = fork();
	if (launcher == 0) {
		take(&folder, "inherited");
		pid_t machine = fork();
		if (machine == 0) {
			/* Ends when the test closes its end. */
			close(fds[1]);
			_exit(read(fds[0], &byte, 1) == 0 ? 0 : 1);
		}
		*machine_pid = machine;
		_exit(0);
	}
	g_assert_cmpint(waitpid(launcher, &status, 0), ==, launcher);
	close(fds[0]);
	expect_refusal("inherited", DOM1_STATUS_USAGE);
	close(fds[1]);
	/* It is not our child: we see it end by its lock, which it gives back then. */
	for (;;) {
		if (kill(*machine_pid, 0) != 0)
			break;
		g_autofree char *path = g_strdup_printf("/proc/%d/stat", *machine_pid);
		g_autofree char *text = NULL;
		if (g_file_get_contents(path, &text, NULL, NULL) && strstr(text, ") Z"))
			break;
		sched_yield();
	}
	take(&folder, "inherited");
	run_folder_release(&folder);
	g_assert_cmpuint(count_names(), ==, 0);
	munmap(machine_pid, 4096);
}

static void check_mode(const char *path, const char *name, mode_t mode)
{
	gboolean foreign = (mode & 022) != 0;

	g_assert_cmpint(g_chmod(path, mode), ==, 0);
	if (foreign) {
		expect_refusal(name, DOM1_STATUS_HOST);
	} else {
		struct run_folder folder;

		take(&folder, name);
		run_folder_release(&folder);
		g_assert_cmpint(g_mkdir_with_parents(path, 0700), ==, 0);
	}
}

/* In /tmp anybody could have put a folder there. */
static void test_foreign_folders(void)
{
	g_autofree char *parent = g_build_filename(runtime_dir, "dom1", NULL);
	g_autofree char *path = path_of("foreign", NULL);

	g_assert_cmpint(g_mkdir_with_parents(path, 0700), ==, 0);
	for (mode_t mode = 0700; mode <= 0777; mode++) {
		check_mode(path, "foreign", mode);
		check_mode(parent, "another", mode);
		g_assert_cmpint(g_chmod(parent, 0700), ==, 0);
		g_assert_cmpint(g_mkdir_with_parents(path, 0700), ==, 0);
	}
	g_assert_cmpint(g_chmod(path, 0700), ==, 0);
	if (geteuid() == 0) {
		g_assert_cmpint(chown(path, 65534, (gid_t)-1), ==, 0);
		expect_refusal("foreign", DOM1_STATUS_HOST);
		g_assert_cmpint(chown(path, 0, (gid_t)-1), ==, 0);
	}
	g_assert_cmpint(g_rmdir(path), ==, 0);
	g_autofree char *another = path_of("another", NULL);
	(void)g_rmdir(another);
	g_assert_cmpuint(count_names(), ==, 0);
}

/* What stands in the place of the folder, or of the lock, is not followed, opened or removed. */
static void test_other_things_in_its_place(void)
{
	g_autofree char *parent = g_build_filename(runtime_dir, "dom1", NULL);
	g_autofree char *elsewhere = g_build_filename(runtime_dir, "elsewhere", NULL);
	g_autofree char *victim = g_build_filename(elsewhere, "victim", NULL);
	g_autofree char *unborn = g_build_filename(elsewhere, "unborn", NULL);
	g_autofree char *path = path_of("thing", NULL);
	g_autofree char *lock = path_of("thing", "lock");
	g_autofree char *text = NULL;

	g_assert_cmpint(g_mkdir_with_parents(elsewhere, 0700), ==, 0);
	g_assert_true(g_file_set_contents(victim, "precious", -1, NULL));
	g_assert_cmpint(g_mkdir_with_parents(parent, 0700), ==, 0);

	g_assert_cmpint(symlink(elsewhere, path), ==, 0);
	expect_refusal("thing", DOM1_STATUS_HOST);
	g_assert_cmpint(g_unlink(path), ==, 0);

	g_assert_true(g_file_set_contents(path, "x", 1, NULL));
	expect_refusal("thing", DOM1_STATUS_HOST);
	g_assert_cmpint(g_unlink(path), ==, 0);

	g_assert_cmpint(g_mkdir(path, 0700), ==, 0);
	g_assert_cmpint(symlink(victim, lock), ==, 0);
	expect_refusal("thing", DOM1_STATUS_HOST);
	g_assert_cmpint(g_unlink(lock), ==, 0);
	g_assert_cmpint(symlink(unborn, lock), ==, 0);
	expect_refusal("thing", DOM1_STATUS_HOST);
	g_assert_cmpint(g_unlink(lock), ==, 0);
	g_assert_cmpint(g_rmdir(path), ==, 0);

	g_assert_cmpint(g_rmdir(parent), ==, 0);
	g_assert_cmpint(symlink(elsewhere, parent), ==, 0);
	expect_refusal("thing", DOM1_STATUS_HOST);
	g_assert_cmpint(g_unlink(parent), ==, 0);

	g_assert_true(g_file_get_contents(victim, &text, NULL, NULL));
	g_assert_cmpstr(text, ==, "precious");
	g_assert_cmpuint(count_entries(elsewhere), ==, 1);
	g_unlink(victim);
	g_rmdir(elsewhere);
}

static void test_no_runtime_dir(void)
{
	g_autofree char *missing = g_build_filename(runtime_dir, "no", "such", NULL);

	g_setenv("XDG_RUNTIME_DIR", missing, TRUE);
	expect_refusal("name", DOM1_STATUS_HOST);
	g_setenv("XDG_RUNTIME_DIR", runtime_dir, TRUE);
}

/* Between our mkdir, which finds the folder, and our open, its owner removes it: that is no error, we make it anew. */
static void test_folder_vanishes_before_it_is_opened(void)
{
	struct run_folder folder;

	take(&folder, "warm-up"); /* makes the parent */
	run_folder_release(&folder);
	for (unsigned int n = 1; n <= 3; n++) {
		n_vanishing = n;
		take(&folder, "vanishing");
		g_assert_cmpuint(n_vanishing, ==, 0);
		run_folder_release(&folder);
	}
	g_assert_cmpuint(count_names(), ==, 0);
}

static gboolean folder_is_ours(const struct run_folder *folder)
{
	struct stat held, named;
	g_autofree char *path = path_of(folder->name, "lock");

	return fstat(folder->lock_fd, &held) == 0 && stat(path, &named) == 0 && held.st_ino == named.st_ino;
}

static void test_lock_is_replaced_before_it_is_locked(void)
{
	struct run_folder folder;

	replaced_path = path_of("replaced", "lock");
	for (unsigned int n = 0; n <= 3; n++) {
		n_replaced = n;
		take(&folder, "replaced");
		g_assert_cmpuint(n_replaced, ==, 0);
		g_assert_true(folder_is_ours(&folder));
		expect_refusal("replaced", DOM1_STATUS_USAGE);
		run_folder_release(&folder);
	}
	g_assert_cmpuint(count_names(), ==, 0);
	g_clear_pointer(&replaced_path, g_free);
}

/* The race */

#define N_RACERS 6u
#define N_ROUNDS 400u

struct race {
	unsigned int start;
	unsigned int inside;
	unsigned int n_wins, n_in_use, n_other_errors;
	unsigned int n_overlaps; /* two were inside */
	unsigned int n_lost;     /* the folder of the winner was not the one that its name leads to */
	char other_error[256];
};

static void run_racer(struct race *race)
{
	while (!__atomic_load_n(&race->start, __ATOMIC_ACQUIRE))
		sched_yield();
	for (unsigned int i = 0; i < N_ROUNDS; i++) {
		g_autoptr(GError) error = NULL;
		struct run_folder folder;

		if (run_folder_take(&folder, "race", &error)) {
			if (__atomic_fetch_add(&race->inside, 1, __ATOMIC_SEQ_CST) != 0)
				__atomic_fetch_add(&race->n_overlaps, 1, __ATOMIC_SEQ_CST);
			sched_yield();
			if (!folder_is_ours(&folder))
				__atomic_fetch_add(&race->n_lost, 1, __ATOMIC_SEQ_CST);
			__atomic_fetch_add(&race->n_wins, 1, __ATOMIC_SEQ_CST);
			__atomic_fetch_sub(&race->inside, 1, __ATOMIC_SEQ_CST);
			run_folder_release(&folder);
		} else if (g_error_matches(error, DOM1_ERROR, DOM1_STATUS_USAGE)) {
			__atomic_fetch_add(&race->n_in_use, 1, __ATOMIC_SEQ_CST);
		} else {
			__atomic_fetch_add(&race->n_other_errors, 1, __ATOMIC_SEQ_CST);
			g_strlcpy(race->other_error, error->message, sizeof(race->other_error));
		}
	}
}

static struct race *run_race(void)
{
	struct race *race = mmap(NULL, sizeof(*race), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t children[N_RACERS];

	g_assert_true(race != MAP_FAILED);
	for (unsigned int i = 0; i < N_RACERS; i++) {
		children[i] = fork();
		if (children[i] == 0) {
			run_racer(race);
			_exit(0);
		}
	}
	__atomic_store_n(&race->start, 1, __ATOMIC_RELEASE);
	for (unsigned int i = 0; i < N_RACERS; i++)
		reap(children[i]);
	g_test_message("%u wins, %u in use, %u other errors", race->n_wins, race->n_in_use, race->n_other_errors);
	g_assert_cmpuint(race->n_wins + race->n_in_use + race->n_other_errors, ==, N_RACERS * N_ROUNDS);
	return race;
}

static void test_race_has_one_winner(void)
{
	struct race *race = run_race();

	g_assert_cmpuint(race->n_wins, >, 0);
	g_assert_cmpuint(race->n_overlaps, ==, 0);
	g_assert_cmpuint(race->n_lost, ==, 0);
	g_assert_cmpuint(count_names(), ==, 0); /* and the last one leaves nothing */
	munmap(race, sizeof(*race));
}

/* Who loses hears that the name is in use: anything else sends a person looking for a fault of the host. */
static void test_race_has_no_other_errors(void)
{
	struct race *race = run_race();

	g_assert_cmpstr(race->other_error, ==, "");
	g_assert_cmpuint(race->n_other_errors, ==, 0);
	munmap(race, sizeof(*race));
}

/* Of its parent, its folder and its lock, one cannot be opened: nothing is left. The last one, its number, is not needed. */
static void test_no_more_files(void)
{
	for (unsigned int n = 1; n <= 3; n++) {
		g_autoptr(GError) error = NULL;
		struct run_folder folder;

		refused_open = n;
		g_assert_false(run_folder_take(&folder, "refused", &error));
		g_assert_error(error, DOM1_ERROR, DOM1_STATUS_HOST);
		g_assert_nonnull(strstr(error->message, g_strerror(EMFILE)));
		g_assert_cmpuint(count_names(), ==, 0);
	}
}

/* As another user, with nothing but the descriptors; returns whether the folder was removed. */
static bool remove_as(uid_t uid, gid_t gid, const struct run_folder *folder)
{
	g_autofree char *path = path_of(folder->name, NULL);
	pid_t pid = fork();

	if (pid == 0) {
		if (setresgid(gid, gid, gid) != 0 || setresuid(uid, uid, uid) != 0)
			_exit(1);
		run_folder_remove_at(folder->parent_fd, folder->name, folder->fd);
		_exit(0);
	}
	int status;
	g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
	g_assert_cmpint(status, ==, 0);
	return !g_file_test(path, G_FILE_TEST_EXISTS);
}

/* Root's machine is another user: it removes its own folder and no other one, and root takes the name again. */
static void test_given_to_a_machine(void)
{
	g_autofree char *parent = g_build_filename(runtime_dir, "dom1", NULL);
	const uid_t uid = SANDBOX_USER_BASE + 1234;
	struct run_folder folder, other;

	if (geteuid() != 0) {
		g_assert_cmpint(sandbox_user(), ==, 0);
		g_test_skip("only root gives files away");
		return;
	}
	g_assert_true(sandbox_is_user(sandbox_user()));
	g_assert_false(sandbox_is_user(0) || sandbox_is_user(65534) || sandbox_is_user(SANDBOX_USER_BASE + SANDBOX_USER_RANGE));
	g_assert_true(run_folder_take(&folder, "given", NULL));
	g_assert_true(run_folder_take(&other, "other", NULL));
	g_assert_false(remove_as(uid, SANDBOX_USER_BASE, &folder));
	g_assert_true(run_folder_give(&folder, uid));
	g_assert_true(run_folder_give(&other, uid + 1));
	g_assert_false(remove_as(uid, SANDBOX_USER_BASE, &other));
	g_assert_false(remove_as(uid, 65534, &folder));
	g_assert_true(remove_as(uid, SANDBOX_USER_BASE, &folder));
	run_folder_release(&folder);
	/* What a machine that was killed has left is root's again. */
	g_assert_true(run_folder_take(&folder, "given", NULL));
	g_assert_true(run_folder_give(&folder, uid));
	close(folder.lock_fd);
	close(folder.fd);
	close(folder.parent_fd);
	g_free(folder.name);
	g_assert_true(run_folder_take(&folder, "given", NULL));
	run_folder_release(&folder);
	run_folder_release(&other);
	g_assert_cmpuint(count_names(), ==, 0);
	/* As the other tests have it. */
	g_assert_cmpint(chown(parent, 0, 0), ==, 0);
	g_assert_cmpint(g_chmod(parent, 0700), ==, 0);
}

int main(int argc, char **argv)
{
	int rc;

	g_test_init(&argc, &argv, NULL);
	runtime_dir = g_dir_make_tmp("dom1-run-folder-XXXXXX", NULL);
	g_assert_nonnull(runtime_dir);
	g_setenv("XDG_RUNTIME_DIR", runtime_dir, TRUE);
	g_test_add_func("/run_folder/take-and-release", test_take_and_release);
	g_test_add_func("/run_folder/taken-twice", test_taken_twice);
	g_test_add_func("/run_folder/stale-folder-is-reused", test_stale_folder_is_reused);
	g_test_add_func("/run_folder/machine-keeps-the-name", test_machine_keeps_the_name);
	g_test_add_func("/run_folder/foreign-folders", test_foreign_folders);
	g_test_add_func("/run_folder/given-to-a-machine", test_given_to_a_machine);
	g_test_add_func("/run_folder/no-more-files", test_no_more_files);
	g_test_add_func("/run_folder/other-things-in-its-place", test_other_things_in_its_place);
	g_test_add_func("/run_folder/no-runtime-dir", test_no_runtime_dir);
	g_test_add_func("/run_folder/folder-vanishes-before-it-is-opened", test_folder_vanishes_before_it_is_opened);
	g_test_add_func("/run_folder/lock-is-replaced-before-it-is-locked", test_lock_is_replaced_before_it_is_locked);
	g_test_add_func("/run_folder/race-has-one-winner", test_race_has_one_winner);
	g_test_add_func("/run_folder/race-has-no-other-errors", test_race_has_no_other_errors);
	rc = g_test_run();

	g_autofree char *parent = g_build_filename(runtime_dir, "dom1", NULL);
	g_rmdir(parent);
	g_rmdir(runtime_dir);
	g_free(runtime_dir);
	return rc;
}
