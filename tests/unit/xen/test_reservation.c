// SPDX-License-Identifier: MIT
/* reservation.c against a list of pages that the domain has. */
#include <glib.h>

#include "vmm/layout.h"
#include "xen/reservation.h"

#define MIB (UINT64_C(1) << 20)

static void test_random(void)
{
	struct layout layout;
	struct reservation reservation;
	g_autoptr(GHashTable) absent = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);

	g_assert_true(layout_init(&layout, 64 * MIB, 32 * MIB, NULL));
	g_assert_true(reservation_init(&reservation, &layout));
	const uint64_t total = 64 * MIB / 4096 - 0x60;
	g_assert_cmpuint(reservation_pages(&reservation), ==, total);
	const uint64_t near[] = { 0, 0x9e, 0xfe, 0x1000, 32 * MIB / 4096 - 4, LAYOUT_4GIB / 4096 - 2,
				  layout.high_ram_top_gpa / 4096 - 4, UINT64_MAX - 16 };

	for (int i = 0; i < 20000; i++) {
		uint64_t gfn = near[g_test_rand_int_range(0, G_N_ELEMENTS(near))] + (uint64_t)g_test_rand_int_range(0, 8);
		unsigned int order = (unsigned int)g_test_rand_int_range(0, 3);
		bool give_up = g_test_rand_int_range(0, 2), possible = true;

		for (uint64_t j = 0; j < 1u << order; j++) {
			uint64_t page = gfn + j;
			bool is_low = page < 32 * MIB / 4096 && (page < 0xa0 || page >= 0x100);
			bool is_ram = is_low || (page >= LAYOUT_4GIB / 4096 && page < layout.high_ram_top_gpa / 4096);

			possible = possible && is_ram && g_hash_table_contains(absent, &page) != give_up;
			g_assert_true(reservation_has(&reservation, page) == (is_ram && !g_hash_table_contains(absent, &page)));
		}
		bool done = give_up ? reservation_give_up(&reservation, gfn, order) : reservation_take_back(&reservation, gfn, order);
		g_assert_true(done == possible);
		for (uint64_t j = 0; done && j < 1u << order; j++) {
			uint64_t page = gfn + j;

			if (give_up)
				g_hash_table_add(absent, g_memdup2(&page, sizeof(page)));
			else
				g_hash_table_remove(absent, &page);
		}
		g_assert_cmpuint(reservation_pages(&reservation), ==, total - g_hash_table_size(absent));
	}
	reservation_fini(&reservation);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/xen/reservation/random", test_random);
	return g_test_run();
}
