// SPDX-License-Identifier: MIT
/* A disk from end to end, with a front end that behaves and with ones that do not, through both engines. */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <xen/io/xenbus.h>

#include "backend/fake_frontend.h"
#include "backend/xenbus.h"
#include "config/guest_config.h"
#include "vmm/error.h"
#include "xen/xenstore/xenstore.h"

enum { SYNC, URING };

static void read_file(const struct fake *fake, void *bytes, size_t len_bytes, off_t offset)
{
	int fd = open(fake->path, O_RDONLY | O_CLOEXEC);

	g_assert_cmpint(pread(fd, bytes, len_bytes, offset), ==, (ssize_t)len_bytes);
	close(fd);
}

static void test_nodes(gconstpointer engine)
{
	static const struct {
		const char *key, *rw, *ro;
	} nodes[] = {
		{ "sectors", "4096", "4096" }, { "sector-size", "512", "512" }, { "info", "0", "4" },
		{ "mode", "w", "r" }, { "feature-flush-cache", "1", NULL }, { "feature-discard", "1", NULL },
		{ "feature-max-indirect-segments", "256", "256" }, { "max-ring-page-order", "4", "4" },
		{ "multi-queue-max-queues", "4", "4" }, { "feature-persistent", NULL, NULL }, { "feature-barrier", NULL, NULL },
		{ "state", "2", "2" }, { "frontend", "/local/domain/1/device/vbd/51712", "/local/domain/1/device/vbd/51712" },
	};

	for (int read_only = 0; read_only < 2; read_only++) {
		struct fake *fake = fake_new(GPOINTER_TO_INT(engine) == URING, read_only);

		for (size_t i = 0; i < G_N_ELEMENTS(nodes); i++) {
			g_autofree char *value = fake_back_node(fake, nodes[i].key);

			g_assert_cmpstr(value, ==, read_only ? nodes[i].ro : nodes[i].rw);
		}
		fake_free(fake);
	}
}

static void check_read_write(struct fake *fake)
{
	uint32_t ref, other_ref;
	uint8_t *page = fake_granted_page(fake, &ref), *other = fake_granted_page(fake, &other_ref), bytes[3 * 512];
	struct fake_request request = { .operation = BLKIF_OP_READ, .id = 0x1122334455667788, .sector = 5, .n_segments = 2,
					.segment = { { ref, 2, 7 }, { other_ref, 0, 0 } } };

	memset(page, 0xee, FAKE_PAGE);
	g_assert_cmpint(fake_do(fake, &request), ==, BLKIF_RSP_OKAY);
	g_assert_cmpuint(page[1023], ==, 0xee);
	g_assert_cmpuint(page[1024], ==, 5 * 7);
	g_assert_cmpuint(page[4095], ==, 10 * 7);
	g_assert_cmpuint(other[0], ==, 11 * 7);
	g_assert_cmpuint(other[511], ==, 11 * 7);
	g_assert_cmpuint(other[512], ==, 0);

	memset(page, 0x5a, FAKE_PAGE);
	request = (struct fake_request){ .operation = BLKIF_OP_WRITE, .sector = 101, .n_segments = 1, .segment = { { ref, 0, 0 } } };
	g_assert_cmpint(fake_do(fake, &request), ==, BLKIF_RSP_OKAY);
	/* As Linux sends it. */
	request = (struct fake_request){ .operation = BLKIF_OP_FLUSH_DISKCACHE, .sector = UINT64_MAX };
	g_assert_cmpint(fake_do(fake, &request), ==, BLKIF_RSP_OKAY);
	read_file(fake, bytes, sizeof(bytes), 100 * 512);
	g_assert_cmpuint(bytes[511], ==, (100 * 7) & 0xff);
	g_assert_cmpuint(bytes[512], ==, 0x5a);
	g_assert_cmpuint(bytes[1023], ==, 0x5a);

	/* A flush with data is a write behind it. */
	request = (struct fake_request){ .operation = BLKIF_OP_FLUSH_DISKCACHE, .sector = 102, .n_segments = 1, .segment = { { ref, 1, 1 } } };
	g_assert_cmpint(fake_do(fake, &request), ==, BLKIF_RSP_OKAY);
	request = (struct fake_request){ .operation = BLKIF_OP_DISCARD, .sector = 104, .n_sectors = 8 };
	g_assert_cmpint(fake_do(fake, &request), ==, BLKIF_RSP_OKAY);
	read_file(fake, bytes, sizeof(bytes), 102 * 512);
	g_assert_cmpuint(bytes[0], ==, 0x5a);
	g_assert_cmpuint(bytes[512], ==, (103 * 7) & 0xff);
	g_assert_cmpuint(bytes[1024], ==, 0);
	g_assert_cmpuint(fake_grant_flags(fake, ref), ==, GTF_permit_access);
}

static void test_transfers(gconstpointer engine)
{
	struct fake *fake = fake_new(GPOINTER_TO_INT(engine) == URING, false);

	for (unsigned int order = 0; order <= BLOCK_RING_ORDER_MAX; order += 2) {
		fake_connect(fake, order);
		for (unsigned int i = 0; i < fake->n_slots; i++)
			check_read_write(fake);
		fake_disconnect(fake);
		fake->guest.next_ref = 8;
	}
	fake_free(fake);
}

