// SPDX-License-Identifier: MIT
/*
 * The filters, and what becomes of a thread that makes a system call which is not in its own: SIGSYS, whose handler
 * writes into the record who it was, and ends the process. The launcher tells it.
 */
#include "sandbox/sandbox.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sandbox/sandbox_internal.h"
#include "vmm/error.h"
#include "vmm/record.h"

#include "filters.inc"

#define PROGRAM(thread) { G_N_ELEMENTS(PROGRAM_##thread), PROGRAM_##thread, CALLS_##thread }

static const struct {
	size_t n_instructions;
	const struct sock_filter *instructions;
	const char *calls;
} PROGRAMS[SANDBOX_N_THREADS] = {
	[SANDBOX_MAIN] = PROGRAM(main),     [SANDBOX_VCPU] = PROGRAM(vcpu),     [SANDBOX_IO] = PROGRAM(io),
	[SANDBOX_IO_SYNC] = PROGRAM(io_sync), [SANDBOX_MAPPER] = PROGRAM(mapper), [SANDBOX_LOADER] = PROGRAM(loader),
	[SANDBOX_MEMORY] = PROGRAM(memory), [SANDBOX_LENDER] = PROGRAM(lender),
	[SANDBOX_FLUSH] = PROGRAM(flush),
	[SANDBOX_VHOST] = PROGRAM(vhost),
};

/* A handler of a signal has no other way to know. Set once, while there is one thread. */
static struct record *violation_record;
static __thread char thread_name[16] __attribute__((tls_model("initial-exec")));

/*
 * The first reason for an end wins but for this one: it would go unnoticed when it happens as the domain ends.
 * Without AddressSanitizer, which asks for the alternate stack before each function that does not return.
 * syscalls(all): exit_group
 */
__attribute__((no_sanitize_address)) static void on_violation(int signal_number, siginfo_t *info, void *context)
{
	const unsigned int number = (unsigned int)info->si_syscall;
	const char *name = number < G_N_ELEMENTS(SYSCALL_NAMES) ? SYSCALL_NAMES[number] : NULL;

	(void)signal_number, (void)context;
	atomic_store(&violation_record->outcome, OUTCOME_NONE);
	record_end(violation_record, OUTCOME_HOST_ERROR, DOM1_STATUS_DEFECT,
		   "the thread %s made the system call %s (%u), which its sandbox does not allow: please report it; "
		   "--sandbox=log goes on",
		   thread_name, name ? name : "?", number);
	_exit(DOM1_STATUS_DEFECT);
}

bool sandbox_watch_violations(const struct sandbox *sandbox)
{
	struct sigaction action = { .sa_sigaction = on_violation, .sa_flags = SA_SIGINFO };
	const uint32_t wanted = sandbox->mode == SANDBOX_LOG ? SECCOMP_RET_LOG : SECCOMP_RET_TRAP;

	violation_record = sandbox->record;
	sigfillset(&action.sa_mask);
	return sigaction(SIGSYS, &action, NULL) == 0 && syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &wanted) == 0;
}

/* The program is the build's; only what becomes of the other calls is another in the log mode. */
static bool install(enum sandbox_thread thread, bool log)
{
	const struct sock_filter *instructions = PROGRAMS[thread].instructions;
	const size_t n = PROGRAMS[thread].n_instructions;
	g_autofree struct sock_filter *copy = log ? g_memdup2(instructions, n * sizeof(*copy)) : NULL;
	/* The kernel only reads it. */
	const struct sock_fprog program = { .len = (unsigned short)n,
					    .filter = copy ? copy : (struct sock_filter *)(uintptr_t)instructions };

	for (size_t i = 0; log && i < n; i++)
		if (copy[i].code == (BPF_RET | BPF_K) && (copy[i].k & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_TRAP)
			copy[i].k = SECCOMP_RET_LOG;
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0;
}

static bool has_filters(const struct sandbox *sandbox)
{
	return sandbox && (atomic_load(&sandbox->record->sandbox_layers) & UINT32_C(1) << SANDBOX_SECCOMP) != 0;
}

void sandbox_enter_thread(const struct sandbox *sandbox, enum sandbox_thread thread, const char *name)
{
	prctl(PR_SET_NAME, name);
	g_strlcpy(thread_name, name, sizeof(thread_name));
	if (thread == SANDBOX_LATER || !has_filters(sandbox) || install(thread, sandbox->mode == SANDBOX_LOG))
		return;
	/* The kernel has filters: it is memory that is missing. */
	record_end(sandbox->record, OUTCOME_HOST_ERROR, DOM1_STATUS_HOST, "the thread %s: no seccomp filter: %s", name, strerror(errno));
	_exit(DOM1_STATUS_HOST);
}

const char *sandbox_calls(enum sandbox_thread thread)
{
	return PROGRAMS[thread].calls;
}
