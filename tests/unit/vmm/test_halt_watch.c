// SPDX-License-Identifier: MIT
/*
 * The decision of halt_watch.c against a guest that is drawn: in each turn it works, idles, or has halted for good. It
 * is ended in the second case never, and in the last one soon.
 */
#include <glib.h>

#include "vmm/halt_watch.h"
#include "vmm/vcpu_state.h"
#include "vmm/vm.h"

/* Of the vCPU's side, which is not asked here. */
bool vcpu_is_up(const struct vcpu *vcpu)
{
	(void)vcpu;
	return true;
}

void vcpu_kick(struct vcpu *vcpu)
{
	(void)vcpu;
}

enum guest { WORKS, IDLES, IS_DOWN };

static void test_drawn_guest(void)
{
	for (unsigned int trial = 0; trial < 2000; trial++) {
		struct halt_looks looks = { 0 };
		uint64_t used_ns = 0;
		unsigned int down_turns = 0;
		bool asked = false, down_before = false;

		for (unsigned int turn = 0; turn < 60; turn++) {
			enum guest guest = turn < 40 ? (enum guest)g_test_rand_int_range(WORKS, IS_DOWN + 1) : IS_DOWN;

			/* To answer is work, too. */
			used_ns += guest == WORKS ? 1000000 : asked ? 1000 : 0;
			enum halt_next next = halt_looks_turn(&looks, used_ns, asked && guest == IS_DOWN);
			down_turns = guest == IS_DOWN ? down_turns + 1 : 0;
			if (next == HALT_END) {
				g_assert_true(asked && guest == IS_DOWN && down_before);
				break;
			}
			g_assert_cmpuint(down_turns, <, 6);
			down_before = asked && guest == IS_DOWN;
			asked = next == HALT_ASK;
		}
	}
}

/* A guest that works all the time is never disturbed; one that idles every second turn at most. */
static void test_disturbance(void)
{
	struct halt_looks looks = { 0 };
	unsigned int n_asked = 0;

	for (unsigned int turn = 1; turn <= 100; turn++)
		g_assert_cmpint(halt_looks_turn(&looks, turn, false), ==, HALT_WAIT);
	for (unsigned int turn = 0; turn < 100; turn++)
		n_asked += halt_looks_turn(&looks, 100 + n_asked, false) == HALT_ASK;
	g_assert_cmpuint(n_asked, <=, 50);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/vmm/halt_watch/drawn_guest", test_drawn_guest);
	g_test_add_func("/vmm/halt_watch/disturbance", test_disturbance);
	return g_test_run();
}
