// SPDX-License-Identifier: MIT
/* A network interface from end to end, with a front end that behaves and with ones that do not, through both engines. */
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <xen/io/xenbus.h>

#include "backend/fake_net.h"
#include "backend/net_frame.h"
#include "xen/xenstore/xenstore.h"

enum { SYNC, URING };
#define MORE  NETTXF_more_data
#define EXTRA NETTXF_extra_info
#define BLANK NETTXF_csum_blank
#define IS_URING(engine) (GPOINTER_TO_INT(engine) == URING)

/* Frames */

struct made {
	uint8_t bytes[65536];
	size_t len_bytes, ip_at, l4_at, csum_at, end;
	bool tcp, ipv6;
};

static void put16(uint8_t *at, size_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

/* TCP or UDP over IPv4 or IPv6, with tags, options and extension headers; len_bytes is about what it gets. */
static void make_frame(GRand *random, struct made *made, size_t len_bytes)
{
	const unsigned int n_tags = (unsigned int)g_rand_int_range(random, 0, 3);
	uint8_t *at = made->bytes + 12;

	for (size_t i = 0; i < sizeof(made->bytes); i += 4)
		*(uint32_t *)(void *)(made->bytes + i) = g_rand_int(random);
	made->tcp = g_rand_boolean(random);
	made->ipv6 = g_rand_boolean(random);
	for (unsigned int i = 0; i < n_tags; i++, at += 4)
		put16(at, i == 0 && n_tags == 2 ? 0x88a8 : 0x8100);
	put16(at, made->ipv6 ? 0x86dd : 0x0800);
	at += 2;
	made->ip_at = (size_t)(at - made->bytes);
	const unsigned int options = (unsigned int)g_rand_int_range(random, 0, 4), tcp_words = (unsigned int)g_rand_int_range(random, 5, 16);
	made->l4_at = made->ip_at + (made->ipv6 ? 40 + 8 * options : 20 + 4 * options);
	made->csum_at = made->l4_at + (made->tcp ? 16 : 6);
	made->end = made->l4_at + (made->tcp ? 4 * tcp_words : 8);
	made->len_bytes = MAX(len_bytes, made->end + 1);
	if (made->ipv6) {
		at[0] = 0x60;
		put16(at + 4, made->len_bytes - made->ip_at - 40);
		at[6] = options ? 60 : made->tcp ? 6 : 17;
		for (unsigned int i = 0; i < options; i++) {
			at[40 + 8 * i] = i + 1 < options ? 60 : made->tcp ? 6 : 17;
			at[41 + 8 * i] = 0;
		}
	} else {
		at[0] = (uint8_t)(0x45 + options);
		put16(at + 2, made->len_bytes - made->ip_at);
		put16(at + 6, 0x4000);
		at[9] = made->tcp ? 6 : 17;
	}
	if (made->tcp)
		made->bytes[made->l4_at + 12] = (uint8_t)(tcp_words << 4);
}

/* As the RFC says, byte by byte. */
static uint16_t slow_sum(const uint8_t *bytes, size_t len_bytes, uint32_t sum)
{
	for (size_t i = 0; i < len_bytes; i++)
		sum += i % 2 ? bytes[i] : (uint32_t)bytes[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

static uint16_t slow_pseudo(const struct made *made)
{
	const uint8_t *ip = made->bytes + made->ip_at;
	size_t len_bytes = made->len_bytes - made->l4_at;

	return slow_sum(made->ipv6 ? ip + 8 : ip + 12, made->ipv6 ? 32 : 8,
			(uint32_t)((len_bytes >> 16) + (len_bytes & 0xffff) + (made->tcp ? 6 : 17)));
}

/* Puts a frame into the transmit ring in random pieces, of which pages has 18; how many slots. */
static unsigned int put_pieces(GRand *random, struct fake_queue *queue, uint8_t *const *pages, const uint32_t *refs,
			       const uint8_t *frame, size_t len_bytes, uint16_t flags, uint8_t gso_type, uint16_t gso_size)
{
	const unsigned int n_max = (unsigned int)g_rand_int_range(random, (gint32)((len_bytes + FAKE_PAGE - 1) / FAKE_PAGE), 19);
	uint16_t size[18], offset[18];
	unsigned int n = 0;

	for (size_t left = len_bytes; left > 0; n++) {
		size_t room_behind = (n_max - n - 1) * (size_t)FAKE_PAGE, least = left > room_behind ? left - room_behind : 1;

		size[n] = (uint16_t)g_rand_int_range(random, (gint32)least, (gint32)MIN(left, FAKE_PAGE) + 1);
		offset[n] = (uint16_t)g_rand_int_range(random, 0, (gint32)(FAKE_PAGE - size[n]) + 1);
		memcpy(pages[n] + offset[n], frame + len_bytes - left, size[n]);
		left -= size[n];
	}
	for (unsigned int i = 0; i < n; i++) {
		fake_put_request(queue, refs[i], offset[i], (uint16_t)((i + 1 < n ? MORE : 0) | (i == 0 ? flags | (gso_type ? EXTRA : 0) : 0)),
				 (uint16_t)(100 + i), i == 0 ? (uint16_t)len_bytes : size[i]);
		if (i == 0 && gso_type)
			fake_put_extra(queue, XEN_NETIF_EXTRA_TYPE_GSO, 0, gso_type, gso_size);
	}
	return n + (gso_type ? 1 : 0);
}

static void take_all(struct fake_queue *queue, unsigned int n_slots, int16_t status)
{
	for (unsigned int i = 0; i < n_slots; i++) {
		int16_t got = fake_take(queue, NULL);

		if (got != NETIF_RSP_NULL)
			g_assert_cmpint(got, ==, status);
	}
}

static size_t random_length(GRand *random, size_t max_bytes)
{
	return (size_t)g_rand_int_range(random, 14, g_rand_int_range(random, 0, 3) ? 1600 : (gint32)max_bytes + 1);
}

/* Whatever goes in comes out: random frames in random pieces, with and without what the guest leaves to us. */
static void check_transmit(struct fake *fake, unsigned int number, GRand *random, unsigned int n_frames)
{
	static struct made made;
	static uint8_t got[70000];
	struct fake_queue *queue = &fake->queues[number];
	const bool stream = fake->nic.link.stream;
	uint8_t *pages[18];
	uint32_t refs[18];

	for (unsigned int i = 0; i < 18; i++)
		pages[i] = fake_granted_page(fake, &refs[i]);
	for (unsigned int i = 0; i < n_frames; i++) {
		make_frame(random, &made, random_length(random, 65535));
		const bool blank = g_rand_boolean(random), segments = blank && made.tcp && !stream && g_rand_boolean(random);
		const uint8_t gso_type = segments ? made.ipv6 ? XEN_NETIF_GSO_TYPE_TCPV6 : XEN_NETIF_GSO_TYPE_TCPV4 : 0;
		struct virtio_net_hdr header;
		unsigned int n = put_pieces(random, queue, pages, refs, made.bytes, made.len_bytes, blank ? BLANK : 0, gso_type, 1448);

		fake_kick(fake, queue);
		g_assert_cmpuint(fake_host_receive(fake, number, got, &header), ==, made.len_bytes);
		take_all(queue, n, NETIF_RSP_OKAY);
		if (blank && !stream) {
			put16(made.bytes + made.csum_at, slow_pseudo(&made));
			g_assert_cmpuint(header.flags, ==, VIRTIO_NET_HDR_F_NEEDS_CSUM);
			g_assert_cmpuint(header.csum_start, ==, made.l4_at);
			g_assert_cmpuint(header.csum_offset, ==, made.tcp ? 16 : 6);
		} else if (blank) {
			/* All is summed, the checksum too: it is all ones. */
			g_assert_cmpuint(slow_sum(got + made.l4_at, made.len_bytes - made.l4_at, slow_pseudo(&made)), ==, 0xffff);
			memcpy(made.bytes + made.csum_at, got + made.csum_at, 2);
			g_assert_false(!made.tcp && got[made.csum_at] == 0 && got[made.csum_at + 1] == 0);
		} else {
			g_assert_cmpuint(header.flags, ==, 0);
		}
		g_assert_cmpint(header.gso_type & ~VIRTIO_NET_HDR_GSO_ECN, ==,
				 !segments ? 0 : made.ipv6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4);
		g_assert_cmpuint(header.gso_size, ==, segments ? 1448 : 0);
		g_assert_cmpuint(header.hdr_len, ==, segments ? made.end : 0);
		g_assert_cmpint(memcmp(got, made.bytes, made.len_bytes), ==, 0);
	}
	for (unsigned int i = 0; i < 18; i++)
		g_assert_cmpuint(fake_grant_flags(fake, refs[i]), ==, GTF_permit_access);
}

static void check_receive(struct fake *fake, unsigned int number, GRand *random, unsigned int n_frames, bool offloads)
{
	static struct made made;
	static uint8_t got[70000];
	struct fake_queue *queue = &fake->queues[number];
	const bool stream = fake->nic.link.stream;

	for (unsigned int i = 0; i < n_frames; i++) {
		make_frame(random, &made, random_length(random, offloads ? 65535 : FAKE_PAGE));
		const bool blank = !stream && offloads && g_rand_boolean(random), segments = blank && made.tcp && g_rand_boolean(random),
			   elsewhere = blank && !segments && g_rand_int_range(random, 0, 4) == 0;
		struct virtio_net_hdr header = { .flags = blank ? VIRTIO_NET_HDR_F_NEEDS_CSUM : 0 };
		uint16_t flags, gso_size = 0;
		uint8_t gso_type;

		header.csum_start = blank ? (uint16_t)(made.l4_at - (elsewhere ? 2 : 0)) : 0;
		header.csum_offset = made.tcp ? 16 : 6;
		header.gso_type = !segments ? 0 : made.ipv6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4;
		header.gso_size = segments ? 1400 : 0;
		/* As many as there are at any time, or just enough, or too few at first. */
		unsigned int room = FAKE_SLOTS - (queue->rx_produced - queue->rx_consumed);
		unsigned int posted_first = (unsigned int)g_rand_int_range(random, 0, (gint32)room + 1);
		fake_post(fake, queue, posted_first);
		fake_host_send(fake, number, made.bytes, made.len_bytes, &header);
		fake_post(fake, queue, room - posted_first);
		g_assert_cmpint(fake_receive(queue, got, &flags, &gso_type, &gso_size), ==, (int)made.len_bytes);
		if (elsewhere) {
			uint8_t *csum = made.bytes + header.csum_start + header.csum_offset;
			uint16_t sum = slow_sum(made.bytes + header.csum_start, made.len_bytes - header.csum_start, 0);

			put16(csum, sum == 0xffff ? 0xffff : (uint16_t)~sum);
		}
		g_assert_cmpint(memcmp(got, made.bytes, made.len_bytes), ==, 0);
		g_assert_cmpuint(flags & (NETRXF_csum_blank | NETRXF_data_validated), ==,
				 blank && !elsewhere ? NETRXF_csum_blank | NETRXF_data_validated : 0);
		g_assert_cmpuint(gso_type, ==, !segments ? 0 : made.ipv6 ? XEN_NETIF_GSO_TYPE_TCPV6 : XEN_NETIF_GSO_TYPE_TCPV4);
		g_assert_cmpuint(gso_size, ==, segments ? 1400 : 0);
	}
}

static void test_round_trip(gconstpointer engine)
{
	for (unsigned int kind = 0; kind < 6; kind++) {
		const bool stream = kind & 1, split = kind & 2;
		const unsigned int n_queues = kind == 4 ? 2 : 1;
		struct fake *fake = fake_new(IS_URING(engine), stream);
		GRand *random = g_rand_new_with_seed(kind + 7);

		fake_connect(fake, n_queues, split, true);
		g_assert_true(stream || (fake->features.csum && fake->features.gso_ipv4 && fake->features.gso_ipv6));
		for (unsigned int i = 0; i < 2 * n_queues; i++) {
			check_transmit(fake, i % n_queues, random, 60);
			check_receive(fake, i % n_queues, random, 60, true);
		}
		/* What was posted is not held for ever. */
		fake_disconnect(fake);
		g_rand_free(random);
		fake_free(fake);
	}
}

/* A front end that knows nothing of large frames: one buffer each, and checksums done. */
static void test_plain(gconstpointer engine)
{
	struct fake *fake = fake_new(IS_URING(engine), false);
	GRand *random = g_rand_new_with_seed(3);
	struct fake_queue *queue = &fake->queues[0];
	const struct virtio_net_hdr segments = { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .gso_type = VIRTIO_NET_HDR_GSO_TCPV4, .gso_size = 100,
						 .csum_start = 34, .csum_offset = 16 },
				    plain = { 0 };
	static uint8_t large[9000], got[70000];
	uint16_t flags, gso_size;
	uint8_t gso_type;

	fake_connect(fake, 1, false, false);
	g_assert_false(fake->features.csum || fake->features.gso_ipv4 || fake->features.gso_ipv6);
	check_receive(fake, 0, random, 40, false);
	/* What it cannot take is lost, and the next frame comes. */
	fake_host_send(fake, 0, large, sizeof(large), &plain);
	fake_host_send(fake, 0, large, 2000, &segments);
	memset(large, 0x42, 60);
	fake_host_send(fake, 0, large, 60, &plain);
	g_assert_cmpint(fake_receive(queue, got, &flags, &gso_type, &gso_size), ==, 60);
	g_assert_cmpuint(got[59], ==, 0x42);
	fake_disconnect(fake);
	g_assert_cmpuint(net_device_counters(fake->device).rx_dropped, ==, 2);
	g_rand_free(random);
	fake_free(fake);
}

static void test_nodes(gconstpointer engine)
{
	static const struct {
		const char *key, *tap, *stream;
	} nodes[] = {
		{ "feature-rx-copy", "1", "1" }, { "feature-sg", "1", "1" }, { "feature-gso-tcpv4", "1", NULL },
		{ "feature-gso-tcpv6", "1", NULL }, { "feature-split-event-channels", "1", "1" }, { "multi-queue-max-queues", "2", "1" },
		{ "feature-ctrl-ring", NULL, NULL }, { "feature-multicast-control", NULL, NULL }, { "mac", "00:16:3e:01:02:03", "00:16:3e:01:02:03" },
		{ "handle", "0", "0" }, { "state", "2", "2" },
	};

	for (int stream = 0; stream < 2; stream++) {
		struct fake *fake = fake_new(IS_URING(engine), stream);

		for (size_t i = 0; i < G_N_ELEMENTS(nodes); i++) {
			g_autofree char *value = fake_back_node(fake, nodes[i].key);

			g_assert_cmpstr(value, ==, stream ? nodes[i].stream : nodes[i].tap);
		}
		fake_free(fake);
	}
}

/* Slots of one bad packet. */
struct slot {
	uint32_t ref;
	uint16_t offset, flags, size;
	uint8_t extra_type, extra_flags, gso_type;
	uint16_t gso_size;
};

static void put_slots(struct fake_queue *queue, const struct slot *slots, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		if (slots[i].extra_type)
			fake_put_extra(queue, slots[i].extra_type == 0xee ? 0 : slots[i].extra_type, slots[i].extra_flags, slots[i].gso_type,
				       slots[i].gso_size);
		else
			fake_put_request(queue, slots[i].ref, slots[i].offset, slots[i].flags, (uint16_t)i, slots[i].size);
}

/* Every one is answered with an error, nothing of it goes out, and the next good one works. */
static void test_bad_packets(gconstpointer engine)
{
	struct fake *fake = fake_new(IS_URING(engine), false);
	GRand *random = g_rand_new_with_seed(1);
	uint32_t gfn, ref, read_only, hole, invalid, tcp, arp;
	static struct made made;

	do
		make_frame(random, &made, 1000);
	while (!made.tcp || made.ipv6);
	fake_connect(fake, 1, true, true);
	(void)fake_page(fake, &gfn);
	ref = fake_grant(fake, gfn, GTF_permit_access);
	read_only = fake_grant(fake, gfn, GTF_permit_access | GTF_readonly);
	hole = fake_grant(fake, 0xfffff, GTF_permit_access);
	invalid = fake_grant(fake, gfn, GTF_invalid);
	memcpy(fake_granted_page(fake, &tcp), made.bytes, made.len_bytes);
	memset(fake_granted_page(fake, &arp), 6, FAKE_PAGE);
	const uint16_t all = (uint16_t)made.len_bytes, gso = EXTRA | BLANK;
	const struct {
		unsigned int n;
		struct slot slots[6];
	} cases[] = {
		{ 1, { { ref, 0, 0, 13 } } },
		{ 1, { { ref, 0, 0, 0 } } },
		{ 1, { { ref, 0, 0, 4097 } } },
		{ 1, { { ref, 4090, 0, 60 } } },
		{ 1, { { ref, 65535, 0, 60 } } },
		{ 1, { { hole, 0, 0, 60 } } },
		{ 1, { { invalid, 0, 0, 60 } } },
		{ 1, { { UINT32_MAX, 0, 0, 60 } } },
		{ 1, { { FAKE_ENTRIES, 0, 0, 60 } } },
		{ 2, { { ref, 0, MORE, 100 }, { ref, 0, 0, 100 } } },
		{ 2, { { ref, 0, MORE, 100 }, { ref, 0, 0, 101 } } },
		{ 2, { { ref, 0, MORE, 100 }, { ref, 0, 0, 0 } } },
		{ 2, { { ref, 0, MORE, 5000 }, { ref, 0, 0, 100 } } },
		{ 2, { { ref, 0, MORE, 5000 }, { ref, 100, 0, 4000 } } },
		{ 3, { { ref, 0, MORE, 300 }, { ref, 0, MORE, 100 }, { hole, 0, 0, 100 } } },
		{ 2, { { tcp, 0, gso, all }, { .extra_type = XEN_NETIF_EXTRA_TYPE_GSO, .gso_type = 1, .gso_size = 0 } } },
		{ 2, { { tcp, 0, gso, all }, { .extra_type = XEN_NETIF_EXTRA_TYPE_GSO, .gso_type = 0, .gso_size = 100 } } },
		{ 2, { { tcp, 0, gso, all }, { .extra_type = XEN_NETIF_EXTRA_TYPE_GSO, .gso_type = 3, .gso_size = 100 } } },
		{ 2, { { tcp, 0, gso, all }, { .extra_type = XEN_NETIF_EXTRA_TYPE_GSO, .gso_type = 2, .gso_size = 100 } } },
		{ 2, { { tcp, 0, gso, (uint16_t)made.end }, { .extra_type = XEN_NETIF_EXTRA_TYPE_GSO, .gso_type = 1, .gso_size = 100 } } },
		{ 2, { { tcp, 0, gso, 40 }, { .extra_type = XEN_NETIF_EXTRA_TYPE_GSO, .gso_type = 1, .gso_size = 100 } } },
		{ 2, { { tcp, 0, gso, all }, { .extra_type = XEN_NETIF_EXTRA_TYPE_MCAST_ADD } } },
		{ 2, { { tcp, 0, gso, all }, { .extra_type = XEN_NETIF_EXTRA_TYPE_HASH } } },
		{ 2, { { tcp, 0, gso, all }, { .extra_type = 0xee } } },
		{ 2, { { tcp, 0, gso, all }, { .extra_type = 5 } } },
		{ 3, { { tcp, 0, gso, all }, { .extra_type = XEN_NETIF_EXTRA_TYPE_GSO, .gso_type = 1, .gso_size = 100, .extra_flags = XEN_NETIF_EXTRA_FLAG_MORE },
		       { .extra_type = XEN_NETIF_EXTRA_TYPE_GSO, .gso_type = 1, .gso_size = 100 } } },
		{ 1, { { arp, 0, BLANK, 60 } } },
		{ 2, { { arp, 0, gso, 60 }, { .extra_type = XEN_NETIF_EXTRA_TYPE_GSO, .gso_type = 1, .gso_size = 10 } } },
	};
	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		put_slots(&fake->queues[0], cases[i].slots, cases[i].n);
		fake_kick(fake, &fake->queues[0]);
		for (unsigned int n = 0; n < cases[i].n; n++)
			g_assert_cmpint(fake_take(&fake->queues[0], NULL), ==, cases[i].slots[n].extra_type ? NETIF_RSP_NULL : NETIF_RSP_ERROR);
	}
	/* Nineteen pieces. */
	for (unsigned int i = 0; i < 19; i++)
		fake_put_request(&fake->queues[0], ref, 0, i < 18 ? MORE : 0, 0, i == 0 ? 1900 : 100);
	fake_kick(fake, &fake->queues[0]);
	take_all(&fake->queues[0], 19, NETIF_RSP_ERROR);
	/* A page that is granted to be read is enough to send from. */
	fake_put_request(&fake->queues[0], read_only, 0, 0, 0, 77);
	fake_kick(fake, &fake->queues[0]);
	take_all(&fake->queues[0], 1, NETIF_RSP_OKAY);
	static uint8_t frame[70000];
	struct virtio_net_hdr header;
	g_assert_cmpuint(fake_host_receive(fake, 0, frame, &header), ==, 77);
	check_transmit(fake, 0, random, 5);
	g_assert_cmpint(fake_back_state(fake), ==, XenbusStateConnected);
	g_rand_free(random);
	fake_free(fake);
}

/* A stream has no segments. */
static void test_no_segments(gconstpointer engine)
{
	struct fake *fake = fake_new(IS_URING(engine), true);
	GRand *random = g_rand_new_with_seed(9);
	static struct made made;
	uint32_t ref;

	do
		make_frame(random, &made, 1000);
	while (!made.tcp || made.ipv6);
	fake_connect(fake, 1, false, true);
	memcpy(fake_granted_page(fake, &ref), made.bytes, made.len_bytes);
	fake_put_request(&fake->queues[0], ref, 0, EXTRA | BLANK, 0, (uint16_t)made.len_bytes);
	fake_put_extra(&fake->queues[0], XEN_NETIF_EXTRA_TYPE_GSO, 0, XEN_NETIF_GSO_TYPE_TCPV4, 100);
	fake_kick(fake, &fake->queues[0]);
	take_all(&fake->queues[0], 2, NETIF_RSP_ERROR);
	check_transmit(fake, 0, random, 5);
	g_rand_free(random);
	fake_free(fake);
}

static void expect_closing(struct fake *fake)
{
	fake_wait_state(fake, XenbusStateClosing);
	g_autofree char *why = fake_back_node(fake, "error");
	g_assert_nonnull(why);
	fake_disconnect(fake);
	g_assert_cmpuint(fake->guest.n_bound, ==, 0);
	fake_recycle(fake);
}

/* Indexes and chains that no ring can have: the device goes to Closing, is let go of, and may come back. */
static void test_lying_rings(gconstpointer engine)
{
	static const uint32_t lies[] = { 257, 1000, 0x80000000, UINT32_MAX };
	struct fake *fake = fake_new(IS_URING(engine), false);
	struct fake_queue *queue = &fake->queues[0];
	GRand *random = g_rand_new_with_seed(2);
	const struct virtio_net_hdr header = { 0 };
	uint32_t ref;

	for (size_t i = 0; i < G_N_ELEMENTS(lies); i++) {
		fake_connect(fake, 1, false, true);
		check_transmit(fake, 0, random, 2);
		queue->tx_produced = queue->tx_consumed + lies[i];
		fake_kick(fake, queue);
		expect_closing(fake);

		fake_connect(fake, 1, true, true);
		check_receive(fake, 0, random, 2, true);
		/* Buffers that are held already may still be filled. */
		queue->rx_produced = queue->rx_consumed + lies[i] + (lies[i] < 1000 ? 32 : 0) - 1;
		fake_post_ref(fake, queue, 0);
		/* The ring is looked at when there is a frame. */
		fake_host_send(fake, 0, (const uint8_t *)"12345678901234567890", 20, &header);
		expect_closing(fake);
	}
	/* Half a packet, and extra infos without an end. */
	for (unsigned int kind = 0; kind < 3; kind++) {
		fake_connect(fake, 1, true, true);
		(void)fake_granted_page(fake, &ref);
		fake_put_request(queue, ref, 0, kind == 0 ? MORE : EXTRA, 0, 100);
		for (unsigned int i = 0; kind == 2 && i < 255; i++)
			fake_put_extra(queue, XEN_NETIF_EXTRA_TYPE_GSO, XEN_NETIF_EXTRA_FLAG_MORE, 1, 100);
		fake_kick(fake, queue);
		expect_closing(fake);
	}
	fake_connect(fake, 1, true, true);
	check_transmit(fake, 0, random, 2);
	g_rand_free(random);
	fake_free(fake);
}

/* Receive buffers that are none: an answer for each, and good ones are used again. */
static void test_bad_buffers(gconstpointer engine)
{
	struct fake *fake = fake_new(IS_URING(engine), false);
	struct fake_queue *queue = &fake->queues[0];
	GRand *random = g_rand_new_with_seed(4);
	uint32_t gfn, ref;

	fake_connect(fake, 1, false, true);
	(void)fake_page(fake, &gfn);
	const uint32_t bad[] = { fake_grant(fake, gfn, GTF_permit_access | GTF_readonly), fake_grant(fake, 0xfffff, GTF_permit_access),
				 fake_grant(fake, gfn, GTF_invalid), UINT32_MAX, 0 };
	const struct virtio_net_hdr header = { 0 };
	static uint8_t frame[70000];
	uint16_t flags, gso_size;
	uint8_t gso_type;

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		(void)fake_granted_page(fake, &ref);
		fake_post_ref(fake, queue, ref);
		fake_post_ref(fake, queue, bad[i]);
		/* Buffers are looked at when there is a frame. */
		if (i == 0)
			fake_host_send(fake, 0, (const uint8_t *)"12345678901234567890", 20, &header);
		g_assert_cmpint(fake_receive(queue, frame, &flags, &gso_type, &gso_size), <, 0);
		g_assert_cmpint(fake_receive(queue, frame, &flags, &gso_type, &gso_size), <, 0);
	}
	fake_post(fake, queue, 32);
	g_assert_cmpint(fake_receive(queue, frame, &flags, &gso_type, &gso_size), ==, 20);
	check_receive(fake, 0, random, 10, true);
	g_rand_free(random);
	fake_free(fake);
}

static void test_bad_nodes(gconstpointer engine)
{
	static const char *const bad[][2] = {
		{ "tx-ring-ref", "" }, { "rx-ring-ref", "-1" }, { "rx-ring-ref", "4294967296" }, { "tx-ring-ref", "9999" },
		{ "event-channel-tx", "0" }, { "event-channel-rx", "0" }, { "event-channel-rx", "junk" }, { "event-channel-tx", "99999" },
		{ "request-rx-copy", "0" }, { "request-rx-copy", "x" }, { "multi-queue-num-queues", "0" }, { "multi-queue-num-queues", "3" },
		{ "multi-queue-num-queues", "4294967295" }, { "multi-queue-num-queues", "2" },
	};
	struct fake *fake = fake_new(IS_URING(engine), false);

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		fake_publish(fake, 1, true, true);
		fake_write(fake, bad[i][0], "%s", bad[i][1]);
		fake_set_state(fake, XenbusStateConnected);
		expect_closing(fake);
	}
	/* One page for both rings, and one port for both directions: harmless, or refused. */
	fake_publish(fake, 1, true, true);
	fake_write(fake, "rx-ring-ref", "%u", fake->queues[0].tx_ref);
	fake_set_state(fake, XenbusStateConnected);
	fake_wait_state(fake, XenbusStateConnected);
	fake_put_request(&fake->queues[0], 9, 0, 0, 0, 100);
	fake_kick(fake, &fake->queues[0]);
	fake_run_for(20);
	fake_free(fake);
}

