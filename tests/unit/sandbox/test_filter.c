// SPDX-License-Identifier: MIT
/* The filters: how much they allow, and what becomes of a thread that wants more. In a child each, which may end so. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <glib.h>
#include <linux/kvm.h>

#include "sandbox/sandbox.h"
#include "sandbox/sandbox_internal.h"
#include "vmm/error.h"
#include "vmm/record.h"
#include "vmm/worker.h"

#define CHILD_DONE 7

static struct record *record;

static unsigned int n_calls(enum sandbox_thread thread)
{
	g_auto(GStrv) calls = g_strsplit(sandbox_calls(thread), " ", -1);

	return g_strv_length(calls);
}

static bool allows(enum sandbox_thread thread, const char *call)
{
	g_auto(GStrv) calls = g_strsplit(sandbox_calls(thread), " ", -1);

	return g_strv_contains((const char *const *)calls, call);
}

static void test_counts(void)
{
	static const char *const never[] = {
		"execve", "execveat", "fork", "vfork", "open", "openat", "openat2", "creat", "socket", "connect", "bind", "ptrace", "mount",
		"unshare", "setns", "kill", "chmod", "prctl", "seccomp", "bpf", "keyctl", "io_uring_setup", "io_uring_register", "memfd_secret",
	};

	g_assert_cmpuint(n_calls(SANDBOX_VCPU), <=, 10);
	g_assert_cmpuint(n_calls(SANDBOX_IO), <=, 15);
	g_assert_cmpuint(n_calls(SANDBOX_MAIN), <=, 40);
	for (unsigned int thread = 0; thread < SANDBOX_N_THREADS; thread++) {
		g_assert_cmpuint(n_calls(thread), >=, 5);
		for (size_t i = 0; i < G_N_ELEMENTS(never); i++)
			g_assert_false(allows(thread, never[i]));
		/* Threads are made for one purpose alone: questions about lent files that may never be answered. */
		g_assert_cmpint(allows(thread, "clone"), ==, thread == SANDBOX_MEMORY);
		g_assert_false(allows(thread, "clone3"));
	}
}

/* Returns how the child ended: worker of this kind, which does fn and then says that it got there. */
static int run_as(enum sandbox_thread kind, enum sandbox_mode mode, void (*fn)(void *opaque))
{
	int status;

	record = record_new(0);
	pid_t pid = fork();
	if (pid == 0) {
		const struct sandbox sandbox = { .mode = mode, .record = record };
		const struct worker_kind worker_kind = { .name = "dom1-test", .filter = kind };

		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		if (!sandbox_watch_violations(&sandbox))
			_exit(CHILD_DONE + 1);
		atomic_store(&record->sandbox_layers, UINT32_C(1) << SANDBOX_SECCOMP);
		struct worker *worker = worker_new(&worker_kind, &sandbox, NULL);
		worker_run(worker, fn, NULL);
		_exit(CHILD_DONE);
	}
	g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
	g_assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void expect_done(enum sandbox_thread kind, enum sandbox_mode mode, void (*fn)(void *opaque))
{
	g_assert_cmpint(run_as(kind, mode, fn), ==, CHILD_DONE);
	g_assert_cmpuint(atomic_load(&record->outcome), ==, OUTCOME_NONE);
	munmap(record, sizeof(*record));
}

static void expect_violation(enum sandbox_thread kind, const char *call, void (*fn)(void *opaque))
{
	g_autofree char *words = g_strdup_printf("the thread dom1-test made the system call %s (", call);

	g_assert_cmpint(run_as(kind, SANDBOX_ON, fn), ==, DOM1_STATUS_DEFECT);
	g_assert_cmpuint(atomic_load(&record->outcome), ==, OUTCOME_HOST_ERROR);
	g_assert_cmpuint(atomic_load(&record->status), ==, DOM1_STATUS_DEFECT);
	g_assert_true(g_str_has_prefix(record->detail, words));
	munmap(record, sizeof(*record));
}

static void get_ppid(void *opaque)
{
	(void)opaque;
	(void)syscall(SYS_getppid);
}

static void write_nothing(void *opaque)
{
	(void)opaque;
	g_assert_cmpint(syscall(SYS_write, -1, "", 0), ==, -1);
}

static void run_vcpu(void *opaque)
{
	(void)opaque;
	g_assert_cmpint(syscall(SYS_ioctl, -1, KVM_RUN, 0), ==, -1);
	g_assert_cmpint(errno, ==, EBADF);
}

/* Types on a terminal: the classical way out. */
static void type_on_terminal(void *opaque)
{
	(void)opaque;
	(void)syscall(SYS_ioctl, -1, TIOCSTI, "x");
}

static void map_data(void *opaque)
{
	(void)opaque;
	g_assert_cmpint(syscall(SYS_mmap, NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), !=, -1);
}

static void map_code(void *opaque)
{
	(void)opaque;
	(void)syscall(SYS_mmap, NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void fork_once(void *opaque)
{
	(void)opaque;
	(void)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
}

static void ask_for_clone3(void *opaque)
{
	(void)opaque;
	g_assert_cmpint(syscall(SYS_clone3, NULL, 0), ==, -1);
	g_assert_cmpint(errno, ==, ENOSYS);
}

static void test_violations(void)
{
	for (unsigned int thread = 0; thread < SANDBOX_N_THREADS; thread++) {
		expect_violation(thread, "getppid", get_ppid);
		expect_done(thread, SANDBOX_ON, write_nothing);
	}
}

static void test_arguments(void)
{
	expect_done(SANDBOX_VCPU, SANDBOX_ON, run_vcpu);
	expect_violation(SANDBOX_MAIN, "ioctl", run_vcpu);
	expect_violation(SANDBOX_VCPU, "ioctl", type_on_terminal);
	expect_violation(SANDBOX_MAIN, "ioctl", type_on_terminal);
	expect_done(SANDBOX_MAPPER, SANDBOX_ON, map_data);
	expect_violation(SANDBOX_MAPPER, "mmap", map_code);
	expect_violation(SANDBOX_VCPU, "mmap", map_data);
	expect_violation(SANDBOX_MEMORY, "clone", fork_once);
	expect_done(SANDBOX_MEMORY, SANDBOX_ON, ask_for_clone3);
}

static void test_log(void)
{
	expect_done(SANDBOX_VCPU, SANDBOX_LOG, get_ppid);
	expect_done(SANDBOX_MAPPER, SANDBOX_LOG, map_code);
}

/* A domain that has ended well before its thread did that has not ended well. */
static void end_first(void *opaque)
{
	record_end(record, OUTCOME_POWEROFF, 0, NULL);
	get_ppid(opaque);
}

static void test_after_end(void)
{
	expect_violation(SANDBOX_VCPU, "getppid", end_first);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/filter/counts", test_counts);
	g_test_add_func("/filter/violations", test_violations);
	g_test_add_func("/filter/arguments", test_arguments);
	g_test_add_func("/filter/log", test_log);
	g_test_add_func("/filter/after-end", test_after_end);
	return g_test_run();
}
