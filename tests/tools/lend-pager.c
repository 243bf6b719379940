// SPDX-License-Identifier: MIT
/*
 * lend-pager SOCKET SWAP POOL_PAGES [ram]: the lender of tests/guest/borrowed, all of whose memory is lent. ram: of any guest with
 * --memory-lent; it listens at SOCKET until dom1 comes.
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
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "dom1/lend.h"

#include "../guest/borrowed/shared.h"

#define NOWHERE     UINT32_MAX
#define RUBBISH     0xdd
#define IDLE_MS     20 /* without a fault for so long: pages go for no reason */
#define MAX_AT_ONCE 8u
#define SOMETIMES   16 /* faults */
#define SELDOM      64
#define TELL_S      10
#define N_RECENT    64u

struct pager {
	struct lend *lend;
	uint32_t window;
	int pool_fd, swap_fd;
	uint8_t *pool;
	uint32_t n_frames, n_pages;
	bool is_ram;
	uint32_t *frame_of; /* of each page */
	uint32_t *page_in;  /* of each frame */
	uint32_t next_frame; /* where to look for one that is free */
	uint32_t recent[N_RECENT]; /* pages that were supplied last: such as a vCPU stands on */
	uint32_t n_recent;
	uint64_t faults, supplies, stale, busy, page_outs;
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

/* 0, -ENOTCONN: the domain has ended, or -EBUSY: a vCPU is just there. */
static int page_out(struct pager *pager, uint32_t page)
{
	uint32_t frame = pager->frame_of[page];
	int rc = lend_revoke(pager->lend, pager->window, (uint64_t)page * LEND_PAGE_BYTES, LEND_PAGE_BYTES, NULL);

	if (rc == -EBUSY && pager->is_ram)
		pager->busy++;
	if (rc == -ENOTCONN || (rc == -EBUSY && pager->is_ram))
		return rc;
	if (rc < 0)
		fatal("lend_revoke", rc);
	if (pwrite(pager->swap_fd, frame_at(pager, frame), LEND_PAGE_BYTES, (off_t)page * LEND_PAGE_BYTES) != LEND_PAGE_BYTES)
		fatal("swap", errno);
	memset(frame_at(pager, frame), RUBBISH, LEND_PAGE_BYTES);
	pager->frame_of[page] = NOWHERE;
	pager->page_in[frame] = NOWHERE;
	pager->page_outs++;
	return 0;
}

/* A frame without a page, the page's own where there is one for each; NOWHERE: the domain has ended. */
static uint32_t find_frame(struct pager *pager, uint32_t page)
{
	if (pager->n_frames >= pager->n_pages)
		return page;
	for (uint32_t i = 0; i < pager->n_frames; i++) {
		uint32_t frame = (pager->next_frame + i) % pager->n_frames;

		if (pager->page_in[frame] != NOWHERE)
			continue;
		pager->next_frame = frame + 1;
		return frame;
	}
	for (;;) {
		uint32_t frame = (uint32_t)random() % pager->n_frames;
		int rc = page_out(pager, pager->page_in[frame]);

		if (rc != -EBUSY)
			return rc == 0 ? frame : NOWHERE;
	}
}

/* Any, or one that is surely in use. */
static uint32_t pick_page(const struct pager *pager)
{
	uint32_t page = pager->recent[(uint32_t)random() % N_RECENT];

	return random() % 2 == 0 && pager->frame_of[page] != NOWHERE ? page : pager->page_in[(uint32_t)random() % pager->n_frames];
}

static bool page_out_some(struct pager *pager)
{
	for (unsigned int n = (unsigned int)random() % MAX_AT_ONCE; n > 0; n--) {
		uint32_t page = pick_page(pager);

		if (page != NOWHERE && page_out(pager, page) == -ENOTCONN)
			return false;
	}
	return true;
}

/* The kernel has no mappings for more pieces: there must be fewer. -ENOTCONN: the domain has ended. */
static int supply(struct pager *pager, const struct lend_fault *fault, uint32_t frame)
{
	for (;;) {
		int rc = lend_supply(pager->lend, fault, LEND_PAGE_BYTES, pager->pool_fd, (uint64_t)frame * LEND_PAGE_BYTES,
				     LEND_WRITABLE);

		if (rc != -ENOSPC)
			return rc;
		if (!page_out_some(pager))
			return -ENOTCONN;
	}
}

static bool page_in(struct pager *pager, const struct lend_fault *fault)
{
	uint32_t page = (uint32_t)(fault->offset_bytes / LEND_PAGE_BYTES), frame = pager->frame_of[page];

	pager->faults++;
	if (frame == NOWHERE) {
		frame = find_frame(pager, page);
		if (frame == NOWHERE)
			return false;
		if (pread(pager->swap_fd, frame_at(pager, frame), LEND_PAGE_BYTES, (off_t)page * LEND_PAGE_BYTES) != LEND_PAGE_BYTES)
			fatal("swap", errno);
		if (!pager->is_ram && page == BORROWED_SAYS_PAGE)
			((struct borrowed_says *)(void *)frame_at(pager, frame))->go = BORROWED_GO;
		pager->frame_of[page] = frame;
		pager->page_in[frame] = page;
	}
	int rc = supply(pager, fault, frame);

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
	pager->recent[pager->n_recent++ % N_RECENT] = page;
	return true;
}

static void tell(const struct pager *pager)
{
	printf("pages %" PRIu32 ", frames %" PRIu32 ", faults %" PRIu64 ", supplies %" PRIu64 ", stale %" PRIu64 ", busy %" PRIu64
	       ", paged out %" PRIu64 "\n",
	       pager->n_pages, pager->n_frames, pager->faults, pager->supplies, pager->stale, pager->busy, pager->page_outs);
	fflush(stdout);
}

static void run(struct pager *pager)
{
	const int one_in = pager->is_ram ? SELDOM : SOMETIMES;
	time_t told = time(NULL);

	for (;;) {
		struct lend_fault fault;
		int rc = lend_next_fault(pager->lend, &fault, IDLE_MS);

		if (rc == -ENOTCONN)
			return;
		if (rc == 0 && !page_in(pager, &fault))
			return;
		if (rc != 0 && rc != -ETIMEDOUT)
			fatal("lend_next_fault", rc);
		if ((rc == -ETIMEDOUT || random() % one_in == 0) && !page_out_some(pager))
			return;
		if (time(NULL) - told < TELL_S)
			continue;
		tell(pager);
		told = time(NULL);
	}
}

static int wait_for_domain(const char *path, struct lend **lend)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), fd;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	if (bind(listener, (const struct sockaddr *)&address, sizeof(address)) != 0 || listen(listener, 1) != 0 ||
	    (fd = accept(listener, NULL, NULL)) < 0)
		return -errno;
	close(listener);
	return lend_from_fd(fd, lend);
}

