// SPDX-License-Identifier: MIT
/* abi_layout.c: what is encoded in either word size comes back; the 32-bit numbers themselves are abi32.c's. */
#include <string.h>

#include <glib.h>

#include "xen/abi_layout.h"
#include "xen/abi_layout_headers.h"

static void test_round_trip(void)
{
	for (unsigned int layout = 0; layout < N_ABI_LAYOUTS; layout++) {
		uint8_t guest[ABI_LAYOUT_MAX_BYTES], again[ABI_LAYOUT_MAX_BYTES], native[ABI_LAYOUT_MAX_BYTES];

		for (int word = 0; word < 2; word++) {
			for (int i = 0; i < 100; i++) {
				for (size_t j = 0; j < sizeof(native); j++)
					native[j] = (uint8_t)g_test_rand_int();
				memset(guest, 0xaa, sizeof(guest));
				abi_layout_encode(layout, word, native, guest);
				for (size_t j = abi_layout_bytes(layout, word); j < sizeof(guest); j++)
					g_assert_cmpuint(guest[j], ==, 0xaa);
				abi_layout_decode(layout, word, guest, native);
				abi_layout_encode(layout, word, native, again);
				g_assert_cmpint(memcmp(guest, again, abi_layout_bytes(layout, word)), ==, 0);
			}
		}
	}
}

static void test_widening(void)
{
	const uint32_t guest[] = { 0x80001000, 0xffffffff, 3, 4, 0x7ff0 };
	struct xen_memory_reservation native;

	abi_layout_decode(ABI_xen_memory_reservation, false, guest, &native);
	g_assert_cmpuint((uintptr_t)native.extent_start.p, ==, 0x80001000);
	g_assert_cmpuint(native.nr_extents, ==, 0xffffffff);
	g_assert_cmpuint(native.extent_order, ==, 3);
	g_assert_cmpuint(native.domid, ==, DOMID_SELF);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/xen/abi_layout/round_trip", test_round_trip);
	g_test_add_func("/xen/abi_layout/widening", test_widening);
	return g_test_run();
}
