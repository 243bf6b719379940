// SPDX-License-Identifier: MIT
/*
 * Events go in both directions only when the other side asked for one, by the ring's event indexes; a front end that keeps
 * to that, and sleeps until it is told, never sleeps forever. A disk that saves events must not save one too many.
 */
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <xen/io/xenbus.h>

#include "backend/fake_frontend.h"

enum { SYNC, URING };
enum { REQ_PROD, REQ_EVENT, RSP_PROD, RSP_EVENT };

#define REQUESTS 20000u
#define PATIENCE_MS 20000

struct guest {
	struct fake *fake;
	uint32_t *shared;
	uint32_t refs[8];
	uint32_t depth; /* requests in flight at most */
	unsigned int sent, told;
};

/* As RING_PUSH_REQUESTS_AND_CHECK_NOTIFY. */
static void push(struct guest *guest, uint32_t before)
{
	struct fake *fake = guest->fake;

	__atomic_store_n(&guest->shared[REQ_PROD], fake->produced, __ATOMIC_SEQ_CST);
	uint32_t event = __atomic_load_n(&guest->shared[REQ_EVENT], __ATOMIC_SEQ_CST);
	if (fake->produced - event < fake->produced - before) {
		guest->sent++;
		g_assert_cmpint(eventfd_write(fake->guest.ports[fake->port].from_guest_fd, 1), ==, 0);
	}
}

static void put_some(struct guest *guest, unsigned int n)
{
	struct fake *fake = guest->fake;
	const uint32_t before = fake->produced;

	for (unsigned int i = 0; i < n && fake->produced - fake->consumed < guest->depth; i++) {
		const uint32_t ref = guest->refs[fake->produced % G_N_ELEMENTS(guest->refs)];
		struct fake_request request = { .operation = BLKIF_OP_READ, .sector = fake->produced % 4000, .n_segments = 1,
						.segment = { { ref, 0, 7 } } };

		/* What takes its time among what does not. */
		if (fake->produced % 500 == 499)
			request = (struct fake_request){ .operation = BLKIF_OP_FLUSH_DISKCACHE };
		fake_put(fake, &request);
	}
	if (fake->produced != before)
		push(guest, before);
}

/* As RING_FINAL_CHECK_FOR_RESPONSES and an interrupt: only what was asked for wakes. */
static void wait_for_answer(struct guest *guest)
{
	struct fake *fake = guest->fake;
	struct pollfd event = { .fd = fake->guest.ports[fake->port].to_guest_fd, .events = POLLIN };
	eventfd_t count;

	__atomic_store_n(&guest->shared[RSP_EVENT], fake->consumed + 1, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&guest->shared[RSP_PROD], __ATOMIC_SEQ_CST) != fake->consumed)
		return;
	g_assert_cmpint(poll(&event, 1, PATIENCE_MS), ==, 1);
	guest->told++;
	g_assert_cmpint(eventfd_read(event.fd, &count), ==, 0);
}

static void take_all(struct guest *guest)
{
	while (__atomic_load_n(&guest->shared[RSP_PROD], __ATOMIC_SEQ_CST) != guest->fake->consumed) {
		uint64_t id;
		uint8_t operation;

		g_assert_cmpint(fake_take(guest->fake, &id, &operation), ==, BLKIF_RSP_OKAY);
		/* fake_take() asks for the next; a guest does so when it has taken all. */
	}
}

static void run(struct guest *guest, uint32_t depth)
{
	const uint32_t end = guest->fake->consumed + REQUESTS;

	guest->depth = depth;
	while ((int32_t)(end - guest->fake->consumed) > 0) {
		put_some(guest, (unsigned int)g_test_rand_int_range(1, (gint32)depth + 1));
		/* Another just after the disk was left alone, or while it is busy. */
		if (g_test_rand_int_range(0, 8) == 0)
			g_usleep((gulong)g_test_rand_int_range(0, 300));
		if (guest->fake->produced == guest->fake->consumed)
			continue;
		if (g_test_rand_int_range(0, 4) != 0)
			wait_for_answer(guest);
		take_all(guest);
	}
	while (guest->fake->produced != guest->fake->consumed) {
		wait_for_answer(guest);
		take_all(guest);
	}
	g_test_message("depth %u: %u requests, %u events to the disk, %u waited for", depth, REQUESTS, guest->sent, guest->told);
	guest->sent = guest->told = 0;
}

static void test_no_sleep_forever(gconstpointer engine)
{
	struct guest guest = { .fake = fake_new(GPOINTER_TO_INT(engine) == URING, false) };

	for (size_t i = 0; i < G_N_ELEMENTS(guest.refs); i++)
		(void)fake_granted_page(guest.fake, &guest.refs[i]);
	fake_connect(guest.fake, 0);
	guest.shared = (uint32_t *)(void *)guest.fake->ring[0];
	run(&guest, 1);
	run(&guest, 5);
	run(&guest, guest.fake->n_slots);
	fake_free(guest.fake);
}

/*
 * A busy queue and one with a single request, of a disk whose reads end when the test wants: its file is a pipe, from which
 * each takes a page.
 */
struct pair {
	struct fake *fake;
	int write_fd;
	struct {
		uint8_t *ring;
		uint32_t port, produced, consumed;
	} queues[2];
	uint32_t ref;
	struct io_task look, looked;
	unsigned int n_wanted;
	bool has_looked;
};

enum { BUSY, QUIET };

static void choose(struct pair *pair, unsigned int queue)
{
	struct fake *fake = pair->fake;

	fake->ring[0] = pair->queues[queue].ring;
	fake->port = pair->queues[queue].port;
	fake->produced = pair->queues[queue].produced;
	fake->consumed = pair->queues[queue].consumed;
}

