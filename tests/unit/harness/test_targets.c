// SPDX-License-Identifier: MIT
/* Which files of a folder are tests, in which order; that shards are disjoint and complete; which names a filter takes. */
#include <elf.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <glib.h>
#include <glib/gstdio.h>

#include "harness/targets.h"
#include "harness/test_case.h"
#include "shim/images.h"
#include "vmm/error.h"

static void put(const char *dir, const char *name, const char *text)
{
	g_autofree char *path = g_build_filename(dir, name, NULL);
	g_autofree char *folder = g_path_get_dirname(path);

	g_assert_cmpint(g_mkdir_with_parents(folder, 0700), ==, 0);
	g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

/* pv: else one that only has a PVH entry. */
static void put_kernel(const char *dir, const char *name, bool pv)
{
	g_autofree char *path = g_build_filename(dir, name, NULL);
	GByteArray *image = pv ? image_vmlinux(EM_X86_64, 1000, 1) : image_shim();

	g_assert_true(g_file_set_contents(path, (const char *)image->data, (gssize)image->len, NULL));
	g_byte_array_unref(image);
}

static void remove_all(const char *dir)
{
	const char *const command[] = { "rm", "-rf", "--", dir, NULL };

	g_assert_true(g_spawn_sync(NULL, (char **)(void *)(uintptr_t)command, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, NULL, NULL));
}

static char *joined(const char *dir, GPtrArray *paths)
{
	GString *all = g_string_new(NULL);

	for (guint i = 0; i < paths->len; i++)
		g_string_append_printf(all, "%s ", (const char *)paths->pdata[i] + strlen(dir) + 1);
	return g_string_free(all, FALSE);
}

static void test_folder(void)
{
	g_autofree char *dir = g_dir_make_tmp("targets-XXXXXX", NULL);
	char *targets[] = { dir, NULL };

	put(dir, "b.cfg", "kernel = \"/somewhere/named-kernel\"\n");
	put(dir, "a.dts", "/dts-v1/;\n");
	put(dir, "c/deep/d.cfg", "");
	put(dir, "notes.txt", "not a test\n");
	put(dir, ".hidden.cfg", "");
	put(dir, "script", "#!/bin/sh\n");
	put_kernel(dir, "kernel", true);
	put_kernel(dir, "kernel-pvh", false);
	put_kernel(dir, "named-kernel", true);
	put_kernel(dir, "b", true);
	g_autofree char *loop = g_build_filename(dir, "c", "loop", NULL);
	g_assert_cmpint(symlink("..", loop), ==, 0);

	GPtrArray *paths = targets_find(targets, NULL);
	g_autofree char *names = joined(dir, paths);
	g_assert_cmpstr(names, ==, "a.dts b.cfg c/deep/d.cfg kernel kernel-pvh ");
	g_ptr_array_unref(paths);
	g_autofree char *kernel = g_build_filename(dir, "kernel", NULL);
	g_assert_cmpint(test_case_image_kind(kernel), ==, IMAGE_PV);
	g_autofree char *pvh = g_build_filename(dir, "kernel-pvh", NULL);
	g_assert_cmpint(test_case_image_kind(pvh), ==, IMAGE_PVH);
	g_autofree char *script = g_build_filename(dir, "script", NULL);
	g_assert_cmpint(test_case_image_kind(script), ==, IMAGE_NONE);
	remove_all(dir);
}

static void test_missing(void)
{
	char name[] = "/nonexistent/target";
	char *targets[] = { name, NULL };
	GError *error = NULL;

	g_assert_null(targets_find(targets, &error));
	g_assert_error(error, DOM1_ERROR, DOM1_STATUS_FILE);
	g_error_free(error);
}

/* Whatever the number of tests and of shards: each test is in exactly one. */
static void test_shards(void)
{
	for (unsigned int count = 1; count < 20; count++)
		for (guint n = 0; n < 60; n++)
			for (guint place = 0; place < n; place++) {
				unsigned int owners = 0;

				for (unsigned int index = 1; index <= count; index++) {
					const struct shard shard = { index, count };

					owners += shard_has(&shard, place);
				}
				g_assert_cmpuint(owners, ==, 1);
			}
}

static void test_filter(void)
{
	char star[] = "*-pv64-*", whole[] = "dir/a?";
	char *patterns[] = { star, whole, NULL };

	g_assert_true(target_is_wanted("any/thing", NULL));
	g_assert_true(target_is_wanted("dir/test-pv64-x", patterns));
	g_assert_true(target_is_wanted("dir/ab", patterns));
	g_assert_false(target_is_wanted("dir/abc", patterns));
	g_assert_false(target_is_wanted("test-hvm64-x", patterns));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/harness/targets/folder", test_folder);
	g_test_add_func("/harness/targets/missing", test_missing);
	g_test_add_func("/harness/targets/shards", test_shards);
	g_test_add_func("/harness/targets/filter", test_filter);
	return g_test_run();
}
