// SPDX-License-Identifier: MIT
/*
 * console_ring.c: two byte queues, compared with a queue that is none of its kind; and a guest that lies. The page lies
 * between pages that cannot be touched, once against the lower one and once against the upper.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <glib.h>

#include "xen/abi.h"
#include <xen/io/console.h>

#include "backend/console_ring.h"

#define PAGE      4096u
#define OUT_BYTES 2048u
#define IN_BYTES  1024u

enum side { AT_BEGINNING, AT_END };

struct guarded {
	guint8 *mapping;
	struct xencons_interface *page;
};

static struct guarded guarded_new(enum side side)
{
	struct guarded guarded;

	guarded.mapping = mmap(NULL, 3 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	g_assert_true(guarded.mapping != MAP_FAILED);
	g_assert_cmpint(mprotect(guarded.mapping + PAGE, PAGE, PROT_READ | PROT_WRITE), ==, 0);
	guarded.page =
		(void *)(guarded.mapping + PAGE + (side == AT_END ? PAGE - sizeof(struct xencons_interface) : 0));
	return guarded;
}

static void guarded_free(const struct guarded *guarded)
{
	munmap(guarded->mapping, 3 * PAGE);
}

static uint32_t random_u32(void)
{
	return (uint32_t)g_test_rand_int();
}

static uint32_t random_below(uint32_t n)
{
	return random_u32() % n;
}

static void random_fill(void *bytes, size_t len_bytes)
{
	for (size_t i = 0; i < len_bytes; i++)
		((guint8 *)bytes)[i] = (guint8)g_test_rand_int();
}

/* As the guest's driver does it, a byte at a time. */
static uint32_t guest_puts(struct xencons_interface *page, GByteArray *queue, uint32_t n)
{
	uint32_t put = 0;

	for (; put < n && page->out_prod - page->out_cons < OUT_BYTES; put++) {
		guint8 byte = (guint8)g_test_rand_int();

		page->out[page->out_prod % OUT_BYTES] = (char)byte;
		page->out_prod++;
		g_byte_array_append(queue, &byte, 1);
	}
	return put;
}

static void guest_takes(struct xencons_interface *page, GByteArray *queue, uint32_t n)
{
	for (; n > 0 && page->in_prod != page->in_cons; n--) {
		g_assert_cmpuint(queue->len, >, 0);
		g_assert_cmpuint((guint8)page->in[page->in_cons % IN_BYTES], ==, queue->data[0]);
		g_byte_array_remove_index(queue, 0);
		page->in_cons++;
	}
	if (page->in_prod == page->in_cons)
		g_assert_true(n == 0 || queue->len == 0); /* nothing was lost */
}

static void we_take(struct console_ring *ring, GByteArray *queue, uint32_t room_bytes)
{
	g_autofree guint8 *buffer = g_malloc(room_bytes); /* of the exact size: the sanitizer sees one byte more */
	size_t taken = console_ring_take(ring, buffer, room_bytes);

	g_assert_cmpuint(taken, ==, MIN(room_bytes, queue->len));
	g_assert_true(taken == 0 || memcmp(buffer, queue->data, taken) == 0);
	if (taken)
		g_byte_array_remove_range(queue, 0, (guint)taken);
}

static void we_put(struct console_ring *ring, GByteArray *queue, uint32_t len_bytes)
{
	g_autofree guint8 *bytes = g_malloc(len_bytes);
	size_t room = console_ring_room(ring);

	g_assert_cmpuint(room, ==, IN_BYTES - queue->len);
	random_fill(bytes, len_bytes);
	g_assert_cmpuint(console_ring_put(ring, bytes, len_bytes), ==, MIN(len_bytes, room));
	g_byte_array_append(queue, bytes, (guint)MIN(len_bytes, room));
	g_assert_cmpuint(console_ring_room(ring), ==, IN_BYTES - queue->len);
}

static void run_queues(enum side side, uint32_t start)
{
	struct guarded guarded = guarded_new(side);
	struct xencons_interface *page = guarded.page;
	struct console_ring ring = {.page = page};
	g_autoptr(GByteArray) out = g_byte_array_new(), in = g_byte_array_new();
	uint64_t total_bytes = 0;

	page->out_cons = page->out_prod = start;
	page->in_cons = page->in_prod = ~start;
	for (unsigned int step = 0; step < 2000; step++) {
		uint32_t n = random_below(random_below(4) ? 300 : 3000);

		switch (random_below(4)) {
		case 0:
			total_bytes += guest_puts(page, out, n);
			break;
		case 1:
			we_take(&ring, out, n);
			break;
		case 2:
			we_put(&ring, in, n);
			break;
		default:
			guest_takes(page, in, n);
			break;
		}
		g_assert_false(ring.broken);
		g_assert_cmpuint(page->out_prod - page->out_cons, ==, out->len);
		g_assert_cmpuint(page->in_prod - page->in_cons, ==, in->len);
	}
	g_assert_cmpuint(total_bytes, >, 10 * OUT_BYTES); /* around the ring, many times */
	guarded_free(&guarded);
}

