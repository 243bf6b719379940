// SPDX-License-Identifier: MIT
/* What is kept of a console: all of it, or its beginning and its end, however it was cut; and a file that takes nothing. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <glib.h>

#include "harness/console_keep.h"

/* The file that comes of len_bytes of a pattern, written in pieces. */
static GString *kept(size_t len_bytes, size_t piece, uint64_t limit_bytes, char **last_lines)
{
	int fd = memfd_create("console", MFD_CLOEXEC);
	int own_fd = dup(fd);
	g_autofree struct console_keep *keep = g_new(struct console_keep, 1);
	GString *all = g_string_new(NULL);
	GString *file = g_string_new(NULL);
	char buffer[4096];

	for (size_t i = 0; i < len_bytes; i++)
		g_string_append_c(all, i % 64 == 63 ? '\n' : (char)('a' + i / 64 % 26));
	console_keep_init(keep, fd, limit_bytes);
	for (size_t at = 0; at < len_bytes; at += piece)
		console_keep_add(keep, all->str + at, MIN(piece, len_bytes - at));
	*last_lines = console_keep_last_lines(keep, 3);
	g_assert_cmpint(console_keep_close(keep), ==, 0);
	lseek(own_fd, 0, SEEK_SET);
	for (ssize_t got; (got = read(own_fd, buffer, sizeof(buffer))) > 0;)
		g_string_append_len(file, buffer, got);
	close(own_fd);
	g_string_free(all, TRUE);
	return file;
}

static void test_file(void)
{
	static const size_t lengths[] = { 0, 1, 63, 64, 1000, 4096, 20000, 100000, 200000 };
	static const size_t pieces[] = { 1, 7, 4096, 1000000 };
	const uint64_t limit_bytes = 50000;

	for (size_t i = 0; i < G_N_ELEMENTS(lengths); i++) {
		GString *first = NULL;

		for (size_t j = 0; j < G_N_ELEMENTS(pieces); j++) {
			char *last_lines;
			GString *file = kept(lengths[i], pieces[j], limit_bytes, &last_lines);

			g_free(last_lines);
			if (!first)
				first = file;
			g_assert_true(g_string_equal(first, file));
			if (first != file)
				g_string_free(file, TRUE);
		}
		if (lengths[i] <= limit_bytes + CONSOLE_KEEP_TAIL_BYTES)
			g_assert_cmpuint(first->len, ==, lengths[i]);
		else {
			g_autofree char *gap = g_strdup_printf("\n[dom1: %zu bytes left out]\n", lengths[i] - limit_bytes - CONSOLE_KEEP_TAIL_BYTES);

			g_assert_cmpuint(first->len, ==, limit_bytes + CONSOLE_KEEP_TAIL_BYTES + strlen(gap));
			g_assert_true(strncmp(first->str + limit_bytes, gap, strlen(gap)) == 0);
		}
		g_string_free(first, TRUE);
	}
}

static void test_last_lines(void)
{
	char *lines;

	g_string_free(kept(5 * 64, 64, 1000, &lines), TRUE);
	g_auto(GStrv) split = g_strsplit(lines, "\n", -1);
	g_assert_cmpuint(g_strv_length(split), ==, 3);
	g_assert_cmpint(split[0][0], ==, 'c');
	g_assert_cmpint(split[2][0], ==, 'e');
	g_free(lines);
	g_string_free(kept(10, 1, 1000, &lines), TRUE);
	g_assert_cmpstr(lines, ==, "aaaaaaaaaa");
	g_free(lines);
}

static void test_full(void)
{
	g_autofree struct console_keep *keep = g_new(struct console_keep, 1);

	console_keep_init(keep, open("/dev/full", O_WRONLY | O_CLOEXEC), 1000);
	console_keep_add(keep, "text\n", 5);
	g_autofree char *lines = console_keep_last_lines(keep, 1);
	g_assert_cmpstr(lines, ==, "text");
	g_assert_cmpint(console_keep_close(keep), ==, ENOSPC);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/harness/console_keep/file", test_file);
	g_test_add_func("/harness/console_keep/last_lines", test_last_lines);
	g_test_add_func("/harness/console_keep/full", test_full);
	return g_test_run();
}
