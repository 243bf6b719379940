// SPDX-License-Identifier: MIT
/*
 * What the host's kernel takes for reads of a disk, and nothing else: a thread that keeps so many in flight by io_uring in
 * the best ways that there are. No guest, no ring, no events: what a VMM takes less than this is not to be had.
 *
 * usage: block-floor DEVICE BYTES DEPTH MILLISECONDS [apart | whole]
 *
 * At random places, past the page cache. The file is registered, and the buffers, and completions are taken a quarter of
 * the depth at a time; "apart": buffers as a guest's are, that nobody has registered and whose pages lie apart; "whole": whose pages lie side by side. Prints "operations N" and "cpu_ns N".
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>

#include <liburing.h>
#include <linux/fs.h>

#define DEPTH_MAX  256u
#define PAGE_BYTES 4096u
#define PIECES_MAX 64u

struct floor {
	struct io_uring ring;
	size_t bytes;
	unsigned int depth;
	int apart, whole;
	uint64_t n_blocks, random;
	uint8_t *buffers;
	struct iovec pieces[DEPTH_MAX][PIECES_MAX]; /* of a slot's buffer */
};

static void check(int rc, const char *what)
{
	if (rc >= 0)
		return;
	fprintf(stderr, "block-floor: %s: %s\n", what, strerror(-rc));
	exit(1);
}

static uint64_t time_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void submit(struct floor *floor, unsigned int slot)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&floor->ring);
	uint8_t *buffer = floor->buffers + slot * floor->bytes;

	floor->random = floor->random * 6364136223846793005u + 1442695040888963407u;
	const uint64_t offset_bytes = (floor->random >> 33) % floor->n_blocks * floor->bytes;
	if (floor->apart)
		io_uring_prep_readv(sqe, 0, floor->pieces[slot], (unsigned int)(floor->bytes / PAGE_BYTES), offset_bytes);
	else if (floor->whole)
		io_uring_prep_read(sqe, 0, buffer, (unsigned int)floor->bytes, offset_bytes);
	else
		io_uring_prep_read_fixed(sqe, 0, buffer, (unsigned int)floor->bytes, offset_bytes, 0);
	sqe->flags |= IOSQE_FIXED_FILE;
	io_uring_sqe_set_data64(sqe, slot);
}

/* From the last page to the first: no two in a row that could be one piece. */
static void cut(struct floor *floor)
{
	const size_t n = floor->bytes / PAGE_BYTES;

	check(n > 0 && n <= PIECES_MAX && floor->bytes % PAGE_BYTES == 0 ? 0 : -EINVAL, "size");
	for (unsigned int slot = 0; slot < floor->depth; slot++)
		for (size_t i = 0; i < n; i++)
			floor->pieces[slot][i] = (struct iovec){ floor->buffers + slot * floor->bytes + (n - 1 - i) * PAGE_BYTES, PAGE_BYTES };
}

static void set_up(struct floor *floor, const char *device)
{
	int fd = open(device, O_RDONLY | O_DIRECT);
	uint64_t device_bytes = 0;

	check(fd < 0 || ioctl(fd, BLKGETSIZE64, &device_bytes) != 0 ? -errno : 0, device);
	check(floor->depth > 0 && floor->depth <= DEPTH_MAX && floor->bytes > 0 && device_bytes >= floor->bytes ? 0 : -EINVAL,
	      "size or depth");
	floor->n_blocks = device_bytes / floor->bytes;
	struct iovec all = { NULL, floor->depth * floor->bytes };
	all.iov_base = mmap(NULL, all.iov_len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	check(all.iov_base == MAP_FAILED ? -errno : 0, "memory");
	floor->buffers = all.iov_base;
	check(io_uring_queue_init(DEPTH_MAX, &floor->ring, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN), "io_uring");
	check(io_uring_register_ring_fd(&floor->ring), "registering the ring");
	check(io_uring_register_files(&floor->ring, &fd, 1), "registering the file");
	if (floor->apart)
		cut(floor);
	else if (!floor->whole)
		check(io_uring_register_buffers(&floor->ring, &all, 1), "registering the buffers");
}

static uint64_t read_for(struct floor *floor, uint64_t ns)
{
	const uint64_t until_ns = time_ns(CLOCK_MONOTONIC) + ns;
	const unsigned int quarter = floor->depth < 4 ? 1 : floor->depth / 4;
	unsigned int in_flight = floor->depth;
	uint64_t n_done = 0;

	for (unsigned int slot = 0; slot < floor->depth; slot++)
		submit(floor, slot);
	while (in_flight > 0) {
		struct io_uring_cqe *cqe;
		unsigned int head, n = 0;

		check(io_uring_submit_and_wait(&floor->ring, in_flight < quarter ? in_flight : quarter), "waiting");
		const int goes_on = time_ns(CLOCK_MONOTONIC) < until_ns;
		io_uring_for_each_cqe(&floor->ring, head, cqe) {
			check(cqe->res == (int)floor->bytes ? 0 : cqe->res < 0 ? cqe->res : -EIO, "reading");
			if (goes_on)
				submit(floor, (unsigned int)cqe->user_data);
			else
				in_flight--;
			n++;
		}
		io_uring_cq_advance(&floor->ring, n);
		n_done += n;
	}
	return n_done;
}

int main(int argc, char **argv)
{
	static struct floor floor;

	if (argc < 5) {
		fputs("usage: block-floor DEVICE BYTES DEPTH MILLISECONDS [apart | whole]\n", stderr);
		return 2;
	}
	floor.bytes = strtoul(argv[2], NULL, 10);
	floor.depth = (unsigned int)strtoul(argv[3], NULL, 10);
	floor.apart = argc > 5 && strcmp(argv[5], "apart") == 0;
	floor.whole = argc > 5 && strcmp(argv[5], "whole") == 0;
	set_up(&floor, argv[1]);
	const uint64_t before_ns = time_ns(CLOCK_PROCESS_CPUTIME_ID);
	const uint64_t n_done = read_for(&floor, strtoul(argv[4], NULL, 10) * UINT64_C(1000000));
	printf("operations %llu\ncpu_ns %llu\n", (unsigned long long)n_done,
	       (unsigned long long)(time_ns(CLOCK_PROCESS_CPUTIME_ID) - before_ns));
	return 0;
}
