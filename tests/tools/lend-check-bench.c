// SPDX-License-Identifier: MIT
/*
 * How long it takes. Lines "METRIC MEDIAN P99.9 WORST N", in microseconds, and at the end the slowest revoke: its time,
 * what of it was in the kernel's calls, and its pages. A revoke is measured three times at once: by us,
 * from the call to its return; in the memory thread, from the request's arrival to its reply; and how much of that was in
 * the kernel's mmap() and mprotect(), the bare calls that there is no doing without. A fault is measured by the guest, from
 * before its access to behind it; beside it, a userfaultfd round trip between two threads of this process, and the floor: what
 * the messages between a process that must not stop and its lender cost without a guest and without a rule (bench_exchange()).
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/userfaultfd.h>

#include "lend-check.h"

#define MAX_SAMPLES 4096u
#define HAMMER_PAGE 8192u /* of the window: where the other vCPU is busy */
#define HAMMER_PAGES 64u

struct samples {
	const char *name;
	double us[MAX_SAMPLES];
	unsigned int n;
};

static int compare(const void *a, const void *b)
{
	double left = *(const double *)a, right = *(const double *)b;

	return (left > right) - (left < right);
}

static void add(struct samples *samples, uint64_t ns)
{
	if (samples->n < MAX_SAMPLES)
		samples->us[samples->n++] = (double)ns / 1000;
}

static void print(struct samples *samples, const char *case_name)
{
	if (samples->n == 0)
		return;
	qsort(samples->us, samples->n, sizeof(samples->us[0]), compare);
	printf("%s_%s %.1f %.1f %.1f %u\n", samples->name, case_name, samples->us[samples->n / 2],
	       samples->us[(unsigned int)((double)(samples->n - 1) * 0.999)], samples->us[samples->n - 1], samples->n);
}

static void bench_revoke(struct check *check, unsigned int n_pages, unsigned int rounds, const char *load)
{
	struct samples *outside = calloc(3, sizeof(*outside)), *inside = outside + 1, *bare = outside + 2;
	struct samples *lends = calloc(1, sizeof(*lends));
	char name[64];

	outside->name = "revoke_by_lender";
	inside->name = "revoke_in_thread";
	bare->name = "revoke_bare_calls";
	lends->name = "lend";
	for (unsigned int i = 0; i < rounds; i++) {
		struct lend_state state;
		uint64_t began_ns = now_ns();

		lend_pages(check, 0, n_pages, 0);
		add(lends, now_ns() - began_ns);
		(void)task_do(check, 0, TASK_TOUCH, GPA(0, 0), n_pages, 0);
		began_ns = now_ns();
		revoke_pages(check, 0, n_pages);
		add(outside, now_ns() - began_ns);
		if (lend_query(check->lend, 0, &state) != 0)
			check_fatal("query");
		add(inside, state.last_revoke_ns);
		add(bare, state.last_revoke_kernel_ns);
	}
	snprintf(name, sizeof(name), "%u_%s", n_pages, load);
	print(outside, name);
	print(inside, name);
	print(bare, name);
	print(lends, name);
	free(outside);
	free(lends);
}

/* The guest's clock, by ours. */
static double ticks_per_us(void)
{
	uint64_t began_ns = now_ns(), began = __builtin_ia32_rdtsc();

	usleep(200000);
	return (double)(__builtin_ia32_rdtsc() - began) / ((double)(now_ns() - began_ns) / 1000);
}

static void bench_fault(struct check *check, unsigned int rounds, const char *load)
{
	struct samples *faults = calloc(1, sizeof(*faults));
	const volatile uint64_t *times = (const volatile uint64_t *)(const void *)((uint8_t *)check->boxes + LEND_TIMES_OFFSET);
	double rate = ticks_per_us();

	faults->name = "fault";
	for (unsigned int i = 0; i < rounds; i++) {
		struct lend_fault fault;

		revoke_pages(check, 0, LEND_TIMES);
		task_begin(check, 0, TASK_TOUCH, GPA(0, 0), LEND_TIMES, 0, 0);
		for (unsigned int page = 0; page < LEND_TIMES; page++) {
			if (next_fault(check, &fault, 60000) != 0)
				check_fatal("no fault");
			supply(check, &fault, fault.offset_bytes / LEND_PAGE_BYTES);
		}
		(void)task_end(check, 0);
		/* The first one has armed all of them. */
		for (unsigned int page = 1; page < LEND_TIMES; page++)
			add(faults, (uint64_t)((double)times[page] / rate * 1000));
	}
	print(faults, load);
	revoke_pages(check, 0, LEND_TIMES);
	free(faults);
}

