// SPDX-License-Identifier: MIT
/* The parser of frames never looks or points beyond what is there, whatever is there; and the sum is the RFC's. */
#include <stdlib.h>
#include <string.h>

#include <glib.h>

#include "backend/net_frame.h"

/* Bytes that lead far into the parser more often than chance would. */
static void fill(GRand *random, uint8_t *bytes, size_t len_bytes)
{
	static const uint8_t tcp4[] = { 0x08, 0x00, 0x45, 0, 0, 80, 0, 0, 0, 0, 64, 6 }, udp6[] = { 0x86, 0xdd, 0x60, 0, 0, 0, 0, 80, 17 },
			     options6[] = { 0x86, 0xdd, 0x60, 0, 0, 0, 0, 200, 60 }, tag[] = { 0x81, 0 };
	static const struct {
		const uint8_t *bytes;
		size_t len_bytes;
	} starts[] = { { tcp4, sizeof(tcp4) }, { udp6, sizeof(udp6) }, { options6, sizeof(options6) }, { tag, sizeof(tag) } };
	const unsigned int start = (unsigned int)g_rand_int_range(random, 0, 5);

	for (size_t i = 0; i < len_bytes; i++)
		bytes[i] = g_rand_int_range(random, 0, 3) ? (uint8_t)g_rand_int(random) : 0;
	if (start < 4 && len_bytes > 12)
		memcpy(bytes + 12, starts[start].bytes, MIN(len_bytes - 12, starts[start].len_bytes));
}

static void test_bounds(void)
{
	GRand *random = g_rand_new_with_seed(1);
	unsigned int accepted = 0;

	for (unsigned int i = 0; i < 300000; i++) {
		const size_t have_bytes = (size_t)g_rand_int_range(random, 0, 160), frame_bytes = have_bytes + (size_t)g_rand_int_range(random, 0, 300);
		/* On the heap, so that the sanitizer sees what is beyond. */
		uint8_t *bytes = malloc(have_bytes ? have_bytes : 1);
		struct net_headers headers;

		fill(random, bytes, have_bytes);
		if (net_headers_parse(bytes, have_bytes, frame_bytes, &headers)) {
			accepted++;
			g_assert_cmpuint(headers.ip_at, >=, NET_ETHERNET_BYTES);
			g_assert_cmpuint(headers.l4_at, >=, headers.ip_at + 20);
			g_assert_cmpuint(headers.csum_at + 2u, <=, headers.end);
			g_assert_cmpuint(headers.end, <=, have_bytes);
			g_assert_cmpuint(headers.l4_at + headers.l4_bytes, <=, frame_bytes);
			g_assert_cmpuint(headers.end - headers.l4_at, <=, headers.l4_bytes);
			(void)net_sum_pseudo(bytes, &headers);
		}
		free(bytes);
	}
	g_assert_cmpuint(accepted, >, 1000);
	g_rand_free(random);
}

static void test_refused(void)
{
	uint8_t frame[14 + 20 + 20 + 10] = { [12] = 0x08, [14] = 0x45, [17] = 50, [23] = 6, [14 + 20 + 12] = 0x50 };
	struct net_headers headers;
	static const struct {
		size_t at;
		uint8_t value;
	} faults[] = {
		{ 13, 6 }, { 14, 0x44 }, { 14, 0x55 }, { 14, 0x4f }, { 16, 1 }, { 17, 39 }, { 20, 0x20 }, { 21, 1 }, { 23, 1 },
		{ 14 + 20 + 12, 0x40 }, { 14 + 20 + 12, 0xf0 },
	};

	g_assert_true(net_headers_parse(frame, sizeof(frame), sizeof(frame), &headers));
	g_assert_cmpuint(headers.end, ==, 54);
	for (size_t i = 0; i < G_N_ELEMENTS(faults); i++) {
		uint8_t bad[sizeof(frame)];

		memcpy(bad, frame, sizeof(bad));
		bad[faults[i].at] = faults[i].value;
		g_assert_false(net_headers_parse(bad, sizeof(bad), sizeof(bad), &headers));
	}
	g_assert_false(net_headers_parse(frame, 53, sizeof(frame), &headers));
	g_assert_false(net_headers_parse(frame, sizeof(frame), sizeof(frame) - 1, &headers));
}

static uint16_t slow_sum(const uint8_t *bytes, size_t len_bytes)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < len_bytes; i++)
		sum += i % 2 ? bytes[i] : (uint32_t)bytes[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return GUINT16_TO_BE((uint16_t)sum);
}

static void test_sum(void)
{
	GRand *random = g_rand_new_with_seed(2);
	static uint8_t bytes[70000];

	for (unsigned int round = 0; round < 2000; round++) {
		const size_t len_bytes = (size_t)g_rand_int_range(random, 1, round % 50 ? 500 : 65536);
		struct iovec pieces[20];
		unsigned int n = 0;

		for (size_t i = 0; i < len_bytes; i++)
			bytes[i] = round % 7 ? (uint8_t)g_rand_int(random) : 0xff;
		for (size_t at = 0; at < len_bytes; n++) {
			size_t part = n == 19 ? len_bytes - at : (size_t)g_rand_int_range(random, 1, (gint32)(len_bytes - at) + 1);

			pieces[n] = (struct iovec){ bytes + at, part };
			at += part;
		}
		const size_t from = (size_t)g_rand_int_range(random, 0, (gint32)len_bytes), some = (size_t)g_rand_int_range(random, 0, (gint32)(len_bytes - from) + 1);
		g_assert_cmpuint(net_sum_fold(net_sum_pieces(pieces, n, from, some)), ==, slow_sum(bytes + from, some));
	}
	g_rand_free(random);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/backend/net_frame/bounds", test_bounds);
	g_test_add_func("/backend/net_frame/refused", test_refused);
	g_test_add_func("/backend/net_frame/sum", test_sum);
	return g_test_run();
}
