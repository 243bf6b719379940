// SPDX-License-Identifier: MIT
/* msix.c: a message is sent once, when it may; and a guest that writes anything reads and writes nothing else. */
#include <string.h>

#include <glib.h>

#include "pci/msix.h"

#define N 2u

static void write_entry(struct msix *msix, unsigned int vector, uint64_t address, uint32_t data, uint32_t control)
{
	msix_write_table(msix, vector * 16, 8, address);
	msix_write_table(msix, vector * 16 + 8, 4, data);
	msix_write_table(msix, vector * 16 + 12, 4, control);
}

static void test_messages(void)
{
	struct msix msix;
	struct msix_message message;

	msix_init(&msix, N);
	g_assert_cmphex(msix_read_table(&msix, 12, 4), ==, 1);
	write_entry(&msix, 0, 0xfee01000, 0x41, 0);
	g_assert_false(msix_raise(&msix, 0, &message)); /* not enabled: lost */
	msix_set_control(&msix, MSIX_CONTROL_ENABLED);
	g_assert_false(msix_take(&msix, &message));
	g_assert_true(msix_raise(&msix, 0, &message));
	g_assert_cmphex(message.address, ==, 0xfee01000);
	g_assert_cmphex(message.data, ==, 0x41);
	/* Masked: once, later, however often it was raised; by the vector or by the function. */
	for (unsigned int whole = 0; whole < 2; whole++) {
		if (whole)
			msix_set_control(&msix, MSIX_CONTROL_ENABLED | MSIX_CONTROL_MASKED);
		else
			msix_write_table(&msix, 12, 4, 1);
		g_assert_false(msix_raise(&msix, 0, &message));
		g_assert_false(msix_raise(&msix, 0, &message));
		g_assert_cmphex(msix_read_pending(&msix, 0, 4), ==, 1);
		g_assert_false(msix_take(&msix, &message));
		if (whole)
			msix_set_control(&msix, MSIX_CONTROL_ENABLED);
		else
			msix_write_table(&msix, 12, 4, 0);
		g_assert_true(msix_take(&msix, &message));
		g_assert_cmphex(message.data, ==, 0x41);
		g_assert_false(msix_take(&msix, &message));
		g_assert_cmphex(msix_read_pending(&msix, 0, 8), ==, 0);
	}
	g_assert_false(msix_raise(&msix, N, &message));
	g_assert_false(msix_raise(&msix, 0xffff, &message));
	g_assert_cmphex(msix.pending, ==, 0);
}

/* The sanitizers watch. */
static void test_storm(void)
{
	struct msix msix;
	struct msix_message message;
	unsigned int n_sent = 0;

	msix_init(&msix, N);
	for (unsigned int i = 0; i < 100000; i++) {
		uint64_t offset = (uint64_t)g_test_rand_int_range(0, 4096);
		unsigned int len_bytes = (unsigned int)g_test_rand_int_range(0, 10);
		uint64_t value = (uint64_t)(uint32_t)g_test_rand_int() << 32 | (uint32_t)g_test_rand_int();

		if (g_test_rand_bit())
			offset %= 48;
		msix_write_table(&msix, offset, len_bytes, value);
		if (offset >= N * MSIX_ENTRY_BYTES)
			g_assert_cmphex(msix_read_table(&msix, offset, len_bytes), ==, 0);
		(void)msix_read_table(&msix, offset, len_bytes);
		(void)msix_read_pending(&msix, offset, len_bytes);
		msix_set_control(&msix, (uint16_t)value | MSIX_CONTROL_ENABLED);
		n_sent += msix_raise(&msix, (unsigned int)value % 5, &message);
		g_assert_cmphex(msix.pending & ~3u, ==, 0);
		while (msix_take(&msix, &message))
			n_sent++;
	}
	g_assert_cmpuint(n_sent, >, 1000);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/pci/msix/messages", test_messages);
	g_test_add_func("/pci/msix/storm", test_storm);
	return g_test_run();
}
