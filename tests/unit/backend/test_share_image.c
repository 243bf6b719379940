// SPDX-License-Identifier: MIT
/* What mke2fs makes of a folder, looked at by debugfs and e2fsck. */
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <glib/gstdio.h>

#include "backend/share_image.h"
#include "vmm/error.h"

/* Its output; the test fails when it does. */
static char *run(const char *format, ...) G_GNUC_PRINTF(1, 2);
static char *run(const char *format, ...)
{
	g_autoptr(GError) error = NULL;
	char *said = NULL;
	int status;
	va_list arguments;

	va_start(arguments, format);
	g_autofree char *line = g_strdup_vprintf(format, arguments);
	va_end(arguments);
	g_autofree char *command = g_strdup_printf("PATH=$PATH:/usr/sbin:/sbin; %s", line);
	const char *words[] = { "/bin/sh", "-c", command, NULL };
	g_assert_true(g_spawn_sync(NULL, (char **)(uintptr_t)words, NULL, G_SPAWN_LEAVE_DESCRIPTORS_OPEN, NULL, NULL, &said, NULL, &status,
				   &error));
	if (status != 0)
		g_test_message("%s: %s", line, said);
	g_assert_cmpint(status, ==, 0);
	return said;
}

static void write_random(GRand *random, const char *path, size_t len_bytes)
{
	g_autofree char *bytes = g_malloc(len_bytes + 1);

	for (size_t i = 0; i < len_bytes; i++)
		bytes[i] = (char)g_rand_int(random);
	g_assert_true(g_file_set_contents(path, bytes, (gssize)len_bytes, NULL));
}

/* Small files, large ones, empty ones, holes, deep folders, many names in one. */
static void fill(GRand *random, const char *folder)
{
	g_autofree char *deep = g_strdup(folder);

	for (unsigned int i = 0; i < 12; i++) {
		g_autofree char *below = g_strdup_printf("%s/folder %u", deep, i), *file = g_strdup_printf("%s/file", below),
				*link = g_strdup_printf("%s/link", below);

		g_assert_cmpint(g_mkdir(below, 0755), ==, 0);
		write_random(random, file, (size_t)g_rand_int_range(random, 0, i % 4 ? 20000 : 3000000));
		g_assert_cmpint(symlink("/nowhere/at all", link), ==, 0);
		g_free(deep);
		deep = g_steal_pointer(&below);
	}
	for (unsigned int i = 0; i < 3000; i++) {
		g_autofree char *file = g_strdup_printf("%s/a name of some length, number %u", deep, i);

		g_assert_true(g_file_set_contents(file, file, i % 2 ? -1 : 0, NULL));
	}
	g_autofree char *hole = g_strdup_printf("%s/hole", folder);
	write_random(random, hole, 100);
	g_assert_cmpint(truncate(hole, 3 << 20), ==, 0);
	g_assert_cmpint(g_chmod(hole, 0750), ==, 0);
}

static void test_same(void)
{
	g_autofree char *folder = g_dir_make_tmp("dom1-share-XXXXXX", NULL), *back = g_dir_make_tmp("dom1-share-XXXXXX", NULL);
	GRand *random = g_rand_new_with_seed(1);
	g_autoptr(GError) error = NULL;

	fill(random, folder);
	int fd = share_image_open(folder, "a.label", &error);
	g_assert_no_error(error);
	g_assert_cmpint(fcntl(fd, F_GETFL) & O_ACCMODE, ==, O_RDONLY);
	fcntl(fd, F_SETFD, 0);
	g_free(run("e2fsck -fn /proc/self/fd/%d 2>&1", fd));
	g_autofree char *label = run("e2label /proc/self/fd/%d", fd);
	g_assert_cmpstr(g_strchomp(label), ==, "a.label");
	g_free(run("debugfs -R 'rdump / %s' /proc/self/fd/%d 2>&1", back, fd));
	g_autofree char *compared = run("rmdir '%s/lost+found' && diff -r --no-dereference '%s' '%s'", back, folder, back);
	g_assert_cmpstr(compared, ==, "");
	g_free(run("debugfs -R 'stat /hole' /proc/self/fd/%d 2>/dev/null | grep -o 'Mode: *0750'", fd));
	close(fd);
	g_free(run("rm -r '%s' '%s'", folder, back));
	g_rand_free(random);
}

static void test_empty(void)
{
	g_autofree char *folder = g_dir_make_tmp("dom1-share-XXXXXX", NULL);
	g_autoptr(GError) error = NULL;
	int fd = share_image_open(folder, "share", &error);

	g_assert_no_error(error);
	fcntl(fd, F_SETFD, 0);
	g_free(run("e2fsck -fn /proc/self/fd/%d 2>&1", fd));
	close(fd);
	g_assert_cmpint(g_rmdir(folder), ==, 0);
}

static void test_refused(void)
{
	g_autoptr(GError) missing = NULL, file = NULL;

	g_assert_cmpint(share_image_open("/nowhere", "share", &missing), ==, -1);
	g_assert_error(missing, DOM1_ERROR, DOM1_STATUS_FILE);
	g_assert_cmpint(share_image_open("/proc/self/exe", "share", &file), ==, -1);
	g_assert_error(file, DOM1_ERROR, DOM1_STATUS_FILE);
	g_assert_nonnull(strstr(file->message, "/proc/self/exe: cannot share it: "));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/backend/share_image/same", test_same);
	g_test_add_func("/backend/share_image/empty", test_empty);
	g_test_add_func("/backend/share_image/refused", test_refused);
	return g_test_run();
}
