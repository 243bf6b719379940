// SPDX-License-Identifier: MIT
/* The archive that dom1 exec makes of a folder, as cpio finds it: the same tree, and what is added. */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <glib.h>
#include <glib/gstdio.h>

#include "exec/root.h"
#include "exec/wire.h"
#include "vmm/error.h"

static char *work; /* a folder of the test's */

static void shell(const char *command)
{
	const char *const words[] = { "sh", "-ec", command, NULL };
	g_autofree char *errors = NULL;
	int status;

	g_assert_true(g_spawn_sync(work, (char **)words, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, &errors, &status, NULL));
	if (status != 0)
		g_error("%s: %s", command, errors);
}

/* Packs, and unpacks with cpio to the folder "unpacked". */
static uint64_t pack(const struct exec_root *root)
{
	g_autoptr(GError) error = NULL;
	uint64_t payload_bytes;
	int fd = exec_root_pack(root, &payload_bytes, &error);

	g_assert_no_error(error);
	g_assert_cmpint(fd, >=, 0);
	g_autofree char *command = g_strdup_printf("rm -rf unpacked; mkdir unpacked; cd unpacked; "
						   "cpio -idm --quiet --no-preserve-owner </proc/%d/fd/%d 2>/dev/null || [ -e %s ]",
						   (int)getpid(), fd, EXEC_INIT_NAME);
	shell(command);
	close(fd);
	return payload_bytes;
}

static void test_folder(void)
{
	char *command[] = { (char *)"sh", (char *)"-c", (char *)"", (char *)"a b", NULL };
	g_autofree char *folder = g_build_filename(work, "tree", NULL);
	const struct exec_root root = { .folder = folder, .cwd = "/some/where", .command = command };

	shell("mkdir -p tree/bin tree/etc/empty 'tree/a b'; echo hello >tree/bin/hello; chmod 755 tree/bin/hello; ln -s hello tree/bin/link; "
	      "ln tree/bin/hello tree/etc/same; truncate -s 3M tree/holes; printf end >>tree/holes; : >'tree/a b/nothing'; "
	      "ln -s /no/where tree/dangling; chmod 400 tree/etc/same");
	g_assert_cmpuint(pack(&root), >, 3 << 20);
	/* dev/console is a node, which only root can unpack. */
	shell("rm -rf unpacked/dev; mv unpacked/" EXEC_INIT_NAME " unpacked/" EXEC_COMMAND_NAME " .; diff -r --no-dereference tree unpacked");
	shell("cd tree; find . -mindepth 1 -printf '%p %M %s %l\\n' | grep -v '^[^ ]* d' | sort >../a; cd ../unpacked; "
	      "find . -mindepth 1 -printf '%p %M %s %l\\n' | grep -v '^[^ ]* d' | sort >../b; cmp ../a ../b");
	shell("printf '/some/where\\0sh\\0-c\\0\\0a b\\0' | cmp - " EXEC_COMMAND_NAME "; test -x " EXEC_INIT_NAME);
}

static void test_program(void)
{
	char *command[] = { (char *)"/x", NULL };
	g_autofree char *program = g_build_filename(work, "some/folder/program", NULL);
	g_autofree char *same = g_strdup_printf("cmp unpacked%s %s", program, program);
	const struct exec_root root = { .program = program, .cwd = "/", .command = command };

	shell("mkdir -p some/folder; echo it >some/folder/program; chmod 755 some/folder/program; echo other >some/folder/other");
	(void)pack(&root);
	shell(same);
	shell("! find unpacked -name other | grep .");
}

static void test_missing(void)
{
	char *command[] = { (char *)"x", NULL };
	const struct exec_root root = { .folder = "/no/such/folder", .cwd = "/", .command = command };
	g_autoptr(GError) error = NULL;
	uint64_t payload_bytes;

	g_assert_cmpint(exec_root_pack(&root, &payload_bytes, &error), <, 0);
	g_assert_error(error, DOM1_ERROR, DOM1_STATUS_FILE);
	g_assert_nonnull(strstr(error->message, "/no/such/folder"));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	work = g_dir_make_tmp("dom1-root-XXXXXX", NULL);
	g_assert_nonnull(work);
	g_test_add_func("/exec/root/folder", test_folder);
	g_test_add_func("/exec/root/program", test_program);
	g_test_add_func("/exec/root/missing", test_missing);
	int status = g_test_run();
	shell("chmod -R u+w . && rm -rf \"$PWD\"");
	g_free(work);
	return status;
}
