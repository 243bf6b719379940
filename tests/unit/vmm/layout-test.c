// SPDX-License-Identifier: MIT
/* layout.c: what must hold of the memory map for every amount of RAM. */
#include <string.h>

#include <glib.h>

#include "vmm/error.h"
#include "vmm/layout.h"

#define MIB           (UINT64_C(1) << 20)
#define STEP_BYTES    (2 * MIB)
#define RAM_MAX_BYTES (UINT64_C(8) << 40)
#define LAPIC_GPA     UINT64_C(0xfee00000)
/* What the PC takes away below 1 MiB. */
#define LOW_HOLE_BYTES ((UINT64_C(1024) - 639) * 1024)

static uint64_t random_u64(void)
{
	return (uint64_t)(uint32_t)g_test_rand_int() << 32 | (uint32_t)g_test_rand_int();
}

/* As often small as large: the number of digits is what is uniform. */
static uint64_t random_size(void)
{
	return random_u64() >> g_test_rand_int_range(0, 64);
}

static uint64_t entry_end(const struct memory_map_entry *entry)
{
	return entry->gpa + entry->len_bytes;
}

/* The type of the entry that holds the whole of [gpa, end_gpa); 0 if none does. */
static unsigned int type_of(const struct layout *layout, uint64_t gpa, uint64_t end_gpa)
{
	for (size_t i = 0; i < layout->n_map; i++)
		if (layout->map[i].gpa <= gpa && entry_end(&layout->map[i]) >= end_gpa)
			return layout->map[i].type;
	return 0;
}

static void check_map(const struct layout *layout)
{
	uint64_t ram_bytes = 0, top_gpa = 0;

	g_assert_cmpuint(layout->n_map, >, 0);
	g_assert_cmpuint(layout->n_map, <=, LAYOUT_MAX_MAP_ENTRIES);
	for (size_t i = 0; i < layout->n_map; i++) {
		const struct memory_map_entry *entry = &layout->map[i];

		g_assert_cmpuint(entry->len_bytes, >, 0);
		g_assert_cmpuint(entry->gpa, >=, top_gpa); /* sorted and disjoint */
		g_assert_cmpuint(entry_end(entry), >, entry->gpa);
		g_assert_true(entry->type == MEMORY_MAP_RAM || entry->type == MEMORY_MAP_RESERVED);
		/* Between the special pages and 4 GiB the LAPIC and KVM's own pages lie. */
		g_assert_true(entry_end(entry) <= layout->special_end_gpa || entry->gpa >= LAYOUT_4GIB);
		if (entry->type == MEMORY_MAP_RAM)
			ram_bytes += entry->len_bytes;
		top_gpa = entry_end(entry);
	}
	g_assert_cmpuint(ram_bytes, ==, layout->ram_bytes - LOW_HOLE_BYTES);
	/* In whole pages: the low RAM ends in the middle of one. */
	g_assert_cmpuint(layout_ram_kib(layout), ==, ram_bytes / 4096 * 4);
	/* Where the shim looks for room: the first place that is in no entry and not below 4 GiB. */
	g_assert_cmpuint(layout->overlay_gpa, ==, MAX(top_gpa, LAYOUT_4GIB));
}

