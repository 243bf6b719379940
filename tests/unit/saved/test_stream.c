// SPDX-License-Identifier: MIT
/* saved/stream.c: what comes out is what went in, holes included; what is cut off or damaged is refused, and writes nowhere else. */
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <glib.h>

#include "saved/file.h"
#include "saved/stream.h"
#include "vmm/error.h"

#define SECTIONS_BYTES 10000u
#define MEMORY_OFFSET  16384u
#define MEMORY_BYTES   (4u << 20) /* with what was written to disks */
#define DISK_BYTES     (2u << 20)

static int new_file(void)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	g_assert_cmpint(fd, >=, 0);
	return fd;
}

static void put(int fd, uint64_t at, size_t len_bytes)
{
	g_autofree uint8_t *bytes = g_malloc(len_bytes);

	for (size_t i = 0; i < len_bytes; i++)
		bytes[i] = (uint8_t)g_random_int();
	g_assert_cmpint(pwrite(fd, bytes, len_bytes, (off_t)at), ==, (gint64)len_bytes);
}

static int new_saved(void)
{
	const struct saved_header header = { SECTIONS_BYTES, MEMORY_OFFSET, MEMORY_BYTES - DISK_BYTES, DISK_BYTES };
	uint8_t page[SAVED_PAGE_BYTES];
	int fd = new_file();

	g_assert_cmpint(ftruncate(fd, MEMORY_OFFSET + MEMORY_BYTES), ==, 0);
	put(fd, SAVED_PAGE_BYTES, SECTIONS_BYTES);
	/* More than a piece, from the first page on; and one alone. */
	put(fd, MEMORY_OFFSET, (1 << 20) + 8192);
	put(fd, MEMORY_OFFSET + (3 << 20), 4096);
	saved_header_write(page, &header);
	g_assert_cmpint(pwrite(fd, page, sizeof(page), 0), ==, (gint64)sizeof(page));
	return fd;
}

static int new_stream(int saved_fd)
{
	g_autoptr(GError) error = NULL;
	int fd = new_file();

	g_assert_true(saved_stream_write(saved_fd, fd, &error));
	g_assert_no_error(error);
	return fd;
}

static off_t size_of(int fd)
{
	struct stat status;

	g_assert_cmpint(fstat(fd, &status), ==, 0);
	return status.st_size;
}

static bool count_looks(void *opaque, GError **error)
{
	(void)error;
	++*(unsigned int *)opaque;
	return true;
}

static bool refuse(void *opaque, GError **error)
{
	(void)opaque;
	g_set_error_literal(error, DOM1_ERROR, DOM1_STATUS_FILE, "does not fit");
	return false;
}

static void test_whole(void)
{
	int saved_fd = new_saved(), stream_fd = new_stream(saved_fd), copy_fd = new_file();
	g_autofree char *before = g_malloc(MEMORY_OFFSET + MEMORY_BYTES), *after = g_malloc(MEMORY_OFFSET + MEMORY_BYTES);
	g_autoptr(GError) error = NULL;
	unsigned int n_looks = 0;

	/* Holes are not sent. */
	g_assert_cmpint(size_of(stream_fd), <, 2 << 20);
	lseek(stream_fd, 0, SEEK_SET);
	g_assert_true(saved_stream_read(stream_fd, copy_fd, "stream", count_looks, &n_looks, &error));
	g_assert_no_error(error);
	g_assert_cmpuint(n_looks, ==, 1);
	g_assert_cmpint(size_of(copy_fd), ==, MEMORY_OFFSET + MEMORY_BYTES);
	g_assert_cmpint(pread(saved_fd, before, MEMORY_OFFSET + MEMORY_BYTES, 0), ==, MEMORY_OFFSET + MEMORY_BYTES);
	g_assert_cmpint(pread(copy_fd, after, MEMORY_OFFSET + MEMORY_BYTES, 0), ==, MEMORY_OFFSET + MEMORY_BYTES);
	g_assert_true(memcmp(before, after, MEMORY_OFFSET + MEMORY_BYTES) == 0);
	close(saved_fd);
	close(stream_fd);
	close(copy_fd);
}

