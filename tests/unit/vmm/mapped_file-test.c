// SPDX-License-Identifier: MIT
/* mapped_file.c: what can be mapped, and what is said of what cannot. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <glib.h>
#include <glib/gstdio.h>

#include "vmm/error.h"
#include "vmm/mapped_file.h"

static char *folder;

static unsigned int count_fds(void)
{
	g_autoptr(GDir) dir = g_dir_open("/proc/self/fd", 0, NULL);
	unsigned int n = 0;

	while (g_dir_read_name(dir))
		n++;
	return n;
}

static void expect_refusal(const char *path, const char *why)
{
	g_autoptr(GError) error = NULL;
	struct mapped_file file;
	unsigned int n_fds = count_fds();

	memset(&file, 0xa5, sizeof(file));
	g_assert_false(mapped_file_open(&file, path, "initrd", &error));
	g_assert_error(error, DOM1_ERROR, DOM1_STATUS_FILE);
	g_assert_nonnull(strstr(error->message, path));
	g_assert_nonnull(strstr(error->message, "initrd"));
	g_assert_nonnull(strstr(error->message, why));
	g_assert_null(strchr(error->message, '\n'));
	g_assert_null(file.bytes);
	g_assert_cmpuint(file.len_bytes, ==, 0);
	g_assert_cmpuint(count_fds(), ==, n_fds);
	mapped_file_close(&file); /* nothing to do, and no harm */
}

static void test_refusals(void)
{
	g_autofree char *missing = g_build_filename(folder, "missing", NULL);
	g_autofree char *empty = g_build_filename(folder, "empty", NULL);
	g_autofree char *fifo = g_build_filename(folder, "fifo", NULL);
	g_autofree char *dangling = g_build_filename(folder, "dangling", NULL);
	g_autofree char *locked = g_build_filename(folder, "locked", NULL);

	g_assert_true(g_file_set_contents(empty, "", 0, NULL));
	g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);
	g_assert_cmpint(symlink("nowhere", dangling), ==, 0);
	g_assert_true(g_file_set_contents(locked, "x", 1, NULL));
	g_assert_cmpint(g_chmod(locked, 0), ==, 0);
	expect_refusal(missing, "No such file");
	expect_refusal(dangling, "No such file");
	expect_refusal(empty, "empty");
	expect_refusal(folder, "not a regular file");
	expect_refusal("/dev/null", "not a regular file");
	expect_refusal(fifo, "not a regular file"); /* and nobody waits for a writer */
	if (geteuid() != 0)
		expect_refusal(locked, "Permission denied");
	g_unlink(empty);
	g_unlink(fifo);
	g_unlink(dangling);
	g_unlink(locked);
}

static void test_contents(void)
{
	const size_t sizes[] = {1, 4095, 4096, 4097, 3 * 1024 * 1024 + 5};
	g_autofree char *path = g_build_filename(folder, "file", NULL);
	unsigned int n_fds = count_fds();

	for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
		g_autoptr(GError) error = NULL;
		g_autofree char *contents = g_malloc(sizes[i]);
		struct mapped_file file;

		for (size_t j = 0; j < sizes[i]; j++)
			contents[j] = (char)(j * 7 + i);
		g_assert_true(g_file_set_contents(path, contents, (gssize)sizes[i], NULL));
		g_assert_true(mapped_file_open(&file, path, "kernel", &error));
		g_assert_no_error(error);
		g_assert_cmpuint(file.len_bytes, ==, sizes[i]);
		g_assert_cmpint(memcmp(file.bytes, contents, sizes[i]), ==, 0);
		g_assert_cmpuint(count_fds(), ==, n_fds + 1);
		/* The name may go: what is open and mapped is the file. */
		g_unlink(path);
		g_assert_cmpint(memcmp(file.bytes, contents, sizes[i]), ==, 0);
		mapped_file_close(&file);
		g_assert_null(file.bytes);
		g_assert_cmpuint(file.len_bytes, ==, 0);
		g_assert_cmpuint(count_fds(), ==, n_fds);
		mapped_file_close(&file);
	}
}

int main(int argc, char **argv)
{
	int rc;

	g_test_init(&argc, &argv, NULL);
	folder = g_dir_make_tmp("dom1-mapped-file-XXXXXX", NULL);
	g_assert_nonnull(folder);
	g_test_add_func("/mapped_file/refusals", test_refusals);
	g_test_add_func("/mapped_file/contents", test_contents);
	rc = g_test_run();
	g_rmdir(folder);
	g_free(folder);
	return rc;
}
