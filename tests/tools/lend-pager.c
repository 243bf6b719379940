// SPDX-License-Identifier: MIT
/*
 * lend-pager SOCKET SWAP POOL_PAGES: the lender of tests/guest/borrowed, all of whose memory is lent.
 *
 * It has less memory than the guest: POOL_PAGES. What the guest uses and is not there comes from the file SWAP; to make room
 * a page is taken back, whichever it is, and written there. Pages are also taken back for no reason, some at a time. A
 * frame that was taken back is filled with rubbish at once: a guest that still saw it would notice.
 *
 * When the guest has ended, what it says is printed and compared with what is in the pages. Status 0: all is right.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dom1/lend.h"

#include "../guest/borrowed/shared.h"

#define NOWHERE     UINT32_MAX
#define RUBBISH     0xdd
#define IDLE_MS     20 /* without a fault for so long: pages go for no reason */
#define MAX_AT_ONCE 8u

struct pager {
	struct lend *lend;
	uint32_t window;
	int pool_fd, swap_fd;
	uint8_t *pool;
	uint32_t n_frames;
	uint32_t frame_of[BORROWED_PAGES];
	uint32_t *page_in; /* of each frame */
	uint64_t faults, supplies, stale, page_outs;
};

static void fatal(const char *what, int error)
{
	fprintf(stderr, "lend-pager: %s: %s\n", what, strerror(error < 0 ? -error : error));
	exit(1);
}

static uint8_t *frame_at(const struct pager *pager, uint32_t frame)
{
	return pager->pool + (size_t)frame * LEND_PAGE_BYTES;
}

/* FALSE: the domain has ended. */
static bool page_out(struct pager *pager, uint32_t page)
{
	uint32_t frame = pager->frame_of[page];
	int rc = lend_revoke(pager->lend, pager->window, (uint64_t)page * LEND_PAGE_BYTES, LEND_PAGE_BYTES, NULL);

	if (rc == -ENOTCONN)
		return false;
	if (rc < 0)
		fatal("lend_revoke", rc);
	if (pwrite(pager->swap_fd, frame_at(pager, frame), LEND_PAGE_BYTES, (off_t)page * LEND_PAGE_BYTES) != LEND_PAGE_BYTES)
		fatal("swap", errno);
	memset(frame_at(pager, frame), RUBBISH, LEND_PAGE_BYTES);
	pager->frame_of[page] = NOWHERE;
	pager->page_in[frame] = NOWHERE;
	pager->page_outs++;
	return true;
}

/* A frame without a page; NOWHERE: the domain has ended. */
static uint32_t find_frame(struct pager *pager)
{
	for (uint32_t frame = 0; frame < pager->n_frames; frame++)
		if (pager->page_in[frame] == NOWHERE)
			return frame;
	uint32_t frame = (uint32_t)random() % pager->n_frames;

	return page_out(pager, pager->page_in[frame]) ? frame : NOWHERE;
}

static bool page_in(struct pager *pager, const struct lend_fault *fault)
{
	uint32_t page = (uint32_t)(fault->offset_bytes / LEND_PAGE_BYTES), frame = pager->frame_of[page];

	pager->faults++;
	if (frame == NOWHERE) {
		frame = find_frame(pager);
		if (frame == NOWHERE)
			return false;
		if (pread(pager->swap_fd, frame_at(pager, frame), LEND_PAGE_BYTES, (off_t)page * LEND_PAGE_BYTES) != LEND_PAGE_BYTES)
			fatal("swap", errno);
		if (page == BORROWED_SAYS_PAGE)
			((struct borrowed_says *)(void *)frame_at(pager, frame))->go = BORROWED_GO;
		pager->frame_of[page] = frame;
		pager->page_in[frame] = page;
	}
	int rc = lend_supply(pager->lend, fault, LEND_PAGE_BYTES, pager->pool_fd, (uint64_t)frame * LEND_PAGE_BYTES, LEND_WRITABLE);

	if (rc == -ENOTCONN)
		return false;
	/* It waits no more, or asks again. The page is not shown, and not taken back either: it is where it was. */
	if (rc == -ESTALE) {
		pager->stale++;
		return true;
	}
	if (rc != 0 && rc != -EEXIST)
		fatal("lend_supply", rc);
	pager->supplies++;
	return true;
}

static bool page_out_some(struct pager *pager)
{
	for (unsigned int n = (unsigned int)random() % MAX_AT_ONCE; n > 0; n--) {
		uint32_t page = pager->page_in[(uint32_t)random() % pager->n_frames];

		if (page != NOWHERE && !page_out(pager, page))
			return false;
	}
	return true;
}