static void check(const struct layout *layout, uint64_t ram_bytes, uint64_t max_low_bytes)
{
	g_assert_cmpuint(layout->ram_bytes, ==, ram_bytes);
	check_map(layout);

	g_assert_cmpuint(layout->low_ram_top_gpa, ==, ram_bytes < max_low_bytes ? ram_bytes : max_low_bytes);
	g_assert_cmpuint(layout->low_ram_top_gpa + layout->high_ram_top_gpa - LAYOUT_4GIB, ==, ram_bytes);
	g_assert_cmpuint(type_of(layout, 0, LAYOUT_EBDA_GPA), ==, MEMORY_MAP_RAM);
	g_assert_cmpuint(type_of(layout, LAYOUT_EBDA_GPA, LAYOUT_LOW_HOLE_END), ==, MEMORY_MAP_RESERVED);
	g_assert_cmpuint(type_of(layout, LAYOUT_ACPI_GPA, LAYOUT_ACPI_GPA + LAYOUT_ACPI_MAX_BYTES), ==,
			 MEMORY_MAP_RESERVED);
	g_assert_cmpuint(type_of(layout, LAYOUT_LOW_HOLE_END, layout->low_ram_top_gpa), ==, MEMORY_MAP_RAM);
	if (layout->high_ram_top_gpa > LAYOUT_4GIB)
		g_assert_cmpuint(type_of(layout, LAYOUT_4GIB, layout->high_ram_top_gpa), ==, MEMORY_MAP_RAM);

	/* The special pages: two, right above RAM, and below all that is not ours. */
	g_assert_cmpuint(layout->console_gpa, ==, layout->low_ram_top_gpa);
	g_assert_cmpuint(layout->xenstore_gpa, ==, layout->console_gpa + LAYOUT_PAGE_BYTES);
	g_assert_cmpuint(layout->special_end_gpa, ==, layout->xenstore_gpa + LAYOUT_PAGE_BYTES);
	g_assert_cmpuint(type_of(layout, layout->console_gpa, layout->special_end_gpa), ==, MEMORY_MAP_RESERVED);
	/* The low window: what is left of a huge page. */
	g_assert_cmpuint(layout->low_window_end_gpa, ==, layout->low_ram_top_gpa + STEP_BYTES);
	g_assert_cmpuint(layout->low_window_end_gpa, <=, LAPIC_GPA);
	g_assert_cmpuint(layout->low_window_end_gpa, <=, LAYOUT_IDENTITY_GPA);
	g_assert_cmpuint(LAYOUT_IDENTITY_GPA + LAYOUT_PAGE_BYTES, ==, LAYOUT_TSS_GPA);

	/* A whole section of Linux's, and nothing behind it. */
	g_assert_cmpuint(layout->overlay_end_gpa % LAYOUT_SECTION_BYTES, ==, 0);
	g_assert_cmpuint(layout->overlay_end_gpa - layout->overlay_gpa, >=, LAYOUT_SECTION_BYTES);
	g_assert_cmpuint(layout->overlay_end_gpa - layout->overlay_gpa, <, 2 * LAYOUT_SECTION_BYTES);
	g_assert_cmpuint(layout->low_ram_top_gpa % STEP_BYTES, ==, 0);
	g_assert_cmpuint(layout->high_ram_top_gpa % STEP_BYTES, ==, 0);
	g_assert_cmpuint(layout->overlay_gpa % STEP_BYTES, ==, 0);
	g_assert_cmpuint(layout->overlay_end_gpa % STEP_BYTES, ==, 0);
	/* Grant entries hold 32-bit frame numbers. */
	g_assert_cmpuint((layout->overlay_end_gpa - 1) / LAYOUT_PAGE_BYTES, <=, UINT32_MAX);
}

static gboolean acceptable(uint64_t ram_bytes, uint64_t max_low_bytes)
{
	return ram_bytes % STEP_BYTES == 0 && max_low_bytes % STEP_BYTES == 0 && ram_bytes >= LAYOUT_LOW_RAM_MIN &&
	       ram_bytes <= RAM_MAX_BYTES && max_low_bytes >= LAYOUT_LOW_RAM_MIN && max_low_bytes <= LAYOUT_LOW_RAM_MAX;
}

/* TRUE when it was accepted. */
static gboolean try(uint64_t ram_bytes, uint64_t max_low_bytes)
{
	g_autoptr(GError) error = NULL;
	struct layout layout;
	gboolean ok;

	memset(&layout, 0xa5, sizeof(layout));
	ok = layout_init(&layout, ram_bytes, max_low_bytes, &error);
	g_assert_true(ok == acceptable(ram_bytes, max_low_bytes));
	if (ok) {
		g_assert_no_error(error);
		check(&layout, ram_bytes, max_low_bytes);
	} else {
		g_assert_error(error, DOM1_ERROR, DOM1_STATUS_USAGE);
		g_assert_null(strchr(error->message, '\n'));
	}
	return ok;
}

