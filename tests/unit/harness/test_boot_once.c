// SPDX-License-Identifier: MIT
/* boot_once_key(): tests share a boot when what is in their files is the same, and only then. */
#include <string.h>
#include <unistd.h>

#include <glib.h>
#include <glib/gstdio.h>

#include "harness/boot_once.h"

static char *folder;

static char *write_file(const char *name, const char *text)
{
	char *path = g_build_filename(folder, name, NULL);

	g_assert_true(g_file_set_contents(path, text, -1, NULL));
	return path;
}

/* Of a configuration with these lines; NULL: it has none. */
static char *key_of(const char *lines, const char *option)
{
	g_autofree char *path = write_file("test.cfg", lines);
	char *options[] = { (char *)option, NULL };
	struct test_settings common;

	test_settings_init(&common);
	struct test_case *test = test_case_new(path, &common, options);
	g_assert_no_error(test->error);
	char *key = boot_once_key(test);
	test_case_free(test);
	test_settings_clear(&common);
	g_unlink(path);
	return key;
}

static void test_key(void)
{
	g_autofree char *one = write_file("one", "a kernel"), *two = write_file("two", "a kernel"), *other = write_file("other", "another"),
			*initrd = write_file("initrd", "an initrd");
	g_autofree char *machine = g_strdup_printf("kernel='%s'\ntype='pvh'\nmemory=64\nextra='a b'\n", one);
	g_autofree char *key = key_of(machine, NULL);
	g_autofree char *renamed = g_strdup_printf("name='x'\nkernel='%s'\nmemory=64\ntype='pvh'\nextra='a b'\n"
						   "# dom1-test: expect=foo\n# dom1-test: timeout=7\n", two);
	const struct {
		char *lines;
		const char *option;
	} different[] = {
		{ g_strdup_printf("kernel='%s'\ntype='pvh'\nmemory=64\nextra='a b'\n", other), NULL },
		{ g_strdup_printf("kernel='%s'\nramdisk='%s'\ntype='pvh'\nmemory=64\nextra='a b'\n", one, initrd), NULL },
		{ g_strdup_printf("kernel='%s'\ntype='pvh'\nmemory=65\nextra='a b'\n", one), NULL },
		{ g_strdup_printf("kernel='%s'\ntype='pvh'\nmemory=64\nextra='a c'\n", one), NULL },
		{ g_strdup(machine), "--vcpus=2" },
		{ g_strdup(machine), "--max-grant-frames=3" },
		{ g_strdup(machine), "--sandbox=off" },
		{ g_strdup(machine), "--xen-version=4.18" },
	};
	static const char *const unsaved[] = { "--disk=/dev/null,ro", "--net=user", "--channel=pty", "--inject=event:drop=0.1", "--trace=evtchn",
					       "--save-at=x,init", "--no-such-option", "--kernel=/nowhere" };

	g_assert_nonnull(key);
	g_autofree char *same = key_of(renamed, "--report=/nowhere");
	g_assert_cmpstr(same, ==, key);
	for (size_t i = 0; i < G_N_ELEMENTS(different); i++) {
		g_autofree char *found = key_of(different[i].lines, different[i].option);

		g_assert_nonnull(found);
		g_assert_cmpstr(found, !=, key);
		g_free(different[i].lines);
	}
	for (size_t i = 0; i < G_N_ELEMENTS(unsaved); i++) {
		g_autofree char *found = key_of(machine, unsaved[i]);

		if (found)
			g_error("%s: has a key", unsaved[i]);
	}
	g_unlink(one);
	g_unlink(two);
	g_unlink(other);
	g_unlink(initrd);
}

static void test_skipped(void)
{
	g_autofree char *one = write_file("one", "a kernel");
	g_autofree char *lines = g_strdup_printf("kernel='%s'\ntype='pvh'\n# dom1-test: skip=not today\n", one);

	g_assert_null(key_of(lines, NULL));
	g_unlink(one);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	folder = g_dir_make_tmp("boot-once-XXXXXX", NULL);
	g_assert_nonnull(folder);
	g_test_add_func("/boot-once/key", test_key);
	g_test_add_func("/boot-once/skipped", test_skipped);
	int rc = g_test_run();
	g_rmdir(folder);
	g_free(folder);
	return rc;
}
