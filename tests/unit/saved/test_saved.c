// SPDX-License-Identifier: MIT
/* The file of a saved domain: what is written is read again, and what is not a whole one is refused by name. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "saved/memory.h"
#include "saved/sample.h"
#include "vmm/error.h"

/* NULL: it is read. file_bytes: as long as the file is. */
static char *refusal_of(const GByteArray *file, uint64_t file_bytes)
{
	g_autoptr(GError) error = NULL;
	struct saved_image image;

	if (saved_image_read(&image, file->data, file->len, file_bytes, &error)) {
		saved_image_close(&image);
		return NULL;
	}
	g_assert_error(error, DOM1_ERROR, DOM1_STATUS_FILE);
	g_assert_null(strchr(error->message, '\n'));
	return g_strdup(error->message);
}

static void expect_refused(const GByteArray *file, uint64_t file_bytes, const char *words)
{
	g_autofree char *message = refusal_of(file, file_bytes);

	g_assert_nonnull(message);
	if (!strstr(message, words))
		g_error("\"%s\" was expected, and it says \"%s\"", words, message);
}

static void test_read(void)
{
	g_autoptr(GError) error = NULL;
	struct saved_image image;
	struct sample sample;

	sample_init(&sample);
	uint64_t file_bytes;
	g_autoptr(GByteArray) file = sample_file(&sample, &file_bytes);
	g_assert_true(saved_image_read(&image, file->data, file->len, file_bytes, &error));
	g_assert_no_error(error);
	g_assert_cmpstr(image.domain.name, ==, "sample");
	g_assert_cmpuint(image.domain.memory_bytes, ==, 32 << 20);
	g_assert_cmpuint(image.clock.clock_ns, ==, 5000000000);
	g_assert_cmpuint(image.clock.tsc_khz, ==, 2000000);
	g_assert_true(image.rings.xenstore_had_request);
	g_assert_cmpuint(image.hypervisor->xenstore_port, ==, 1);
	g_assert_cmpint(image.hypervisor->events.ports[5].kind, ==, EVTCHN_LOOPBACK);
	g_assert_cmpuint(image.hypervisor->events.virq_port[0][0], ==, 3);
	g_assert_cmpuint(image.vcpus[0].msrs[1].index, ==, 0x277);
	g_assert_cmpuint(image.disks->len, ==, 2);
	const struct saved_disk *first = image.disks->pdata[0], *second = image.disks->pdata[1];
	g_assert_cmpstr(first->words, ==, "vdev=xvda,access=rw,target=/disk");
	g_assert_true(first->bus.attached && !first->has_data && second->has_data && !second->is_whole);
	g_assert_cmpuint(first->changed_ns, ==, 1700000000000000001);
	g_assert_cmpuint(g_array_index(second->runs, struct saved_run, 1).sector, ==, 24);
	/* 17 sectors are three pages. */
	g_assert_cmpuint(saved_image_disk_offset(&image, 2) - saved_image_disk_offset(&image, 1), ==, 3 * SAVED_PAGE_BYTES);
	g_assert_cmpuint(saved_image_disk_offset(&image, 2), ==, file_bytes);
	saved_image_close(&image);
	sample_clear(&sample);
}

/* One bit of header or sections, anywhere: nothing of it is believed. */
static void test_damaged(void)
{
	struct sample sample;

	sample_init(&sample);
	uint64_t file_bytes;
	g_autoptr(GByteArray) file = sample_file(&sample, &file_bytes);
	for (guint at = 0; at < file->len; at += 1 + at / 97) {
		file->data[at] ^= 0x10;
		g_autofree char *message = refusal_of(file, file_bytes);
		if (!message)
			g_error("a bit that is wrong at %u is not seen", at);
		file->data[at] ^= 0x10;
	}
	g_assert_null(refusal_of(file, file_bytes));
	sample_clear(&sample);
}

