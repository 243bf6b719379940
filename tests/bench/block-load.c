// SPDX-License-Identifier: MIT
/*
 * The guest of scripts/bench block: reads from a block device for a while, with so many requests in flight, past the page
 * cache. What to do comes on standard input, a line each: DEVICE random|sequential BYTES DEPTH MILLISECONDS. So no process
 * starts while something is measured.
 *
 * Prints "bench: did OPERATIONS NANOSECONDS MEDIAN-LATENCY-NS EVENTS", the last of them the interrupts of all disks. Linux's
 * own asynchronous I/O, by its system calls: no library.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <linux/aio_abi.h>
#include <linux/fs.h>

#define DEPTH_MAX   256
#define SAMPLES_MAX 65536

struct load {
	int fd;
	int is_random;
	size_t bytes;
	unsigned int depth;
	uint64_t n_blocks, next_block, random;
	aio_context_t context;
	void *buffers[DEPTH_MAX];
	struct iocb iocbs[DEPTH_MAX];
	uint64_t began_ns[DEPTH_MAX];
	uint64_t n_done;
	uint64_t latency_ns[SAMPLES_MAX];
};

static struct load load;

static void fail(const char *what)
{
	fprintf(stderr, "block-load: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t pick_block(void)
{
	if (!load.is_random)
		return load.next_block++ % load.n_blocks;
	load.random = load.random * 6364136223846793005u + 1442695040888963407u;
	return (load.random >> 33) % load.n_blocks;
}

/* All of them by one call, as who cares for CPU time does: so most of what is measured is not the guest's own. */
static void submit(struct iocb **iocbs, unsigned int n, uint64_t t_ns)
{
	for (unsigned int i = 0; i < n; i++) {
		iocbs[i]->aio_offset = (int64_t)(pick_block() * load.bytes);
		load.began_ns[iocbs[i]->aio_data] = t_ns;
	}
	while (n > 0) {
		long done = syscall(SYS_io_submit, load.context, n, iocbs);

		if (done < 1)
			fail("io_submit");
		iocbs += done;
		n -= (unsigned int)done;
	}
}

/* One that is attached just now takes a moment. */
static int open_device(const char *name)
{
	char path[64];
	int fd = -1;

	snprintf(path, sizeof(path), "/dev/%s", name);
	for (int i = 0; i < 200 && fd < 0; i++) {
		fd = open(path, O_RDONLY | O_DIRECT);
		if (fd < 0)
			usleep(50000);
	}
	if (fd < 0)
		fail(path);
	return fd;
}

static void set_up(const char *name)
{
	uint64_t device_bytes;

	load.fd = open_device(name);
	if (ioctl(load.fd, BLKGETSIZE64, &device_bytes) != 0)
		fail(name);
	load.n_blocks = load.bytes ? device_bytes / load.bytes : 0;
	load.next_block = load.n_done = 0;
	load.random = 1;
	if (load.depth == 0 || load.depth > DEPTH_MAX || load.n_blocks == 0) {
		errno = EINVAL;
		fail("depth or size");
	}
	load.context = 0;
	if (syscall(SYS_io_setup, load.depth, &load.context) != 0)
		fail("io_setup");
	for (unsigned int i = 0; i < load.depth; i++) {
		if (posix_memalign(&load.buffers[i], 4096, load.bytes) != 0)
			fail("memory");
		load.iocbs[i] = (struct iocb){ .aio_data = i, .aio_lio_opcode = IOCB_CMD_PREAD, .aio_fildes = (uint32_t)load.fd,
					       .aio_buf = (uintptr_t)load.buffers[i], .aio_nbytes = load.bytes };
	}
}

static void tear_down(void)
{
	syscall(SYS_io_destroy, load.context);
	for (unsigned int i = 0; i < load.depth; i++)
		free(load.buffers[i]);
	close(load.fd);
}

/* Of all disks, on all CPUs. */
static unsigned long long count_events(void)
{
	FILE *file = fopen("/proc/interrupts", "r");
	unsigned long long sum = 0;
	char line[4096];

	while (file && fgets(line, sizeof(line), file)) {
		char *rest = strchr(line, ':');

		if (!rest || !strstr(line, "blkif"))
			continue;
		for (rest++;; ) {
			char *end;
			unsigned long long count = strtoull(rest, &end, 10);

			if (end == rest)
				break;
			sum += count;
			rest = end;
		}
	}
	if (file)
		fclose(file);
	return sum;
}

static int compare(const void *a, const void *b)
{
	uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

	return left < right ? -1 : left > right;
}

static void take(const struct io_event *event, uint64_t t_ns)
{
	if ((size_t)event->res != load.bytes) {
		errno = event->res < 0 ? (int)-event->res : EIO;
		fail("read");
	}
	load.latency_ns[load.n_done++ % SAMPLES_MAX] = t_ns - load.began_ns[event->data];
}

static void read_for(uint64_t ns)
{
	struct io_event events[DEPTH_MAX];
	struct iocb *iocbs[DEPTH_MAX];
	unsigned int in_flight = load.depth;
	uint64_t t_ns = now_ns();
	const uint64_t until_ns = t_ns + ns;

	for (unsigned int i = 0; i < load.depth; i++)
		iocbs[i] = &load.iocbs[i];
	submit(iocbs, load.depth, t_ns);
	while (in_flight > 0) {
		long n = syscall(SYS_io_getevents, load.context, 1, DEPTH_MAX, events, NULL);

		if (n < 1)
			fail("io_getevents");
		t_ns = now_ns();
		for (long i = 0; i < n; i++) {
			take(&events[i], t_ns);
			iocbs[i] = &load.iocbs[events[i].data];
		}
		if (t_ns < until_ns)
			submit(iocbs, (unsigned int)n, t_ns);
		else
			in_flight -= (unsigned int)n;
	}
}

static void run(const char *name, unsigned int ms)
{
	set_up(name);
	const unsigned long long events = count_events();
	const uint64_t began_ns = now_ns();
	read_for(ms * UINT64_C(1000000));
	const uint64_t took_ns = now_ns() - began_ns;
	const unsigned long long n_events = count_events() - events;
	const size_t n_samples = load.n_done < SAMPLES_MAX ? load.n_done : SAMPLES_MAX;
	tear_down();
	qsort(load.latency_ns, n_samples, sizeof(load.latency_ns[0]), compare);
	printf("bench: did %llu %llu %llu %llu\n", (unsigned long long)load.n_done, (unsigned long long)took_ns,
	       (unsigned long long)load.latency_ns[n_samples / 2], n_events);
	fflush(stdout);
}

int main(void)
{
	char line[256], device[16], order[16];
	unsigned int ms;

	puts("bench: ready");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		if (sscanf(line, "%15s %15s %zu %u %u", device, order, &load.bytes, &load.depth, &ms) != 5)
			continue;
		load.is_random = strcmp(order, "random") == 0;
		run(device, ms);
	}
	return 0;
}
