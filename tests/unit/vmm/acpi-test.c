// SPDX-License-Identifier: MIT
/*
 * acpi.c, read back by a reader of its own. The reader knows the specification (ACPI 6.4, chapter 5) and not the
 * builder: offsets are the specification's, nothing is taken on trust. That the reader would notice a fault is tested
 * by changing each byte of what it read.
 */
#include <string.h>

#include <glib.h>

#include "vmm/acpi.h"

#define MAX_APIC_IDS 512

/* What the reader found. */
struct findings {
	unsigned int n_lapics;
	unsigned int n_x2apics;
	guint8 seen_ids[MAX_APIC_IDS];
	guint64 bridge_gpa, bridge_bytes; /* 0: there is no PCI */
	guint8 *covered; /* a byte per byte of the image: 1 where it belongs to a table */
};

struct image {
	const guint8 *bytes;
	size_t len_bytes;
	guint64 gpa;
};

static guint64 get(const guint8 *bytes, unsigned int n)
{
	guint64 value = 0;

	while (n--)
		value = value << 8 | bytes[n];
	return value;
}

static gboolean sums_to_zero(const guint8 *bytes, size_t len_bytes)
{
	unsigned int sum = 0;

	for (size_t i = 0; i < len_bytes; i++)
		sum += bytes[i];
	return sum % 256 == 0;
}

/* Each byte belongs to one table only. */
static gboolean cover(struct findings *findings, size_t offset, size_t len_bytes)
{
	for (size_t i = offset; i < offset + len_bytes; i++) {
		if (findings->covered[i])
			return FALSE;
		findings->covered[i] = 1;
	}
	return TRUE;
}

/* The table at gpa, or NULL and a reason. */
static const guint8 *find_table(const struct image *image, guint64 gpa, const char *signature, size_t *len_bytes,
				struct findings *findings, const char **reason)
{
	guint64 offset = gpa - image->gpa;

	*reason = "a pointer leads out of the image";
	if (gpa < image->gpa || offset > image->len_bytes || image->len_bytes - offset < 36)
		return NULL;
	const guint8 *table = image->bytes + offset;
	*len_bytes = (size_t)get(table + 4, 4);
	*reason = "a length leads out of the image";
	if (*len_bytes < 36 || *len_bytes > image->len_bytes - offset)
		return NULL;
	*reason = "the checksum of a table is wrong";
	if (!sums_to_zero(table, *len_bytes))
		return NULL;
	*reason = "a signature is wrong";
	if (memcmp(table, signature, 4) != 0)
		return NULL;
	*reason = "two tables overlap";
	return cover(findings, (size_t)offset, *len_bytes) ? table : NULL;
}

static const char *read_madt(const guint8 *madt, size_t len_bytes, struct findings *findings)
{
	size_t at = 44;

	if (len_bytes < 44)
		return "the MADT is too short";
	if (get(madt + 36, 4) != 0xfee00000)
		return "the MADT names another local APIC";
	if (get(madt + 40, 4) != 0)
		return "the MADT promises 8259s";
	while (at < len_bytes) {
		guint64 id, uid, flags;

		if (len_bytes - at < 2 || madt[at + 1] < 2 || madt[at + 1] > len_bytes - at)
			return "an entry of the MADT is cut off";
		if (madt[at] == 0 && madt[at + 1] == 8) {
			uid = madt[at + 2];
			id = madt[at + 3];
			flags = get(madt + at + 4, 4);
			findings->n_lapics++;
		} else if (madt[at] == 9 && madt[at + 1] == 16) {
			id = get(madt + at + 4, 4);
			flags = get(madt + at + 8, 4);
			uid = get(madt + at + 12, 4);
			findings->n_x2apics++;
			/* 5.2.12.12: ids below 255 are named by local APIC entries. */
			if (id < 255 || get(madt + at + 2, 2) != 0)
				return "an x2APIC entry is out of order";
		} else {
			return "the MADT has an entry that is no local APIC";
		}
		if (flags != 1)
			return "a processor is not enabled";
		if (id >= MAX_APIC_IDS || findings->seen_ids[id]++ || uid != id)
			return "an APIC id is wrong or there twice";
		at += madt[at + 1];
	}
	return NULL;
}

/* A register of a hardware-reduced machine: one byte at an I/O port (5.2.3.2). 0: none is named. */
static gboolean read_port(const guint8 *address, guint64 *port)
{
	*port = get(address + 4, 8);
	if (get(address, 4) == 0 && *port == 0)
		return TRUE;
	return address[0] == 1 && address[1] == 8 && address[2] == 0 && address[3] <= 1 && *port > 0 && *port <= 0xffff;
}

