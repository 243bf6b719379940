// SPDX-License-Identifier: MIT
/*
 * usage: fail-start KIND NUMBER MARK LOG COMMAND [ARGUMENT...]
 *
 * Runs the command, and lets the NUMBER-th system call of a kind fail, counted over all of its processes and threads,
 * from where it opens the file MARK until a vCPU runs. NUMBER 0: none fails. LOG gets "failed CALL ARGUMENT COMM" and
 * "counted N".
 *
 *   open     what makes a descriptor            EMFILE
 *   ioctl                                       EIO
 *   memory   mmap, mremap, mprotect             ENOMEM
 *   write    writes, sizes, folders, names      ENOSPC (not flock(): it needs no room)
 *   read     reads, and looks at files          EIO
 *   process  processes, threads, the sandbox    EAGAIN
 *
 * The call is not made: another one takes its place that does nothing and that every filter of dom1's allows. brk() is
 * left alone: it is GLib's, whose allocations end the process by design. The status is the command's.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define CALLS_MAX   32
#define TRACEES_MAX 256
#define NO_CLOCK    0x7fffffff

static const struct kind {
	const char *name;
	int error;
	int calls[CALLS_MAX]; /* ends with 0, which is read(): that stands first where it is meant */
} KINDS[] = {
	{"open",
	 EMFILE,
	 {SYS_openat, SYS_memfd_create, SYS_socket, SYS_socketpair, SYS_pipe2, SYS_eventfd2, SYS_timerfd_create,
	  SYS_signalfd4, SYS_epoll_create1, SYS_userfaultfd, SYS_io_uring_setup, SYS_dup, SYS_dup3}},
	{"ioctl", EIO, {SYS_ioctl}},
	{"memory", ENOMEM, {SYS_mmap, SYS_mremap, SYS_mprotect}},
	{"write",
	 ENOSPC,
	 {SYS_write, SYS_pwrite64, SYS_writev, SYS_pwritev2, SYS_ftruncate, SYS_fallocate, SYS_mkdirat, SYS_unlinkat,
	  SYS_fchown, SYS_fchmod, SYS_bind, SYS_listen, SYS_connect}},
	{"read",
	 EIO,
	 {SYS_read, SYS_pread64, SYS_preadv2, SYS_fstat, SYS_newfstatat, SYS_statx, SYS_fstatfs, SYS_lseek,
	  SYS_getdents64}},
	{"process",
	 EAGAIN,
	 {SYS_clone,
	  SYS_clone3,
	  SYS_fork,
	  SYS_vfork,
	  SYS_unshare,
	  SYS_prctl,
	  SYS_seccomp,
	  SYS_capset,
	  SYS_setresuid,
	  SYS_setresgid,
	  SYS_setgroups,
	  SYS_mount,
	  SYS_pivot_root,
	  SYS_umount2,
	  SYS_chdir,
	  SYS_landlock_create_ruleset,
	  SYS_landlock_restrict_self,
	  SYS_prlimit64,
	  SYS_close_range,
	  SYS_io_uring_register,
	  SYS_rt_sigaction,
	  SYS_rt_sigprocmask}},
};

struct tracee {
	pid_t tid;  /* 0: free */
	bool fails; /* the call that it is in; its arguments were these */
	unsigned long long rdi, rsi;
};

struct trace {
	const struct kind *kind;
	unsigned long number, counted;
	const char *mark;
	bool counts; /* between the mark and the first vCPU */
	bool over;
	FILE *log;
	struct tracee tracees[TRACEES_MAX];
};

static int die(const char *what)
{
	fprintf(stderr, "fail-start: %s: %s\n", what, strerror(errno));
	return 120;
}

static struct tracee *tracee_of(struct trace *trace, pid_t tid)
{
	struct tracee *unused = NULL;

	for (size_t i = 0; i < TRACEES_MAX; i++) {
		if (trace->tracees[i].tid == tid)
			return &trace->tracees[i];
		if (trace->tracees[i].tid == 0 && !unused)
			unused = &trace->tracees[i];
	}
	if (unused)
		*unused = (struct tracee){.tid = tid};
	return unused;
}

static bool is_of_kind(const struct kind *kind, uint64_t call)
{
	for (size_t i = 0; i < CALLS_MAX && (i == 0 || kind->calls[i] != 0); i++)
		if ((uint64_t)kind->calls[i] == call)
			return true;
	return false;
}

static bool names_mark(const struct trace *trace, pid_t tid, uint64_t path)
{
	char text[4096] = "";
	struct iovec here = {text, sizeof(text) - 1}, there = {(void *)(uintptr_t)path, 0};

	there.iov_len = strlen(trace->mark) + 1;
	here.iov_len = there.iov_len;
	return there.iov_len < sizeof(text) &&
	       process_vm_readv(tid, &here, 1, &there, 1, 0) == (ssize_t)there.iov_len &&
	       strcmp(text, trace->mark) == 0;
}