static void test_cut_off(void)
{
	struct sample sample;

	sample_init(&sample);
	uint64_t file_bytes;
	g_autoptr(GByteArray) file = sample_file(&sample, &file_bytes);
	expect_refused(file, file_bytes - 1, "cut off: it has ");
	expect_refused(file, file->len, "cut off: it has ");
	g_byte_array_set_size(file, 4096);
	expect_refused(file, 4096, "cut off: it has 4096 of ");
	g_byte_array_set_size(file, 4095);
	expect_refused(file, 4095, "its header's sum is wrong");
	g_byte_array_set_size(file, 4);
	expect_refused(file, 4, "not a saved domain");
	g_byte_array_set_size(file, 0);
	expect_refused(file, 0, "not a saved domain");
	sample_clear(&sample);
}

static void test_newer(void)
{
	struct sample sample;

	sample_init(&sample);
	uint64_t file_bytes;
	g_autoptr(GByteArray) file = sample_file(&sample, &file_bytes);
	file->data[8] = 3;
	expect_refused(file, file_bytes, "a saved domain of format 3, by dom1 " DOM1_VERSION "; this dom1 reads format 2");
	sample_clear(&sample);
}

/* Whatever is changed in a section whose sum is right again: it is refused, or is a domain such as there can be. */
static void test_untrue(void)
{
	for (enum saved_kind kind = SAVED_DOMAIN; kind < SAVED_N_KINDS; kind++) {
		struct sample sample;

		sample_init(&sample);
		GByteArray *section = sample.sections[kind];
		const guint len = section->len;
		unsigned int n_refused = 0;
		for (guint at = 0; at < len; at += 1 + len / 151) {
			section->data[at] ^= 0xff;
			uint64_t file_bytes;
			g_autoptr(GByteArray) file = sample_file(&sample, &file_bytes);
			g_autofree char *message = refusal_of(file, file_bytes);
			n_refused += message != NULL;
			section->data[at] ^= 0xff;
		}
		if (kind != SAVED_VCPU && kind != SAVED_SUMS && kind != SAVED_CLOCK)
			g_assert_cmpuint(n_refused, >, 0);
		/* Shorter, and longer. */
		g_byte_array_set_size(section, len - 1);
		uint64_t file_bytes;
		g_autoptr(GByteArray) shorter = sample_file(&sample, &file_bytes);
		expect_refused(shorter, file_bytes, "says what cannot be");
		g_byte_array_set_size(section, len + 1);
		g_autoptr(GByteArray) longer = sample_file(&sample, &file_bytes);
		expect_refused(longer, file_bytes, "says what cannot be");
		sample_clear(&sample);
	}
}

static void expect_bad_disk(struct saved_disk *disk)
{
	g_autoptr(GPtrArray) disks = g_ptr_array_new();
	g_autoptr(GByteArray) bytes = g_byte_array_new();

	g_ptr_array_add(disks, disk);
	saved_disks_write(bytes, disks);
	g_assert_null(saved_disks_read((struct saved_cursor){ .at = bytes->data, .left_bytes = bytes->len }));
}

static void set_runs(struct saved_disk *disk, struct saved_run first, struct saved_run second)
{
	g_array_set_size(disk->runs, 0);
	g_array_append_val(disk->runs, first);
	g_array_append_val(disk->runs, second);
}