static void test_accepted(void)
{
	for (unsigned int i = 0; i < 20000; i++) {
		uint64_t ram_bytes = LAYOUT_LOW_RAM_MIN + random_size() % (RAM_MAX_BYTES - LAYOUT_LOW_RAM_MIN + 1);
		uint64_t low_bytes = LAYOUT_LOW_RAM_MIN + random_size() % (LAYOUT_LOW_RAM_MAX - LAYOUT_LOW_RAM_MIN + 1);

		g_assert_true(try(ram_bytes / STEP_BYTES * STEP_BYTES, low_bytes / STEP_BYTES * STEP_BYTES));
	}
}

/* Around every size where the shape of the map changes. */
static void test_edges(void)
{
	const uint64_t edges[] = {0,
				  LAYOUT_LOW_RAM_MIN,
				  LAYOUT_LOW_RAM_DEFAULT,
				  LAYOUT_LOW_RAM_MAX,
				  LAYOUT_4GIB,
				  RAM_MAX_BYTES,
				  UINT64_C(1) << 44,
				  UINT64_C(1) << 63,
				  UINT64_MAX - STEP_BYTES + 1};
	const int64_t steps[] = {-(int64_t)STEP_BYTES, -4096, -1, 0, 1, 4096, MIB, STEP_BYTES};
	unsigned int n_accepted = 0, n_refused = 0;

	for (size_t i = 0; i < G_N_ELEMENTS(edges); i++)
		for (size_t j = 0; j < G_N_ELEMENTS(edges); j++)
			for (size_t k = 0; k < G_N_ELEMENTS(steps); k++) {
				gboolean ok = try(edges[i] + (uint64_t)steps[k], edges[j]);

				ok ? n_accepted++ : n_refused++;
				ok = try(edges[i], edges[j] + (uint64_t)steps[k]);
				ok ? n_accepted++ : n_refused++;
			}
	g_assert_cmpuint(n_accepted, >, 0);
	g_assert_cmpuint(n_refused, >, 0);
}

static void test_any_numbers(void)
{
	for (unsigned int i = 0; i < 20000; i++)
		(void)try(random_size() & ~(random_size() % STEP_BYTES), random_size() & ~(random_size() % STEP_BYTES));
}

/* Windows for lent memory: in the map, in order, over nothing; and no RAM. */
static void test_windows(void)
{
	for (unsigned int i = 0; i < 5000; i++) {
		g_autoptr(GError) error = NULL;
		struct layout layout;
		uint64_t ram_kib, before;

		g_assert_true(layout_init(&layout, (1 + random_size() % 4096) * 32 * MIB, LAYOUT_LOW_RAM_DEFAULT, NULL));
		ram_kib = layout_ram_kib(&layout);
		for (unsigned int n = 0; n < 8; n++) {
			uint64_t gpa = g_test_rand_bit() ? 0 : random_size() / STEP_BYTES * STEP_BYTES, asked = gpa;
			uint64_t len_bytes = (1 + random_size() % 1000) * STEP_BYTES;

			before = layout.n_map;
			if (!layout_add_window(&layout, &gpa, len_bytes, UINT64_C(1) << 46, &error)) {
				g_assert_error(error, DOM1_ERROR, DOM1_STATUS_USAGE);
				g_assert_cmpuint(asked, !=, 0);
				g_assert_cmpuint(layout.n_map, ==, before);
				g_clear_error(&error);
				continue;
			}
			g_assert_true(asked == 0 || gpa == asked);
			g_assert_cmpuint(layout.n_map, ==, before + 1);
			g_assert_cmpuint(type_of(&layout, gpa, gpa + len_bytes), ==, MEMORY_MAP_RESERVED);
			g_assert_true(gpa >= layout.high_ram_top_gpa || (gpa >= layout.low_window_end_gpa && gpa + len_bytes <= 0xfec00000));
			/* Linux finds room for its grant frames above the last one, and there it is. */
			const struct memory_map_entry *last = &layout.map[layout.n_map - 1];
			g_assert_cmpuint(layout.overlay_gpa, ==, MAX(layout.high_ram_top_gpa, entry_end(last)));
			g_assert_cmpuint(layout.overlay_end_gpa - layout.overlay_gpa, >=, LAYOUT_SECTION_BYTES);
			g_assert_cmpuint(layout.overlay_end_gpa % LAYOUT_SECTION_BYTES, ==, 0);
			g_assert_cmpuint(layout.overlay_end_gpa, <=, UINT64_C(1) << 46);
			for (size_t entry = 1; entry < layout.n_map; entry++)
				g_assert_cmpuint(entry_end(&layout.map[entry - 1]), <=, layout.map[entry].gpa);
			uint64_t same = gpa;
			g_assert_false(layout_add_window(&layout, &same, STEP_BYTES, UINT64_C(1) << 46, NULL));
		}
		g_assert_cmpuint(layout_ram_kib(&layout), ==, ram_kib);
	}
}