static void read_pages(struct pair *pair, unsigned int queue, unsigned int n)
{
	const struct fake_request request = { .operation = BLKIF_OP_READ, .n_segments = 1, .segment = { { pair->ref, 0, 7 } } };

	choose(pair, queue);
	for (unsigned int i = 0; i < n; i++)
		fake_put(pair->fake, &request);
	fake_kick(pair->fake);
	pair->queues[queue].produced = pair->fake->produced;
}

static void end_reads(struct pair *pair, unsigned int n)
{
	static const uint8_t page[FAKE_PAGE];

	for (unsigned int i = 0; i < n; i++)
		g_assert_cmpint(write(pair->write_fd, page, sizeof(page)), ==, sizeof(page));
}

static void take_answers(struct pair *pair, unsigned int queue, unsigned int n)
{
	choose(pair, queue);
	while (n--)
		g_assert_cmpint(fake_take(pair->fake, NULL, NULL), ==, BLKIF_RSP_OKAY);
	pair->queues[queue].consumed = pair->fake->consumed;
}

static void look(struct io_task *task)
{
	struct pair *pair = (struct pair *)(void *)((char *)task - offsetof(struct pair, look));

	pair->n_wanted = io_thread_n_wanted(pair->fake->guest.io);
	io_thread_reply(pair->fake->guest.io, &pair->looked);
}

static void on_looked(struct io_task *task)
{
	((struct pair *)(void *)((char *)task - offsetof(struct pair, looked)))->has_looked = true;
}

/* For how many completions the I/O thread waits. */
static unsigned int n_wanted(struct pair *pair)
{
	pair->has_looked = false;
	io_thread_post(pair->fake->guest.io, &pair->look);
	while (!pair->has_looked)
		io_thread_wait_reply(pair->fake->guest.io);
	return pair->n_wanted;
}

static void connect_pair(struct pair *pair)
{
	struct fake *fake = pair->fake;
	int ends[2];

	g_assert_cmpint(pipe2(ends, O_CLOEXEC), ==, 0);
	g_assert_cmpint(dup2(ends[0], fake->file.fd), ==, fake->file.fd);
	close(ends[0]);
	pair->write_fd = ends[1];
	fake_write(fake, "multi-queue-num-queues", "2");
	for (unsigned int i = 0; i < 2; i++) {
		g_autofree char *folder = g_strdup_printf("queue-%u/", i);

		fake_make_ring(fake, 0);
		fake_publish_ring(fake, folder);
		pair->queues[i].ring = fake->ring[0];
		pair->queues[i].port = fake->port;
	}
	fake_set_state(fake, XenbusStateInitialised);
	fake_wait_state(fake, XenbusStateConnected);
	(void)fake_granted_page(fake, &pair->ref);
	pair->look.run = look;
	pair->looked.run = on_looked;
}

/* Which of the reads gets a page is the kernel's choice. Another one takes its place. */
static void replace_one(struct pair *pair)
{
	const gint64 until_us = g_get_monotonic_time() + PATIENCE_MS * G_TIME_SPAN_MILLISECOND;
	unsigned int queue = BUSY;

	end_reads(pair, 1);
	while (__atomic_load_n((uint32_t *)(void *)pair->queues[queue].ring + RSP_PROD, __ATOMIC_SEQ_CST) == pair->queues[queue].consumed) {
		g_assert_cmpint(g_get_monotonic_time(), <, until_us);
		queue = !queue;
	}
	take_answers(pair, queue, 1);
	read_pages(pair, queue, 1);
}

/* Nothing waits for a while after an event, and patience is short: it takes a few attempts to see it. */
static void expect_waiting(struct pair *pair)
{
	const gint64 until_us = g_get_monotonic_time() + PATIENCE_MS * G_TIME_SPAN_MILLISECOND;

	do {
		g_assert_cmpint(g_get_monotonic_time(), <, until_us);
		replace_one(pair);
	} while (n_wanted(pair) == 1);
}

/* With the busy queue alone the I/O thread waits for several; with one request in flight of the other, for each. */
static void test_quiet_beside_busy(void)
{
	struct pair pair = { .fake = fake_new(true, true) };

	if (strcmp(io_thread_engine_name(pair.fake->guest.io), "uring") != 0) {
		g_test_skip("no io_uring here: nothing completes later");
		fake_free(pair.fake);
		return;
	}
	connect_pair(&pair);
	read_pages(&pair, BUSY, 31);
	expect_waiting(&pair);
	read_pages(&pair, QUIET, 1);
	/*
	 * Events come in their order, so what is posted behind this one is done behind it. For longer than anything waits after an
	 * event; the page goes to the read that came last, mostly, and so not to the quiet queue's.
	 */
	const gint64 end_us = g_get_monotonic_time() + 100 * G_TIME_SPAN_MILLISECOND;
	for (unsigned int i = 0; i < 40 || g_get_monotonic_time() < end_us; i++) {
		replace_one(&pair);
		g_assert_cmpuint(n_wanted(&pair), ==, 1);
	}
	end_reads(&pair, 32);
	take_answers(&pair, BUSY, 31);
	take_answers(&pair, QUIET, 1);
	/* And again, now that it has nothing in flight. */
	read_pages(&pair, BUSY, 31);
	expect_waiting(&pair);
	end_reads(&pair, 31);
	take_answers(&pair, BUSY, 31);
	close(pair.write_fd);
	fake_free(pair.fake);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_data_func("/backend/block_events/sync", GINT_TO_POINTER(SYNC), test_no_sleep_forever);
	g_test_add_data_func("/backend/block_events/uring", GINT_TO_POINTER(URING), test_no_sleep_forever);
	g_test_add_func("/backend/block_events/quiet-beside-busy", test_quiet_beside_busy);
	return g_test_run();
}
