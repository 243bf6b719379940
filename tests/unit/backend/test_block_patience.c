// SPDX-License-Identifier: MIT
/* When a guest is told and asked: by numbers and times that the test chooses. */
#include "backend/block_patience.h"

#include <glib.h>

#define US UINT64_C(1000)
#define MS UINT64_C(1000000)

static void test_tell(void)
{
	/* With little in flight nothing waits. */
	for (unsigned int moving = 0; moving < BLOCK_TELL_NOT_FROM; moving++)
		for (unsigned int untold = 0; untold < 4; untold++) {
			g_assert_false(block_patience_may_wait(untold, moving));
			g_assert_cmpuint(block_patience_n_until_told(untold, moving), ==, 1);
		}
	/* With more, until a third of what is in flight has come. */
	g_assert_true(block_patience_may_wait(0, 32));
	g_assert_true(block_patience_may_wait(10, 32));
	g_assert_false(block_patience_may_wait(11, 32));
	g_assert_true(block_patience_may_wait(2, 8));
	g_assert_false(block_patience_may_wait(3, 8));
	/* So many completions as are worth a turn are those after which it may not wait, and not one more. */
	for (unsigned int moving = BLOCK_TELL_NOT_FROM; moving < 300; moving++)
		for (unsigned int untold = 0; block_patience_may_wait(untold, moving); untold++) {
			const unsigned int n = block_patience_n_until_told(untold, moving);

			g_assert_false(block_patience_may_wait(untold + n, moving - n));
			g_assert_true(n == 1 || block_patience_may_wait(untold + n - 1, moving - (n - 1)));
		}
}

static void test_ask(void)
{
	for (unsigned int moving = 0; moving < 4; moving++)
		g_assert_true(block_patience_asks(moving, false));
	g_assert_false(block_patience_asks(4, false));
	g_assert_false(block_patience_asks(256, false));
	/* Nothing has completed for long, and nothing was there. */
	g_assert_true(block_patience_asks(256, true));
}

static void test_limits(void)
{
	g_assert_cmpuint(block_patience_ns(0), ==, 20 * US);
	g_assert_cmpuint(block_patience_ns(59 * US), ==, 20 * US);
	g_assert_cmpuint(block_patience_ns(3 * MS), ==, 1 * MS);
	g_assert_cmpuint(block_patience_ns(12 * MS), ==, 3 * MS);
	g_assert_cmpuint(block_patience_ns(UINT64_MAX), ==, 3 * MS);
}

static void test_due(void)
{
	struct block_patience patience = { .asked = true };

	g_assert_cmpuint(block_patience_due_ns(&patience, 3 * MS), ==, UINT64_MAX);
	/* An answer waits from when it came, whenever the ring was looked at. */
	patience.untold_ns = 50 * MS;
	g_assert_cmpuint(block_patience_due_ns(&patience, 3 * MS), ==, 51 * MS);
	patience.looked_ns = 10 * MS;
	g_assert_cmpuint(block_patience_due_ns(&patience, 3 * MS), ==, 51 * MS);
	/* A request from when it was looked at, if the guest is not to send. */
	patience.asked = false;
	g_assert_cmpuint(block_patience_due_ns(&patience, 3 * MS), ==, 11 * MS);
	/* Each look gives the next one its whole time: where things complete, no timer ends. */
	patience.looked_ns = 50 * MS + 1;
	g_assert_cmpuint(block_patience_due_ns(&patience, 3 * MS), ==, 51 * MS);
	patience.untold_ns = 0;
	g_assert_cmpuint(block_patience_due_ns(&patience, 3 * MS), ==, 51 * MS + 1);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/backend/block_patience/tell", test_tell);
	g_test_add_func("/backend/block_patience/ask", test_ask);
	g_test_add_func("/backend/block_patience/limits", test_limits);
	g_test_add_func("/backend/block_patience/due", test_due);
	return g_test_run();
}
