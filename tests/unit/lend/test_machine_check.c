// SPDX-License-Identifier: MIT
/* When a machine check is safe: each thing that speaks against one does so alone. */
#include <string.h>

#include <glib.h>

#include "lend/machine_check.h"

static struct machine_check_state ready(void)
{
	return (struct machine_check_state){ .cr4 = 0x40, .global_control = UINT64_MAX, .bank_control = UINT64_MAX };
}

static void test_possible(void)
{
	struct machine_check_state state = ready();

	g_assert_true(machine_check_possible(&state));
	state.cr4 = ~UINT64_C(0x40);
	g_assert_false(machine_check_possible(&state));
	state = ready();
	state.global_status = 4;
	g_assert_false(machine_check_possible(&state));
	state = ready();
	state.global_control = UINT64_MAX - 1;
	g_assert_false(machine_check_possible(&state));
	state = ready();
	state.bank_control = 0;
	g_assert_false(machine_check_possible(&state));
	state = ready();
	state.events.exception.injected = 1;
	g_assert_false(machine_check_possible(&state));
	state = ready();
	state.events.exception.pending = 1;
	g_assert_false(machine_check_possible(&state));
	state = ready();
	state.events.interrupt.injected = 1;
	g_assert_false(machine_check_possible(&state));
	state = ready();
	state.events.nmi.injected = 1;
	g_assert_false(machine_check_possible(&state));
	state = ready();
	state.events.nmi.pending = 1;
	g_assert_true(machine_check_possible(&state));
}

/* What is no vCPU takes none. */
static void test_none(void)
{
	g_assert_false(machine_check_set_up(-1));
	g_assert_false(machine_check_inject(-1, 0));
	g_assert_false(machine_check_in_delivery(-1));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/lend/machine_check/possible", test_possible);
	g_test_add_func("/lend/machine_check/none", test_none);
	return g_test_run();
}
