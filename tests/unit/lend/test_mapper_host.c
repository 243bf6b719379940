// SPDX-License-Identifier: MIT
/*
 * The real mapper, without KVM: this process takes the guest's part. An access that nothing answers ends in SIGSEGV here
 * and in EFAULT in KVM; a trap ends in SIGBUS here and there.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <glib.h>

#include "lend/mapper_host.h"

#define N_PAGES 1024u

static sigjmp_buf jump;
static volatile sig_atomic_t caught;
static void *volatile caught_at;

static void on_signal(int number, siginfo_t *info, void *context)
{
	(void)context;
	caught = number;
	caught_at = info->si_addr;
	siglongjmp(jump, 1);
}

enum outcome { READS, SEGFAULTS, TRAPS };

static enum outcome touch(uintptr_t hva, bool write, uint8_t *value)
{
	volatile uint8_t *at = (volatile uint8_t *)hva;

	caught = 0;
	if (sigsetjmp(jump, 1) == 0) {
		if (write)
			*at = *value;
		else
			*value = *at;
		return READS;
	}
	if (caught == SIGBUS)
		g_assert_cmphex((uintptr_t)caught_at & ~UINT64_C(4095), ==, hva & ~UINT64_C(4095));
	return caught == SIGBUS ? TRAPS : SEGFAULTS;
}

static struct mapper_host *mapper_with_window(uintptr_t *hva)
{
	g_autoptr(GError) error = NULL;
	struct mapper_host *mapper = mapper_host_new(&error);

	if (!mapper) {
		g_test_skip(error->message);
		return NULL;
	}
	g_assert_true(mapper_host_add_window(mapper, N_PAGES, hva, &error));
	g_assert_cmphex(*hva % (2u << 20), ==, 0);
	return mapper;
}

static int file_with(uint8_t first)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	for (unsigned int i = 0; i < N_PAGES; i++) {
		uint8_t page[LEND_PAGE_BYTES];

		memset(page, (uint8_t)(first + i), sizeof(page));
		g_assert_cmpint(write(fd, page, sizeof(page)), ==, sizeof(page));
	}
	return fd;
}

static void test_states(void)
{
	uintptr_t hva;
	struct mapper_host *mapper = mapper_with_window(&hva);
	uint8_t value = 0, byte;

	if (!mapper)
		return;
	int fd = file_with(7);

	g_assert_cmpint(touch(hva, false, &value), ==, SEGFAULTS);
	g_assert_cmpint(MAPPER_HOST.copy(mapper, 0, 0, 0, &byte, 1, false), ==, EFAULT);
	g_assert_cmpint(MAPPER_HOST.arm(mapper, 0, 0, N_PAGES), ==, 0);
	g_assert_cmpint(touch(hva + 4096 * 5 + 9, false, &value), ==, TRAPS);
	g_assert_cmpint(touch(hva + 4096 * 5, true, &value), ==, TRAPS);
	g_assert_cmpint(MAPPER_HOST.copy(mapper, 0, 5, 0, &byte, 1, true), !=, 0);
	/* One page comes, its neighbours go on trapping. */
	g_assert_cmpint(MAPPER_HOST.show(mapper, 0, 5, 1, fd, 20 * 4096, true), ==, 0);
	g_assert_cmpint(touch(hva + 4096 * 5, false, &value), ==, READS);
	g_assert_cmpuint(value, ==, 27);
	g_assert_cmpint(touch(hva + 4096 * 4, false, &value), ==, TRAPS);
	g_assert_cmpint(touch(hva + 4096 * 6, false, &value), ==, TRAPS);
	value = 99;
	g_assert_cmpint(touch(hva + 4096 * 5, true, &value), ==, READS);
	g_assert_cmpint(pread(fd, &byte, 1, 20 * 4096), ==, 1);
	g_assert_cmpuint(byte, ==, 99);
	byte = 55;
	g_assert_cmpint(MAPPER_HOST.copy(mapper, 0, 5, 4095, &byte, 1, true), ==, 0);
	g_assert_cmpint(pread(fd, &byte, 1, 20 * 4096 + 4095), ==, 1);
	g_assert_cmpuint(byte, ==, 55);
	/* For reading only. */
	g_assert_cmpint(MAPPER_HOST.show(mapper, 0, 100, 200, fd, 0, false), ==, 0);
	g_assert_cmpint(touch(hva + 4096 * 150, false, &value), ==, READS);
	g_assert_cmpint(touch(hva + 4096 * 150, true, &value), ==, SEGFAULTS);
	/* Both ways to take it back, and what follows. */
	g_assert_cmpint(MAPPER_HOST.close(mapper, 0, 100, 200), ==, 0);
	g_assert_cmpint(touch(hva + 4096 * 150, false, &value), ==, SEGFAULTS);
	g_assert_cmpint(MAPPER_HOST.drop(mapper, 0, 100, 200), ==, 0);
	g_assert_cmpint(MAPPER_HOST.arm(mapper, 0, 100, 200), ==, 0);
	g_assert_cmpint(touch(hva + 4096 * 150, false, &value), ==, TRAPS);
	g_assert_cmpint(MAPPER_HOST.zero(mapper, 0, 150, 1), ==, 0);
	g_assert_cmpint(touch(hva + 4096 * 150, false, &value), ==, READS);
	g_assert_cmpuint(value, ==, 0);
	/* A file that became shorter is an error, not our end. */
	g_assert_cmpint(MAPPER_HOST.show(mapper, 0, 700, 10, fd, 0, true), ==, 0);
	g_assert_cmpint(ftruncate(fd, 4096), ==, 0);
	g_assert_cmpint(MAPPER_HOST.copy(mapper, 0, 705, 0, &byte, 1, false), ==, EFAULT);
	close(fd);
	mapper_host_free(mapper);
}

