// SPDX-License-Identifier: MIT
/* What the kernel tells of a device, with folders as those of /sys: a disk with a part, and what may be in its files. */
#include "backend/block_host.h"

#include <sys/sysmacros.h>
#include <unistd.h>

#include <glib.h>
#include <glib/gstdio.h>

#include "backend/block_request.h"

static void put(const char *sys, const char *name, const char *text)
{
	g_autofree char *path = g_strdup_printf("%s/devices/sda/queue/%s", sys, name);

	if (!text)
		(void)unlink(path);
	else
		g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

/* devices/sda is 8:0, its part devices/sda/sda1 8:1; links to them are in dev. */
static char *make_sys(void)
{
	char *sys = g_dir_make_tmp("dom1-sys-XXXXXX", NULL);
	static const char *const folders[] = { "devices/sda/queue", "devices/sda/sda1", "dev" };
	static const char *const links[][2] = { { "../devices/sda", "dev/8:0" }, { "../devices/sda/sda1", "dev/8:1" } };

	g_assert_nonnull(sys);
	for (size_t i = 0; i < G_N_ELEMENTS(folders); i++) {
		g_autofree char *path = g_build_filename(sys, folders[i], NULL);

		g_assert_cmpint(g_mkdir_with_parents(path, 0755), ==, 0);
	}
	for (size_t i = 0; i < G_N_ELEMENTS(links); i++) {
		g_autofree char *path = g_build_filename(sys, links[i][1], NULL);

		g_assert_cmpint(symlink(links[i][0], path), ==, 0);
	}
	return sys;
}

static void remove_sys(char *sys)
{
	static const char *const names[] = { "dev/8:0", "dev/8:1", "dev", "devices/sda/queue/max_sectors_kb", "devices/sda/queue/max_segments",
					     "devices/sda/queue", "devices/sda/sda1", "devices/sda", "devices", "" };

	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		g_autofree char *path = g_build_filename(sys, names[i], NULL);

		(void)remove(path);
	}
	g_assert_false(g_file_test(sys, G_FILE_TEST_EXISTS));
	g_free(sys);
}

static void test_segments(void)
{
	static const struct {
		const char *max_sectors_kb, *max_segments;
		unsigned int n;
	} cases[] = {
		{ "1280\n", "168\n", 168 },                              /* the segments are fewer */
		{ "512\n", "65535\n", 128 },                             /* the bytes are */
		{ "127\n", "65535\n", 31 },                              /* whole pages */
		{ "4096\n", "256\n", BLOCK_SEGMENTS_MAX },               /* all that a request may have */
		{ "1048576\n", "65535\n", BLOCK_SEGMENTS_MAX },          /* and no more */
		{ "4\n", "1\n", BLKIF_MAX_SEGMENTS_PER_REQUEST },        /* what needs no indirect pages is always there */
		{ NULL, "64\n", 64 },                                    /* one is told */
		{ "128\n", NULL, 32 },
		{ NULL, NULL, BLOCK_SEGMENTS_MAX },                      /* nothing is */
		{ "", "many\n", BLOCK_SEGMENTS_MAX },                    /* or nothing that is a number */
		{ "0\n", "-1\n", BLOCK_SEGMENTS_MAX },
		{ "4294967295\n", "4294967296\n", BLOCK_SEGMENTS_MAX },
	};
	char *sys = make_sys();
	g_autofree char *dev = g_build_filename(sys, "dev", NULL);

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		put(sys, "max_sectors_kb", cases[i].max_sectors_kb);
		put(sys, "max_segments", cases[i].max_segments);
		g_assert_cmpuint(block_host_segments_max(dev, makedev(8, 0)), ==, cases[i].n);
		/* A part has no queue of its own. */
		g_assert_cmpuint(block_host_segments_max(dev, makedev(8, 1)), ==, cases[i].n);
		/* Another, that is not there: a file system without a device. */
		g_assert_cmpuint(block_host_segments_max(dev, makedev(0, 8)), ==, BLOCK_SEGMENTS_MAX);
	}
	remove_sys(sys);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/backend/block_host/segments", test_segments);
	return g_test_run();
}
