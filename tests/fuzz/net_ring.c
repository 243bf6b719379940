// SPDX-License-Identifier: MIT
/*
 * A network front end that lies, for libFuzzer, and a host's side that does: the input is what the guest writes into its
 * rings, grants and pages, when it sends, what it says its state is, and what comes from the tap or, as bytes of passt's
 * framing, from the socket; while the other side reads, a second thread changes what is shared.
 *
 * Whatever comes, nothing may crash or read beyond (the sanitizers), and no grant stays marked as in use when the guest
 * has gone (fake_free() looks).
 */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <xen/io/xenbus.h>

#include "backend/fake_net.h"
#include "input.h"

#define PAGES     24u
#define FIRST_REF 8u
#define STEPS_MAX 200u

struct target {
	struct fake *fake;
	struct scribbler scribbler;
	uint8_t *pages[PAGES], *rings[2];
};

static uint32_t next_ref(struct input *input)
{
	return next(input) < 250 ? FIRST_REF + next(input) % (PAGES + 2) : next32(input);
}

/* Of TCP over IPv4, so that what follows is about segments and checksums; the rest of the page is as it is. */
static void put_headers(struct input *input, uint8_t *page)
{
	static const uint8_t headers[] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 8, 0, 0x45, 0, 0, 100, 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 0,
					   1, 10, 0, 0, 2, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x10, 1, 1, 0, 0, 0, 0 };

	memcpy(page, headers, sizeof(headers));
	page[17] = next(input);
	if (next(input) > 200)
		page[next(input) % sizeof(headers)] = next(input);
}

static void put_packet(struct fake_queue *queue, struct input *input)
{
	const uint8_t n_pieces = next(input) % 20, kind = next(input);
	const uint16_t flags = (uint16_t)((kind & 1 ? NETTXF_csum_blank : 0) | (kind & 2 ? NETTXF_extra_info : 0) |
					  (kind & 4 ? NETTXF_data_validated : 0));
	const uint16_t size = kind & 8 ? (uint16_t)next32(input) : (uint16_t)(100 + 1000 * n_pieces);

	for (unsigned int i = 0; i <= n_pieces; i++) {
		const bool more = i < n_pieces || kind > 250;

		fake_put_request(queue, next_ref(input), kind & 16 ? (uint16_t)next32(input) : 0,
				 (uint16_t)((more ? NETTXF_more_data : 0) | (i == 0 ? flags : 0)), next(input),
				 i == 0 ? size : kind & 32 ? (uint16_t)next32(input) : 1000);
		if (i == 0 && kind & 2)
			fake_put_extra(queue, next(input) < 230 ? XEN_NETIF_EXTRA_TYPE_GSO : next(input), next(input) > 240,
				       next(input) % 4, (uint16_t)next32(input));
	}
}

/* A message for a tap, bytes for a stream: what is not well-formed is the same there. */
static void send_from_host(struct target *target, struct input *input)
{
	static uint8_t message[sizeof(struct virtio_net_hdr) + 70000];
	const size_t len_bytes = next(input) < 200 ? next(input) : next32(input) % sizeof(message), n_given = next(input) % 80;

	for (size_t i = 0; i < n_given; i++)
		message[i] = next(input);
	(void)send(target->fake->host_fd[0], message, len_bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void send_frame_from_host(struct target *target, struct input *input)
{
	static uint8_t frame[NET_FRAME_MAX];
	const uint32_t len_bytes = 14 + next32(input) % (NET_FRAME_MAX - 14);
	struct virtio_net_hdr header = { .flags = next(input) % 4, .gso_type = next(input) % 6, .gso_size = next(input),
					 .csum_start = next(input), .csum_offset = next(input) % 32 };
	uint8_t length[4] = { 0, (uint8_t)(len_bytes >> 16), (uint8_t)(len_bytes >> 8), (uint8_t)len_bytes };
	const bool stream = target->fake->nic.link.stream;
	struct iovec iov[] = { { stream ? (void *)length : (void *)&header, stream ? sizeof(length) : sizeof(header) },
			       { frame, len_bytes } };

	put_headers(input, frame);
	(void)sendmsg(target->fake->host_fd[0], &(struct msghdr){ .msg_iov = iov, .msg_iovlen = 2 }, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void read_at_host(struct target *target)
{
	static uint8_t bytes[80000];

	while (recv(target->fake->host_fd[0], bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		;
}

static void post(struct target *target, struct input *input)
{
	struct fake_queue *queue = &target->fake->queues[0];

	for (unsigned int n = next(input) % 40; n > 0; n--)
		fake_post_ref(target->fake, queue, next_ref(input));
}

static void lie(struct fake_queue *queue, struct input *input)
{
	uint8_t *ring = next(input) & 1 ? queue->tx : queue->rx;
	uint32_t *indexes = (uint32_t *)(void *)ring;

	__atomic_store_n(&indexes[next(input) % 4], next(input) < 200 ? queue->tx_produced + next(input) : next32(input),
			 __ATOMIC_SEQ_CST);
}

static void do_step(struct target *target, struct input *input)
{
	struct fake *fake = target->fake;
	struct fake_queue *queue = &fake->queues[0];
	uint8_t mask, *byte;

	switch (next(input) % 16) {
	case 0:
		set_bytes(input, target->rings[next(input) & 1]);
		break;
	case 1:
		byte = grant_byte(&target->scribbler.grants, next32(input), &mask);
		__atomic_fetch_xor(byte, next(input) & mask, __ATOMIC_RELAXED);
		break;
	case 2:
		set_bytes(input, target->pages[next(input) % PAGES]);
		break;
	case 3:
		lie(queue, input);
		break;
	case 4:
		fake_set_state(fake, next(input) % 8);
		fake_run_for(1);
		break;
	case 5:
		scribbler_start(&target->scribbler, next32(input));
		break;
	case 6:
		fake_run_for(1);
		break;
	case 7:
		put_headers(input, target->pages[next(input) % PAGES]);
		break;
	case 8:
		send_from_host(target, input);
		break;
	case 9:
		send_frame_from_host(target, input);
		break;
	case 10:
		read_at_host(target);
		break;
	case 11:
	case 12:
		post(target, input);
		break;
	case 13:
		fake_kick(fake, queue);
		break;
	default:
		put_packet(queue, input);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len_bytes)
{
	struct input input = { bytes, bytes + len_bytes };
	const uint8_t first = next(&input);
	struct target target = { .fake = fake_new(first & 1, first & 2) };
	struct fake *fake = target.fake;
	uint32_t ref;

	for (unsigned int i = 0; i < PAGES; i++) {
		target.pages[i] = fake_granted_page(fake, &ref);
		g_assert_cmpuint(ref, ==, FIRST_REF + i);
	}
	/* The references behind them are the rings'. */
	fake_connect(fake, 1, first & 4, !(first & 8));
	target.rings[0] = fake->queues[0].tx;
	target.rings[1] = fake->queues[0].rx;
	target.scribbler = (struct scribbler){ .grants = { &fake->guest, FIRST_REF, PAGES + 2 }, .rings = target.rings,
					       .pages = target.pages, .n_rings = 2, .n_pages = PAGES };
	for (unsigned int i = 0; i < STEPS_MAX && input.at < input.end; i++)
		do_step(&target, &input);
	scribbler_stop(&target.scribbler);
	fake_free(fake);
	return 0;
}
