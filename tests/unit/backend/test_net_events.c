// SPDX-License-Identifier: MIT
/* What a network front end is told of, through both engines. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backend/fake_net.h"

/* Takes what has been answered, and asks to be told of the next, as a driver does; how many. */
static unsigned int look(uint8_t *ring, uint32_t *consumed)
{
	uint32_t *indexes = (uint32_t *)(void *)ring;
	const uint32_t before = *consumed;

	do {
		*consumed = __atomic_load_n(&indexes[2], __ATOMIC_SEQ_CST);
		__atomic_store_n(&indexes[3], *consumed + 1, __ATOMIC_SEQ_CST);
	} while (__atomic_load_n(&indexes[2], __ATOMIC_SEQ_CST) != *consumed);
	return *consumed - before;
}

/* A guest that looks at its rings only when it is told to always hears of everything, whoever else it hears of. */
static void test_events(gconstpointer engine)
{
	for (int split = 0; split < 2; split++) {
		struct fake *fake = fake_new(GPOINTER_TO_INT(engine), false);
		struct fake_queue *queue = &fake->queues[0];
		GRand *random = g_rand_new_with_seed(12);
		const struct virtio_net_hdr header = { 0 };
		static uint8_t bytes[70000];
		uint32_t ref;

		fake_connect(fake, 1, split, true);
		memset(fake_granted_page(fake, &ref), 0, FAKE_PAGE);
		struct pollfd told[] = { { fake->guest.ports[queue->tx_port].to_guest_fd, POLLIN, 0 },
					 { fake->guest.ports[queue->rx_port].to_guest_fd, POLLIN, 0 } };
		for (unsigned int round = 0; round < 300; round++) {
			unsigned int n_sent = (unsigned int)g_rand_int_range(random, 0, 100), n_due = (unsigned int)g_rand_int_range(random, 0, 5);

			fake_post(fake, queue, FAKE_SLOTS - (queue->rx_produced - queue->rx_consumed));
			for (unsigned int i = 0; i < n_due; i++)
				fake_host_send(fake, 0, bytes, 100, &header);
			for (unsigned int i = 0; i < n_sent; i++)
				fake_put_request(queue, ref, 0, 0, 0, 100);
			if (n_sent > 0)
				fake_kick(fake, queue);
			while (n_sent + n_due > 0) {
				uint64_t count;

				g_assert_cmpint(poll(told, 2, 20000), >, 0);
				for (unsigned int i = 0; i < 2; i++)
					if (told[i].revents)
						g_assert_true(read(told[i].fd, &count, sizeof(count)) >= 0 || errno == EAGAIN);
				n_sent -= look(queue->tx, &queue->tx_consumed);
				n_due -= look(queue->rx, &queue->rx_consumed);
				while (recv(fake->host_fd[0], bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
					;
			}
		}
		g_rand_free(random);
		fake_free(fake);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_data_func("/backend/net_events/sync/told", GINT_TO_POINTER(false), test_events);
	g_test_add_data_func("/backend/net_events/uring/told", GINT_TO_POINTER(true), test_events);
	return g_test_run();
}
