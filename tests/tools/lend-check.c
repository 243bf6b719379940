// SPDX-License-Identifier: MIT
/* lend-check SOCKET memfd|guest_memfd|dma-buf|FILE rules|hypercalls|peer|bad-input|stress|bench [GROUP | REVOKES] [VCPUS] [PARTS] */
#include "lend-check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <linux/udmabuf.h>

#define TASK_LIMIT_MS  60000u
#define FAULT_LIMIT_MS 60000

static int post_fd = -1;

void check_fatal(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	printf("FAIL ");
	vprintf(format, arguments);
	printf("\n");
	va_end(arguments);
	exit(1);
}

void check_equal(struct check *check, const char *what, uint64_t got, uint64_t expected, int line)
{
	if (got == expected) {
		check->passed++;
		return;
	}
	check->failed++;
	printf("FAIL %s: got 0x%llx, expected 0x%llx (line %d)\n", what, (unsigned long long)got, (unsigned long long)expected, line);
}

uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void supply_post(void *opaque, const struct lend_fault *fault)
{
	(void)lend_supply(opaque, fault, LEND_PAGE_BYTES, post_fd, 0, LEND_WRITABLE);
}

/*
 * The post has a lender of its own, who gives it back whenever it was taken away: that happens to all that is lent when the
 * kernel does not say which page is the one that cannot be used.
 */
void check_lend_post(struct check *check)
{
	struct lend *keeper;
	int rc = lend_open(check->socket_path, &keeper);

	if (rc != 0)
		check_fatal("lend_open %s: %s", check->socket_path, strerror(-rc));
	post_fd = lend_memory_new(LEND_MEMORY_MEMFD, LEND_PAGE_BYTES);
	check->boxes = mmap(NULL, LEND_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, post_fd, 0);
	if (check->boxes == MAP_FAILED)
		check_fatal("no post");
	rc = lend_claim(keeper, 1, LEND_ACTION_ZERO, 0, NULL);
	/* A guest that looked before there was a post has zeros in its place. */
	if (rc != 0 || lend_revoke(keeper, 1, 0, LEND_POST_BYTES, NULL) < 0 ||
	    lend_map(keeper, 1, 0, LEND_PAGE_BYTES, post_fd, 0, LEND_WRITABLE) != 0 ||
	    lend_start_handler(keeper, supply_post, keeper) != 0)
		check_fatal("the post cannot be lent");
}

void check_connect(struct check *check)
{
	struct lend_claimed claimed;
	int rc = lend_open(check->socket_path, &check->lend);

	if (rc != 0)
		check_fatal("lend_open %s: %s", check->socket_path, strerror(-rc));
	rc = lend_claim(check->lend, 0, LEND_ACTION_ZERO, 0, &claimed);
	if (rc != 0 || claimed.gpa != LEND_WINDOW_GPA || claimed.len_bytes != LEND_WINDOW_BYTES)
		check_fatal("claim of window 0: %s", strerror(-rc));
	if (post_fd < 0)
		check_lend_post(check);
}

/* Tasks */

void task_begin(struct check *check, unsigned int vcpu, enum lend_task task, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
	struct lend_box *box = (struct lend_box *)(void *)((uint8_t *)check->boxes + vcpu * LEND_BOX_BYTES);

	box->task = task;
	box->arguments[0] = a;
	box->arguments[1] = b;
	box->arguments[2] = c;
	box->arguments[3] = d;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	box->number++;
}

bool task_done(struct check *check, unsigned int vcpu, unsigned int timeout_ms)
{
	const struct lend_box *box = (const struct lend_box *)(const void *)((uint8_t *)check->boxes + vcpu * LEND_BOX_BYTES);

	for (unsigned int i = 0; box->done != box->number; i++) {
		if (i >= timeout_ms)
			return false;
		usleep(1000);
	}
	return true;
}

uint64_t task_end(struct check *check, unsigned int vcpu)
{
	if (!task_done(check, vcpu, TASK_LIMIT_MS))
		check_fatal("vCPU %u never did its task", vcpu);
	return ((const struct lend_box *)(const void *)((uint8_t *)check->boxes + vcpu * LEND_BOX_BYTES))->result;
}

uint64_t task_do(struct check *check, unsigned int vcpu, enum lend_task task, uint64_t a, uint64_t b, uint64_t c)
{
	task_begin(check, vcpu, task, a, b, c, 0);
	return task_end(check, vcpu);
}

/* Lending */

void lend_pages(struct check *check, uint64_t page, uint64_t n_pages, uint64_t file_page)
{
	int rc = lend_map(check->lend, 0, page * LEND_PAGE_BYTES, n_pages * LEND_PAGE_BYTES, check->fd,
			  file_page * LEND_PAGE_BYTES, LEND_WRITABLE);

	if (rc != 0)
		check_fatal("lend of %llu pages at %llu: %s", (unsigned long long)n_pages, (unsigned long long)page, strerror(-rc));
}

