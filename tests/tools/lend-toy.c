// SPDX-License-Identifier: MIT
/*
 * lend-toy SOCKET [deaf]: a borrower that is not dom1 (R35 of docs/lending.md): a VM of bare KVM with one page of its own, one
 * vCPU and a window, to show that the interface asks nothing of Xen, and that dom1's lender works for it unchanged. What it
 * takes is src/lend's core: the state machine, the sessions and the mapper. It connects to a lender that listens at SOCKET,
 * such as lend-pager ... ram.
 *
 * The guest writes a number to both ends of each page of the window, round by round, and looks whether the last round's are
 * still there. deaf: the toy says that it takes pages back, and does not: then the guest finds another page's numbers, or
 * rubbish. It prints rounds and mistakes. Status 0: no mistake.
 *
 * Two threads: the vCPU's, which reports and waits, and the lender's. One lock is for all.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <linux/kvm.h>

#include "lend/mapper_host.h"
#include "lend/session.h"

#define CODE_GPA     UINT32_C(0x1000)
#define WINDOW_GPA   UINT32_C(0x10000000)
#define N_PAGES      UINT32_C(512)
#define N_ROUNDS     UINT32_C(12)
#define LENDER       1u
#define STEP_PAGES   64u
#define MAX_MAPPINGS 4096u
#define KERNEL_SIGSET_BYTES 8u

/* 32 bits without paging; it needs no stack. esi: the round, ebx: mistakes. */
__asm__(".pushsection .rodata\n"
	".code32\n"
	"toy_guest:\n"
	"	xorl %esi, %esi\n"
	"	xorl %ebx, %ebx\n"
	"1:	movl $0x10000000, %edi\n"
	"	movl $512, %ecx\n"
	"2:	leal (%esi,%ecx), %edx\n"
	"	testl %esi, %esi\n"
	"	jz 4f\n"
	"	leal -1(%edx), %eax\n"
	"	cmpl %eax, (%edi)\n"
	"	je 3f\n"
	"	incl %ebx\n"
	"3:	cmpl %eax, 4092(%edi)\n"
	"	je 4f\n"
	"	incl %ebx\n"
	"4:	movl %edx, (%edi)\n"
	"	movl %edx, 4092(%edi)\n"
	"	addl $4096, %edi\n"
	"	decl %ecx\n"
	"	jnz 2b\n"
	"	incl %esi\n"
	"	cmpl $12, %esi\n"
	"	jb 1b\n"
	"	hlt\n"
	"toy_guest_end:\n"
	".code64\n"
	".popsection\n");
extern const uint8_t toy_guest[], toy_guest_end[];
_Static_assert(WINDOW_GPA == 0x10000000 && N_PAGES == 512 && N_ROUNDS == 12, "the guest's own numbers");

struct toy {
	int vcpu_fd, lender_fd, wake_fd;
	struct kvm_run *run;
	struct mapper_host *mapper;
	pthread_mutex_t lock;
	pthread_cond_t answered;
	struct space space;
	struct session session;
	struct lent_files files;
	bool waits, is_over; /* the vCPU; the domain */
	enum space_answer answer;
};