/* The PCI bridge's window: above all that is there, with a section of Linux's free below, and a place for each BAR. */
static void test_bridge(void)
{
	unsigned int n_refused = 0;

	for (unsigned int i = 0; i < 5000; i++) {
		const uint64_t end_gpa = UINT64_C(1) << g_test_rand_int_range(36, 47);
		uint64_t bar_bytes[8], bar_gpas[8], gpa = g_test_rand_bit() ? 0 : 0x200000000;
		g_autoptr(GError) error = NULL;
		size_t n = (size_t)g_test_rand_int_range(1, 9);
		struct layout layout;

		g_assert_true(layout_init(&layout, (1 + random_size() % 256) * 32 * MIB, LAYOUT_LOW_RAM_DEFAULT, NULL));
		if (g_test_rand_bit())
			(void)layout_add_window(&layout, &gpa, STEP_BYTES, UINT64_C(1) << 46, NULL);
		size_t n_map = layout.n_map;
		uint64_t top_gpa = MAX(layout.overlay_end_gpa, entry_end(&layout.map[n_map - 1]));
		for (size_t bar = 0; bar < n; bar++)
			bar_bytes[bar] = STEP_BYTES << g_test_rand_int_range(0, i % 8 == 0 ? 42 : 12);
		if (!layout_add_bridge(&layout, bar_bytes, bar_gpas, n, end_gpa, &error)) {
			g_assert_error(error, DOM1_ERROR, DOM1_STATUS_USAGE);
			g_assert_cmpuint(layout.bridge_bytes, ==, 0);
			n_refused++;
			continue;
		}
		uint64_t end = layout.bridge_gpa + layout.bridge_bytes, at = layout.bridge_gpa + LAYOUT_BRIDGE_REGISTERS_BYTES;
		uint64_t section = (top_gpa + LAYOUT_SECTION_BYTES - 1) / LAYOUT_SECTION_BYTES * LAYOUT_SECTION_BYTES;

		g_assert_cmpuint(layout.n_map, ==, n_map);
		g_assert_cmpuint(layout.bridge_gpa, >=, section + LAYOUT_SECTION_BYTES);
		g_assert_cmpuint(end, <=, end_gpa);
		for (size_t bar = 0; bar < n; bar++) {
			g_assert_cmpuint(bar_gpas[bar] % bar_bytes[bar], ==, 0);
			g_assert_cmpuint(bar_gpas[bar], >=, at);
			at = bar_gpas[bar] + bar_bytes[bar];
		}
		/* The largest could be moved elsewhere. */
		g_assert_cmpuint(at, <=, layout.bridge_gpa + layout.bridge_bytes / 2);
	}
	g_assert_cmpuint(n_refused, >, 10);
	g_assert_cmpuint(n_refused, <, 2500);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/layout/accepted", test_accepted);
	g_test_add_func("/layout/edges", test_edges);
	g_test_add_func("/layout/any-numbers", test_any_numbers);
	g_test_add_func("/layout/windows", test_windows);
	g_test_add_func("/layout/bridge", test_bridge);
	return g_test_run();
}
