// SPDX-License-Identifier: MIT
/* find_shim.c: the order of the three sources, and the order of versions, in a root of the test's own. */
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <glib.h>
#include <glib/gstdio.h>

#include "shim/find_shim.h"
#include "vmm/error.h"

static char *make_root(void)
{
	char *root = g_dir_make_tmp("dom1-find-shim-XXXXXX", NULL);

	g_assert_nonnull(root);
	return root;
}

static char *install(const char *root, const char *version)
{
	g_autofree char *folder = g_build_filename(root, "usr/lib", version, "boot", NULL);
	char *path = g_build_filename(folder, "xen-shim", NULL);

	g_assert_cmpint(g_mkdir_with_parents(folder, 0755), ==, 0);
	g_assert_true(g_file_set_contents(path, "shim", 4, NULL));
	return path;
}

/* Depth first; symbolic links are not followed. */
static void remove_tree(const char *path)
{
	g_autoptr(GDir) dir = NULL;
	const char *name;
	struct stat st;

	if (lstat(path, &st) == 0 && S_ISDIR(st.st_mode) && (dir = g_dir_open(path, 0, NULL)) != NULL)
		while ((name = g_dir_read_name(dir)) != NULL) {
			g_autofree char *child = g_build_filename(path, name, NULL);

			remove_tree(child);
		}
	g_assert_cmpint(g_remove(path), ==, 0);
}

static void assert_found(const char *root, const char *option, const char *env, const char *expected)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *path = shim_find_in(root, option, env, &error);

	g_assert_no_error(error);
	g_assert_cmpstr(path, ==, expected);
}

static void assert_error(const char *root, const char *option, const char *env, int code, const char *word)
{
	g_autoptr(GError) error = NULL;

	g_assert_null(shim_find_in(root, option, env, &error));
	g_assert_error(error, DOM1_ERROR, code);
	if (strstr(error->message, word) == NULL)
		g_error("\"%s\" lacks \"%s\"", error->message, word);
}

static void test_order_of_sources(void)
{
	g_autofree char *root = make_root();
	g_autofree char *installed = install(root, "xen-4.17");
	g_autofree char *option = install(root, "option");
	g_autofree char *env = install(root, "env");

	assert_found(root, option, env, option);
	assert_found(root, NULL, env, env);
	assert_found(root, NULL, NULL, installed);
	assert_found(root, NULL, "", installed);
	remove_tree(root);
}

static void test_order_of_versions(void)
{
	static const char *const versions[] = {"xen-4.2", "xen-4.9", "xen-4.17", "xen-4.17.1", "xen-4.20", "xen-10.1"};
	g_autofree char *root = make_root();

	for (size_t i = 0; i < G_N_ELEMENTS(versions); i++) {
		g_autofree char *newest = install(root, versions[i]);

		assert_found(root, NULL, NULL, newest);
	}
	remove_tree(root);
}

/* The tools of a newer version without its shim do not hide an older shim. */
static void test_newest_without_shim(void)
{
	g_autofree char *root = make_root();
	g_autofree char *path = install(root, "xen-4.17");
	g_autofree char *empty = g_build_filename(root, "usr/lib/xen-4.20/bin", NULL);
	g_autofree char *folder = g_build_filename(root, "usr/lib/xen-4.19/boot/xen-shim", NULL);

	g_assert_cmpint(g_mkdir_with_parents(empty, 0755), ==, 0);
	g_assert_cmpint(g_mkdir_with_parents(folder, 0755), ==, 0);
	assert_found(root, NULL, NULL, path);
	remove_tree(root);
}

static void test_none_installed(void)
{
	g_autofree char *root = make_root();

	assert_error(root, NULL, NULL, DOM1_STATUS_HOST, "xen-utils");
	assert_error(root, NULL, NULL, DOM1_STATUS_HOST, "--shim");
	remove_tree(root);
}

/* A named one is meant: never replaced by an installed one. */
static void test_named_is_missing(void)
{
	g_autofree char *root = make_root();
	g_autofree char *installed = install(root, "xen-4.17");

	assert_error(root, "/nonexistent/shim", installed, DOM1_STATUS_FILE, "/nonexistent/shim");
	assert_error(root, NULL, "/nonexistent/shim", DOM1_STATUS_FILE, "$DOM1_SHIM");
	assert_error(root, root, NULL, DOM1_STATUS_FILE, "directory");
	assert_error(root, "/dev/null", NULL, DOM1_STATUS_FILE, "regular");
	assert_error(root, "", NULL, DOM1_STATUS_FILE, "--shim");
	remove_tree(root);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/shim/find/order-of-sources", test_order_of_sources);
	g_test_add_func("/shim/find/order-of-versions", test_order_of_versions);
	g_test_add_func("/shim/find/newest-without-shim", test_newest_without_shim);
	g_test_add_func("/shim/find/none-installed", test_none_installed);
	g_test_add_func("/shim/find/named-is-missing", test_named_is_missing);
	return g_test_run();
}
