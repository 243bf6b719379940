// SPDX-License-Identifier: MIT
/*
 * What a network front end writes into rings and grant table, and the headers of its frames, is read once: read_watch.h. Then
 * what was checked is what is sent (XSA-155, XSA-423).
 */
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "backend/fake_net.h"
#include "read_watch.h"

#define SLOTS_AT      64u
#define FRAME_BYTES   200u
#define HEADERS_BYTES 42u
#define N_FRAMES      4u
#define N_BUFFERS     64u /* more than the largest frame takes, or nothing is delivered */

/* The library's are not linked: here the kernel touches the guest's pages. Offset -1: none. */
ssize_t pwritev2(int fd, const struct iovec *iov, int n_iov, off_t offset, int flags)
{
	read_watch_pause();
	ssize_t rc = syscall(SYS_pwritev2, fd, iov, n_iov, offset, 0, flags);
	read_watch_resume();
	return rc;
}

ssize_t preadv2(int fd, const struct iovec *iov, int n_iov, off_t offset, int flags)
{
	read_watch_pause();
	ssize_t rc = syscall(SYS_preadv2, fd, iov, n_iov, offset, 0, flags);
	read_watch_resume();
	return rc;
}

/* An IPv4 frame with UDP, its checksum left to the back end. */
static void make_frame(uint8_t *frame)
{
	static const uint8_t start[] = { 0x00, 0x16, 0x3e, 1, 2, 3, 0x00, 0x16, 0x3e, 4, 5, 6, 0x08, 0x00, 0x45, 0, 0, FRAME_BYTES - 14, 0, 0, 0, 0,
					 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 0, 7, 0, 7, 0, FRAME_BYTES - 34, 0, 0 };

	G_STATIC_ASSERT(sizeof(start) == HEADERS_BYTES);
	memset(frame, 0x5a, FRAME_BYTES);
	memcpy(frame, start, sizeof(start));
}

/* What it was told before. */
static void forget_events(struct fake *fake, uint32_t port)
{
	eventfd_t count;

	g_usleep(100000);
	(void)eventfd_read(fake->guest.ports[port].to_guest_fd, &count);
}

static void wait_event(struct fake *fake, uint32_t port)
{
	struct pollfd event = { .fd = fake->guest.ports[port].to_guest_fd, .events = POLLIN };
	eventfd_t count;

	g_assert_cmpint(poll(&event, 1, 20000), ==, 1);
	/* It goes on to look whether there is more; and what came may be late, of something before. */
	do
		(void)eventfd_read(event.fd, &count);
	while (poll(&event, 1, 200) == 1);
}

static void test_transmit(void)
{
	struct fake *fake = fake_new(false, false);
	struct fake_queue *queue = &fake->queues[0];
	const grant_entry_v1_t *entries = fake->guest.grant_frames;
	static uint8_t got[70000];
	uint8_t *pages[N_FRAMES], *watched[N_FRAMES + 2];
	struct virtio_net_hdr header;
	uint32_t refs[N_FRAMES];

	fake_connect(fake, 1, false, true);
	for (unsigned int i = 0; i < N_FRAMES; i++) {
		pages[i] = watched[i] = fake_granted_page(fake, &refs[i]);
		make_frame(pages[i]);
		fake_put_request(queue, refs[i], 0, NETTXF_csum_blank | NETTXF_data_validated, (uint16_t)i, FRAME_BYTES);
	}
	watched[N_FRAMES] = queue->tx;
	watched[N_FRAMES + 1] = fake->guest.grant_frames;
	forget_events(fake, queue->tx_port);
	((uint32_t *)(void *)queue->tx)[3] = N_FRAMES; /* the last answer is told */
	read_watch_begin(watched, N_FRAMES + 2);
	/* Only now can it see that there is something, also if it looks by itself. */
	__atomic_store_n((uint32_t *)(void *)queue->tx, queue->tx_produced, __ATOMIC_SEQ_CST);
	g_assert_cmpint(eventfd_write(fake->guest.ports[queue->tx_port].from_guest_fd, 1), ==, 0);
	wait_event(fake, queue->tx_port);
	g_assert_cmpuint(read_watch_end(NULL), >, 0);
	read_watch_expect_once("slots", queue->tx + SLOTS_AT, N_FRAMES * sizeof(struct netif_tx_request));
	for (unsigned int i = 0; i < N_FRAMES; i++) {
		read_watch_expect_once("the headers of a frame", pages[i], HEADERS_BYTES);
		read_watch_expect_once("the frame of a grant", &entries[refs[i]].frame, sizeof(entries->frame));
		g_assert_cmpuint(fake_host_receive(fake, 0, got, &header), ==, FRAME_BYTES);
		g_assert_cmpuint(header.flags, ==, VIRTIO_NET_HDR_F_NEEDS_CSUM);
		g_assert_cmpint(fake_take(queue, NULL), ==, NETIF_RSP_OKAY);
	}
	fake_free(fake);
}

static void test_receive(void)
{
	struct fake *fake = fake_new(false, false);
	struct fake_queue *queue = &fake->queues[0];
	const struct virtio_net_hdr plain = { 0 };
	static uint8_t frame[FRAME_BYTES], got[70000];
	uint16_t flags, gso_size;
	uint8_t gso_type;

	fake_connect(fake, 1, false, true);
	for (unsigned int i = 0; i < N_BUFFERS; i++) {
		queue->posted[i] = fake_granted_page(fake, &queue->posted_ref[i]);
		const struct netif_rx_request request = { .id = (uint16_t)i, .gref = queue->posted_ref[i] };
		memcpy(queue->rx + SLOTS_AT + i * sizeof(struct netif_rx_response), &request, sizeof(request));
	}
	forget_events(fake, queue->rx_port);
	queue->rx_produced = N_BUFFERS;
	((uint32_t *)(void *)queue->rx)[3] = N_FRAMES;
	read_watch_begin((uint8_t *[]){ queue->rx }, 1);
	__atomic_store_n((uint32_t *)(void *)queue->rx, N_BUFFERS, __ATOMIC_SEQ_CST);
	make_frame(frame);
	for (unsigned int i = 0; i < N_FRAMES; i++)
		fake_host_send(fake, 0, frame, sizeof(frame), &plain);
	g_assert_cmpint(eventfd_write(fake->guest.ports[queue->rx_port].from_guest_fd, 1), ==, 0);
	wait_event(fake, queue->rx_port);
	g_assert_cmpuint(read_watch_end(NULL), >, 0);
	read_watch_expect_once("slots", queue->rx + SLOTS_AT, N_FRAMES * sizeof(struct netif_rx_request));
	for (unsigned int i = 0; i < N_FRAMES; i++)
		g_assert_cmpint(fake_receive(queue, got, &flags, &gso_type, &gso_size), ==, FRAME_BYTES);
	fake_free(fake);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/read_once/net/transmit", test_transmit);
	g_test_add_func("/read_once/net/receive", test_receive);
	return g_test_run();
}