static void name_of(pid_t tid, char *name, size_t size)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)tid);
	FILE *file = fopen(path, "re");
	if (!file || !fgets(name, (int)size, file))
		snprintf(name, size, "?");
	name[strcspn(name, "\n")] = '\0';
	if (file)
		fclose(file);
}

/* The wrong call becomes one of an unknown clock, which does nothing; what it answers is changed when it returns. */
static void spoil(struct trace *trace, struct tracee *tracee, const struct __ptrace_syscall_info *info)
{
	struct user_regs_struct regs;
	char name[32];

	if (ptrace(PTRACE_GETREGS, tracee->tid, NULL, &regs) != 0)
		return;
	tracee->rdi = regs.rdi;
	tracee->rsi = regs.rsi;
	regs.orig_rax = SYS_clock_gettime;
	regs.rdi = NO_CLOCK;
	regs.rsi = 0;
	if (ptrace(PTRACE_SETREGS, tracee->tid, NULL, &regs) != 0)
		return;
	tracee->fails = true;
	name_of(tracee->tid, name, sizeof(name));
	fprintf(trace->log, "failed %llu %#llx %s\n", (unsigned long long)info->entry.nr,
		(unsigned long long)info->entry.args[1], name);
}

static void on_call(struct trace *trace, struct tracee *tracee)
{
	struct __ptrace_syscall_info info;
	struct user_regs_struct regs;

	if (ptrace(PTRACE_GET_SYSCALL_INFO, tracee->tid, sizeof(info), &info) <= 0)
		return;
	if (info.op == PTRACE_SYSCALL_INFO_EXIT && tracee->fails) {
		tracee->fails = false;
		/* A program may rely on it that a system call leaves the registers of the arguments as they are. */
		if (ptrace(PTRACE_GETREGS, tracee->tid, NULL, &regs) == 0) {
			regs.rax = (unsigned long long)-trace->kind->error;
			regs.rdi = tracee->rdi;
			regs.rsi = tracee->rsi;
			(void)ptrace(PTRACE_SETREGS, tracee->tid, NULL, &regs);
		}
		return;
	}
	if (info.op != PTRACE_SYSCALL_INFO_ENTRY)
		return;
	if (info.entry.nr == SYS_ioctl && info.entry.args[1] == KVM_RUN)
		trace->over = true;
	if (!trace->counts && !trace->over && info.entry.nr == SYS_openat)
		trace->counts = names_mark(trace, tracee->tid, info.entry.args[1]);
	if (trace->counts && !trace->over && is_of_kind(trace->kind, info.entry.nr) &&
	    ++trace->counted == trace->number)
		spoil(trace, tracee, &info);
}

/* The signal that it is to have, 0: none. */
static int signal_of(struct trace *trace, struct tracee *tracee, int status)
{
	const int signal = WSTOPSIG(status);

	if (signal == (SIGTRAP | 0x80)) {
		on_call(trace, tracee);
		return 0;
	}
	/* Events of ptrace's, and the stop with which what is new begins. */
	return status >> 16 != 0 ? 0 : signal;
}

static int follow(struct trace *trace, pid_t first)
{
	int status, answer = 120;
	pid_t tid;

	while ((tid = waitpid(-1, &status, __WALL)) > 0) {
		struct tracee *tracee = tracee_of(trace, tid);

		if (!tracee)
			return die("too many threads");
		if (!WIFSTOPPED(status)) {
			tracee->tid = 0;
			if (tid == first)
				answer = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
			continue;
		}
		const int signal = signal_of(trace, tracee, status);

		(void)ptrace(PTRACE_SYSCALL, tid, NULL, signal);
	}
	return answer;
}

int main(int argc, char **argv)
{
	struct trace trace = {0};
	int status;

	for (size_t i = 0; argc > 5 && i < sizeof(KINDS) / sizeof(KINDS[0]); i++)
		if (strcmp(argv[1], KINDS[i].name) == 0)
			trace.kind = &KINDS[i];
	if (!trace.kind) {
		fputs("usage: fail-start open|ioctl|memory|write|read|process NUMBER MARK LOG COMMAND [ARGUMENT...]\n",
		      stderr);
		return 120;
	}
	trace.number = strtoul(argv[2], NULL, 10);
	trace.mark = argv[3];
	trace.log = fopen(argv[4], "we");
	if (!trace.log)
		return die(argv[4]);
	pid_t pid = fork();
	if (pid == 0) {
		raise(SIGSTOP);
		execvp(argv[5], argv + 5);
		_exit(die(argv[5]));
	}
	/* Seized, so that what is new begins with an event, and not with a signal that could be somebody's. */
	if (pid < 0 || waitpid(pid, &status, WUNTRACED) != pid ||
	    ptrace(PTRACE_SEIZE, pid, NULL,
		   PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE |
			   PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL) != 0 ||
	    kill(pid, SIGCONT) != 0)
		return die("ptrace");
	const int answer = follow(&trace, pid);
	fprintf(trace.log, "counted %lu\n", trace.counted);
	return fclose(trace.log) == 0 ? answer : die(argv[4]);
}
