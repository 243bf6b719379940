// SPDX-License-Identifier: MIT
/* bus.c: whatever a guest writes, what is shown keeps within the bridge's window and apart; and what a driver expects. */
#include <string.h>

#include <glib.h>

#include "pci/bus.h"

#define WINDOW_GPA   UINT64_C(0x140000000)
#define WINDOW_BYTES UINT64_C(0x40000000)
#define MIB          (UINT64_C(1) << 20)

static uint32_t address(unsigned int device, unsigned int offset)
{
	return 0x80000000u | device << 11 | (offset & 0xfc);
}

static uint32_t config_read(struct pci_bus *bus, unsigned int device, unsigned int offset, unsigned int len_bytes)
{
	pci_bus_write(bus, 0xcf8, 4, address(device, offset));
	return pci_bus_read(bus, 0xcfc + (offset & 3), len_bytes);
}

static void config_write(struct pci_bus *bus, unsigned int device, unsigned int offset, unsigned int len_bytes,
			 uint32_t value)
{
	pci_bus_write(bus, 0xcf8, 4, address(device, offset));
	pci_bus_write(bus, 0xcfc + (offset & 3), len_bytes, value);
}

static void set_up(struct pci_bus *bus)
{
	const struct pci_identity identity = { .vendor = 0x5853, .device = 0xff01, .class_code = 0x050000, .revision = 3,
					       .subsystem_vendor = 0x1234, .subsystem = 0x5678 };
	struct pci_function *function;

	pci_bus_init(bus, WINDOW_GPA, WINDOW_BYTES);
	function = pci_bus_add(bus, 1, &identity);
	pci_function_add_bar(function, 0, 64 * MIB, true, WINDOW_GPA + 64 * MIB);
	function = pci_bus_add(bus, 2, &identity);
	pci_function_add_bar(function, 0, 4096, false, WINDOW_GPA);
	pci_function_add_bar(function, 1, 2 * MIB, true, WINDOW_GPA + 2 * MIB);
}

static void test_header(void)
{
	struct pci_bus bus;

	set_up(&bus);
	g_assert_cmphex(config_read(&bus, 1, 0, 4), ==, 0xff015853);
	g_assert_cmphex(config_read(&bus, 1, 2, 2), ==, 0xff01);
	g_assert_cmphex(config_read(&bus, 1, 8, 4), ==, 0x05000003);
	g_assert_cmphex(config_read(&bus, 1, 0xb, 1), ==, 0x05);
	g_assert_cmphex(config_read(&bus, 1, 0x2c, 4), ==, 0x56781234);
	g_assert_cmphex(config_read(&bus, 1, 0x3d, 1), ==, 0); /* no interrupt pin */
	/* Nobody there: another device, function, bus; and the mechanism turned off. */
	g_assert_cmphex(config_read(&bus, 3, 0, 4), ==, 0xffffffff);
	for (unsigned int bit = 8; bit <= 16; bit += bit == 8 ? 8 : 1) {
		pci_bus_write(&bus, 0xcf8, 4, address(1, 0) | 1u << bit);
		g_assert_cmphex(pci_bus_read(&bus, 0xcfc, 4), ==, 0xffffffff);
	}
	pci_bus_write(&bus, 0xcf8, 4, address(1, 0) & 0x7fffffff);
	g_assert_cmphex(pci_bus_read(&bus, 0xcfc, 4), ==, 0xffffffff);
	/* Linux looks for the mechanism so: a byte to 0xcfb is not the bridge's, four to 0xcf8 read back. */
	pci_bus_write(&bus, 0xcfb, 1, 1);
	pci_bus_write(&bus, 0xcf8, 4, 0x80000000);
	g_assert_cmphex(pci_bus_read(&bus, 0xcf8, 4), ==, 0x80000000);
	g_assert_cmphex(pci_bus_read(&bus, 0xcf8, 1), ==, 0xffffffff);
}