static void run(struct pager *pager)
{
	for (;;) {
		struct lend_fault fault;
		int rc = lend_next_fault(pager->lend, &fault, IDLE_MS);

		if (rc == -ENOTCONN)
			return;
		if (rc == 0 && !page_in(pager, &fault))
			return;
		if (rc != 0 && rc != -ETIMEDOUT)
			fatal("lend_next_fault", rc);
		if ((rc == -ETIMEDOUT || random() % 16 == 0) && !page_out_some(pager))
			return;
	}
}

static void open_pager(struct pager *pager, const char *socket_path, const char *swap_path)
{
	size_t pool_bytes = (size_t)pager->n_frames * LEND_PAGE_BYTES;
	struct lend_claimed claimed;
	int rc = lend_open(socket_path, &pager->lend);

	if (rc != 0)
		fatal(socket_path, rc);
	pager->swap_fd = open(swap_path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (pager->swap_fd < 0 || ftruncate(pager->swap_fd, BORROWED_BYTES) != 0)
		fatal(swap_path, errno);
	pager->pool_fd = lend_memory_new(LEND_MEMORY_ANY, pool_bytes);
	if (pager->pool_fd < 0)
		fatal("lend_memory_new", pager->pool_fd);
	pager->pool = mmap(NULL, pool_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, pager->pool_fd, 0);
	pager->page_in = calloc(pager->n_frames, sizeof(pager->page_in[0]));
	if (pager->pool == MAP_FAILED || !pager->page_in)
		fatal("pool", errno);
	memset(pager->page_in, 0xff, pager->n_frames * sizeof(pager->page_in[0]));
	memset(pager->frame_of, 0xff, sizeof(pager->frame_of));
	if ((rc = lend_claim(pager->lend, 0, LEND_ACTION_STOP, 0, &claimed)) != 0)
		fatal("lend_claim", rc);
	pager->window = claimed.window;
	if (claimed.gpa != BORROWED_GPA || claimed.len_bytes != BORROWED_BYTES)
		fatal("the window is not the guest's", EINVAL);
	/* What the guest has looked at while nobody lent. */
	if ((rc = lend_revoke(pager->lend, 0, 0, BORROWED_BYTES, NULL)) < 0)
		fatal("lend_revoke", rc);
}

/* Of the whole guest's memory as it is now. */
static const uint8_t *page_at(const struct pager *pager, uint32_t page)
{
	static uint8_t buffer[LEND_PAGE_BYTES];

	if (pager->frame_of[page] != NOWHERE)
		return frame_at(pager, pager->frame_of[page]);
	if (pread(pager->swap_fd, buffer, sizeof(buffer), (off_t)page * LEND_PAGE_BYTES) != (ssize_t)sizeof(buffer))
		fatal("swap", errno);
	return buffer;
}

/* TRUE: what the guest says of its memory is so. */
static bool compare(const struct pager *pager)
{
	const uint64_t n = BORROWED_PAGES - BORROWED_DATA_PAGE;
	struct borrowed_says says;
	uint64_t sum = 0, wrong = 0;

	memcpy(&says, page_at(pager, BORROWED_SAYS_PAGE), sizeof(says));
	for (uint64_t i = 0; i < n; i++) {
		uint64_t page = BORROWED_DATA_PAGE + i * 277 % n;
		const uint64_t *words = (const uint64_t *)(const void *)page_at(pager, (uint32_t)page);

		for (uint64_t word = 0; word < LEND_PAGE_BYTES / 8; word++) {
			wrong += words[word] != borrowed_word(says.rounds, page, word);
			sum = borrowed_sum(sum, words[word]);
		}
	}
	printf("rounds %" PRIu64 ", mistakes %" PRIu64 ", own pages %" PRIu64 ", interrupts %" PRIu64 ", hypercalls %" PRIu64
	       ", refused %" PRIu64 ", checksum %s, wrong words %" PRIu64 "\n",
	       says.rounds, says.mistakes, says.own_pages, says.interrupts, says.hypercalls, says.lent_arguments,
	       sum == says.checksum ? "same" : "differs", wrong);
	return says.rounds > 0 && says.mistakes == 0 && says.own_pages == 1 && says.interrupts > 0 && says.hypercalls > 0 &&
	       says.hypercalls == says.lent_arguments && sum == says.checksum && wrong == 0;
}

int main(int argc, char **argv)
{
	struct pager pager = { .pool_fd = -1 };

	if (argc != 4 || (pager.n_frames = (uint32_t)strtoul(argv[3], NULL, 10)) < 32) {
		fprintf(stderr, "usage: lend-pager SOCKET SWAP POOL_PAGES (32 or more)\n");
		return 2;
	}
	open_pager(&pager, argv[1], argv[2]);
	run(&pager);
	printf("pages %u, frames %" PRIu32 ", faults %" PRIu64 ", supplies %" PRIu64 ", stale %" PRIu64 ", paged out %" PRIu64 "\n",
	       BORROWED_PAGES, pager.n_frames, pager.faults, pager.supplies, pager.stale, pager.page_outs);
	return compare(&pager) ? 0 : 1;
}