/* A fault of this process, answered by another thread of it. */

static void *answer_userfaults(void *opaque)
{
	int uffd = *(const int *)opaque;
	struct uffd_msg message;

	while (read(uffd, &message, sizeof(message)) == (ssize_t)sizeof(message)) {
		struct uffdio_zeropage zero = { .range = { message.arg.pagefault.address & ~UINT64_C(4095), LEND_PAGE_BYTES } };

		if (message.event != UFFD_EVENT_PAGEFAULT || ioctl(uffd, UFFDIO_ZEROPAGE, &zero) != 0)
			break;
	}
	return NULL;
}

static void bench_userfault(unsigned int n, const char *load)
{
	struct samples *samples = calloc(1, sizeof(*samples));
	size_t len_bytes = (size_t)n * LEND_PAGE_BYTES;
	int uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
	struct uffdio_api api = { .api = UFFD_API };
	volatile uint8_t *memory = mmap(NULL, len_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct uffdio_register area = { .range = { (uintptr_t)memory, len_bytes }, .mode = UFFDIO_REGISTER_MODE_MISSING };
	pthread_t thread;

	samples->name = "userfault";
	if (uffd < 0 || memory == MAP_FAILED || ioctl(uffd, UFFDIO_API, &api) != 0 || ioctl(uffd, UFFDIO_REGISTER, &area) != 0 ||
	    pthread_create(&thread, NULL, answer_userfaults, &uffd) != 0)
		check_fatal("userfaultfd: %s", strerror(errno));
	for (unsigned int i = 0; i < n; i++) {
		uint64_t began_ns = now_ns();

		(void)memory[(size_t)i * LEND_PAGE_BYTES];
		add(samples, now_ns() - began_ns);
	}
	print(samples, load);
	pthread_cancel(thread);
	pthread_join(thread, NULL);
	close(uffd);
	munmap((void *)(uintptr_t)memory, len_bytes);
	free(samples);
}

/*
 * A request and its answer with a file, as LEND/1 sends them, and the file's page mapped: by three parties that there is no doing
 * without. The vCPU's thread waits for the page, the lender is another process, and who hears it must not be a thread that
 * may be in the guest.
 */
struct exchange {
	int fd; /* of the connection */
	uint8_t *memory;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned int n_done;
};

#define REQUEST_BYTES 56u /* header and fault; header and page have as many */

static void answer_requests(int fd, int memory_fd)
{
	union {
		struct cmsghdr header;
		uint8_t bytes[CMSG_SPACE(sizeof(int))];
	} control;
	uint8_t bytes[REQUEST_BYTES];

	while (read(fd, bytes, sizeof(bytes)) == (ssize_t)sizeof(bytes)) {
		struct iovec iov = { bytes, sizeof(bytes) };
		struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };

		control.header = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS };
		memcpy(CMSG_DATA(&control.header), &memory_fd, sizeof(memory_fd));
		if (sendmsg(fd, &message, 0) < 0)
			break;
	}
	_exit(0);
}