/* As a driver asks for the size: all ones, and what comes back. */
static void test_sizes(void)
{
	struct pci_bus bus;

	set_up(&bus);
	g_assert_cmphex(config_read(&bus, 1, 0x10, 4), ==, (uint32_t)(WINDOW_GPA + 64 * MIB) + 0xc);
	g_assert_cmphex(config_read(&bus, 1, 0x14, 4), ==, (WINDOW_GPA + 64 * MIB) >> 32);
	config_write(&bus, 1, 0x10, 4, 0xffffffff);
	config_write(&bus, 1, 0x14, 4, 0xffffffff);
	g_assert_cmphex(config_read(&bus, 1, 0x10, 4), ==, (uint32_t) - (64 * (int64_t)MIB) + 0xc);
	g_assert_cmphex(config_read(&bus, 1, 0x14, 4), ==, 0xffffffff);
	config_write(&bus, 2, 0x10, 4, 0xffffffff);
	g_assert_cmphex(config_read(&bus, 2, 0x10, 4), ==, 0xfffff004);
	/* No I/O, no ROM, no third one. */
	for (unsigned int offset = 0x20; offset < 0x2c; offset += 4) {
		config_write(&bus, 2, offset, 4, 0xffffffff);
		g_assert_cmphex(config_read(&bus, 2, offset, 4), ==, 0);
	}
	config_write(&bus, 2, 0x30, 4, 0xffffffff);
	g_assert_cmphex(config_read(&bus, 2, 0x30, 4), ==, 0);
}

static void test_decoding(void)
{
	struct pci_bus bus;
	unsigned int device, bar;
	uint64_t offset;

	set_up(&bus);
	g_assert_cmphex(pci_bus_shown(&bus, 1, 0), ==, PCI_NOWHERE);
	config_write(&bus, 1, 4, 2, 0xffff);
	g_assert_cmphex(config_read(&bus, 1, 4, 2), ==, 0x0406);
	g_assert_cmphex(pci_bus_shown(&bus, 1, 0), ==, WINDOW_GPA + 64 * MIB);
	g_assert_true(pci_bus_find(&bus, WINDOW_GPA + 128 * MIB - 1, &device, &bar, &offset));
	g_assert_cmpuint(device, ==, 1);
	g_assert_cmpuint(bar, ==, 0);
	g_assert_cmphex(offset, ==, 64 * MIB - 1);
	g_assert_false(pci_bus_find(&bus, WINDOW_GPA + 128 * MIB, &device, &bar, &offset));
	/* It moves, by halves; beyond the window it is nowhere. */
	config_write(&bus, 1, 0x10, 4, (uint32_t)(WINDOW_GPA + 256 * MIB));
	g_assert_cmphex(pci_bus_shown(&bus, 1, 0), ==, WINDOW_GPA + 256 * MIB);
	config_write(&bus, 1, 0x14, 4, 0);
	g_assert_cmphex(pci_bus_shown(&bus, 1, 0), ==, PCI_NOWHERE);
	config_write(&bus, 1, 0x14, 4, 1);
	/* Byte by byte is as good. */
	config_write(&bus, 1, 0x13, 1, (uint8_t)((WINDOW_GPA + 512 * MIB) >> 24));
	g_assert_cmphex(pci_bus_shown(&bus, 1, 0), ==, WINDOW_GPA + 512 * MIB);
	/* Over another: the lower device stays, and when it goes the other appears. */
	config_write(&bus, 2, 4, 2, 2);
	config_write(&bus, 2, 0x18, 4, (uint32_t)(WINDOW_GPA + 514 * MIB));
	g_assert_cmphex(pci_bus_shown(&bus, 2, 1), ==, PCI_NOWHERE);
	config_write(&bus, 1, 4, 2, 0);
	g_assert_cmphex(pci_bus_shown(&bus, 1, 0), ==, PCI_NOWHERE);
	g_assert_cmphex(pci_bus_shown(&bus, 2, 1), ==, WINDOW_GPA + 514 * MIB);
	pci_bus_reset(&bus);
	g_assert_cmphex(config_read(&bus, 1, 0x10, 4), ==, (uint32_t)(WINDOW_GPA + 64 * MIB) + 0xc);
	g_assert_cmphex(pci_bus_shown(&bus, 2, 1), ==, PCI_NOWHERE);
}