/* Indexes run through all their values, 2^32 included. */
static void test_queues(void)
{
	const uint32_t starts[] = {0, 1, OUT_BYTES - 1, UINT32_MAX, UINT32_MAX - 5000, 1u << 31, random_u32()};

	for (size_t i = 0; i < G_N_ELEMENTS(starts); i++) {
		run_queues(AT_BEGINNING, starts[i]);
		run_queues(AT_END, starts[i]);
	}
}

/* Every offset and every fill, in one call each. */
static void test_every_position(void)
{
	struct xencons_interface page;
	g_autofree guint8 *expected = g_malloc(OUT_BYTES), *got = g_malloc(OUT_BYTES);

	random_fill(&page, sizeof(page));
	for (uint32_t offset = 0; offset < OUT_BYTES; offset += offset < 4 || offset > OUT_BYTES - 6 ? 1 : 61)
		for (uint32_t filled = 0; filled <= OUT_BYTES;
		     filled += filled < 4 || filled > OUT_BYTES - 6 ? 1 : 67) {
			struct console_ring ring = {.page = &page};

			page.out_cons = offset - 4 * OUT_BYTES;
			page.out_prod = page.out_cons + filled;
			for (uint32_t i = 0; i < filled; i++)
				expected[i] = (guint8)page.out[(offset + i) % OUT_BYTES];
			g_assert_cmpuint(console_ring_take(&ring, got, OUT_BYTES), ==, filled);
			g_assert_true(filled == 0 || memcmp(got, expected, filled) == 0);
			g_assert_cmpuint(page.out_cons, ==, page.out_prod);
		}
}

static uint32_t random_index(uint32_t other)
{
	switch (random_below(4)) {
	case 0:
		return random_u32();
	case 1:
		return other + OUT_BYTES - 2 + random_below(5);
	case 2:
		return other + IN_BYTES - 2 + random_below(5);
	default:
		return other - random_below(5000);
	}
}

/* All of the page is as it was, but for our own index and, for put, the input itself. */
static void expect_same_page(const struct xencons_interface *page, const struct xencons_interface *before, gboolean put)
{
	g_assert_true(put || memcmp(page->in, before->in, IN_BYTES) == 0);
	g_assert_cmpint(memcmp(page->out, before->out, OUT_BYTES), ==, 0);
	g_assert_cmpuint(page->in_cons, ==, before->in_cons);
	g_assert_cmpuint(page->out_prod, ==, before->out_prod);
	if (put)
		g_assert_cmpuint(page->out_cons, ==, before->out_cons);
	else
		g_assert_cmpuint(page->in_prod, ==, before->in_prod);
}

static void lie_once(struct xencons_interface *page, unsigned int counts[2])
{
	struct console_ring ring = {.page = page};
	uint32_t room_bytes = 1 + random_below(4096), len_bytes = 1 + random_below(4096);
	g_autofree guint8 *buffer = g_malloc(room_bytes), *bytes = g_malloc0(len_bytes);
	struct xencons_interface before;
	gboolean lie;

	page->in_cons = random_u32();
	page->in_prod = random_index(page->in_cons);
	page->out_cons = random_u32();
	page->out_prod = random_index(page->out_cons);

	before = *page;
	lie = page->out_prod - page->out_cons > OUT_BYTES;
	size_t taken = console_ring_take(&ring, buffer, room_bytes);
	g_assert_true(ring.broken == lie);
	g_assert_cmpuint(taken, ==, lie ? 0 : MIN(room_bytes, before.out_prod - before.out_cons));
	g_assert_cmpuint(page->out_cons, ==, before.out_cons + (uint32_t)taken);
	expect_same_page(page, &before, FALSE);
	counts[lie]++;

	ring.broken = FALSE;
	before = *page;
	lie = page->in_prod - page->in_cons > IN_BYTES;
	size_t room = console_ring_room(&ring);
	g_assert_true(ring.broken == lie);
	g_assert_cmpuint(room, ==, lie ? 0 : IN_BYTES - (before.in_prod - before.in_cons));
	ring.broken = FALSE;
	size_t put = console_ring_put(&ring, bytes, len_bytes);
	g_assert_true(ring.broken == lie);
	g_assert_cmpuint(put, ==, MIN(room, len_bytes));
	g_assert_cmpuint(page->in_prod, ==, before.in_prod + (uint32_t)put);
	expect_same_page(page, &before, TRUE);
	counts[lie]++;
}