static void test_32bit(gconstpointer engine)
{
	struct fake *fake = fake_new(GPOINTER_TO_INT(engine) == URING, false);

	fake->layout = &BLOCK_LAYOUT_32;
	fake_write(fake, "protocol", "x86_32-abi");
	fake_connect(fake, 1);
	for (unsigned int i = 0; i < 2 * fake->n_slots; i++)
		check_read_write(fake);
	fake_free(fake);
}

static void test_indirect(gconstpointer engine)
{
	struct fake *fake = fake_new(GPOINTER_TO_INT(engine) == URING, false);
	struct blkif_request_segment *table;
	struct fake_request request = { .indirect = true, .indirect_op = BLKIF_OP_READ, .sector = 16, .n_indirect = BLOCK_SEGMENTS_MAX };
	uint8_t *first = NULL;

	fake_connect(fake, 0);
	table = (void *)fake_granted_page(fake, &request.indirect_ref[0]);
	for (unsigned int i = 0; i < BLOCK_SEGMENTS_MAX; i++) {
		uint8_t *page = fake_granted_page(fake, &table[i].gref);

		first = first ? first : page;
		table[i].first_sect = 0;
		table[i].last_sect = 7;
	}
	g_assert_cmpint(fake_do(fake, &request), ==, BLKIF_RSP_OKAY);
	for (unsigned int i = 0; i < BLOCK_SEGMENTS_MAX * 8; i += 97)
		g_assert_cmpuint(first[i * 512 + 3], ==, ((16 + i) * 7) & 0xff);
	/* The pages lie side by side: one iovec. */
	fake_disconnect(fake);
	g_assert_cmpuint(block_device_counters(fake->device).iovecs, ==, 1);
	g_assert_cmpuint(block_device_counters(fake->device).segments, ==, BLOCK_SEGMENTS_MAX);
	fake_free(fake);
}