/* Arming in any pieces, over any pieces. */
static void test_pieces(void)
{
	uintptr_t hva;
	struct mapper_host *mapper = mapper_with_window(&hva);
	uint8_t value;

	if (!mapper)
		return;
	for (int i = 0; i < 300; i++) {
		size_t page = (size_t)g_test_rand_int_range(0, N_PAGES), n = 1 + (size_t)g_test_rand_int_range(0, 64);

		n = MIN(n, N_PAGES - page);
		g_assert_cmpint(MAPPER_HOST.drop(mapper, 0, page, n), ==, 0);
		g_assert_cmpint(touch(hva + (page + n / 2) * 4096, true, &value), ==, SEGFAULTS);
		g_assert_cmpint(MAPPER_HOST.arm(mapper, 0, page, n), ==, 0);
		g_assert_cmpint(touch(hva + (page + n / 2) * 4096, true, &value), ==, TRAPS);
		if (g_test_rand_bit())
			g_assert_cmpint(MAPPER_HOST.zero(mapper, 0, page, n), ==, 0);
	}
	unsigned int window;
	size_t page;
	g_assert_true(mapper_host_find(mapper, hva + 4096 * N_PAGES - 1, &window, &page));
	g_assert_cmpuint(page, ==, N_PAGES - 1);
	g_assert_false(mapper_host_find(mapper, hva + 4096 * N_PAGES, &window, &page));
	g_assert_false(mapper_host_find(mapper, hva - 1, &window, &page));
	mapper_host_free(mapper);
}

#ifdef LEND_MEMFD_IN_PLACE
static size_t mappings_at(uintptr_t hva)
{
	g_autofree char *maps = NULL;
	size_t n = 0;

	g_assert_true(g_file_get_contents("/proc/self/maps", &maps, NULL, NULL));
	g_auto(GStrv) lines = g_strsplit(maps, "\n", -1);
	for (size_t i = 0; lines[i] && lines[i][0]; i++) {
		uint64_t start = g_ascii_strtoull(lines[i], NULL, 16);

		n += start >= hva && start < hva + N_PAGES * LEND_PAGE_BYTES;
	}
	return n;
}