static void *map_answers(void *opaque)
{
	struct exchange *exchange = opaque;
	union {
		struct cmsghdr header;
		uint8_t bytes[CMSG_SPACE(sizeof(int))];
	} control;
	uint8_t bytes[REQUEST_BYTES];

	for (;;) {
		struct iovec iov = { bytes, sizeof(bytes) };
		struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
		int fd;

		if (recvmsg(exchange->fd, &message, MSG_CMSG_CLOEXEC) <= 0)
			return NULL;
		memcpy(&fd, CMSG_DATA(&control.header), sizeof(fd));
		off_t offset = (off_t)exchange->n_done * LEND_PAGE_BYTES;
		if (mmap(exchange->memory + offset, LEND_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, offset) == MAP_FAILED)
			check_fatal("mmap: %s", strerror(errno));
		close(fd);
		pthread_mutex_lock(&exchange->lock);
		exchange->n_done++;
		pthread_cond_broadcast(&exchange->changed);
		pthread_mutex_unlock(&exchange->lock);
	}
}

static void bench_exchange(unsigned int n, const char *load)
{
	struct exchange exchange = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };
	struct samples *samples = calloc(1, sizeof(*samples));
	size_t len_bytes = (size_t)n * LEND_PAGE_BYTES;
	int memory_fd = memfd_create("exchange", MFD_CLOEXEC), ends[2];
	const uint8_t request[REQUEST_BYTES] = { 0 };
	pthread_t thread;

	samples->name = "exchange";
	exchange.memory = mmap(NULL, len_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory_fd < 0 || ftruncate(memory_fd, (off_t)len_bytes) != 0 || exchange.memory == MAP_FAILED ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
		check_fatal("exchange: %s", strerror(errno));
	pid_t lender = fork();
	if (lender == 0) {
		close(ends[0]);
		answer_requests(ends[1], memory_fd);
	}
	close(ends[1]);
	exchange.fd = ends[0];
	if (lender < 0 || pthread_create(&thread, NULL, map_answers, &exchange) != 0)
		check_fatal("exchange: %s", strerror(errno));
	for (unsigned int i = 0; i < n; i++) {
		uint64_t began_ns = now_ns();

		if (write(exchange.fd, request, sizeof(request)) != (ssize_t)sizeof(request))
			check_fatal("exchange: %s", strerror(errno));
		pthread_mutex_lock(&exchange.lock);
		while (exchange.n_done <= i)
			pthread_cond_wait(&exchange.changed, &exchange.lock);
		pthread_mutex_unlock(&exchange.lock);
		(void)*(volatile uint8_t *)(exchange.memory + (size_t)i * LEND_PAGE_BYTES);
		add(samples, now_ns() - began_ns);
	}
	print(samples, load);
	shutdown(exchange.fd, SHUT_RDWR);
	pthread_join(thread, NULL);
	(void)waitpid(lender, NULL, 0);
	close(exchange.fd);
	close(memory_fd);
	munmap(exchange.memory, len_bytes);
	free(samples);
}

static void bench_all(struct check *check, const char *load, unsigned int rounds)
{
	bench_revoke(check, 1, rounds, load);
	bench_revoke(check, 64, rounds / 2, load);
	bench_revoke(check, 4096, rounds / 20 + 1, load);
	bench_fault(check, rounds / 100 + 1, load);
	bench_userfault(rounds, load);
	bench_exchange(rounds, load);
}

void check_bench(struct check *check, uint64_t rounds, unsigned int n_vcpus)
{
	struct lend_state state;

	for (unsigned int i = 0; i < MEMORY_PAGES; i++)
		PAGE(check, i)[0] = i;
	bench_all(check, "idle", (unsigned int)rounds);
	if (n_vcpus > 1) {
		lend_pages(check, HAMMER_PAGE, HAMMER_PAGES, 0);
		task_begin(check, 1, TASK_TOUCH, GPA(HAMMER_PAGE, 0), HAMMER_PAGES, 1, 0);
		bench_all(check, "busy", (unsigned int)rounds);
		task_begin(check, 1, TASK_READ, LEND_POST_GPA, 0, 0, 0);
		(void)task_end(check, 1);
	}
	if (lend_query(check->lend, 0, &state) == 0)
		printf("slowest_revoke %.1f %.1f %llu %llu\n", (double)state.slowest_revoke_ns / 1000,
		       (double)state.slowest_revoke_kernel_ns / 1000, (unsigned long long)state.slowest_revoke_pages,
		       (unsigned long long)state.revokes);
	check->passed++;
}
