// SPDX-License-Identifier: MIT
/*
 * Events go in both directions only when the other side asked for one, by the ring's event indexes; a front end that keeps
 * to that, and sleeps until it is told, never sleeps forever. A disk that saves events must not save one too many.
 */
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

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

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_data_func("/backend/block_events/sync", GINT_TO_POINTER(SYNC), test_no_sleep_forever);
	g_test_add_data_func("/backend/block_events/uring", GINT_TO_POINTER(URING), test_no_sleep_forever);
	return g_test_run();
}