/* The first len_bytes of it, with other bytes at a place. */
static void expect_refused(const uint8_t *bytes, size_t len_bytes, const char *regex)
{
	int stream_fd = new_file(), copy_fd = new_file();
	g_autoptr(GError) error = NULL;
	unsigned int n_looks = 0;

	g_assert_cmpint(pwrite(stream_fd, bytes, len_bytes, 0), ==, (gint64)len_bytes);
	g_assert_false(saved_stream_read(stream_fd, copy_fd, "stream", count_looks, &n_looks, &error));
	g_assert_error(error, DOM1_ERROR, DOM1_STATUS_FILE);
	if (!g_regex_match_simple(regex, error->message, 0, 0))
		g_error("%zu bytes: %s", len_bytes, error->message);
	g_assert_cmpint(size_of(copy_fd), <=, MEMORY_OFFSET + MEMORY_BYTES);
	close(stream_fd);
	close(copy_fd);
}

static void test_refused(void)
{
	int saved_fd = new_saved(), stream_fd = new_stream(saved_fd);
	const size_t len_bytes = (size_t)size_of(stream_fd);
	g_autofree uint8_t *bytes = g_malloc(len_bytes);
	/* Of the second piece, and of the first of memory. */
	const size_t heads[] = { 16 + SAVED_PAGE_BYTES, 16 + SAVED_PAGE_BYTES + 16 + MEMORY_OFFSET - SAVED_PAGE_BYTES };
	const uint64_t wrong[] = { 0, 4095, UINT64_MAX, UINT64_C(1) << 62, MEMORY_OFFSET + MEMORY_BYTES + 1 };

	g_assert_cmpint(pread(stream_fd, bytes, len_bytes, 0), ==, (gint64)len_bytes);
	for (size_t cut = 0; cut < len_bytes; cut += cut < 4200 || cut > len_bytes - 100 ? 7 : 9973)
		expect_refused(bytes, cut, "^stream: cut off: ");
	for (size_t i = 0; i < G_N_ELEMENTS(heads); i++)
		for (size_t w = 0; w < 2 * G_N_ELEMENTS(wrong); w++) {
			g_autofree uint8_t *other = g_memdup2(bytes, len_bytes);

			/* 0 is a length: that of the end. */
			if (w == 1)
				continue;
			memcpy(other + heads[i] + w % 2 * 8, &wrong[w / 2], 8);
			expect_refused(other, len_bytes, "^stream: (damaged|cut off)");
		}
	bytes[16] ^= 1;
	expect_refused(bytes, len_bytes, "not a saved domain");
	bytes[0] ^= 1;
	expect_refused(bytes, len_bytes, "not a saved domain: dom1 save NAME - sends one");
	close(saved_fd);
	close(stream_fd);
}

static void test_does_not_fit(void)
{
	int saved_fd = new_saved(), stream_fd = new_stream(saved_fd), copy_fd = new_file();
	g_autoptr(GError) error = NULL;

	lseek(stream_fd, 0, SEEK_SET);
	g_assert_false(saved_stream_read(stream_fd, copy_fd, "stream", refuse, NULL, &error));
	g_assert_cmpstr(error->message, ==, "does not fit");
	/* Nothing of memory was read for that. */
	g_assert_cmpint(lseek(stream_fd, 0, SEEK_CUR), <, 2 * MEMORY_OFFSET);
	close(saved_fd);
	close(stream_fd);
	close(copy_fd);
}

static void test_nobody_reads(void)
{
	int saved_fd = new_saved();
	g_autoptr(GError) error = NULL;
	int closed_fd = new_file();

	close(closed_fd);
	g_assert_false(saved_stream_write(saved_fd, closed_fd, &error));
	g_assert_error(error, DOM1_ERROR, DOM1_STATUS_USAGE);
	close(saved_fd);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/saved/stream/whole", test_whole);
	g_test_add_func("/saved/stream/refused", test_refused);
	g_test_add_func("/saved/stream/does-not-fit", test_does_not_fit);
	g_test_add_func("/saved/stream/nobody-reads", test_nobody_reads);
	return g_test_run();
}