static void *allocate(size_t n, size_t bytes)
{
	void *memory = malloc(n * bytes);

	if (!memory)
		fatal("memory", ENOMEM);
	memset(memory, 0xff, n * bytes);
	return memory;
}

static void open_pager(struct pager *pager, const char *socket_path, const char *swap_path)
{
	size_t pool_bytes = (size_t)pager->n_frames * LEND_PAGE_BYTES;
	struct lend_claimed claimed;
	int rc = pager->is_ram ? wait_for_domain(socket_path, &pager->lend) : lend_open(socket_path, &pager->lend);

	if (rc != 0)
		fatal(socket_path, rc);
	pager->pool_fd = lend_memory_new(LEND_MEMORY_ANY, pool_bytes);
	if (pager->pool_fd < 0)
		fatal("lend_memory_new", pager->pool_fd);
	pager->pool = mmap(NULL, pool_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, pager->pool_fd, 0);
	if (pager->pool == MAP_FAILED)
		fatal("pool", errno);
	pager->page_in = allocate(pager->n_frames, sizeof(pager->page_in[0]));
	if ((rc = lend_claim(pager->lend, 0, LEND_ACTION_STOP, 0, &claimed)) != 0)
		fatal("lend_claim", rc);
	pager->window = claimed.window;
	if (!pager->is_ram && (claimed.gpa != BORROWED_GPA || claimed.len_bytes != BORROWED_BYTES))
		fatal("the window is not the guest's", EINVAL);
	pager->n_pages = (uint32_t)(claimed.len_bytes / LEND_PAGE_BYTES);
	pager->frame_of = allocate(pager->n_pages, sizeof(pager->frame_of[0]));
	pager->swap_fd = open(swap_path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (pager->swap_fd < 0 || ftruncate(pager->swap_fd, (off_t)claimed.len_bytes) != 0)
		fatal(swap_path, errno);
	if (pager->is_ram)
		return;
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

	if ((argc != 4 && (argc != 5 || strcmp(argv[4], "ram") != 0)) || (pager.n_frames = (uint32_t)strtoul(argv[3], NULL, 10)) < 32) {
		fprintf(stderr, "usage: lend-pager SOCKET SWAP POOL_PAGES (32 or more) [ram]\n");
		return 2;
	}
	pager.is_ram = argc == 5;
	open_pager(&pager, argv[1], argv[2]);
	run(&pager);
	tell(&pager);
	return pager.is_ram || compare(&pager) ? 0 : 1;
}