/* Every one is answered with an error, and the next good one works. */
static void test_bad_requests(gconstpointer engine)
{
	struct fake *fake = fake_new(GPOINTER_TO_INT(engine) == URING, false);
	uint32_t gfn, ref, read_only, hole, invalid, self;
	const uint64_t end = FAKE_DISK_SECTORS;
	uint8_t *page = fake_page(fake, &gfn);

	fake_connect(fake, 0);
	ref = fake_grant(fake, gfn, GTF_permit_access);
	read_only = fake_grant(fake, gfn, GTF_permit_access | GTF_readonly);
	hole = fake_grant(fake, 0xfffff, GTF_permit_access);
	invalid = fake_grant(fake, gfn, GTF_invalid);
	self = fake_grant(fake, gfn, GTF_permit_access);
	/* An indirect page that points to itself, and then to nowhere. */
	for (unsigned int i = 0; i < 512; i++) {
		((struct blkif_request_segment *)(void *)page)[i].gref = i < 4 ? self : 0xffffff00 + i;
		((struct blkif_request_segment *)(void *)page)[i].last_sect = 7;
	}
	const struct {
		struct fake_request request;
		int16_t status;
	} cases[] = {
		{ { .operation = BLKIF_OP_READ }, BLKIF_RSP_ERROR },
		{ { .operation = BLKIF_OP_READ, .n_segments = 12 }, BLKIF_RSP_ERROR },
		{ { .operation = BLKIF_OP_READ, .n_segments = 255 }, BLKIF_RSP_ERROR },
		{ { .operation = BLKIF_OP_READ, .n_segments = 1, .segment = { { ref, 3, 2 } } }, BLKIF_RSP_ERROR },
		{ { .operation = BLKIF_OP_READ, .n_segments = 1, .segment = { { ref, 0, 8 } } }, BLKIF_RSP_ERROR },
		{ { .operation = BLKIF_OP_READ, .n_segments = 1, .segment = { { ref, 255, 255 } } }, BLKIF_RSP_ERROR },
		{ { .operation = BLKIF_OP_READ, .n_segments = 1, .sector = end, .segment = { { ref, 0, 0 } } }, BLKIF_RSP_ERROR },
		{ { .operation = BLKIF_OP_READ, .n_segments = 1, .sector = end - 7, .segment = { { ref, 0, 7 } } }, BLKIF_RSP_ERROR },
		{ { .operation = BLKIF_OP_READ, .n_segments = 1, .sector = UINT64_MAX - 3, .segment = { { ref, 0, 7 } } }, BLKIF_RSP_ERROR },
		{ { .operation = BLKIF_OP_WRITE, .n_segments = 1, .sector = UINT64_MAX / 512, .segment = { { ref, 0, 7 } } }, BLKIF_RSP_ERROR },
		{ { .operation = BLKIF_OP_READ, .n_segments = 1, .segment = { { read_only, 0, 0 } } }, BLKIF_RSP_ERROR },
		{ { .operation = BLKIF_OP_READ, .n_segments = 1, .segment = { { hole, 0, 0 } } }, BLKIF_RSP_ERROR },
		{ { .operation = BLKIF_OP_WRITE, .n_segments = 1, .segment = { { invalid, 0, 0 } } }, BLKIF_RSP_ERROR },
		{ { .operation = BLKIF_OP_WRITE, .n_segments = 1, .segment = { { UINT32_MAX, 0, 0 } } }, BLKIF_RSP_ERROR },
		{ { .operation = BLKIF_OP_WRITE, .n_segments = 1, .segment = { { 4 * 512, 0, 0 } } }, BLKIF_RSP_ERROR },
		{ { .operation = BLKIF_OP_READ, .n_segments = 3, .segment = { { ref, 0, 0 }, { ref, 0, 0 }, { hole, 0, 0 } } }, BLKIF_RSP_ERROR },
		{ { .operation = BLKIF_OP_WRITE_BARRIER }, BLKIF_RSP_EOPNOTSUPP },
		{ { .operation = BLKIF_OP_RESERVED_1 }, BLKIF_RSP_EOPNOTSUPP },
		{ { .operation = 200 }, BLKIF_RSP_EOPNOTSUPP },
		{ { .operation = BLKIF_OP_FLUSH_DISKCACHE, .n_segments = 12 }, BLKIF_RSP_ERROR },
		{ { .operation = BLKIF_OP_DISCARD }, BLKIF_RSP_ERROR },
		{ { .operation = BLKIF_OP_DISCARD, .sector = 1, .n_sectors = end }, BLKIF_RSP_ERROR },
		{ { .operation = BLKIF_OP_DISCARD, .sector = UINT64_MAX, .n_sectors = 2 }, BLKIF_RSP_ERROR },
		{ { .operation = BLKIF_OP_DISCARD, .sector = 1, .n_sectors = UINT64_MAX }, BLKIF_RSP_ERROR },
		{ { .indirect = true, .indirect_op = BLKIF_OP_READ }, BLKIF_RSP_ERROR },
		{ { .indirect = true, .indirect_op = BLKIF_OP_READ, .n_indirect = BLOCK_SEGMENTS_MAX + 1, .indirect_ref = { ref } }, BLKIF_RSP_ERROR },
		{ { .indirect = true, .indirect_op = BLKIF_OP_READ, .n_indirect = UINT16_MAX, .indirect_ref = { ref } }, BLKIF_RSP_ERROR },
		{ { .indirect = true, .indirect_op = BLKIF_OP_INDIRECT, .n_indirect = 1, .indirect_ref = { ref } }, BLKIF_RSP_ERROR },
		{ { .indirect = true, .indirect_op = BLKIF_OP_DISCARD, .n_indirect = 1, .indirect_ref = { ref } }, BLKIF_RSP_ERROR },
		{ { .indirect = true, .indirect_op = BLKIF_OP_WRITE, .n_indirect = 1, .indirect_ref = { hole } }, BLKIF_RSP_ERROR },
		{ { .indirect = true, .indirect_op = BLKIF_OP_WRITE, .n_indirect = 1, .indirect_ref = { UINT32_MAX } }, BLKIF_RSP_ERROR },
		{ { .indirect = true, .indirect_op = BLKIF_OP_WRITE, .n_indirect = 5, .indirect_ref = { self } }, BLKIF_RSP_ERROR },
		{ { .indirect = true, .indirect_op = BLKIF_OP_READ, .n_indirect = 4, .indirect_ref = { self } }, BLKIF_RSP_OKAY },
	};
	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		struct fake_request request = cases[i].request;

		request.id = i;
		g_assert_cmpint(fake_do(fake, &request), ==, cases[i].status);
	}
	check_read_write(fake);
	g_assert_cmpint(fake_back_state(fake), ==, XenbusStateConnected);
	fake_free(fake);
}

static void test_read_only(gconstpointer engine)
{
	struct fake *fake = fake_new(GPOINTER_TO_INT(engine) == URING, true);
	uint32_t ref;
	uint8_t *page = fake_granted_page(fake, &ref), sector[512];
	const struct fake_request requests[] = {
		{ .operation = BLKIF_OP_WRITE, .n_segments = 1, .segment = { { ref, 0, 0 } } },
		{ .operation = BLKIF_OP_DISCARD, .n_sectors = 8 },
		{ .operation = BLKIF_OP_FLUSH_DISKCACHE },
		{ .operation = BLKIF_OP_FLUSH_DISKCACHE, .n_segments = 1, .segment = { { ref, 0, 0 } } },
		{ .indirect = true, .indirect_op = BLKIF_OP_WRITE, .n_indirect = 1, .indirect_ref = { ref } },
	};

	memset(page, 0x77, FAKE_PAGE);
	fake_connect(fake, 0);
	for (size_t i = 0; i < G_N_ELEMENTS(requests); i++)
		g_assert_cmpint(fake_do(fake, &requests[i]), !=, BLKIF_RSP_OKAY);
	read_file(fake, sector, sizeof(sector), 0);
	g_assert_cmpuint(sector[0], ==, 0);
	fake_free(fake);
}

