// SPDX-License-Identifier: MIT
/* A disk with faults on purpose: what fails, what waits, and what is not offered. */
#include <string.h>

#include "backend/fake_frontend.h"
#include "inject/inject.h"

#define N_READS 60u

/* The disk once more, with these faults. */
static struct inject_plan *order(struct fake *fake, const char *text, _Atomic uint64_t *counts)
{
	const char *const texts[] = { text, NULL };
	struct inject_plan *plan;
	g_autoptr(GError) error = NULL;

	g_assert_true(inject_plan_parse((char **)(uintptr_t)texts, 3, &plan, &error));
	g_assert_no_error(error);
	plan->counts = counts;
	block_device_free(fake->device);
	fake->env.inject = plan;
	fake->device = block_device_new(&fake->env, &fake->file);
	g_assert_nonnull(fake->device);
	return plan;
}

static int16_t move(struct fake *fake, uint8_t operation, uint32_t ref)
{
	const struct fake_request request = { .operation = operation, .sector = 8, .n_segments = 1, .segment = { { ref, 0, 7 } } };

	return fake_do(fake, &request);
}

static void test_errors(void)
{
	_Atomic uint64_t counts[INJECT_N_EFFECTS] = { 0 };
	struct fake *fake = fake_new(true, false);
	struct inject_plan *plan = order(fake, "disk:error=EIO@0.5,op=read", counts);
	bool failed[2][N_READS];
	unsigned int n_failed = 0;
	uint32_t ref;

	(void)fake_granted_page(fake, &ref);
	/* The same the second time, since the points are new. */
	for (size_t round = 0; round < 2; round++) {
		fake_connect(fake, 0);
		for (unsigned int i = 0; i < N_READS; i++) {
			const int16_t status = move(fake, BLKIF_OP_READ, ref);

			g_assert_true(status == BLKIF_RSP_OKAY || status == BLKIF_RSP_ERROR);
			failed[round][i] = status == BLKIF_RSP_ERROR;
			n_failed += failed[round][i];
			g_assert_cmpint(move(fake, BLKIF_OP_WRITE, ref), ==, BLKIF_RSP_OKAY);
		}
		fake_disconnect(fake);
		if (round == 0) {
			struct inject_plan *old = plan;

			plan = order(fake, "disk:error=EIO@0.5,op=read", counts);
			inject_plan_free(old);
		}
	}
	g_assert_cmpint(memcmp(failed[0], failed[1], sizeof(failed[0])), ==, 0);
	g_assert_cmpuint(n_failed, >, N_READS / 2);
	g_assert_cmpuint(n_failed, <, 3 * N_READS / 2);
	g_assert_cmpuint(counts[INJECT_REQUESTS_FAILED], ==, n_failed);
	fake_free(fake);
	inject_plan_free(plan);
}

/* It waits as long as it was told to, and no longer when the disk goes. */
static void test_delay(void)
{
	struct fake *fake = fake_new(true, false);
	struct inject_plan *plan = order(fake, "disk:delay=100ms", NULL), *longer;
	struct fake_request request = { .operation = BLKIF_OP_READ, .n_segments = 1 };
	uint32_t ref;

	(void)fake_granted_page(fake, &ref);
	fake_connect(fake, 0);
	const gint64 start_us = g_get_monotonic_time();
	g_assert_cmpint(move(fake, BLKIF_OP_READ, ref), ==, BLKIF_RSP_OKAY);
	g_assert_cmpint(g_get_monotonic_time() - start_us, >=, 100000);
	fake_disconnect(fake);
	longer = order(fake, "disk:delay=60s", NULL);
	inject_plan_free(plan);
	request.segment[0].ref = ref;
	request.segment[0].last = 7;
	fake_connect(fake, 0);
	fake_put(fake, &request);
	fake_kick(fake);
	fake_run_for(50);
	fake_disconnect(fake);
	g_assert_cmpint(g_get_monotonic_time() - start_us, <, 50 * G_USEC_PER_SEC);
	fake_free(fake);
	inject_plan_free(longer);
}

static void expect_node(struct fake *fake, const char *key, const char *value)
{
	g_autofree char *found = fake_back_node(fake, key);

	g_assert_cmpstr(found, ==, value);
}

static void test_features(void)
{
	struct fake *fake = fake_new(true, false);
	struct inject_plan *plan = order(fake, "feature:no-flush,queues=2,ring-pages=4", NULL);

	expect_node(fake, "max-ring-page-order", "2");
	expect_node(fake, "multi-queue-max-queues", "2");
	expect_node(fake, "sector-size", "512");
	/* A ring that was not offered is not taken. */
	fake_make_ring(fake, 3);
	fake_publish_ring(fake, "");
	fake_set_state(fake, 3);
	fake_wait_state(fake, 5);
	fake_free(fake);
	inject_plan_free(plan);
}

/* A disk that vanishes before the guest has used it is gone at once. */
static void test_vanishes_unused(void)
{
	struct fake *fake = fake_new(true, false);

	block_device_eject(fake->device);
	g_assert_null(fake->device);
	g_assert_cmpuint(fake->n_ejected, ==, 1);
	fake_free(fake);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/backend/block_inject/errors", test_errors);
	g_test_add_func("/backend/block_inject/delay", test_delay);
	g_test_add_func("/backend/block_inject/features", test_features);
	g_test_add_func("/backend/block_inject/vanishes-unused", test_vanishes_unused);
	return g_test_run();
}