static void fatal(const char *what)
{
	fprintf(stderr, "lend-toy: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void on_need(void *opaque, unsigned int lender, const struct space_need *need)
{
	struct toy *toy = opaque;

	(void)lender;
	session_need(&toy->session, need);
}

static void on_widened(void *opaque, unsigned int lender, unsigned int window, uint64_t seq)
{
	struct toy *toy = opaque;

	(void)lender;
	session_widened(&toy->session, window, seq);
}

static void on_answer(void *opaque, unsigned int vcpu, enum space_answer answer, const struct space_report *report)
{
	struct toy *toy = opaque;

	(void)vcpu;
	(void)report;
	toy->answer = answer;
	toy->waits = false;
	pthread_cond_signal(&toy->answered);
}

static void on_stop(void *opaque, unsigned int window, size_t page)
{
	(void)opaque;
	fprintf(stderr, "lend-toy: nothing was lent at page %zu of window %u\n", page, window);
	exit(1);
}

static void on_stuck(void *opaque, unsigned int window, int error)
{
	(void)opaque;
	(void)window;
	errno = error;
	fatal("a window cannot be taken back");
}

static const struct space_events EVENTS = {
	.need = on_need, .widened = on_widened, .answer = on_answer, .stop = on_stop, .stuck = on_stuck,
};

/* The negative control. */
static int keep(void *opaque, unsigned int window, size_t page, size_t n_pages)
{
	(void)opaque;
	(void)window;
	(void)page;
	(void)n_pages;
	return 0;
}

/* The vCPU's thread */

/* TRUE: there is an answer, and KVM_RUN is to be called again. */
static bool report(struct toy *toy, const struct space_report *report)
{
	const uint64_t one = 1;

	pthread_mutex_lock(&toy->lock);
	toy->waits = true;
	space_report(&toy->space, 0, report);
	/* It has something to send now. */
	if (write(toy->wake_fd, &one, sizeof(one)) != sizeof(one))
		fatal("eventfd");
	while (toy->waits)
		pthread_cond_wait(&toy->answered, &toy->lock);
	pthread_mutex_unlock(&toy->lock);
	return toy->answer == SPACE_AGAIN;
}

/* As src/lend/trap.c has it: where KVM says the address, and where it does not. */
static bool take_trap(struct toy *toy, int error)
{
	struct space_report absent = { .access = SPACE_ACCESS_UNKNOWN };
	const struct timespec now = { 0 };
	siginfo_t info;
	sigset_t bus;

	if (error == EFAULT && toy->run->exit_reason == KVM_EXIT_MEMORY_FAULT) {
		absent.access = SPACE_ACCESS_PAGE;
		return space_find(&toy->space, toy->run->memory_fault.gpa, &absent.window, &absent.page) && report(toy, &absent);
	}
	if (error == EFAULT)
		return report(toy, &absent);
	sigemptyset(&bus);
	sigaddset(&bus, SIGBUS);
	if (error != EINTR || sigtimedwait(&bus, &info, &now) != SIGBUS ||
	    !mapper_host_find(toy->mapper, (uintptr_t)info.si_addr, &absent.window, &absent.page))
		return false;
	absent.access = SPACE_ACCESS_PAGE;
	return report(toy, &absent);
}

static void *run_vcpu(void *opaque)
{
	struct toy *toy = opaque;
	const uint64_t one = 1;

	for (;;) {
		int rc = ioctl(toy->vcpu_fd, KVM_RUN, NULL);

		if (rc == 0 && toy->run->exit_reason == KVM_EXIT_HLT)
			break;
		if (rc == 0 || !take_trap(toy, errno)) {
			fprintf(stderr, "lend-toy: KVM_RUN: %s, exit %u\n", rc == 0 ? "0" : strerror(errno), toy->run->exit_reason);
			exit(1);
		}
	}
	pthread_mutex_lock(&toy->lock);
	toy->is_over = true;
	pthread_mutex_unlock(&toy->lock);
	if (write(toy->wake_fd, &one, sizeof(one)) != sizeof(one))
		fatal("eventfd");
	return NULL;
}

/* The lender's */

static void receive(struct toy *toy)
{
	struct session *session = &toy->session;
	union {
		struct cmsghdr header;
		uint8_t bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec iov = { session->in + session->in_bytes, session_wants(session) };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
	ssize_t got = recvmsg(toy->lender_fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	const struct cmsghdr *header = got > 0 ? CMSG_FIRSTHDR(&message) : NULL;
	int fd = -1;

	if (got < 0 && errno == EAGAIN)
		return;
	if (header && header->cmsg_type == SCM_RIGHTS)
		memcpy(&fd, CMSG_DATA(header), sizeof(fd));
	if (got > 0)
		session_received(session, (size_t)got, fd);
	else
		session_kill(session);
}

static void send_out(struct toy *toy)
{
	struct session *session = &toy->session;

	while (session->out_bytes > 0) {
		ssize_t sent = send(toy->lender_fd, session->out, session->out_bytes, MSG_NOSIGNAL);

		if (sent <= 0)
			return;
		session_sent(session, (size_t)sent);
	}
}

/* Until the guest has halted. */
static void serve(struct toy *toy)
{
	bool busy = false, is_over = false;

	while (!is_over) {
		struct pollfd fds[] = { { toy->lender_fd, POLLIN, 0 }, { toy->wake_fd, POLLIN, 0 } };
		uint64_t count;

		if (session_wants(&toy->session) == 0)
			fds[0].fd = -1;
		if (poll(fds, 2, busy ? 0 : -1) < 0 || ((fds[1].revents & POLLIN) && read(toy->wake_fd, &count, sizeof(count)) < 0))
			fatal("poll");
		pthread_mutex_lock(&toy->lock);
		if (fds[0].revents)
			receive(toy);
		busy = session_work(&toy->session, STEP_PAGES);
		busy |= space_work(&toy->space, STEP_PAGES);
		if ((is_over = toy->is_over))
			session_gone(&toy->session);
		send_out(toy);
		if (toy->session.job == SESSION_DEAD) {
			fprintf(stderr, "lend-toy: the lender is gone\n");
			exit(1);
		}
		pthread_mutex_unlock(&toy->lock);
	}
}

/* The VM */

static int ask(int fd, unsigned long request, unsigned long argument, const char *what)
{
	int rc = ioctl(fd, request, argument);

	if (rc < 0)
		fatal(what);
	return rc;
}

static void set_up_vcpu(struct toy *toy)
{
	const struct kvm_segment code = { .limit = UINT32_MAX, .selector = 8, .type = 11, .present = 1, .db = 1, .s = 1, .g = 1 };
	union {
		struct kvm_signal_mask mask;
		uint8_t bytes[sizeof(struct kvm_signal_mask) + KERNEL_SIGSET_BYTES];
	} in_guest = { .mask.len = KERNEL_SIGSET_BYTES };
	struct kvm_segment data = code;
	struct kvm_sregs sregs;
	const struct kvm_regs regs = { .rip = CODE_GPA, .rflags = 2 };

	data.selector = 16;
	data.type = 3;
	(void)ask(toy->vcpu_fd, KVM_GET_SREGS, (uintptr_t)&sregs, "KVM_GET_SREGS");
	sregs.cs = code;
	sregs.ds = sregs.es = sregs.ss = sregs.fs = sregs.gs = data;
	sregs.cr0 |= 1;
	(void)ask(toy->vcpu_fd, KVM_SET_SREGS, (uintptr_t)&sregs, "KVM_SET_SREGS");
	(void)ask(toy->vcpu_fd, KVM_SET_REGS, (uintptr_t)&regs, "KVM_SET_REGS");
	/* Nothing is blocked in the guest; outside SIGBUS is. */
	(void)ask(toy->vcpu_fd, KVM_SET_SIGNAL_MASK, (uintptr_t)&in_guest, "KVM_SET_SIGNAL_MASK");
}

static void make_vm(struct toy *toy)
{
	GError *error = NULL;
	uintptr_t hva;
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (kvm < 0)
		fatal("/dev/kvm");
	int vm = ask(kvm, KVM_CREATE_VM, 0, "KVM_CREATE_VM");
	void *page = mmap(NULL, LEND_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	toy->mapper = mapper_host_new(&error);
	if (page == MAP_FAILED || !toy->mapper || !mapper_host_add_window(toy->mapper, N_PAGES, &hva, &error))
		fatal(error ? error->message : "memory");
	memcpy(page, toy_guest, (size_t)(toy_guest_end - toy_guest));
	const struct kvm_userspace_memory_region own = { 0, 0, CODE_GPA, LEND_PAGE_BYTES, (uintptr_t)page };
	const struct kvm_userspace_memory_region window = { 1, 0, WINDOW_GPA, (uint64_t)N_PAGES * LEND_PAGE_BYTES, hva };
	(void)ask(vm, KVM_SET_USER_MEMORY_REGION, (uintptr_t)&own, "the guest's page");
	(void)ask(vm, KVM_SET_USER_MEMORY_REGION, (uintptr_t)&window, "the window");
	toy->vcpu_fd = ask(vm, KVM_CREATE_VCPU, 0, "KVM_CREATE_VCPU");
	toy->run = mmap(NULL, (size_t)ask(kvm, KVM_GET_VCPU_MMAP_SIZE, 0, "KVM_GET_VCPU_MMAP_SIZE"), PROT_READ | PROT_WRITE,
			MAP_SHARED, toy->vcpu_fd, 0);
	if (toy->run == MAP_FAILED)
		fatal("kvm_run");
	set_up_vcpu(toy);
}

static void connect_to(struct toy *toy, const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	toy->lender_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (strlen(path) >= sizeof(address.sun_path))
		errno = ENAMETOOLONG;
	else {
		strcpy(address.sun_path, path);
		if (connect(toy->lender_fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
			return;
	}
	fatal(path);
}

int main(int argc, char **argv)
{
	struct toy toy = { .wake_fd = eventfd(0, EFD_CLOEXEC), .lock = PTHREAD_MUTEX_INITIALIZER, .answered = PTHREAD_COND_INITIALIZER };
	struct lend_mapper mapper = MAPPER_HOST;
	struct kvm_regs regs;
	pthread_t vcpu;
	sigset_t bus;

	if (argc < 2 || argc > 3 || (argc == 3 && strcmp(argv[2], "deaf") != 0)) {
		fprintf(stderr, "usage: lend-toy SOCKET [deaf]\n");
		return 2;
	}
	if (argc == 3)
		mapper.close = mapper.drop = keep;
	/* Both threads' own. */
	sigemptyset(&bus);
	sigaddset(&bus, SIGBUS);
	pthread_sigmask(SIG_BLOCK, &bus, NULL);
	make_vm(&toy);
	connect_to(&toy, argv[1]);
	space_init(&toy.space, 1, MAX_MAPPINGS, &mapper, toy.mapper, &EVENTS, &toy);
	if (!space_add_window(&toy.space, WINDOW_GPA, N_PAGES, LEND_ACTION_STOP))
		fatal("window");
	session_init(&toy.session, &toy.space, LENDER, &toy.files, toy.wake_fd);
	/* The guest starts when there is a lender. */
	while (toy.space.windows[0].lender == SPACE_NO_LENDER) {
		struct pollfd fd = { toy.lender_fd, POLLIN, 0 };

		if (poll(&fd, 1, -1) < 0)
			fatal("poll");
		receive(&toy);
		(void)session_work(&toy.session, STEP_PAGES);
		send_out(&toy);
	}
	if (pthread_create(&vcpu, NULL, run_vcpu, &toy) != 0)
		fatal("thread");
	serve(&toy);
	pthread_join(vcpu, NULL);
	(void)ask(toy.vcpu_fd, KVM_GET_REGS, (uintptr_t)&regs, "KVM_GET_REGS");
	printf("rounds %u, mistakes %u, traps %u\n", (unsigned int)regs.rsi, (unsigned int)regs.rbx,
	       (unsigned int)toy.space.windows[0].counters.traps);
	return regs.rsi == N_ROUNDS && regs.rbx == 0 ? 0 : 1;
}
