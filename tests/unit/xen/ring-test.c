// SPDX-License-Identifier: MIT
/* ring.h: the piece that may be moved at once, against counting byte by byte. */
#include <glib.h>

#include "xen/ring.h"

/* Bytes from index on that belong to the run of len_bytes and lie behind each other in a ring. */
static uint32_t count_piece(uint32_t index, uint64_t len_bytes, uint32_t size_bytes)
{
	uint32_t n = 0;

	while (n < len_bytes && (n == 0 || (index + n) % size_bytes != 0))
		n++;
	return n;
}

static void check(uint32_t producer, uint32_t consumer, uint32_t size_bytes)
{
	uint32_t filled = producer - consumer, offset_bytes = 0xa5a5, len_bytes = 0xa5a5;
	gboolean honest = filled <= size_bytes;

	g_assert_true(ring_readable(producer, consumer, size_bytes, &offset_bytes, &len_bytes) == honest);
	if (honest) {
		g_assert_cmpuint(offset_bytes, ==, consumer % size_bytes);
		g_assert_cmpuint(len_bytes, ==, count_piece(consumer, filled, size_bytes));
		g_assert_cmpuint(offset_bytes + len_bytes, <=, size_bytes);
	}
	g_assert_true(ring_writable(producer, consumer, size_bytes, &offset_bytes, &len_bytes) == honest);
	if (honest) {
		g_assert_cmpuint(offset_bytes, ==, producer % size_bytes);
		g_assert_cmpuint(len_bytes, ==, count_piece(producer, size_bytes - filled, size_bytes));
		g_assert_cmpuint(offset_bytes + len_bytes, <=, size_bytes);
	}
}

static void test_small_rings(void)
{
	for (uint32_t size_bytes = 1; size_bytes <= 16; size_bytes *= 2)
		for (uint32_t consumer = UINT32_MAX - 40; consumer != 40; consumer++)
			for (uint32_t filled = 0; filled <= 2 * size_bytes + 2; filled++)
				check(consumer + filled, consumer, size_bytes);
}

static void test_any_indexes(void)
{
	for (unsigned int i = 0; i < 20000; i++) {
		uint32_t consumer = (uint32_t)g_test_rand_int(), size_bytes = 1u << g_test_rand_int_range(0, 13);

		check((uint32_t)g_test_rand_int(), consumer, size_bytes);
		check(consumer + (uint32_t)g_test_rand_int_range(0, 5000), consumer, size_bytes);
	}
}

static void test_publish(void)
{
	uint32_t shared = 0;

	for (unsigned int i = 0; i < 100; i++) {
		uint32_t value = (uint32_t)g_test_rand_int();

		ring_publish(&shared, value);
		g_assert_cmpuint(ring_read(&shared), ==, value);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/ring/small-rings", test_small_rings);
	g_test_add_func("/ring/any-indexes", test_any_indexes);
	g_test_add_func("/ring/publish", test_publish);
	return g_test_run();
}