/* What the kernel finds there, as KVM would; our own access of an empty page would wait for ever. */
static void check_page(struct mapper_host *mapper, uintptr_t hva, size_t page, bool is_there, bool is_armed, uint8_t expected)
{
	uint8_t byte = 0;
	int error = MAPPER_HOST.copy(mapper, 0, page, 100, &byte, 1, false);

	g_assert_cmpint(error == 0, ==, is_there);
	if (is_there)
		g_assert_cmpuint(byte, ==, expected);
	if (is_armed)
		g_assert_cmpint(touch(hva + page * 4096, true, &byte), ==, TRAPS);
}

/* All pages come one by one, and go and come back at random: it is one mapping, and what each shows is right. */
static void test_in_place(void)
{
	const struct lend_mapper_in_place *in_place = MAPPER_HOST.in_place;
	enum { EMPTY, ARMED, THERE } states[N_PAGES];
	uintptr_t hva;
	struct mapper_host *mapper = mapper_with_window(&hva);
	struct lend_view first, view;

	if (!mapper)
		return;
	int fd = file_with(7);
	g_assert_true(in_place->view(mapper, 0, fd, 0, true, &first));
	g_assert_cmpint(MAPPER_HOST.arm(mapper, 0, 0, N_PAGES), ==, 0);
	for (size_t page = 0; page < N_PAGES; page++) {
		g_assert_true(in_place->view(mapper, page, fd, page * 4096, true, &view));
		g_assert_true(memcmp(&view, &first, sizeof(view)) == 0);
		g_assert_cmpint(in_place->show(mapper, 0, page, 1, fd, page * 4096, true), ==, 0);
		states[page] = THERE;
		g_assert_cmpuint(mappings_at(hva), <=, 2);
	}
	g_assert_cmpuint(mappings_at(hva), ==, 1);
	for (unsigned int i = 0; i < 2000; i++) {
		size_t page = (size_t)g_test_rand_int_range(0, N_PAGES), n = 1 + (size_t)g_test_rand_int_range(0, 4);
		unsigned int what = (unsigned int)g_test_rand_int_range(0, 3);

		n = MIN(n, N_PAGES - page);
		/* Whatever comes next, it is empty first. */
		g_assert_cmpint(in_place->empty(mapper, 0, page, n), ==, 0);
		check_page(mapper, hva, page, false, false, 0);
		if (what == ARMED)
			g_assert_cmpint(in_place->arm(mapper, 0, page, n), ==, 0);
		if (what == THERE)
			g_assert_cmpint(in_place->refill(mapper, 0, page, n), ==, 0);
		for (size_t j = page; j < page + n; j++)
			states[j] = what;
		page = (size_t)g_test_rand_int_range(0, N_PAGES);
		check_page(mapper, hva, page, states[page] == THERE, states[page] == ARMED, (uint8_t)(7 + page));
	}
	g_assert_cmpuint(mappings_at(hva), ==, 1);
	/* A marker does not keep a page from coming back; a page that the file has no more does not come. */
	g_assert_cmpint(in_place->empty(mapper, 0, 9, 2), ==, 0);
	g_assert_cmpint(in_place->arm(mapper, 0, 9, 2), ==, 0);
	g_assert_cmpint(in_place->refill(mapper, 0, 9, 1), ==, 0);
	check_page(mapper, hva, 9, true, false, 16);
	check_page(mapper, hva, 10, false, true, 0);
	g_assert_cmpint(ftruncate(fd, 10 * 4096), ==, 0);
	g_assert_cmpint(in_place->refill(mapper, 0, 9, 2), !=, 0);
	check_page(mapper, hva, 9, false, false, 0);
	check_page(mapper, hva, 10, false, false, 0);
	/* The other way is open. */
	g_assert_cmpint(MAPPER_HOST.drop(mapper, 0, 0, N_PAGES), ==, 0);
	check_page(mapper, hva, 3, false, false, 0);
	close(fd);
	mapper_host_free(mapper);
}
#endif

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO };

	sigaction(SIGBUS, &action, NULL);
	sigaction(SIGSEGV, &action, NULL);
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/lend/mapper_host/states", test_states);
	g_test_add_func("/lend/mapper_host/pieces", test_pieces);
#ifdef LEND_MEMFD_IN_PLACE
	g_test_add_func("/lend/mapper_host/in_place", test_in_place);
#endif
	return g_test_run();
}