/* 20.2.4: the length at code, itself included, where it leads exactly to the end; 0: it does not. */
static size_t read_length(const guint8 **code, const guint8 *end)
{
	const guint8 *at = *code;
	size_t len_bytes = 0;

	if (end - at < 2)
		return 0;
	if (at[0] < 64)
		len_bytes = at[0];
	else if (at[0] >> 6 == 1 && (at[0] & 0x30) == 0)
		len_bytes = (size_t)(at[0] & 0xf) | (size_t)at[1] << 4;
	*code += at[0] < 64 ? 1 : 2;
	return len_bytes == (size_t)(end - at) ? len_bytes : 0;
}

static gboolean skip(const guint8 **code, const guint8 *end, const void *bytes, size_t len_bytes)
{
	if ((size_t)(end - *code) < len_bytes || memcmp(*code, bytes, len_bytes) != 0)
		return FALSE;
	*code += len_bytes;
	return TRUE;
}

/* One bus, the configuration ports, one range of memory, the end. */
static const char *read_resources(const guint8 *at, const guint8 *end, struct findings *findings)
{
	static const guint8 bus[] = {0x88, 13, 0, 2, 0x0c, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0};
	static const guint8 ports[] = {0x47, 1, 0xf8, 0x0c, 0xf8, 0x0c, 1, 8};
	static const guint8 memory[] = {0x8a, 43, 0, 0, 0x0c, 1};
	static const guint8 last[] = {0x79, 0};

	if (!skip(&at, end, bus, sizeof(bus)) || !skip(&at, end, ports, sizeof(ports)))
		return "the bridge has another bus, or other ports";
	if (!skip(&at, end, memory, sizeof(memory)) || end - at != 40 + (ptrdiff_t)sizeof(last))
		return "the bridge has no range of memory";
	findings->bridge_gpa = get(at + 8, 8);
	findings->bridge_bytes = get(at + 32, 8);
	if (get(at, 8) != 0 || get(at + 24, 8) != 0 || findings->bridge_bytes == 0 ||
	    get(at + 16, 8) != findings->bridge_gpa + findings->bridge_bytes - 1)
		return "the bridge's range contradicts itself";
	return memcmp(at + 40, last, sizeof(last)) == 0 ? NULL : "the bridge's resources have no end";
}

/* Scope (\_SB) { Device (PCI0) { Name (_HID, "PNP0A03") Name (_UID, 0) Name (_CRS, Buffer () { resources }) } } */
static const char *read_bridge(const guint8 *code, const guint8 *end, struct findings *findings)
{
	static const guint8 scope[] = {0x10}, root[] = {'\\', '_', 'S', 'B', '_'}, device[] = {0x5b, 0x82};
	static const guint8 names[] = {'P', 'C', 'I', '0', 0x08, '_', 'H', 'I', 'D', 0x0c, 0x41, 0xd0, 0x0a, 0x03,
				       0x08, '_', 'U', 'I', 'D', 0x00, 0x08, '_', 'C', 'R', 'S', 0x11};

	if (!skip(&code, end, scope, sizeof(scope)) || !read_length(&code, end) || !skip(&code, end, root, sizeof(root)))
		return "the DSDT has something else than _S5 and a bridge";
	if (!skip(&code, end, device, sizeof(device)) || !read_length(&code, end) || !skip(&code, end, names, sizeof(names)))
		return "the bridge's device is wrong";
	if (!read_length(&code, end) || end - code < 2 || code[0] != 0x0a || code[1] != end - code - 2)
		return "the bridge's resources have a wrong length";
	return read_resources(code + 2, end, findings);
}

/* All that a DSDT may say: nothing, or Name (_S5, Package () { type, type, ... }), with which the machine is turned
 * off, and then perhaps a PCI host bridge. */
static const char *read_dsdt(const guint8 *dsdt, size_t len_bytes, gboolean has_sleep_registers, struct findings *findings)
{
	static const guint8 name_s5[] = {0x08, '_', 'S', '5', '_', 0x12};
	const guint8 *code = dsdt + 36, *end = dsdt + len_bytes;

	if (code == end)
		return has_sleep_registers ? "no _S5 for the sleep registers" : NULL;
	if (!has_sleep_registers)
		return "_S5 without sleep registers";
	if (end - code < 12 || memcmp(code, name_s5, sizeof(name_s5)) != 0)
		return "the DSDT has something else than _S5";
	code += sizeof(name_s5);
	/* 20.2.4: a length below 64 is one byte, itself included; then the number of elements. */
	if (code[0] > end - code || code[0] < 6 || code[0] >= 64 || code[1] < 2)
		return "the package of _S5 has a wrong length";
	if (code[2] != 0x0a || code[3] > 7 || code[4] != 0x0a || code[5] > 7)
		return "_S5 has no type of sleep";
	code += code[0];
	return code == end ? NULL : read_bridge(code, end, findings);
}