static void test_bad_disks(void)
{
	struct saved_disk *disk = saved_disk_new();
	g_autoptr(GPtrArray) disks = g_ptr_array_new_with_free_func(saved_disk_free);
	g_autoptr(GByteArray) bytes = g_byte_array_new();

	g_ptr_array_add(disks, disk);
	*disk = (struct saved_disk){ .words = g_strdup("target=/x"), .n_sectors = 100, .bus = { .state = 2, .frontend = 1 },
				     .has_data = true, .runs = disk->runs };
	set_runs(disk, (struct saved_run){ 0, 10 }, (struct saved_run){ 9, 1 });
	expect_bad_disk(disk);
	set_runs(disk, (struct saved_run){ 20, 10 }, (struct saved_run){ 0, 1 });
	expect_bad_disk(disk);
	set_runs(disk, (struct saved_run){ 0, 10 }, (struct saved_run){ 99, 2 });
	expect_bad_disk(disk);
	set_runs(disk, (struct saved_run){ 0, 10 }, (struct saved_run){ 20, UINT64_MAX });
	expect_bad_disk(disk);
	set_runs(disk, (struct saved_run){ 0, 10 }, (struct saved_run){ 20, 0 });
	expect_bad_disk(disk);
	set_runs(disk, (struct saved_run){ 0, 10 }, (struct saved_run){ 10, 90 });
	disk->has_data = false;
	expect_bad_disk(disk);
	disk->has_data = true;
	disk->bus.attached = true;
	expect_bad_disk(disk);
	disk->bus.attached = false;
	disk->bus.state = 3;
	expect_bad_disk(disk);
	disk->bus.state = 2;
	/* And the one that is right is read: what is refused above is so for its own reason. */
	saved_disks_write(bytes, disks);
	g_autoptr(GPtrArray) read = saved_disks_read((struct saved_cursor){ .at = bytes->data, .left_bytes = bytes->len });
	g_assert_nonnull(read);
}

/* There and back, and a bit that is wrong has another sum. */
static void test_disk_data(void)
{
	struct saved_disk *disk = saved_disk_new();
	int from = memfd_create("from", MFD_CLOEXEC), file = memfd_create("file", MFD_CLOEXEC), to = memfd_create("to", MFD_CLOEXEC);
	uint8_t sector[512], read[512];
	uint64_t sum, again;

	disk->n_sectors = 10000;
	set_runs(disk, (struct saved_run){ 3, 1 }, (struct saved_run){ 5000, 4000 });
	g_assert_cmpint(ftruncate(from, 10000 * 512), ==, 0);
	for (unsigned int at = 0; at < 10000; at += 7) {
		memset(sector, (int)(at % 251), sizeof(sector));
		g_assert_cmpint(pwrite(from, sector, sizeof(sector), at * 512), ==, 512);
	}
	g_assert_cmpint(saved_disk_copy(disk, from, file, 4096, false, &sum), ==, 0);
	g_assert_cmpint(saved_disk_copy(disk, to, file, 4096, true, &again), ==, 0);
	g_assert_cmpuint(sum, ==, again);
	for (unsigned int at = 5000; at < 9000; at++) {
		g_assert_cmpint(pread(from, sector, sizeof(sector), at * 512), ==, 512);
		g_assert_cmpint(pread(to, read, sizeof(read), at * 512), ==, 512);
		g_assert_true(memcmp(read, sector, sizeof(read)) == 0);
	}
	g_assert_cmpint(pwrite(file, "x", 1, 4096 + 3000 * 512 + 1), ==, 1);
	g_assert_cmpint(saved_disk_copy(disk, -1, file, 4096, true, &again), ==, 0);
	g_assert_cmpuint(sum, !=, again);
	g_assert_cmpint(ftruncate(file, 5000), ==, 0);
	g_assert_cmpint(saved_disk_copy(disk, -1, file, 4096, true, &again), ==, ENODATA);
	close(from);
	close(file);
	close(to);
	saved_disk_free(disk);
}

static bool is_second(const void *opaque, uint64_t gfn)
{
	(void)opaque;
	return gfn == 0x101;
}

