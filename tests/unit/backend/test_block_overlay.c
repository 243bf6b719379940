// SPDX-License-Identifier: MIT
/* The overlay's map against a plain array of what was written. */
#include <string.h>

#include <glib.h>

#include "backend/block_overlay.h"

/* Three leaves and a part of a fourth. */
#define N_SECTORS (3u * 32768u + 777u)

struct model {
	struct block_overlay *overlay;
	uint8_t written[N_SECTORS];
};

/* Ends of leaves and words are where mistakes would be. */
static uint64_t pick_sector(void)
{
	const gint32 near = g_test_rand_int_range(0, 4);
	gint64 sector = g_test_rand_int_range(0, N_SECTORS);

	if (near == 0)
		sector = sector / 32768 * 32768 + g_test_rand_int_range(-3, 4);
	else if (near == 1)
		sector = sector / 64 * 64 + g_test_rand_int_range(-2, 3);
	return (uint64_t)CLAMP(sector, 0, (gint64)N_SECTORS - 1);
}

static uint64_t pick_length(uint64_t sector)
{
	static const gint32 largest[] = { 2, 70, 2049, N_SECTORS };
	const uint64_t n = (uint64_t)g_test_rand_int_range(1, largest[g_test_rand_int_range(0, 4)]);

	return MIN(n, N_SECTORS - sector);
}

static void check_run(const struct model *model, uint64_t sector, uint64_t n_sectors)
{
	uint64_t expected = 1;
	bool written;

	while (expected < n_sectors && model->written[sector + expected] == model->written[sector])
		expected++;
	g_assert_cmpuint(block_overlay_run(model->overlay, sector, n_sectors, &written), ==, expected);
	g_assert_cmpint(written, ==, model->written[sector]);
}

static void test_model(void)
{
	struct model *model = g_new0(struct model, 1);

	model->overlay = block_overlay_new(N_SECTORS);
	for (unsigned int i = 0; i < 20000; i++) {
		uint64_t sector = pick_sector(), n_sectors = pick_length(sector);

		/* Large ones are rare: else all would soon be written. */
		if (g_test_rand_int_range(0, 3) == 0 && (n_sectors < 100 || g_test_rand_int_range(0, 200) == 0)) {
			const bool at_once = g_test_rand_bit();

			g_assert_true(block_overlay_reserve(model->overlay, sector, n_sectors, at_once));
			check_run(model, sector, n_sectors);
			block_overlay_mark(model->overlay, sector, n_sectors);
			memset(model->written + sector, 1, n_sectors);
		}
		check_run(model, sector, n_sectors);
		check_run(model, pick_sector(), 1);
		/* A new disk now and then, so that all states between empty and full are seen. */
		if (i % 4000 == 3999) {
			check_run(model, 0, N_SECTORS);
			block_overlay_free(model->overlay);
			model->overlay = block_overlay_new(N_SECTORS);
			memset(model->written, 0, sizeof(model->written));
		}
	}
	block_overlay_free(model->overlay);
	g_free(model);
}

/* A reservation is not lost when another request takes the whole leaf before it is used. */
static void test_overtaken(void)
{
	struct block_overlay *overlay = block_overlay_new(N_SECTORS);
	bool written;

	g_assert_true(block_overlay_reserve(overlay, 40000, 8, false));
	g_assert_true(block_overlay_reserve(overlay, 32768, 32768, true));
	block_overlay_mark(overlay, 32768, 32768);
	block_overlay_mark(overlay, 40000, 8);
	g_assert_cmpuint(block_overlay_run(overlay, 32768, 32769, &written), ==, 32768);
	g_assert_true(written);
	block_overlay_free(overlay);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/backend/block_overlay/model", test_model);
	g_test_add_func("/backend/block_overlay/overtaken", test_overtaken);
	return g_test_run();
}
