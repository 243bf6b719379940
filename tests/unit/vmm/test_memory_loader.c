// SPDX-License-Identifier: MIT
/*
 * memory_loader.c: modules of any size at any place are in the guest's memory, and nothing else has changed; a file that
 * is too short, or no file, ends the domain, and whoever waits for it goes on.
 */
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <glib.h>

#include "shim/boot_plan.h"
#include "vmm/error.h"
#include "vmm/guest_memory.h"
#include "vmm/memory_loader.h"
#include "vmm/vm.h"

#define MIB  (UINT64_C(1) << 20)
#define PAGE LAYOUT_PAGE_BYTES

static _Atomic unsigned int n_ends;

void vm_end(struct vm *vm, enum outcome outcome, uint32_t status, const char *format, ...)
{
	(void)format;
	g_assert_nonnull(vm);
	g_assert_cmpint(outcome, ==, OUTCOME_HOST_ERROR);
	g_assert_cmpint(status, ==, DOM1_STATUS_HOST);
	n_ends++;
}

/* What RAM is made of. */
static enum memory_backing_kind kind;

static struct guest_memory *memory_new(void)
{
	struct memory_backing backing;
	struct layout layout;

	g_assert_true(layout_init(&layout, 64 * MIB, 64 * MIB, NULL));
	g_assert_true(memory_backing_open(&backing, kind, -1, guest_memory_file_bytes(&layout), NULL));
	struct guest_memory *memory = guest_memory_new_on(&layout, &backing, NULL);

	g_assert_nonnull(memory);
	return memory;
}

static int file_of(const uint8_t *bytes, size_t len_bytes)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	g_assert_cmpint(write(fd, bytes, len_bytes), ==, (gssize)len_bytes);
	return fd;
}

static void fill_with_noise(uint8_t *bytes, size_t len_bytes)
{
	uint32_t value = (uint32_t)g_test_rand_int() | 1;

	for (size_t i = 0; i < len_bytes; i++) {
		value = value * 1664525 + 1013904223;
		bytes[i] = (uint8_t)(value >> 24);
	}
}

/* A late segment: the bytes of fd from offset_bytes, or content where fd is negative. */
static struct boot_segment late(uint64_t gpa, size_t len_bytes, int fd, uint64_t offset_bytes, const uint8_t *content)
{
	return (struct boot_segment){
		.gpa = gpa,
		.bytes = content,
		.len_bytes = len_bytes,
		.mem_bytes = len_bytes,
		.has_file = fd >= 0,
		.file_fd = fd,
		.file_offset_bytes = offset_bytes,
		.may_come_late = true,
		.what = "module",
	};
}

static struct boot_segment early(uint64_t gpa, uint64_t mem_bytes)
{
	return (struct boot_segment){ .gpa = gpa, .mem_bytes = mem_bytes, .what = "other" };
}

/* Of two modules side by side, with something else of the plan right before and behind them or not. */
static void load_two(const uint8_t *content, int fd, uint64_t gpa, const size_t len[2], bool crowded)
{
	g_autofree uint8_t *zeros = g_malloc0(64 * MIB);
	struct vm vm = {.memory = memory_new()};
	uint64_t second_gpa = gpa + ((len[0] + PAGE - 1) & ~(PAGE - 1)), end_gpa = second_gpa + len[1];
	struct boot_segment segments[] = {
		early(crowded ? gpa - PAGE : 0, PAGE),
		late(gpa, len[0], fd, 3, NULL),
		late(second_gpa, len[1], -1, 0, content),
		early(crowded ? (end_gpa + PAGE - 1) & ~(PAGE - 1) : 60 * MIB, PAGE),
	};
	const struct boot_plan plan = { .segments = segments, .n_segments = G_N_ELEMENTS(segments) };

	/* A crowd's own pages are theirs: they would be lost, or waited for without end, were they taken along. */
	struct memory_loader *loader = memory_loader_new(&vm, &plan, NULL);
	for (size_t i = 0; i < G_N_ELEMENTS(segments); i += 3)
		g_assert_true(guest_memory_write(vm.memory, segments[i].gpa, content, PAGE));
	/* While it is on its way: the last first, which comes last. */
	const uint8_t *span = guest_memory_span(vm.memory, gpa, end_gpa - gpa);
	g_assert_cmpint(span[len[0] - 1], ==, content[len[0] + 2]);
	g_assert_cmpint(memcmp(span, content + 3, len[0]), ==, 0);
	g_assert_cmpint(memcmp(span + (second_gpa - gpa), content, len[1]), ==, 0);
	memory_loader_free(loader);
	for (size_t i = 0; i < G_N_ELEMENTS(segments); i += 3) {
		uint8_t *other = guest_memory_span(vm.memory, segments[i].gpa, PAGE);

		g_assert_cmpint(memcmp(other, content, PAGE), ==, 0);
		memset(other, 0, PAGE);
	}
	g_assert_cmpint(memcmp(guest_memory_span(vm.memory, 0, gpa), zeros, gpa), ==, 0);
	g_assert_cmpint(memcmp(guest_memory_span(vm.memory, end_gpa, 64 * MIB - end_gpa), zeros, 64 * MIB - end_gpa), ==, 0);
	guest_memory_free(vm.memory);
}

