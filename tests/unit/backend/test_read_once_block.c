// SPDX-License-Identifier: MIT
/*
 * What a front end of a disk writes into ring, grant table and lists of segments is read once, by the instructions as they were
 * compiled: read_watch.h. Else a guest could change it between the look at it and its use (XSA-155).
 */
#include <poll.h>
#include <string.h>

#include "backend/fake_frontend.h"
#include "read_watch.h"
#include "xen/ring.h"

#define N_REQUESTS 5u
#define INDEXES    16u /* the ring's head: req_prod, req_event, rsp_prod, rsp_event */
#define SLOTS_AT   64u

static void watch_pages(struct fake *fake, uint8_t *const *more, size_t n_more)
{
	uint8_t *pages[READ_WATCH_PAGES];
	eventfd_t count;
	size_t n = 0;

	/* What it does, and tells, because it was connected is not meant. */
	g_usleep(100000);
	(void)eventfd_read(fake->guest.ports[fake->port].to_guest_fd, &count);
	for (unsigned int i = 0; i < fake->ring_pages; i++)
		pages[n++] = fake->ring[i];
	for (size_t i = 0; i < n_more; i++)
		pages[n++] = more[i];
	read_watch_begin(pages, n);
}

/* The guest's side, which may not look at its ring while it is watched: until the back end says that there is something. */
static void kick_and_wait(struct fake *fake)
{
	struct fake_port *port = &fake->guest.ports[fake->port];
	struct pollfd event = { .fd = port->to_guest_fd, .events = POLLIN };
	eventfd_t count;

	/* Only now can it see that there is something, also if it looks by itself. */
	__atomic_store_n((uint32_t *)(void *)fake->ring[0], fake->produced, __ATOMIC_SEQ_CST);
	g_assert_cmpint(eventfd_write(port->from_guest_fd, 1), ==, 0);
	g_assert_cmpint(poll(&event, 1, 20000), ==, 1);
	/* It goes on to look whether there is more; and what came may be late, of something before. */
	do
		(void)eventfd_read(event.fd, &count);
	while (poll(&event, 1, 200) == 1);
}

/* All requests are of one kind, and one kick has one answer each: rsp_event says that only the last is told. */
static void put_all(struct fake *fake, struct fake_request *request)
{
	for (unsigned int i = 0; i < N_REQUESTS; i++) {
		request->id = i + 1;
		fake_put(fake, request);
	}
	__atomic_store_n((uint32_t *)(void *)fake->ring[0] + 3, fake->consumed + N_REQUESTS, __ATOMIC_SEQ_CST);
}

static void take_all(struct fake *fake)
{
	for (unsigned int i = 0; i < N_REQUESTS; i++)
		g_assert_cmpint(fake_take(fake, NULL, NULL), ==, BLKIF_RSP_OKAY);
}

static uint32_t slots_bytes(const struct fake *fake)
{
	return N_REQUESTS * fake->layout->slot_bytes;
}

static void check_ring(bool use_uring, const struct block_layout *layout)
{
	struct fake *fake = fake_new(use_uring, false);
	struct fake_request request = { .operation = BLKIF_OP_WRITE, .n_segments = 2 };

	fake->layout = layout;
	if (layout == &BLOCK_LAYOUT_32)
		fake_write(fake, "protocol", "x86_32-abi");
	fake_connect(fake, 0);
	for (unsigned int i = 0; i < 2; i++) {
		fake_granted_page(fake, &request.segment[i].ref);
		request.segment[i].last = 7;
	}
	put_all(fake, &request);
	watch_pages(fake, NULL, 0);
	kick_and_wait(fake);
	g_assert_cmpuint(read_watch_end(NULL), >, 0);
	read_watch_expect_once("slots", fake->ring[0] + SLOTS_AT, slots_bytes(fake));
	take_all(fake);
	fake_free(fake);
}

static void test_slots(void)
{
	check_ring(true, &BLOCK_LAYOUT_64);
	check_ring(false, &BLOCK_LAYOUT_64);
	check_ring(false, &BLOCK_LAYOUT_32);
}

/*
 * One request, so that each entry is looked at for one. Of an entry the flags are read, and confirmed by compare-and-swap; the
 * frame is read once.
 */
static void test_grants(void)
{
	struct fake *fake = fake_new(false, false);
	struct fake_request request = { .operation = BLKIF_OP_WRITE, .n_segments = 11, .id = 1 };
	const grant_entry_v1_t *entries = fake->guest.grant_frames;

	fake_connect(fake, 0);
	for (unsigned int i = 0; i < 11; i++) {
		fake_granted_page(fake, &request.segment[i].ref);
		request.segment[i].last = 7;
	}
	fake_put(fake, &request);
	watch_pages(fake, (uint8_t *[]){ fake->guest.grant_frames }, 1);
	kick_and_wait(fake);
	g_assert_cmpuint(read_watch_end(NULL), >, 0);
	for (unsigned int i = 0; i < 11; i++)
		read_watch_expect_once("the frame of a grant", &entries[request.segment[i].ref].frame, sizeof(entries->frame));
	read_watch_expect_once("the slot", fake->ring[0] + SLOTS_AT, fake->layout->slot_bytes);
	g_assert_cmpint(fake_take(fake, NULL, NULL), ==, BLKIF_RSP_OKAY);
	fake_free(fake);
}

