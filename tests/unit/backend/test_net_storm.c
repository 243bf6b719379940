// SPDX-License-Identifier: MIT
/* The target of the fuzzer, tests/fuzz/net_ring.c, with inputs of chance: so that it is run by whoever runs the tests. */
#include <glib.h>

#include "../fuzz/input.h"

#define INPUTS  200u
#define LEN_MAX 4000

static void test_storm(void)
{
	GRand *random = g_rand_new_with_seed(1);

	for (unsigned int i = 0; i < INPUTS; i++) {
		uint8_t bytes[LEN_MAX];
		const size_t len_bytes = (size_t)g_rand_int_range(random, 1, LEN_MAX);

		for (size_t n = 0; n < len_bytes; n++)
			bytes[n] = (uint8_t)g_rand_int(random);
		LLVMFuzzerTestOneInput(bytes, len_bytes);
	}
	g_rand_free(random);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/backend/net_storm/inputs", test_storm);
	return g_test_run();
}