static const char *read_fadt(const struct image *image, const guint8 *fadt, size_t len_bytes, struct findings *findings)
{
	guint64 reset_port, control_port, status_port;
	const char *reason;
	size_t dsdt_bytes;

	if (len_bytes < 268 || fadt[8] < 5)
		return "the FADT is too old to be hardware-reduced";
	if (!(get(fadt + 112, 4) & 1u << 20))
		return "the FADT promises fixed hardware";
	/* SMI command, event and control blocks, timer, GPEs. */
	if (get(fadt + 48, 4) || get(fadt + 56, 8) || get(fadt + 64, 8) || get(fadt + 72, 8) || get(fadt + 80, 8))
		return "the FADT names ports of fixed hardware";
	if (!read_port(fadt + 116, &reset_port) || !read_port(fadt + 244, &control_port) ||
	    !read_port(fadt + 256, &status_port))
		return "a register is no byte at an I/O port";
	if ((reset_port != 0) != (get(fadt + 112, 4) >> 10 & 1))
		return "reset register and its flag differ";
	if ((control_port != 0) != (status_port != 0) || (control_port && control_port == status_port))
		return "sleep control and sleep status differ in kind, or are the same";
	if (reset_port && (reset_port == control_port || reset_port == status_port))
		return "reset and sleep are the same register";
	guint64 x_dsdt = get(fadt + 140, 8);
	if (get(fadt + 40, 4) != 0 && get(fadt + 40, 4) != x_dsdt)
		return "DSDT and X_DSDT differ";
	const guint8 *dsdt = find_table(image, x_dsdt, "DSDT", &dsdt_bytes, findings, &reason);
	return dsdt ? read_dsdt(dsdt, dsdt_bytes, control_port != 0, findings) : reason;
}

/* NULL, or what is wrong. */
static const char *read_tables(const struct image *image, struct findings *findings)
{
	const guint8 *rsdp = image->bytes, *fadt = NULL, *madt = NULL;
	const char *reason;
	size_t xsdt_bytes, fadt_bytes = 0, madt_bytes = 0;

	if (image->len_bytes < 36 || memcmp(rsdp, "RSD PTR ", 8) != 0)
		return "no RSDP";
	if (rsdp[15] != 2 || get(rsdp + 20, 4) != 36)
		return "the RSDP is of another revision";
	if (!sums_to_zero(rsdp, 20) || !sums_to_zero(rsdp, 36))
		return "a checksum of the RSDP is wrong";
	if (get(rsdp + 16, 4) != 0)
		return "the RSDP names an RSDT";
	cover(findings, 0, 36);

	const guint8 *xsdt = find_table(image, get(rsdp + 24, 8), "XSDT", &xsdt_bytes, findings, &reason);
	if (!xsdt)
		return reason;
	if ((xsdt_bytes - 36) % 8 != 0)
		return "the XSDT is cut off";
	for (size_t at = 36; at < xsdt_bytes; at += 8) {
		guint64 gpa = get(xsdt + at, 8);
		const guint8 *table = find_table(image, gpa, "FACP", &fadt_bytes, findings, &reason);

		if (table && !fadt) {
			fadt = table;
			continue;
		}
		table = table ? NULL : find_table(image, gpa, "APIC", &madt_bytes, findings, &reason);
		if (!table)
			return reason;
		if (madt)
			return "two MADTs";
		madt = table;
	}
	if (!fadt || !madt)
		return "FADT or MADT is missing";
	reason = read_fadt(image, fadt, (size_t)get(fadt + 4, 4), findings);
	return reason ? reason : read_madt(madt, (size_t)get(madt + 4, 4), findings);
}

static const char *read_image(const guint8 *bytes, size_t len_bytes, guint64 gpa, struct findings *findings)
{
	const struct image image = {bytes, len_bytes, gpa};

	*findings = (struct findings){.covered = g_malloc0(len_bytes)};
	return read_tables(&image, findings);
}

static void check(guint64 gpa, unsigned int n_vcpus, const struct acpi_bridge *bridge)
{
	g_autofree guint8 *buffer = g_malloc(65536);
	struct findings findings;
	size_t used = acpi_build(buffer, 65536, gpa, n_vcpus, bridge);

	g_assert_cmpuint(used, >, 0);
	g_assert_cmpuint(used, <=, 65536);
	g_assert_cmpstr(read_image(buffer, used, gpa, &findings), ==, NULL);
	g_assert_cmpuint(findings.n_lapics, ==, MIN(n_vcpus, 255));
	g_assert_cmpuint(findings.n_lapics + findings.n_x2apics, ==, n_vcpus);
	for (unsigned int id = 0; id < MAX_APIC_IDS; id++)
		g_assert_cmpuint(findings.seen_ids[id], ==, id < n_vcpus ? 1 : 0);
	g_assert_cmpuint(findings.bridge_gpa, ==, bridge ? bridge->gpa : 0);
	g_assert_cmpuint(findings.bridge_bytes, ==, bridge ? bridge->len_bytes : 0);
	g_assert_true(findings.covered[used - 1]);
	g_free(findings.covered);
}