/* Zeros are holes, what is left out is not there, and sums find what has changed. */
static void test_memory(void)
{
	enum { N = 6 };
	const uint64_t gpa = 0xfe000, offset = 8192;
	uint8_t pages[N][SAVED_PAGE_BYTES] = { 0 };
	uint64_t sums[2] = { 0 }, stored_bytes = 0;
	struct saved_file file = {
		.path = (char *)(uintptr_t) "file",
		.fd = memfd_create("saved", MFD_CLOEXEC),
		.header = { .memory_offset = offset, .memory_bytes = gpa + sizeof(pages) },
	};
	const struct saved_range range = { .gpa = gpa, .len_bytes = sizeof(pages), .bytes = pages[0] };
	g_autoptr(GError) error = NULL;
	uint8_t byte = 0;

	memset(pages[0], 1, sizeof(pages[0]));
	pages[1][4095] = 2;
	pages[3][0] = 3; /* gfn 0x101 */
	pages[5][7] = 4;
	g_assert_cmpint(ftruncate(file.fd, (off_t)(offset + file.header.memory_bytes)), ==, 0);
	g_assert_cmpint(saved_memory_write(file.fd, offset, &range, is_second, NULL, sums, &stored_bytes), ==, 0);
	g_assert_cmpint(pread(file.fd, &byte, 1, (off_t)(offset + gpa + 2 * SAVED_PAGE_BYTES - 1)), ==, 1);
	g_assert_cmpint(byte, ==, 2);
	g_assert_cmpint(pread(file.fd, &byte, 1, (off_t)(offset + gpa + 3 * SAVED_PAGE_BYTES)), ==, 1);
	g_assert_cmpint(byte, ==, 0);
	g_assert_cmpint(lseek(file.fd, (off_t)(offset + gpa + 2 * SAVED_PAGE_BYTES), SEEK_DATA), ==,
			(off_t)(offset + gpa + 5 * SAVED_PAGE_BYTES));
	g_assert_true(saved_memory_check(&file, sums, &error));
	byte = 9;
	g_assert_cmpint(pwrite(file.fd, &byte, 1, (off_t)(offset + gpa + 3 * SAVED_PAGE_BYTES)), ==, 1);
	g_assert_false(saved_memory_check(&file, sums, &error));
	g_assert_error(error, DOM1_ERROR, DOM1_STATUS_FILE);
	g_assert_nonnull(strstr(error->message, "the sum of memory at 0x100000 is wrong"));
	close(file.fd);
}

/* What the guest has seen of the CPU, the next one must have. */
static void test_cpus(void)
{
	g_autofree struct saved_vcpu *vcpu = g_new0(struct saved_vcpu, 1);
	g_autofree struct kvm_cpuid2 *now = g_malloc0(sizeof(*now) + 2 * sizeof(now->entries[0]));

	now->nent = vcpu->n_cpuid = 2;
	now->entries[0].ebx = vcpu->cpuid[0].ebx = 0x756e6547;
	now->entries[1].function = vcpu->cpuid[1].function = 1;
	now->entries[1].ecx = 0x5;
	vcpu->cpuid[1].ecx = 0x4 | 1u << 27; /* OSXSAVE is the guest's own */
	g_assert_null(saved_vcpu_lacks(vcpu, now));
	vcpu->cpuid[1].ecx = 0x6;
	g_autofree char *lost = saved_vcpu_lacks(vcpu, now);
	g_assert_cmpstr(lost, ==, "CPUID leaf 0x1, index 0, ECX, bit 1");
	vcpu->cpuid[0].ebx = 0x68747541;
	g_autofree char *other = saved_vcpu_lacks(vcpu, now);
	g_assert_cmpstr(other, ==, "another maker's CPU");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/saved/bad-disks", test_bad_disks);
	g_test_add_func("/saved/disk-data", test_disk_data);
	g_test_add_func("/saved/read", test_read);
	g_test_add_func("/saved/damaged", test_damaged);
	g_test_add_func("/saved/cut-off", test_cut_off);
	g_test_add_func("/saved/newer", test_newer);
	g_test_add_func("/saved/untrue", test_untrue);
	g_test_add_func("/saved/memory", test_memory);
	g_test_add_func("/saved/cpus", test_cpus);
	return g_test_run();
}