void revoke_pages(struct check *check, uint64_t page, uint64_t n_pages)
{
	int rc = lend_revoke(check->lend, 0, page * LEND_PAGE_BYTES, n_pages * LEND_PAGE_BYTES, NULL);

	if (rc < 0)
		check_fatal("revoke of %llu pages at %llu: %s", (unsigned long long)n_pages, (unsigned long long)page, strerror(-rc));
}

int next_fault(struct check *check, struct lend_fault *fault, int timeout_ms)
{
	return lend_next_fault(check->lend, fault, timeout_ms);
}

struct lend_fault expect_fault(struct check *check, uint64_t page, int line)
{
	struct lend_fault fault = { 0 };
	int rc = next_fault(check, &fault, FAULT_LIMIT_MS);

	if (rc != 0)
		check_fatal("no fault for page %llu (line %d): %s", (unsigned long long)page, line, strerror(-rc));
	if (fault.offset_bytes != page * LEND_PAGE_BYTES)
		check_fatal("fault at 0x%llx, not in page %llu (line %d)", (unsigned long long)fault.offset_bytes,
			    (unsigned long long)page, line);
	return fault;
}

void supply(struct check *check, const struct lend_fault *fault, uint64_t file_page)
{
	int rc = lend_supply(check->lend, fault, LEND_PAGE_BYTES, check->fd, file_page * LEND_PAGE_BYTES, LEND_WRITABLE);

	if (rc != 0)
		check_fatal("supply: %s", strerror(-rc));
}

/* A buffer of the only driver that makes them of nothing but memory. */
static int dma_buf_new(int memory_fd, size_t len_bytes)
{
	struct udmabuf_create create = { .memfd = (uint32_t)memory_fd, .flags = UDMABUF_FLAGS_CLOEXEC, .size = len_bytes };
	int device = open("/dev/udmabuf", O_RDWR | O_CLOEXEC), fd = -1;

	if (device >= 0)
		fd = ioctl(device, UDMABUF_CREATE, &create);
	if (fd < 0)
		check_fatal("/dev/udmabuf: %s", strerror(errno));
	close(device);
	return fd;
}

static void open_memory(struct check *check, const char *kind)
{
	size_t len_bytes = (size_t)MEMORY_PAGES * LEND_PAGE_BYTES;

	check->kind = strcmp(kind, "guest_memfd") == 0 ? LEND_MEMORY_GUEST_MEMFD : LEND_MEMORY_MEMFD;
	check->fd = kind[0] == '/' ? open(kind, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : lend_memory_new(check->kind, len_bytes);
	if (check->fd < 0)
		check_fatal("%s: no memory to lend: %s", kind, strerror(-check->fd));
	if (kind[0] == '/' && ftruncate(check->fd, (off_t)len_bytes) != 0)
		check_fatal("%s: no room", kind);
	check->memory = mmap(NULL, len_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, check->fd, 0);
	if (check->memory == MAP_FAILED)
		check_fatal("%s: mmap failed", kind);
	/* The lender goes on using it as memory; what it lends is the buffer. */
	if (strcmp(kind, "dma-buf") == 0) {
		check->fd = dma_buf_new(check->fd, len_bytes);
		check->is_dma_buf = true;
	}
}

int main(int argc, char **argv)
{
	struct check check = { .fd = -1 };

	if (argc < 4)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	check.socket_path = argv[1];
	open_memory(&check, argv[2]);
	if (strcmp(argv[3], "peer") == 0)
		check_lend_post(&check);
	else
		check_connect(&check);
	/* The guest reads its box when it is there. */
	for (unsigned int i = 0; i < 3; i++)
		if (task_do(&check, 0, TASK_READ, LEND_POST_GPA, 0, 0) != 0 && i == 2)
			break;
	if (strcmp(argv[3], "rules") == 0)
		check_rules(&check, argc > 4 ? (unsigned int)strtoul(argv[4], NULL, 10) : 0);
	else if (strcmp(argv[3], "hypercalls") == 0)
		check_hypercalls(&check);
	else if (strcmp(argv[3], "peer") == 0)
		check_peer(&check);
	else if (strcmp(argv[3], "bad-input") == 0)
		check_bad_input(&check);
	else if (strcmp(argv[3], "stress") == 0)
		check_stress(&check, argc > 4 ? strtoull(argv[4], NULL, 10) : 1000, argc > 5 ? (unsigned int)strtoul(argv[5], NULL, 10) : 2,
			     argc > 6 ? (unsigned int)strtoul(argv[6], NULL, 10) : 1);
	else if (strcmp(argv[3], "bench") == 0)
		check_bench(&check, argc > 4 ? strtoull(argv[4], NULL, 10) : 400, argc > 5 ? (unsigned int)strtoul(argv[5], NULL, 10) : 2);
	else
		return 2;
	task_begin(&check, 0, TASK_END, 0, 0, 0, 0);
	printf("%u passed, %u failed\n", check.passed, check.failed);
	/* The guest's last words need its window no more, but the domain may still be there. */
	struct lend_fault fault;
	if (check.lend)
		(void)next_fault(&check, &fault, 10000);
	else
		sleep(1);
	lend_close(check.lend);
	return check.failed == 0 ? 0 : 1;
}
