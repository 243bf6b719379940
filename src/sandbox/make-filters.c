// SPDX-License-Identifier: MIT
/*
 * Runs when dom1 is built: makes the seccomp filters of the machine's threads out of rules.inc, by libseccomp, and prints
 * them as C. So the machine has nothing to compute when it locks itself in, and libseccomp is not loaded with it.
 *
 * The build fails when a thread has more system calls than its kind may have.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/if_tun.h>
#include <linux/kvm.h>
#include <linux/userfaultfd.h>
#include <sched.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <termios.h>
#include <unistd.h>

/* What pthread_create() asks for: a thread of this process, and nothing else. */
#define THREAD_FLAGS                                                                                                           \
	(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | CLONE_SETTLS | CLONE_PARENT_SETTID | \
	 CLONE_CHILD_CLEARTID)

/* As in sandbox.h. */
enum thread { main_thread, vcpu, io, io_sync, mapper, loader, memory, lender, flush, vhost, N_THREADS };
#define main main_thread

static const struct rule {
	unsigned int thread; /* enum thread */
	const char *call;
	int argument; /* -1: whatever the arguments are */
	uint64_t mask, value; /* of it */
	int error; /* 0: it is allowed */
	const char *where;
} RULES[] = {
#define RULE(thread, call, argument, mask, value, error, where) { thread, #call, argument, mask, value, error, where },
#include "rules.inc"
};
#undef main

#define N_RULES (sizeof(RULES) / sizeof(RULES[0]))

static const struct {
	const char *name;
	unsigned int max_calls;
} THREADS[N_THREADS] = {
	[main_thread] = { "main", 40 }, [vcpu] = { "vcpu", 10 },     [io] = { "io", 15 },         [io_sync] = { "io_sync", 18 },
	[mapper] = { "mapper", 20 },    [loader] = { "loader", 16 }, [memory] = { "memory", 40 }, [lender] = { "lender", 15 },
	[flush] = { "flush", 10 },
	[vhost] = { "vhost", 20 },
};

static void die(const char *what, const struct rule *rule, int error)
{
	fprintf(stderr, "make-filters: %s: %s%s: %s\n", rule ? rule->where : "", what, rule ? rule->call : "", strerror(error));
	exit(1);
}

static bool applies(const struct rule *rule, unsigned int thread)
{
	return rule->thread == thread;
}

static bool same_call(const struct rule *a, const struct rule *b)
{
	return strcmp(a->call, b->call) == 0;
}

/* A call that a rule of the thread allows whatever its arguments are. */
static bool is_free(unsigned int thread, const struct rule *wanted)
{
	for (size_t i = 0; i < N_RULES; i++)
		if (applies(&RULES[i], thread) && same_call(&RULES[i], wanted) && RULES[i].argument < 0 && RULES[i].error == 0)
			return true;
	return false;
}

static void add_rule(scmp_filter_ctx filter, const struct rule *rule)
{
	int number = seccomp_syscall_resolve_name(rule->call);
	uint32_t action = rule->error ? SCMP_ACT_ERRNO((uint16_t)rule->error) : SCMP_ACT_ALLOW;
	/* The numbers of ioctls and flags are ints: what stands above in a register is not looked at by the kernel. */
	const struct scmp_arg_cmp compare = { .arg = (unsigned int)rule->argument, .op = SCMP_CMP_MASKED_EQ,
					      .datum_a = rule->mask, .datum_b = (uint32_t)rule->value };

	if (number == __NR_SCMP_ERROR)
		die("no such system call: ", rule, ENOSYS);
	int rc = rule->argument < 0 ? seccomp_rule_add_array(filter, action, number, 0, NULL) :
				      seccomp_rule_add_array(filter, action, number, 1, &compare);
	if (rc != 0 && rc != -EEXIST)
		die("libseccomp refuses the rule: ", rule, -rc);
}

static void print_program(scmp_filter_ctx filter, unsigned int thread)
{
	FILE *file = tmpfile();
	struct sock_filter instruction;

	if (!file)
		die("tmpfile", NULL, errno);
	int rc = seccomp_export_bpf(filter, fileno(file));
	if (rc != 0)
		die("seccomp_export_bpf", NULL, -rc);
	rewind(file);
	printf("static const struct sock_filter PROGRAM_%s[] = {\n", THREADS[thread].name);
	while (fread(&instruction, sizeof(instruction), 1, file) == 1)
		printf("\t{ 0x%x, %u, %u, 0x%x },\n", instruction.code, instruction.jt, instruction.jf, instruction.k);
	puts("};\n");
	fclose(file);
}

static void make_filter(unsigned int thread)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_TRAP);

	if (!filter)
		die("seccomp_init", NULL, ENOMEM);
	for (size_t i = 0; i < N_RULES; i++)
		/* What is free needs no rule for a value, and what is allowed to one is not refused to all. */
		if (applies(&RULES[i], thread) && !(is_free(thread, &RULES[i]) && (RULES[i].argument >= 0 || RULES[i].error)))
			add_rule(filter, &RULES[i]);
	print_program(filter, thread);
	seccomp_release(filter);
}

/* The calls, without their arguments and without what is only refused. For tests and for people. */
static void print_calls(unsigned int thread)
{
	unsigned int n = 0;

	printf("static const char CALLS_%s[] =", THREADS[thread].name);
	for (size_t i = 0; i < N_RULES; i++) {
		bool seen = RULES[i].error != 0 || !applies(&RULES[i], thread);

		for (size_t j = 0; !seen && j < i; j++)
			seen = applies(&RULES[j], thread) && same_call(&RULES[j], &RULES[i]) && RULES[j].error == 0;
		if (!seen)
			printf("\n\t\"%s%s\"", n++ > 0 ? " " : "", RULES[i].call);
	}
	puts(n > 0 ? ";\n" : " \"\";\n");
	if (n <= THREADS[thread].max_calls)
		return;
	fprintf(stderr, "make-filters: %u system calls of the thread %s, not more than %u\n", n, THREADS[thread].name,
		THREADS[thread].max_calls);
	exit(1);
}

static void print_names(void)
{
	puts("static const char *const SYSCALL_NAMES[] = {");
	for (int number = 0; number < 512; number++) {
		char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_X86_64, number);

		if (name)
			printf("\t[%d] = \"%s\",\n", number, name);
		free(name);
	}
	puts("};");
}

int main(void)
{
	puts("/* Made by make-filters from the comments in the sources. */\n");
	for (unsigned int thread = 0; thread < N_THREADS; thread++) {
		make_filter(thread);
		print_calls(thread);
	}
	print_names();
	return 0;
}