static void test_hostile_indexes(void)
{
	for (enum side side = AT_BEGINNING; side <= AT_END; side++) {
		struct guarded guarded = guarded_new(side);
		unsigned int counts[2] = {0, 0};

		random_fill(guarded.page, sizeof(*guarded.page));
		for (unsigned int i = 0; i < 4000; i++)
			lie_once(guarded.page, counts);
		g_assert_cmpuint(counts[0], >, 500);
		g_assert_cmpuint(counts[1], >, 500);
		guarded_free(&guarded);
	}
}

/* Who lied once is not believed again, whatever the indexes say then. */
static void test_broken_is_for_good(void)
{
	for (unsigned int how = 0; how < 3; how++) {
		struct xencons_interface page = {.out_prod = how == 0 ? OUT_BYTES + 1 : 0,
						 .in_prod = how == 0 ? 0 : IN_BYTES + 1};
		struct console_ring ring = {.page = &page};
		guint8 buffer[16] = {0};

		if (how == 0)
			g_assert_cmpuint(console_ring_take(&ring, buffer, sizeof(buffer)), ==, 0);
		else if (how == 1)
			g_assert_cmpuint(console_ring_put(&ring, buffer, sizeof(buffer)), ==, 0);
		else
			g_assert_cmpuint(console_ring_room(&ring), ==, 0);
		g_assert_true(ring.broken);

		page.out_prod = 4;
		page.in_prod = 0;
		g_assert_cmpuint(console_ring_take(&ring, buffer, sizeof(buffer)), ==, 0);
		g_assert_cmpuint(console_ring_put(&ring, buffer, sizeof(buffer)), ==, 0);
		g_assert_cmpuint(console_ring_room(&ring), ==, 0);
		g_assert_true(ring.broken);
		g_assert_cmpuint(page.out_cons, ==, 0);
		g_assert_cmpuint(page.in_prod, ==, 0);
	}
}

/* A guest that changes its indexes all the time, from another CPU. */
struct liar {
	struct xencons_interface *page;
	unsigned int stop;
};

static void *change_indexes(void *opaque)
{
	struct liar *liar = opaque;
	uint32_t state = 1;

	while (!__atomic_load_n(&liar->stop, __ATOMIC_RELAXED)) {
		state = state * 1664525 + 1013904223;
		/* Half of the values are believable. */
		uint32_t value = state & 1u << 31 ? state >> 8 : state >> 20;

		__atomic_store_n(&liar->page->out_prod, liar->page->out_cons + value, __ATOMIC_RELAXED);
		__atomic_store_n(&liar->page->in_cons, liar->page->in_prod - value, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void test_indexes_change_under_us(void)
{
	struct guarded guarded = guarded_new(AT_END);
	struct liar liar = {.page = guarded.page};
	GThread *thread = g_thread_new("liar", change_indexes, &liar);

	for (unsigned int i = 0; i < 20000; i++) {
		struct console_ring ring = {.page = guarded.page};
		uint32_t len_bytes = 1 + random_below(3000);
		g_autofree guint8 *buffer = g_malloc0(len_bytes);

		/* What fits is all that may come, even if the guest has more by now. */
		g_assert_cmpuint(console_ring_take(&ring, buffer, len_bytes), <=, MIN(len_bytes, OUT_BYTES));
		g_assert_cmpuint(console_ring_put(&ring, buffer, len_bytes), <=, MIN(len_bytes, IN_BYTES));
		g_assert_cmpuint(console_ring_room(&ring), <=, IN_BYTES);
	}
	__atomic_store_n(&liar.stop, 1, __ATOMIC_RELAXED);
	g_thread_join(thread);
	guarded_free(&guarded);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/console_ring/queues", test_queues);
	g_test_add_func("/console_ring/every-position", test_every_position);
	g_test_add_func("/console_ring/hostile-indexes", test_hostile_indexes);
	g_test_add_func("/console_ring/broken-is-for-good", test_broken_is_for_good);
	g_test_add_func("/console_ring/indexes-change-under-us", test_indexes_change_under_us);
	return g_test_run();
}
