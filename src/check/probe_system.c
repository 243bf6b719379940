// SPDX-License-Identifier: MIT
/* The kernel and what it lets this user do. */
#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <linux/userfaultfd.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check/probe.h"
#include "dom1/lend.h"

/* Far more than unshare() takes; a child that is stuck ends by it. */
#define CHILD_LIMIT_S 5

static int read_control(const char *path)
{
	char text[24];
	char *end;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (fd >= 0)
		close(fd);
	if (n <= 0)
		return FACT_UNKNOWN;
	text[n] = '\0';
	long value = strtol(text, &end, 10);
	return end == text || value < 0 || value > INT32_MAX ? FACT_UNKNOWN : (int)value;
}

void probe_system(struct system_facts *facts)
{
	unsigned int eax, ebx, ecx, edx;
	struct utsname name;

	*facts = (struct system_facts){ .cpu = CPU_NO_VIRTUALIZATION };
	if (uname(&name) == 0)
		g_strlcpy(facts->kernel_release, name.release, sizeof(facts->kernel_release));
	if (__get_cpuid(1, &eax, &ebx, &ecx, &edx)) {
		facts->is_virtual = ecx >> 31 & 1;
		if (ecx >> 5 & 1)
			facts->cpu = CPU_VMX;
	}
	if (__get_cpuid(0x80000001, &eax, &ebx, &ecx, &edx) && (ecx >> 2 & 1))
		facts->cpu = CPU_SVM;
}

static int open_userfaultfd(int flags, int *fd)
{
	*fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | flags);
	return *fd < 0 ? errno : 0;
}

/* What lend/mapper_host.c asks for when it shows such pages in place. */
static int register_guest_memfd(int userfaultfd)
{
	const size_t len_bytes = LEND_PAGE_BYTES;
	int memory_fd = lend_memory_new(LEND_MEMORY_GUEST_MEMFD, len_bytes);
	void *pages = memory_fd < 0 ? MAP_FAILED : mmap(NULL, len_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory_fd, 0);
	struct uffdio_register area = {
		.range = { (uintptr_t)pages, len_bytes },
		.mode = UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_MINOR,
	};
	int error = ENODEV;

	if (pages != MAP_FAILED) {
		error = ioctl(userfaultfd, UFFDIO_REGISTER, &area) == 0 ? 0 : errno;
		munmap(pages, len_bytes);
	}
	if (memory_fd >= 0)
		close(memory_fd);
	return error;
}

void probe_userfaultfd(struct userfaultfd_facts *facts)
{
	struct uffdio_api api = { .api = UFFD_API };
	int fd;

	*facts = (struct userfaultfd_facts){
		.unprivileged = read_control("/proc/sys/vm/unprivileged_userfaultfd"),
		.guest_memfd_errno = ENODEV,
	};
	facts->full_errno = open_userfaultfd(0, &fd);
	if (fd >= 0)
		close(fd);
	facts->user_mode_errno = open_userfaultfd(UFFD_USER_MODE_ONLY, &fd);
	if (fd >= 0) {
		facts->has_poison = ioctl(fd, UFFDIO_API, &api) == 0 && (api.features & UFFD_FEATURE_POISON);
		facts->guest_memfd_errno = register_guest_memfd(fd);
		close(fd);
	}
	fd = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	facts->device_errno = fd < 0 ? errno : 0;
	if (fd >= 0)
		close(fd);
}

void probe_io_uring(struct io_uring_facts *facts)
{
	struct io_uring_params params = { .flags = 0 };
	int fd = (int)syscall(SYS_io_uring_setup, 1, &params);

	*facts = (struct io_uring_facts){ .setup_errno = fd < 0 ? errno : 0 };
	if (fd >= 0)
		close(fd);
	facts->disabled = read_control("/proc/sys/kernel/io_uring_disabled");
	facts->group = read_control("/proc/sys/kernel/io_uring_group");
}

/*
 * 0 or the errno of unshare() in a child. The answer comes through a pipe: where SIGCHLD is ignored (a parent may have
 * left it so), a child's status is lost.
 */
static int try_unshare(int flags)
{
	int answer = EINTR; /* of a child that was killed */
	int pipe_fds[2];

	if (pipe2(pipe_fds, O_CLOEXEC) != 0)
		return errno;
	pid_t pid = fork();
	if (pid == 0) {
		sigset_t alarm_only;

		signal(SIGALRM, SIG_DFL);
		sigemptyset(&alarm_only);
		sigaddset(&alarm_only, SIGALRM);
		sigprocmask(SIG_UNBLOCK, &alarm_only, NULL);
		alarm(CHILD_LIMIT_S);
		answer = unshare(flags) == 0 ? 0 : errno;
		_exit(write(pipe_fds[1], &answer, sizeof(answer)) == sizeof(answer) ? 0 : 1);
	}
	int fork_errno = errno;
	close(pipe_fds[1]);
	if (pid < 0) {
		answer = fork_errno;
	} else {
		ssize_t n;

		do
			n = read(pipe_fds[0], &answer, sizeof(answer));
		while (n < 0 && errno == EINTR);
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	close(pipe_fds[0]);
	return answer;
}

void probe_namespaces(struct namespace_facts *facts)
{
	*facts = (struct namespace_facts){
		.max_user_namespaces = read_control("/proc/sys/user/max_user_namespaces"),
		.unprivileged_clone = read_control("/proc/sys/kernel/unprivileged_userns_clone"),
		.apparmor_restricts = read_control("/proc/sys/kernel/apparmor_restrict_unprivileged_userns"),
		.user_errno = try_unshare(CLONE_NEWUSER),
		/* As src/sandbox/sandbox.c. AppArmor may let a user namespace be made, and then allow nothing in it. */
		.machine_errno = try_unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWPID | CLONE_NEWNS),
	};
}

void probe_landlock(struct landlock_facts *facts)
{
	/* With this flag it is a question: no ruleset is made. */
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

	*facts = (struct landlock_facts){ .abi = abi > 0 ? (int)abi : 0, .errnum = abi < 0 ? errno : 0 };
}

void probe_seccomp(struct seccomp_facts *facts)
{
	const uint32_t action = SECCOMP_RET_TRAP;

	/* A question as well. */
	*facts = (struct seccomp_facts){ .errnum = syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0 ? 0 : errno };
}
