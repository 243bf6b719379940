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

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO };

	sigaction(SIGBUS, &action, NULL);
	sigaction(SIGSEGV, &action, NULL);
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/lend/mapper_host/states", test_states);
	g_test_add_func("/lend/mapper_host/pieces", test_pieces);
	return g_test_run();
}