static void test_read_back(void)
{
	for (unsigned int n = 1; n <= 300; n = n == 32 ? 250 : n + 1) {
		const struct acpi_bridge bridge = { (guint64)(guint32)g_test_rand_int() << 21,
						    ((guint64)(guint32)g_test_rand_int() + 1) << 21 };

		check(0xe0000, n, NULL);
		check(0, n, &bridge);
		for (unsigned int i = 0; i < 10; i++)
			check((guint64)((guint32)g_test_rand_int() & ~15u & 0xfffeffff), n, i % 2 ? &bridge : NULL);
	}
}

static void test_reader_notices_every_byte(void)
{
	for (unsigned int n = 1; n <= 300; n = n == 3 ? 256 : n + 43) {
		g_autofree guint8 *buffer = g_malloc(65536);
		const struct acpi_bridge bridge = { 0x140000000, 0x20000000 };
		size_t used = acpi_build(buffer, 65536, 0xe0000, n, n % 2 ? &bridge : NULL);
		struct findings whole, changed;

		g_assert_cmpstr(read_image(buffer, used, 0xe0000, &whole), ==, NULL);
		for (size_t i = 0; i < used; i++) {
			guint8 change = (guint8)g_test_rand_int_range(1, 256);

			buffer[i] ^= change;
			const char *reason = read_image(buffer, used, 0xe0000, &changed);
			/* Another length may have the right sum by chance; then it is other bytes that were read. */
			gboolean is_noticed = reason || memcmp(changed.covered, whole.covered, used) != 0;
			g_assert_true(is_noticed == whole.covered[i]);
			g_free(changed.covered);
			buffer[i] ^= change;
		}
		g_free(whole.covered);
	}
}

/* From each size of buffer: all or nothing, the same bytes, and none beyond the end (the sanitizer watches). */
static void test_buffer_sizes(void)
{
	const unsigned int counts[] = {1, 2, 32, 254, 255, 256, 300};

	for (size_t c = 0; c < G_N_ELEMENTS(counts); c++) {
		g_autofree guint8 *reference = g_malloc(65536);
		const struct acpi_bridge range = { 0x140000000, 0x20000000 }, *bridge = counts[c] % 2 ? &range : NULL;
		size_t used = acpi_build(reference, 65536, 0xe0000, counts[c], bridge);
		size_t n_refused = 0, n_built = 0;

		for (size_t size = 0; size < used + 16u * counts[c] + 64; size += counts[c] < 64 ? 1 : 7) {
			guint8 *buffer = g_malloc(size + 1);

			memset(buffer, 0xa5, size + 1);
			/* A copy of the exact size, so that one byte too many is found wherever it goes. */
			guint8 *exact = size ? g_memdup2(buffer, size) : NULL;
			size_t got = acpi_build(size ? exact : buffer, size, 0xe0000, counts[c], bridge);
			if (got == 0) {
				g_assert_cmpuint(n_built, ==, 0); /* never refused when a smaller one was enough */
				g_assert_true(size == 0 || memcmp(exact, buffer, size) == 0);
				g_assert_cmpuint(buffer[size], ==, 0xa5);
				n_refused++;
			} else {
				g_assert_cmpuint(got, ==, used);
				g_assert_cmpuint(got, <=, size);
				g_assert_cmpint(memcmp(exact, reference, used), ==, 0);
				n_built++;
			}
			g_free(exact);
			g_free(buffer);
		}
		g_assert_cmpuint(n_refused, >=, used / 7);
		g_assert_cmpuint(n_built, >, 0);
	}
}

static void test_refusals(void)
{
	g_autofree guint8 *buffer = g_malloc(65536);

	memset(buffer, 0xa5, 65536);
	g_assert_cmpuint(acpi_build(buffer, 65536, 0xe0000, 0, NULL), ==, 0);
	g_assert_cmpuint(acpi_build(buffer, 65536, 0xe0000, G_MAXUINT, NULL), ==, 0);
	g_assert_cmpuint(acpi_build(buffer, 65536, 0xe0000, 1u << 28, NULL), ==, 0); /* times 16 is 2^32 */
	for (size_t i = 0; i < 65536; i++)
		g_assert_cmpuint(buffer[i], ==, 0xa5);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/acpi/read-back", test_read_back);
	g_test_add_func("/acpi/reader-notices-every-byte", test_reader_notices_every_byte);
	g_test_add_func("/acpi/buffer-sizes", test_buffer_sizes);
	g_test_add_func("/acpi/refusals", test_refusals);
	return g_test_run();
}