static void test_indirect(void)
{
	struct fake *fake = fake_new(false, false);
	struct fake_request request = { .indirect = true, .indirect_op = BLKIF_OP_WRITE, .n_indirect = 40, .id = 1 };
	uint8_t *list = fake_granted_page(fake, &request.indirect_ref[0]);
	uint32_t ref;

	fake_connect(fake, 0);
	fake_granted_page(fake, &ref);
	for (unsigned int i = 0; i < request.n_indirect; i++) {
		const struct blkif_request_segment segment = { .gref = ref, .first_sect = 0, .last_sect = (uint8_t)(i & 7) };

		memcpy(list + i * sizeof(segment), &segment, sizeof(segment));
	}
	fake_put(fake, &request);
	watch_pages(fake, (uint8_t *[]){ list }, 1);
	kick_and_wait(fake);
	g_assert_cmpuint(read_watch_end(NULL), >, 0);
	read_watch_expect_once("the list of segments", list, request.n_indirect * sizeof(struct blkif_request_segment));
	read_watch_expect_once("the slot", fake->ring[0] + SLOTS_AT, fake->layout->slot_bytes);
	g_assert_cmpint(fake_take(fake, NULL, NULL), ==, BLKIF_RSP_OKAY);
	fake_free(fake);
}

/* A turn reads the guest's index when it begins, and again before it sleeps; no turn reads it twice for one decision. */
static void test_indexes(void)
{
	struct fake *fake = fake_new(false, false);
	struct fake_request request = { .operation = BLKIF_OP_WRITE, .n_segments = 1 };
	const struct read_watch_access *accesses;
	unsigned int n_slots = 0, n_indexes = 0;

	fake_connect(fake, 0);
	fake_granted_page(fake, &request.segment[0].ref);
	request.segment[0].last = 7;
	put_all(fake, &request);
	watch_pages(fake, NULL, 0);
	kick_and_wait(fake);
	const size_t n = read_watch_end(&accesses);
	for (size_t i = 0; i < n; i++) {
		const size_t offset = (size_t)(accesses[i].address - fake->ring[0]);

		if (accesses[i].is_write)
			continue;
		n_indexes += offset == 0;
		n_slots += offset >= SLOTS_AT;
		/* Its own indexes it knows: what it has published it does not read back. */
		g_assert_true(offset == 0 || offset == 12 || offset >= SLOTS_AT);
	}
	g_test_message("%u reads of req_prod, %u of slots", n_indexes, n_slots);
	g_assert_cmpuint(n_slots, >=, N_REQUESTS);
	/* Once a request, and once to find no more, and once to go to sleep. */
	g_assert_cmpuint(n_indexes, >=, 1);
	g_assert_cmpuint(n_indexes, <=, N_REQUESTS + 4);
	take_all(fake);
	fake_free(fake);
}

/* What the watch is for: a look and a use, as in a back end that is wrong. */
static void test_sees_two_reads(void)
{
	struct fake *fake = fake_new(false, false);
	const volatile uint8_t *slot;
	const void *instruction;
	unsigned int n_reads;
	uint8_t copy[32];

	fake_connect(fake, 0);
	slot = fake->ring[0] + SLOTS_AT;
	watch_pages(fake, NULL, 0);
	const uint8_t n_segments = slot[1] <= 11 ? slot[1] : 11;
	ring_copy_from(copy, fake->ring[0] + SLOTS_AT + 64 + 3, sizeof(copy));
	g_assert_cmpuint(read_watch_end(NULL), >, 2);
	g_assert_cmpuint(n_segments, ==, 0);
	g_assert_true(read_watch_most(fake->ring[0] + SLOTS_AT, 8, &n_reads, &instruction) == fake->ring[0] + SLOTS_AT + 1);
	g_assert_cmpuint(n_reads, ==, 2);
	g_assert_cmpuint(copy[0], ==, 0);
	read_watch_expect_once("a copy that is not aligned", fake->ring[0] + SLOTS_AT + 64 + 3, sizeof(copy));
	fake_free(fake);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/read_once/block/slots", test_slots);
	g_test_add_func("/read_once/block/grants", test_grants);
	g_test_add_func("/read_once/block/indirect", test_indirect);
	g_test_add_func("/read_once/block/indexes", test_indexes);
	g_test_add_func("/read_once/watch/two_reads", test_sees_two_reads);
	return g_test_run();
}