/* Indexes that no ring can have: the disk goes to Closing, is let go of, and may come back. */
static void test_lying_indexes(gconstpointer engine)
{
	static const uint32_t lies[] = { 33, 1000, 0x80000000, UINT32_MAX };
	struct fake *fake = fake_new(GPOINTER_TO_INT(engine) == URING, false);

	for (size_t i = 0; i < G_N_ELEMENTS(lies); i++) {
		fake_connect(fake, 0);
		check_read_write(fake);
		fake->produced = fake->consumed + lies[i];
		fake_kick(fake);
		fake_wait_state(fake, XenbusStateClosing);
		g_autofree char *why = fake_back_node(fake, "error");
		g_assert_nonnull(why);
		/* It stays there while the front end says that all is well. */
		fake_set_state(fake, XenbusStateConnected);
		fake_run_for(20);
		g_assert_cmpint(fake_back_state(fake), ==, XenbusStateClosing);
		g_assert_cmpuint(fake->guest.n_bound, ==, 0);
		fake_disconnect(fake);
		fake->guest.next_ref = 8;
	}
	fake_connect(fake, 0);
	check_read_write(fake);
	fake_free(fake);
}

static void test_bad_nodes(gconstpointer engine)
{
	static const char *const bad[][2] = {
		{ "ring-ref", "" }, { "ring-ref", "-1" }, { "ring-ref", "4294967296" }, { "ring-ref", "9999" }, { "ring-ref", "8x" },
		{ "event-channel", "0" }, { "event-channel", "99999" }, { "event-channel", "junk" },
		{ "ring-page-order", "5" }, { "ring-page-order", "32" }, { "ring-page-order", "x" }, { "ring-page-order", "2" },
		{ "multi-queue-num-queues", "0" }, { "multi-queue-num-queues", "5" }, { "multi-queue-num-queues", "4294967295" },
		{ "multi-queue-num-queues", "2" }, { "protocol", "arm-abi" }, { "protocol", "" },
	};
	struct fake *fake = fake_new(GPOINTER_TO_INT(engine) == URING, false);

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		fake_make_ring(fake, 0);
		fake_write(fake, "ring-page-order", "0");
		fake_write(fake, "multi-queue-num-queues", "1");
		fake_write(fake, "protocol", "x86_64-abi");
		fake_publish_ring(fake, "");
		fake_write(fake, bad[i][0], "%s", bad[i][1]);
		fake_set_state(fake, XenbusStateInitialised);
		fake_wait_state(fake, XenbusStateClosing);
		g_assert_cmpuint(fake->guest.n_bound, ==, 0);
		fake_set_state(fake, XenbusStateClosed);
		fake_wait_state(fake, XenbusStateClosed);
		fake_set_state(fake, XenbusStateInitialising);
		fake_wait_state(fake, XenbusStateInitWait);
	}
	/* A ring whose page is granted read-only. */
	fake_make_ring(fake, 0);
	((grant_entry_v1_t *)fake->guest.grant_frames)[fake->ring_ref[0]].flags = GTF_permit_access | GTF_readonly;
	fake_write(fake, "protocol", "x86_64-abi");
	fake_publish_ring(fake, "");
	fake_set_state(fake, XenbusStateInitialised);
	fake_wait_state(fake, XenbusStateClosing);
	fake_free(fake);
}

static void test_queues(gconstpointer engine)
{
	struct fake *fake = fake_new(GPOINTER_TO_INT(engine) == URING, false);

	fake_write(fake, "multi-queue-num-queues", "4");
	for (unsigned int i = 0; i < 4; i++) {
		g_autofree char *folder = g_strdup_printf("queue-%u/", i);

		fake_make_ring(fake, 0);
		fake_publish_ring(fake, folder);
	}
	fake_set_state(fake, XenbusStateInitialised);
	fake_wait_state(fake, XenbusStateConnected);
	g_assert_cmpuint(fake->guest.n_bound, ==, 4);
	/* The last one is the harness's own. */
	check_read_write(fake);
	fake_free(fake);
}

