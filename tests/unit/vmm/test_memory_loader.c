// SPDX-License-Identifier: MIT
/*
 * memory_loader.c: a file of any size at any place is in the guest's memory, and nothing else has changed; a file that
 * is too short, or no file, ends the domain, and whoever waits for it goes on.
 */
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <glib.h>

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

static struct guest_memory *memory_new(void)
{
	struct layout layout;

	g_assert_true(layout_init(&layout, 64 * MIB, 64 * MIB, NULL));
	struct guest_memory *memory = guest_memory_new(&layout, NULL);

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

static void test_any_place(void)
{
	static const size_t sizes[] = {1, PAGE - 1, 5 * PAGE + 77, 2 * MIB, 2 * MIB + 1, 4 * MIB - 1, 4 * MIB, 6 * MIB, 7 * MIB + 13};
	const size_t most = 8 * MIB;
	g_autofree uint8_t *content = g_malloc(most), *zeros = g_malloc0(2 * most);

	fill_with_noise(content, most);
	for (unsigned int round = 0; round < 40; round++) {
		size_t len = sizes[round % G_N_ELEMENTS(sizes)];
		/* Huge pages that begin where the file does, or end there, or neither. */
		uint64_t gpa = 10 * MIB + (round % 3 ? (uint64_t)g_test_rand_int_range(0, 1024) * PAGE : 0);
		struct vm vm = {.memory = memory_new()};
		int fd = file_of(content, most);
		struct memory_loader *loader = memory_loader_new(&vm, gpa, fd, len, NULL);

		g_assert_nonnull(loader);
		/* While it is on its way: the last first, which comes last. */
		const uint8_t *span = guest_memory_span(vm.memory, gpa, len);
		g_assert_cmpint(span[len - 1], ==, content[len - 1]);
		g_assert_cmpint(memcmp(span, content, len), ==, 0);
		memory_loader_free(loader);
		close(fd);
		g_assert_cmpint(memcmp(guest_memory_span(vm.memory, 0, gpa), zeros, gpa), ==, 0);
		g_assert_cmpint(memcmp(guest_memory_span(vm.memory, gpa + len, most), zeros, most), ==, 0);
		guest_memory_free(vm.memory);
	}
	g_assert_cmpint(n_ends, ==, 0);
}

/* The file's end is read at once, so a file that has become shorter is met before the guest runs. */
static void test_short_file(void)
{
	const size_t len = 7 * MIB;
	const size_t there_bytes[] = {0, MIB, 3 * MIB, len - 1};
	g_autofree uint8_t *content = g_malloc0(len);

	for (size_t i = 0; i < G_N_ELEMENTS(there_bytes); i++) {
		g_autoptr(GError) error = NULL;
		struct vm vm = {.memory = memory_new()};
		int fd = file_of(content, there_bytes[i]);

		g_assert_null(memory_loader_new(&vm, 12 * MIB, fd, len, &error));
		g_assert_error(error, DOM1_ERROR, DOM1_STATUS_HOST);
		g_assert_nonnull(strstr(error->message, "shorter"));
		g_assert_nonnull(guest_memory_span(vm.memory, 12 * MIB, len));
		close(fd);
		guest_memory_free(vm.memory);
	}
	g_assert_cmpint(n_ends, ==, 0);
}

/* But one whose last bytes are a whole huge page's is not, and the guest runs by then. */
static void test_late_failure(void)
{
	const size_t len = 6 * MIB;
	struct vm vm = {.memory = memory_new()};
	g_autofree uint8_t *content = g_malloc(len);
	int fd = file_of(content, len - MIB);
	struct memory_loader *loader = memory_loader_new(&vm, 10 * MIB, fd, len, NULL);

	g_assert_nonnull(loader);
	g_assert_cmpint(*(uint8_t *)guest_memory_span(vm.memory, 10 * MIB, len), ==, 0);
	g_assert_cmpint(n_ends, ==, 1);
	memory_loader_free(loader);
	close(fd);
	guest_memory_free(vm.memory);
	memory_loader_free(NULL);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/memory_loader/any-place", test_any_place);
	g_test_add_func("/memory_loader/short-file", test_short_file);
	g_test_add_func("/memory_loader/late-failure", test_late_failure);
	return g_test_run();
}