static void test_capabilities(void)
{
	const uint8_t one[] = { 0x11, 0xff, 0x01, 0x00, 5 }, writable[] = { 0, 0, 0, 0xc0, 0 }, two[16] = { 0x09 };
	const struct pci_identity identity = { .vendor = 1 };
	struct pci_bus bus;

	pci_bus_init(&bus, WINDOW_GPA, WINDOW_BYTES);
	struct pci_function *function = pci_bus_add(&bus, 9, &identity);
	unsigned int at = pci_function_add_capability(function, one, writable, sizeof(one));
	unsigned int next = pci_function_add_capability(function, two, NULL, sizeof(two));
	g_assert_cmpuint(at % 4 + next % 4, ==, 0);
	g_assert_cmphex(config_read(&bus, 9, 6, 2) & 0x10, ==, 0x10);
	g_assert_cmphex(config_read(&bus, 9, 0x34, 1), ==, at);
	g_assert_cmphex(config_read(&bus, 9, at, 2), ==, 0x11 | next << 8);
	g_assert_cmphex(config_read(&bus, 9, next, 2), ==, 0x09);
	config_write(&bus, 9, at, 4, 0xffffffff);
	g_assert_cmphex(config_read(&bus, 9, at, 4), ==, 0xc0010011 | next << 8);
}

/* An independent look: what is shown lies in the window and over nothing else that is shown. */
static void check_disjoint(const struct pci_bus *bus)
{
	for (unsigned int i = 0; i < PCI_MAX_DEVICES * PCI_MAX_BARS; i++) {
		uint64_t gpa = pci_bus_shown(bus, i / PCI_MAX_BARS, i % PCI_MAX_BARS);
		uint64_t len_bytes = bus->functions[i / PCI_MAX_BARS].bar_bytes[i % PCI_MAX_BARS];

		if (gpa == PCI_NOWHERE)
			continue;
		g_assert_cmpuint(len_bytes, >, 0);
		g_assert_cmpuint(gpa % len_bytes, ==, 0);
		g_assert_cmpuint(gpa, >=, WINDOW_GPA);
		g_assert_cmpuint(gpa + len_bytes, <=, WINDOW_GPA + WINDOW_BYTES);
		for (unsigned int j = 0; j < i; j++) {
			uint64_t other = pci_bus_shown(bus, j / PCI_MAX_BARS, j % PCI_MAX_BARS);

			g_assert_true(other == PCI_NOWHERE || other >= gpa + len_bytes ||
				      other + bus->functions[j / PCI_MAX_BARS].bar_bytes[j % PCI_MAX_BARS] <= gpa);
		}
	}
}

/* A guest that writes anything anywhere, with a liking for what matters. */
static void test_storm(void)
{
	struct pci_bus bus;
	unsigned int n_shown = 0;

	set_up(&bus);
	for (unsigned int i = 0; i < 200000; i++) {
		unsigned int len_bytes = 1u << g_test_rand_int_range(0, 3), device, bar;
		unsigned int port = (unsigned int)g_test_rand_int_range(0xcf8, 0xd00);
		uint32_t value = (uint32_t)g_test_rand_int();
		uint64_t offset;

		if (g_test_rand_bit()) {
			static const uint8_t offsets[] = { 4, 0x10, 0x14, 0x18, 0x1c };

			device = (unsigned int)g_test_rand_int_range(0, 4);
			unsigned int at = offsets[g_test_rand_int_range(0, G_N_ELEMENTS(offsets))];
			if (at != 4 && g_test_rand_bit())
				value = at & 4 ? WINDOW_GPA >> 32 : (uint32_t)WINDOW_GPA + (value & 0x4fe00000);
			config_write(&bus, device, at, 4, at == 4 ? value | 2 : value);
		} else {
			pci_bus_write(&bus, port, len_bytes, value);
			(void)pci_bus_read(&bus, port, len_bytes);
		}
		if (i % 16 == 0)
			check_disjoint(&bus);
		n_shown += pci_bus_find(&bus, WINDOW_GPA + value % WINDOW_BYTES, &device, &bar, &offset);
		/* What says who it is stays. */
		g_assert_cmphex(pci_get32(bus.functions[1].bytes), ==, 0xff015853);
	}
	g_assert_cmpuint(n_shown, >, 100);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/pci/bus/header", test_header);
	g_test_add_func("/pci/bus/sizes", test_sizes);
	g_test_add_func("/pci/bus/decoding", test_decoding);
	g_test_add_func("/pci/bus/capabilities", test_capabilities);
	g_test_add_func("/pci/bus/storm", test_storm);
	return g_test_run();
}