static void test_any_place(void)
{
	static const size_t sizes[] = {1, PAGE - 1, 5 * PAGE + 77, 2 * MIB, 2 * MIB + 1, 4 * MIB - 1, 4 * MIB, 6 * MIB, 7 * MIB + 13};
	const size_t most = 8 * MIB;
	g_autofree uint8_t *content = g_malloc(most);

	fill_with_noise(content, most);
	int fd = file_of(content, most);
	/* To read a file's holes costs pages. */
	for (unsigned int round = 0; round < (kind == MEMORY_ANONYMOUS ? 60 : 6); round++) {
		const size_t len[] = { sizes[round % G_N_ELEMENTS(sizes)],
				       sizes[(size_t)g_test_rand_int_range(0, G_N_ELEMENTS(sizes))] };
		/* Huge pages that begin where the file does, or end there, or neither. */
		uint64_t gpa = 10 * MIB + (round % 3 ? (uint64_t)g_test_rand_int_range(0, 1024) * PAGE : 0);

		load_two(content, fd, gpa, len, round % 2);
	}
	close(fd);
	g_assert_cmpint(n_ends, ==, 0);
}

static void test_on_file(gconstpointer data)
{
	void (*const *test)(void) = data;

	kind = MEMORY_MEMFD;
	n_ends = 0;
	(*test)();
	kind = MEMORY_ANONYMOUS;
}

static void test_nothing(void)
{
	struct boot_segment segment = early(0, PAGE);
	const struct boot_plan plan = { .segments = &segment, .n_segments = 1 };
	g_autoptr(GError) error = NULL;
	struct vm vm = {.memory = memory_new()};

	g_assert_null(memory_loader_new(&vm, &plan, &error));
	g_assert_no_error(error);
	memory_loader_free(NULL);
	guest_memory_free(vm.memory);
}

/* What is no whole huge page is read at once, so a file that has become shorter is met before the guest runs. */
static void test_short_file(void)
{
	const size_t len = 7 * MIB;
	const size_t there_bytes[] = {0, MIB, 3 * MIB, len - 1};
	g_autofree uint8_t *content = g_malloc0(len);

	for (size_t i = 0; i < G_N_ELEMENTS(there_bytes); i++) {
		g_autoptr(GError) error = NULL;
		struct vm vm = {.memory = memory_new()};
		int fd = file_of(content, there_bytes[i]);
		struct boot_segment segments[] = { late(12 * MIB, len, fd, 0, NULL), early(12 * MIB + len, PAGE) };
		const struct boot_plan plan = { .segments = segments, .n_segments = G_N_ELEMENTS(segments) };

		g_assert_null(memory_loader_new(&vm, &plan, &error));
		g_assert_error(error, DOM1_ERROR, DOM1_STATUS_HOST);
		g_assert_nonnull(strstr(error->message, "shorter"));
		g_assert_nonnull(guest_memory_span(vm.memory, 12 * MIB, len));
		close(fd);
		guest_memory_free(vm.memory);
	}
	g_assert_cmpint(n_ends, ==, 0);
}

/* But what is, comes when the guest runs already. Nobody sees the part that did come. */
static void test_late_failure(void)
{
	const size_t len = 6 * MIB;
	struct vm vm = {.memory = memory_new()};
	g_autofree uint8_t *content = g_malloc(len);
	int fd = file_of(content, len - MIB);
	struct boot_segment segment = late(10 * MIB, len, fd, 0, NULL);
	const struct boot_plan plan = { .segments = &segment, .n_segments = 1 };
	struct memory_loader *loader = memory_loader_new(&vm, &plan, NULL);

	g_assert_nonnull(loader);
	g_assert_cmpint(*(uint8_t *)guest_memory_span(vm.memory, 10 * MIB, len), ==, 0);
	g_assert_cmpint(n_ends, ==, 1);
	memory_loader_free(loader);
	close(fd);
	guest_memory_free(vm.memory);
}

int main(int argc, char **argv)
{
	static void (*const any_place)(void) = test_any_place, (*const late_failure)(void) = test_late_failure;

	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/memory_loader/any-place", test_any_place);
	g_test_add_func("/memory_loader/nothing", test_nothing);
	g_test_add_func("/memory_loader/short-file", test_short_file);
	g_test_add_func("/memory_loader/late-failure", test_late_failure);
	g_test_add_data_func("/memory_loader/memfd/late-failure", &late_failure, test_on_file);
	g_test_add_data_func("/memory_loader/memfd/any-place", &any_place, test_on_file);
	return g_test_run();
}