static void test_state_storm(gconstpointer engine)
{
	static const char *const words[] = { "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "-1", "", "44", "x", "3 " };
	struct fake *fake = fake_new(IS_URING(engine), false);
	GRand *random = g_rand_new_with_seed(20);

	fake_publish(fake, 1, true, true);
	for (unsigned int i = 0; i < 3000; i++) {
		fake_write(fake, "state", "%s", words[g_rand_int_range(random, 0, G_N_ELEMENTS(words))]);
		for (int n = g_rand_int_range(random, 0, 4); n > 0; n--)
			g_main_context_iteration(NULL, FALSE);
		if (g_rand_int_range(random, 0, 64) == 0)
			fake_run_for(5);
		g_assert_cmpuint(fake->guest.n_bound, <=, 2);
	}
	g_assert_cmpint(xenstore_remove(fake->guest.store, "/local/domain/1/device/vif/0"), ==, 0);
	fake_wait_state(fake, XenbusStateClosed);
	g_assert_cmpuint(fake->guest.n_bound, ==, 0);
	fake_set_state(fake, XenbusStateInitialising);
	fake_wait_state(fake, XenbusStateInitWait);
	fake_recycle(fake);
	fake_connect(fake, 1, true, true);
	check_transmit(fake, 0, random, 5);
	g_rand_free(random);
	fake_free(fake);
}

/* Reconnects, with frames half received and rings half used: each lets go of what the one before had. */
static void test_reconnects(gconstpointer engine)
{
	struct fake *fake = fake_new(IS_URING(engine), true);
	GRand *random = g_rand_new_with_seed(6);
	const uint8_t half[] = { 0, 0, 0, 100, 'h', 'a', 'l', 'f' };

	for (unsigned int i = 0; i < 8; i++) {
		uint8_t rest[100 - 4] = { 0 };

		fake_connect(fake, 1, i % 2, true);
		check_transmit(fake, 0, random, 3);
		check_receive(fake, 0, random, 3, true);
		g_assert_cmpint(write(fake->host_fd[0], half, sizeof(half)), ==, sizeof(half));
		fake_run_for(5);
		fake_disconnect(fake);
		fake_recycle(fake);
		/* The rest of that frame is nobody's. */
		g_assert_cmpint(write(fake->host_fd[0], rest, sizeof(rest)), ==, sizeof(rest));
	}
	g_rand_free(random);
	fake_free(fake);
}

/* Full rings, over and over, while somebody scribbles over rings, grants and headers. */
static gpointer scribble(gpointer opaque)
{
	struct fake *fake = opaque;
	GRand *random = g_rand_new_with_seed(5);

	while (__atomic_load_n(&fake->next_port, __ATOMIC_SEQ_CST) != 0) {
		uint8_t *ring = (g_rand_boolean(random) ? fake->queues[0].tx : fake->queues[0].rx) + 64 + g_rand_int_range(random, 0, FAKE_PAGE - 64);
		grant_entry_v1_t *entry = (grant_entry_v1_t *)fake->guest.grant_frames + g_rand_int_range(random, 12, 64);

		__atomic_store_n(ring, (uint8_t)g_rand_int(random), __ATOMIC_RELAXED);
		__atomic_store_n(&entry->frame, g_rand_int(random) & 0x7fff, __ATOMIC_RELAXED);
		__atomic_fetch_xor(&entry->flags, GTF_readonly, __ATOMIC_RELAXED);
	}
	g_rand_free(random);
	return NULL;
}

static void test_scribbler(gconstpointer engine)
{
	struct fake *fake = fake_new(IS_URING(engine), false);
	struct fake_queue *queue = &fake->queues[0];
	static uint8_t frame[9000];
	uint32_t refs[16];

	fake_connect(fake, 1, true, true);
	for (unsigned int i = 0; i < 16; i++)
		(void)fake_granted_page(fake, &refs[i]);
	GThread *thread = g_thread_new("scribbler", scribble, fake);
	for (unsigned int round = 0; round < 300 && fake_back_state(fake) == XenbusStateConnected; round++) {
		const struct virtio_net_hdr header = { .flags = round & 1, .csum_start = 34, .csum_offset = 16 };

		for (unsigned int i = 0; i < 64; i++)
			fake_put_request(queue, refs[i % 16], (uint16_t)(i * 7), i % 5 ? MORE : BLANK, (uint16_t)i, i % 5 == 1 ? 900 : 100);
		fake_kick(fake, queue);
		for (unsigned int i = 0; i < 16; i++)
			fake_post_ref(fake, queue, refs[i]);
		(void)send(fake->host_fd[0], &header, sizeof(header), MSG_DONTWAIT | MSG_NOSIGNAL);
		struct iovec iov[] = { { (void *)(uintptr_t)&header, sizeof(header) }, { frame, 20 + round * 17 } };
		(void)sendmsg(fake->host_fd[0], &(struct msghdr){ .msg_iov = iov, .msg_iovlen = 2 }, MSG_DONTWAIT | MSG_NOSIGNAL);
		while (recv(fake->host_fd[0], frame, sizeof(frame), MSG_DONTWAIT) > 0)
			;
		fake_run_for(1);
		if (queue->tx_produced - __atomic_load_n((uint32_t *)(void *)queue->tx + 2, __ATOMIC_SEQ_CST) > 128)
			queue->tx_produced = __atomic_load_n((uint32_t *)(void *)queue->tx + 2, __ATOMIC_SEQ_CST);
		if (queue->rx_produced - __atomic_load_n((uint32_t *)(void *)queue->rx + 2, __ATOMIC_SEQ_CST) > 128)
			queue->rx_produced = __atomic_load_n((uint32_t *)(void *)queue->rx + 2, __ATOMIC_SEQ_CST);
	}
	__atomic_store_n(&fake->next_port, 0, __ATOMIC_SEQ_CST);
	g_thread_join(thread);
	fake_free(fake);
}

/* The host does not read: the guest waits, nothing is lost, and nothing is kept but one frame. */
static void test_full(gconstpointer engine)
{
	struct fake *fake = fake_new(IS_URING(engine), true);
	struct fake_queue *queue = &fake->queues[0];
	static uint8_t got[70000];
	struct virtio_net_hdr header;
	uint32_t ref;
	uint8_t *page = fake_granted_page(fake, &ref);

	fake_connect(fake, 1, true, true);
	for (unsigned int round = 0; round < 5; round++) {
		for (unsigned int i = 0; i < FAKE_SLOTS / 2; i++) {
			memset(page, 0, FAKE_PAGE);
			fake_put_request(queue, ref, 0, MORE, 0, 8000);
			fake_put_request(queue, ref, (uint16_t)i, 0, 0, 3950);
		}
		fake_kick(fake, queue);
		fake_run_for(30);
		/* Half a MiB does not fit into a socket. */
		g_assert_cmpuint(__atomic_load_n((uint32_t *)(void *)queue->tx + 2, __ATOMIC_SEQ_CST), <, queue->tx_produced);
		for (unsigned int i = 0; i < FAKE_SLOTS / 2; i++)
			g_assert_cmpuint(fake_host_receive(fake, 0, got, &header), ==, 8000);
		take_all(queue, FAKE_SLOTS, NETIF_RSP_OKAY);
	}
	fake_free(fake);
}

/* Bytes one by one, lengths that are none, and a peer that goes. */
static void test_stream(gconstpointer engine)
{
	struct fake *fake = fake_new(IS_URING(engine), true);
	struct fake_queue *queue = &fake->queues[0];
	static uint8_t frame[5000], got[70000];
	uint16_t flags, gso_size;
	uint8_t gso_type, length[4] = { 0, 0, sizeof(frame) >> 8, sizeof(frame) & 255 };

	for (size_t i = 0; i < sizeof(frame); i++)
		frame[i] = (uint8_t)(i * 31);
	fake_connect(fake, 1, true, true);
	fake_post(fake, queue, 64);
	for (unsigned int i = 0; i < 4; i++) {
		g_assert_cmpint(write(fake->host_fd[0], length + i, 1), ==, 1);
		g_usleep(500);
	}
	for (size_t i = 0; i < sizeof(frame); i += 500) {
		g_assert_cmpint(write(fake->host_fd[0], frame + i, 500), ==, 500);
		g_usleep(200);
	}
	g_assert_cmpint(fake_receive(queue, got, &flags, &gso_type, &gso_size), ==, sizeof(frame));
	g_assert_cmpint(memcmp(got, frame, sizeof(frame)), ==, 0);

	/* No such length: what follows cannot be understood. */
	memset(length, 0xff, sizeof(length));
	g_assert_cmpint(write(fake->host_fd[0], length, sizeof(length)), ==, 4);
	gint64 until_us = g_get_monotonic_time() + 20 * G_TIME_SPAN_SECOND;
	while (recv(fake->host_fd[0], got, 1, MSG_DONTWAIT) != 0) {
		g_usleep(200);
		g_assert_cmpint(g_get_monotonic_time(), <, until_us);
	}
	g_assert_cmpuint(__atomic_load_n(&fake->n_warnings, __ATOMIC_SEQ_CST), ==, 1);
	/* The guest's frames go nowhere, as on a wire that was pulled. */
	uint32_t ref;
	(void)fake_granted_page(fake, &ref);
	fake_put_request(queue, ref, 0, 0, 0, 100);
	fake_kick(fake, queue);
	g_assert_cmpint(fake_take(queue, NULL), ==, NETIF_RSP_DROPPED);
	g_assert_cmpint(fake_back_state(fake), ==, XenbusStateConnected);
	fake_free(fake);
}

/* One peer after the other at a listening socket. */
static void test_listening(gconstpointer engine)
{
	struct fake *fake = fake_new(IS_URING(engine), true);
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	GRand *random = g_rand_new_with_seed(8);
	int listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	/* A name in no file system. */
	g_snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "dom1-test-%d", (int)getpid());
	g_assert_cmpint(bind(listen_fd, (struct sockaddr *)&address, sizeof(address)), ==, 0);
	g_assert_cmpint(listen(listen_fd, 1), ==, 0);
	net_link_fini(&fake->nic.link);
	g_assert_true(net_link_init_stream(&fake->nic.link, -1, listen_fd, false));
	fake_connect(fake, 1, true, true);
	for (unsigned int i = 0; i < 4; i++) {
		close(fake->host_fd[0]);
		fake->host_fd[0] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		g_assert_cmpint(connect(fake->host_fd[0], (struct sockaddr *)&address, sizeof(address)), ==, 0);
		check_receive(fake, 0, random, 5, true);
		check_transmit(fake, 0, random, 5);
	}
	fake_free(fake);
	g_rand_free(random);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		GTestDataFunc run;
	} tests[] = {
		{ "nodes", test_nodes }, { "round-trip", test_round_trip }, { "plain", test_plain }, { "bad-packets", test_bad_packets },
		{ "no-segments", test_no_segments }, { "lying-rings", test_lying_rings }, { "bad-buffers", test_bad_buffers },
		{ "bad-nodes", test_bad_nodes }, { "state-storm", test_state_storm }, { "reconnects", test_reconnects },
		{ "scribbler", test_scribbler }, { "full", test_full }, { "stream", test_stream }, { "listening", test_listening },
	};

	g_test_init(&argc, &argv, NULL);
	for (int engine = SYNC; engine <= URING; engine++)
		for (size_t i = 0; i < G_N_ELEMENTS(tests); i++) {
			g_autofree char *path = g_strdup_printf("/backend/net/%s/%s", engine == URING ? "uring" : "sync", tests[i].name);

			g_test_add_data_func(path, GINT_TO_POINTER(engine), tests[i].run);
		}
	return g_test_run();
}
