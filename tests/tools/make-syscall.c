// SPDX-License-Identifier: MIT
/*
 * usage: make-syscall TID NUMBER [ARGUMENT...]
 *
 * Has a thread of another process make a system call that is not in its program, as somebody would who has taken it over. The
 * thread waits in a call of its own; it is made to go over the instruction of that once more.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>

/* SYSCALL is two bytes long, and the thread stands behind it. */
#define SYSCALL_BYTES 2

static int fail(const char *what)
{
	fprintf(stderr, "make-syscall: %s: %s\n", what, strerror(errno));
	return 1;
}

int main(int argc, char **argv)
{
	struct user_regs_struct regs;
	int status;

	if (argc < 3 || argc > 9)
		return 2;
	const pid_t tid = (pid_t)strtol(argv[1], NULL, 10);
	unsigned long long *const arguments[] = { &regs.rdi, &regs.rsi, &regs.rdx, &regs.r10, &regs.r8, &regs.r9 };

	if (ptrace(PTRACE_SEIZE, tid, NULL, NULL) != 0 || ptrace(PTRACE_INTERRUPT, tid, NULL, NULL) != 0)
		return fail("ptrace");
	if (waitpid(tid, &status, __WALL) != tid || !WIFSTOPPED(status) || ptrace(PTRACE_GETREGS, tid, NULL, &regs) != 0)
		return fail("the thread does not stop");
	if ((long long)regs.orig_rax < 0) {
		errno = EBUSY;
		return fail("the thread is in no system call");
	}
	regs.rip -= SYSCALL_BYTES;
	/* No restart of the one that it was in. */
	regs.orig_rax = UINT64_MAX;
	regs.rax = strtoull(argv[2], NULL, 0);
	for (int i = 3; i < argc; i++)
		*arguments[i - 3] = strtoull(argv[i], NULL, 0);
	if (ptrace(PTRACE_SETREGS, tid, NULL, &regs) != 0 || ptrace(PTRACE_DETACH, tid, NULL, NULL) != 0)
		return fail("ptrace");
	return 0;
}