/* States as no driver writes them; and at the end a good one. */
static void test_state_storm(gconstpointer engine)
{
	struct fake *fake = fake_new(GPOINTER_TO_INT(engine) == URING, false);
	static const char *const words[] = { "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "-1", "", "44", "x", "3 " };
	GRand *random = g_rand_new_with_seed(20);

	fake_make_ring(fake, 0);
	fake_publish_ring(fake, "");
	for (unsigned int i = 0; i < 3000; i++) {
		fake_write(fake, "state", "%s", words[g_rand_int_range(random, 0, G_N_ELEMENTS(words))]);
		for (int n = g_rand_int_range(random, 0, 4); n > 0; n--)
			g_main_context_iteration(NULL, FALSE);
		if (g_rand_int_range(random, 0, 64) == 0)
			fake_run_for(5);
		g_assert_cmpuint(fake->guest.n_bound, <=, 1);
	}
	/* The whole folder is gone, as a guest may do. */
	g_assert_cmpint(xenstore_remove(fake->guest.store, "/local/domain/1/device/vbd/51712"), ==, 0);
	fake_wait_state(fake, XenbusStateClosed);
	g_assert_cmpuint(fake->guest.n_bound, ==, 0);
	fake_set_state(fake, XenbusStateInitialising);
	fake_wait_state(fake, XenbusStateInitWait);
	fake_connect(fake, 0);
	check_read_write(fake);
	g_rand_free(random);
	fake_free(fake);
}

/* Reconnects without end: each lets go of what the one before had. */
static void test_reconnects(gconstpointer engine)
{
	struct fake *fake = fake_new(GPOINTER_TO_INT(engine) == URING, false);
	gint64 began_us = g_get_monotonic_time();

	for (unsigned int i = 0; i < 12; i++) {
		fake->port = i % 2;
		fake_connect(fake, i % 3);
		if (i % 3 == 0) {
			check_read_write(fake);
			fake_disconnect(fake);
		} else {
			/* A kernel that crashed: it starts again without a word. */
			fake_set_state(fake, XenbusStateInitialising);
			fake_wait_state(fake, XenbusStateInitWait);
		}
		fake->guest.next_ref = 8;
	}
	/* Ten a second at most. */
	g_assert_cmpint(g_get_monotonic_time() - began_us, >=, 11 * 100 * G_TIME_SPAN_MILLISECOND);
	fake_free(fake);
}

/* Full rings, over and over, while somebody scribbles over ring, grants and segments: everything that is asked is
 * answered or the disk closes; nothing crashes. */
static gpointer scribble(gpointer opaque)
{
	struct fake *fake = opaque;
	GRand *random = g_rand_new_with_seed(5);

	while (__atomic_load_n(&fake->guest.next_gfn, __ATOMIC_SEQ_CST) != 0) {
		uint8_t *ring = fake->ring[0] + 64 + g_rand_int_range(random, 0, FAKE_PAGE - 64);
		grant_entry_v1_t *entry = (grant_entry_v1_t *)fake->guest.grant_frames + g_rand_int_range(random, 8, 64);

		__atomic_store_n(ring, (uint8_t)g_rand_int(random), __ATOMIC_RELAXED);
		__atomic_store_n(&entry->frame, g_rand_int(random) & 0x7fff, __ATOMIC_RELAXED);
		__atomic_fetch_xor(&entry->flags, GTF_readonly, __ATOMIC_RELAXED);
	}
	g_rand_free(random);
	return NULL;
}

static void test_scribbler(gconstpointer engine)
{
	struct fake *fake = fake_new(GPOINTER_TO_INT(engine) == URING, false);
	uint32_t refs[11];

	fake_connect(fake, 0);
	for (unsigned int i = 0; i < 11; i++)
		(void)fake_granted_page(fake, &refs[i]);
	GThread *thread = g_thread_new("scribbler", scribble, fake);
	for (unsigned int round = 0; round < 150; round++) {
		for (unsigned int i = 0; i < fake->n_slots; i++) {
			struct fake_request request = { .operation = (uint8_t)(i % 7), .n_segments = (uint8_t)(i % 12), .sector = i * 90,
							.indirect = i % 7 == 6, .indirect_op = i % 2, .n_indirect = 20,
							.indirect_ref = { refs[i % 11] } };

			for (unsigned int n = 0; n < 11; n++) {
				request.segment[n].ref = refs[n];
				request.segment[n].last = 7;
			}
			fake_put(fake, &request);
		}
		fake_kick(fake);
		for (unsigned int i = 0; i < fake->n_slots; i++)
			(void)fake_take(fake, NULL, NULL);
	}
	__atomic_store_n(&fake->guest.next_gfn, 0, __ATOMIC_SEQ_CST);
	g_thread_join(thread);
	g_assert_cmpint(fake_back_state(fake), ==, XenbusStateConnected);
	/* With a ring full of them in flight. */
	for (unsigned int i = 0; i < fake->n_slots; i++)
		fake_put(fake, &(struct fake_request){ .operation = BLKIF_OP_FLUSH_DISKCACHE });
	fake_kick(fake);
	fake_free(fake);
}

/* The file is not what it was: errors for the guest, and the policy's end for the domain. */
static void test_truncated(gconstpointer engine)
{
	struct fake *fake = fake_new(GPOINTER_TO_INT(engine) == URING, false);
	uint32_t ref;
	uint8_t *page = fake_granted_page(fake, &ref);
	struct fake_request request = { .operation = BLKIF_OP_READ, .n_segments = 1, .sector = 8, .segment = { { ref, 0, 7 } } };

	fake_connect(fake, 0);
	g_assert_cmpint(truncate(fake->path, 9 * 512), ==, 0);
	g_assert_cmpint(fake_do(fake, &request), ==, BLKIF_RSP_ERROR);
	(void)page;
	pthread_mutex_lock(&fake->guest.lock);
	g_assert_nonnull(fake->ended);
	g_assert_nonnull(strstr(fake->ended, "xvda"));
	pthread_mutex_unlock(&fake->guest.lock);
	fake_free(fake);
}

static void wait_no_room(struct fake *fake)
{
	gint64 until_us = g_get_monotonic_time() + 20 * G_TIME_SPAN_SECOND;

	while (!fake->no_room) {
		if (!g_main_context_iteration(NULL, FALSE))
			g_usleep(200);
		g_assert_cmpint(g_get_monotonic_time(), <, until_us);
	}
	g_assert_nonnull(strstr(fake->no_room, "xvda"));
	g_clear_pointer(&fake->no_room, g_free);
}

/* What finds no room has no answer until there is some, and then the right one; other requests go on. */
static void test_no_room(gconstpointer engine)
{
	struct fake *fake = fake_new_patient(GPOINTER_TO_INT(engine) == URING);
	uint32_t ref, other;
	uint8_t *page = fake_granted_page(fake, &ref), sector[512];
	struct fake_request write_one = { .operation = BLKIF_OP_WRITE, .id = 5, .sector = 8, .n_segments = 1, .segment = { { ref, 0, 0 } } };
	struct fake_request read_one = { .operation = BLKIF_OP_READ, .id = 6, .n_segments = 1 };
	int room = fcntl(fake->file.fd, F_DUPFD_CLOEXEC, 0), full = open("/dev/full", O_RDWR | O_CLOEXEC);
	uint64_t id;

	(void)fake_granted_page(fake, &other);
	read_one.segment[0].ref = other;
	memset(page, 0x3c, FAKE_PAGE);
	fake_connect(fake, 0);
	g_assert_cmpint(dup3(full, fake->file.fd, O_CLOEXEC), >=, 0);
	for (unsigned int round = 0; round < 3; round++) {
		if (round == 0)
			for (unsigned int i = 0; i < 4; i++)
				fake_put(fake, &write_one);
		fake_kick(fake);
		wait_no_room(fake);
		g_assert_cmpint(fake_do(fake, &read_one), ==, BLKIF_RSP_OKAY); /* /dev/full has zeros to read */
		if (round < 2)
			block_device_retry(fake->device);
	}
	g_assert_cmpint(dup3(room, fake->file.fd, O_CLOEXEC), >=, 0);
	block_device_retry(fake->device);
	for (unsigned int i = 0; i < 4; i++) {
		g_assert_cmpint(fake_take(fake, &id, NULL), ==, BLKIF_RSP_OKAY);
		g_assert_cmpuint(id, ==, 5);
	}
	read_file(fake, sector, sizeof(sector), 8 * 512);
	g_assert_cmpuint(sector[0], ==, 0x3c);
	/* Kept when the domain ends: it is not waited for. */
	g_assert_cmpint(dup3(full, fake->file.fd, O_CLOEXEC), >=, 0);
	fake_put(fake, &write_one);
	fake_kick(fake);
	wait_no_room(fake);
	close(room);
	close(full);
	fake_free(fake);
}

/*
 * Saved while much is in flight: all that was taken is answered once and nothing of the guest's is held; what comes later waits on the
 * ring for the back end that goes on, the same one or another.
 */
static void test_suspend(gconstpointer engine)
{
	struct fake *fake = fake_new(GPOINTER_TO_INT(engine) == URING, false);
	struct fake_request write_one = { .operation = BLKIF_OP_WRITE, .n_segments = 1 };
	uint8_t sector[512];
	uint32_t ref;
	uint64_t id;

	memset(fake_granted_page(fake, &ref), 0x77, FAKE_PAGE);
	write_one.segment[0].ref = ref;
	fake_connect(fake, 1);
	for (unsigned int round = 0; round < 20; round++) {
		const unsigned int n = fake->n_slots / 2;
		struct xenbus_saved saved;

		for (write_one.id = 0; write_one.id < n; write_one.id++) {
			write_one.sector = 200 + round * n + write_one.id;
			fake_put(fake, &write_one);
		}
		fake_kick(fake);
		g_assert_true(block_device_suspend(fake->device));
		g_assert_cmpuint(fake->guest.n_bound, ==, 0);
		g_assert_cmpuint(fake_grant_flags(fake, ref) & (GTF_reading | GTF_writing), ==, 0);
		g_assert_cmpuint(fake_grant_flags(fake, fake->ring_ref[0]) & (GTF_reading | GTF_writing), ==, 0);
		g_assert_cmpint(fake_back_state(fake), ==, XenbusStateConnected);
		saved = block_device_save(fake->device);
		g_assert_true(saved.attached);
		for (; write_one.id < 2 * n; write_one.id++)
			fake_put(fake, &write_one);
		if (round % 2) {
			block_device_free(fake->device);
			fake->device = block_device_restore(&fake->env, &fake->file, &saved);
		}
		block_device_resume(fake->device);
		fake_kick(fake);
		uint64_t seen = 0;
		for (unsigned int i = 0; i < 2 * n; i++) {
			g_assert_cmpint(fake_take(fake, &id, NULL), ==, BLKIF_RSP_OKAY);
			g_assert_true(id < 2 * n && id < 64 && !(seen >> id & 1));
			seen |= UINT64_C(1) << id;
		}
		read_file(fake, sector, sizeof(sector), (off_t)(200 + round * n + n - 1) * 512);
		g_assert_cmpuint(sector[0], ==, 0x77);
		g_assert_cmpint(fake_back_state(fake), ==, XenbusStateConnected);
	}
	/* One that the guest has not connected, or has closed. */
	fake_disconnect(fake);
	g_assert_true(block_device_suspend(fake->device));
	g_assert_false(block_device_save(fake->device).attached);
	block_device_resume(fake->device);
	fake->guest.next_ref = 8;
	fake_connect(fake, 0);
	check_read_write(fake);
	fake_free(fake);
}

/* A guest that took a ring's grant back meanwhile has a disk that closes, and no more. */
static void test_resume_fails(gconstpointer engine)
{
	struct fake *fake = fake_new(GPOINTER_TO_INT(engine) == URING, false);

	fake_connect(fake, 0);
	g_assert_true(block_device_suspend(fake->device));
	fake_write(fake, "ring-ref", "4000000");
	block_device_resume(fake->device);
	fake_wait_state(fake, XenbusStateClosing);
	fake_free(fake);
}

/* What waits for room is not suspended: it waits on, and is done when there is some. */
static void test_suspend_no_room(gconstpointer engine)
{
	struct fake *fake = fake_new_patient(GPOINTER_TO_INT(engine) == URING);
	uint32_t ref;
	uint8_t *page = fake_granted_page(fake, &ref), sector[512];
	struct fake_request write_one = { .operation = BLKIF_OP_WRITE, .id = 5, .sector = 8, .n_segments = 1, .segment = { { ref, 0, 0 } } };
	int room = fcntl(fake->file.fd, F_DUPFD_CLOEXEC, 0), full = open("/dev/full", O_RDWR | O_CLOEXEC);
	uint64_t id;

	memset(page, 0x3c, FAKE_PAGE);
	fake_connect(fake, 0);
	g_assert_cmpint(dup3(full, fake->file.fd, O_CLOEXEC), >=, 0);
	for (unsigned int round = 0; round < 3; round++) {
		fake_put(fake, &write_one);
		fake_kick(fake);
		/* In the first round it may not have been told yet, or may never have been tried. */
		bool suspended = block_device_suspend(fake->device);
		g_assert_false(suspended && round > 0);
		block_device_resume(fake->device);
		wait_no_room(fake);
	}
	g_assert_cmpint(dup3(room, fake->file.fd, O_CLOEXEC), >=, 0);
	block_device_retry(fake->device);
	for (unsigned int i = 0; i < 3; i++)
		g_assert_cmpint(fake_take(fake, &id, NULL), ==, BLKIF_RSP_OKAY);
	read_file(fake, sector, sizeof(sector), 8 * 512);
	g_assert_cmpuint(sector[0], ==, 0x3c);
	close(room);
	close(full);
	fake_free(fake);
}

/* A disk is taken away while it is used: served until the guest has closed it, then gone with its nodes. */
static void test_leave(gconstpointer engine)
{
	for (int connected = 0; connected < 2; connected++) {
		struct fake *fake = fake_new(GPOINTER_TO_INT(engine) == URING, false);

		if (connected) {
			fake_connect(fake, 0);
			check_read_write(fake);
		}
		block_device_leave(fake->device);
		if (connected) {
			g_autofree char *online = fake_back_node(fake, "online");

			g_assert_cmpstr(online, ==, "0");
			g_assert_cmpint(fake_back_state(fake), ==, XenbusStateClosing);
			check_read_write(fake);
			fake_run_for(10);
			g_assert_nonnull(fake->device);
			for (unsigned int i = 0; i < fake->n_slots; i++)
				fake_put(fake, &(struct fake_request){ .operation = BLKIF_OP_FLUSH_DISKCACHE });
			fake_kick(fake);
			fake_set_state(fake, XenbusStateClosing);
			fake_set_state(fake, XenbusStateClosed);
		}
		gint64 until_us = g_get_monotonic_time() + 20 * G_TIME_SPAN_SECOND;
		while (fake->device) {
			if (!g_main_context_iteration(NULL, FALSE))
				g_usleep(200);
			g_assert_cmpint(g_get_monotonic_time(), <, until_us);
		}
		g_assert_cmpint(fake_back_state(fake), ==, 0);
		g_assert_cmpuint(fake->guest.n_bound, ==, 0);
		fake_free(fake);
	}
}

/* A file that has grown: the guest is told once more that the disk is connected, and can use all of it. */
static void test_resize(gconstpointer engine)
{
	struct fake *fake = fake_new(GPOINTER_TO_INT(engine) == URING, false);
	uint32_t ref;
	struct fake_request request = { .operation = BLKIF_OP_READ, .sector = FAKE_DISK_SECTORS + 8, .n_segments = 1 };
	GError *error = NULL;

	(void)fake_granted_page(fake, &ref);
	request.segment[0].ref = ref;
	fake_connect(fake, 0);
	g_assert_cmpint(fake_do(fake, &request), ==, BLKIF_RSP_ERROR);
	g_assert_false(block_file_resize(&fake->file, FAKE_DISK_SECTORS * 512 - 512, &error));
	g_assert_error(error, DOM1_ERROR, DOM1_STATUS_USAGE);
	g_clear_error(&error);
	g_assert_true(block_file_resize(&fake->file, 2 * FAKE_DISK_SECTORS * 512, &error));
	g_assert_true(block_device_resize(fake->device, fake->file.n_sectors));
	g_assert_false(block_device_resize(fake->device, fake->file.n_sectors));
	g_assert_cmpint(xenstore_write(fake->guest.store, "/local/domain/0/backend/vbd/1/51712/state", "", 0), ==, 0);
	fake_wait_state(fake, XenbusStateConnected);
	g_autofree char *sectors = fake_back_node(fake, "sectors");
	g_assert_cmpstr(sectors, ==, "8192");
	g_assert_cmpint(fake_do(fake, &request), ==, BLKIF_RSP_OKAY);
	fake_free(fake);
}

static void test_locks(void)
{
	struct fake *fake = fake_new(false, false);
	struct disk_config disk = { .target = fake->path, .vdev = (char *)"xvdb", .readonly = TRUE };
	struct block_file file;
	GError *error = NULL;

	g_assert_false(block_file_open(&file, &disk, &error));
	g_assert_error(error, DOM1_ERROR, DOM1_STATUS_FILE);
	g_assert_nonnull(strstr(error->message, "in use by another disk of this domain"));
	g_clear_error(&error);
	fake_free(fake);

	fake = fake_new(false, true);
	disk.target = fake->path;
	g_assert_true(block_file_open(&file, &disk, &error));
	g_assert_no_error(error);
	block_file_close(&file);
	disk.readonly = FALSE;
	g_assert_false(block_file_open(&file, &disk, &error));
	g_clear_error(&error);
	fake_free(fake);
}

static void test_formats(void)
{
	static const char *const magics[] = { "QFI\xfb", "KDMV", "conectix", "vhdxfile" };

	for (size_t i = 0; i < G_N_ELEMENTS(magics); i++) {
		g_autofree char *path = NULL;
		int fd = g_file_open_tmp("dom1-disk-XXXXXX", &path, NULL);
		struct disk_config disk = { .target = path, .vdev = (char *)"xvda" };
		struct block_file file;
		GError *error = NULL;

		g_assert_cmpint(write(fd, magics[i], strlen(magics[i])), >, 0);
		g_assert_false(block_file_open(&file, &disk, &error)); /* less than a sector */
		g_clear_error(&error);
		g_assert_cmpint(ftruncate(fd, 5000), ==, 0);
		g_assert_false(block_file_open(&file, &disk, &error));
		g_assert_nonnull(strstr(error->message, "format=raw"));
		g_clear_error(&error);
		disk.format = DISK_FORMAT_RAW;
		g_assert_true(block_file_open(&file, &disk, &error));
		g_assert_cmpuint(file.n_sectors, ==, 9);
		block_file_close(&file);
		close(fd);
		unlink(path);
	}
}

/* As a medium that is pulled out: the guest still has the disk, and gets errors; the image is everybody's. */
static void test_eject(gconstpointer engine)
{
	struct fake *fake = fake_new(GPOINTER_TO_INT(engine) == URING, true);
	struct fake_request request = { .operation = BLKIF_OP_READ, .n_segments = 1 };
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int fd = open(fake->path, O_RDWR | O_CLOEXEC);

	fake_connect(fake, 0);
	fake_granted_page(fake, &request.segment[0].ref);
	g_assert_cmpint(fake_do(fake, &request), ==, BLKIF_RSP_OKAY);
	g_assert_cmpint(fcntl(fd, F_OFD_SETLK, &lock), ==, -1);
	block_device_eject(fake->device);
	block_device_eject(fake->device);
	while (fake->n_ejected == 0)
		g_main_context_iteration(NULL, TRUE);
	g_assert_cmpint(fcntl(fd, F_OFD_SETLK, &lock), ==, 0);
	g_assert_cmpint(fake_back_state(fake), ==, XenbusStateClosing);
	for (unsigned int i = 0; i < 2 * fake->n_slots; i++)
		g_assert_cmpint(fake_do(fake, &request), ==, BLKIF_RSP_ERROR);
	g_assert_nonnull(fake->device);
	fake_set_state(fake, XenbusStateClosing);
	fake_set_state(fake, XenbusStateClosed);
	while (fake->device)
		g_main_context_iteration(NULL, TRUE);
	close(fd);
	fake_free(fake);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		GTestDataFunc run;
	} tests[] = {
		{ "nodes", test_nodes }, { "transfers", test_transfers }, { "32bit", test_32bit }, { "indirect", test_indirect },
		{ "bad-requests", test_bad_requests }, { "read-only", test_read_only }, { "lying-indexes", test_lying_indexes },
		{ "bad-nodes", test_bad_nodes }, { "queues", test_queues }, { "state-storm", test_state_storm },
		{ "reconnects", test_reconnects }, { "scribbler", test_scribbler }, { "truncated", test_truncated }, { "no-room", test_no_room },
		{ "suspend", test_suspend }, { "resume-fails", test_resume_fails }, { "suspend-no-room", test_suspend_no_room },
		{ "leave", test_leave }, { "eject", test_eject }, { "resize", test_resize },
	};

	g_test_init(&argc, &argv, NULL);
	for (int engine = SYNC; engine <= URING; engine++)
		for (size_t i = 0; i < G_N_ELEMENTS(tests); i++) {
			g_autofree char *path = g_strdup_printf("/backend/block/%s/%s", engine == URING ? "uring" : "sync", tests[i].name);

			g_test_add_data_func(path, GINT_TO_POINTER(engine), tests[i].run);
		}
	g_test_add_func("/backend/block/locks", test_locks);
	g_test_add_func("/backend/block/formats", test_formats);
	return g_test_run();
}
