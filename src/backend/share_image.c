// SPDX-License-Identifier: MIT
#include "backend/share_image.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdint.h>
#include <unistd.h>

#include "backend/block_snapshot.h"
#include "backend/helper_program.h"
#include "vmm/error.h"

#define BLOCK_BYTES 4096u
#define INODE_BYTES 256u
/* What the program gets as HELPER_PROGRAM_FD. */
#define IMAGE_PATH  "/proc/self/fd/3"

struct measure {
	uint64_t n_blocks, n_inodes;
};

static int fail(GError **error, int status, const char *folder, const char *why)
{
	g_set_error(error, DOM1_ERROR, status, "%s: cannot share it: %s", folder, why);
	return -1;
}

/* Each file may need a block more for where it lies. 0 or a positive errno. */
static int measure_folder(const char *folder, struct measure *measure)
{
	char *const roots[] = { (char *)(uintptr_t)folder, NULL };
	FTS *walk = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	const FTSENT *entry;

	if (!walk)
		return errno;
	while ((errno = 0, entry = fts_read(walk))) {
		if (entry->fts_info == FTS_DP)
			continue;
		measure->n_inodes++;
		measure->n_blocks += 2;
		if (entry->fts_info == FTS_F || entry->fts_info == FTS_SL || entry->fts_info == FTS_D)
			measure->n_blocks += (uint64_t)entry->fts_statp->st_size / BLOCK_BYTES;
	}
	int rc = errno;
	fts_close(walk);
	return rc;
}

/* Room for inodes and maps too, and for what a folder grows meanwhile; what is not used is a hole. */
static uint64_t image_blocks(const struct measure *measure)
{
	uint64_t n_blocks = measure->n_blocks + measure->n_inodes * INODE_BYTES / BLOCK_BYTES;

	return n_blocks + n_blocks / 16 + 2048;
}

/* Where Debian has it is not in every person's path. */
static char *find_mke2fs(void)
{
	static const char *const places[] = { "/usr/sbin/mke2fs", "/sbin/mke2fs" };
	char *found = g_find_program_in_path("mke2fs");

	for (size_t i = 0; !found && i < G_N_ELEMENTS(places); i++)
		if (access(places[i], X_OK) == 0)
			found = g_strdup(places[i]);
	return found;
}

static gboolean make(int fd, const char *folder, const char *label, const struct measure *measure, GError **error)
{
	g_autofree char *tool = find_mke2fs(), *n_inodes = g_strdup_printf("%" G_GUINT64_FORMAT, measure->n_inodes + 64),
			*n_blocks = g_strdup_printf("%" G_GUINT64_FORMAT, image_blocks(measure));
	/* No journal: nothing is written to it. */
	const char *const text[] = { tool, "-q", "-F", "-t", "ext4", "-b", "4096", "-I", "256", "-m", "0", "-O", "^has_journal",
				     "-E", "lazy_itable_init=1,nodiscard", "-N", n_inodes, "-L", label, "-d", folder, IMAGE_PATH,
				     n_blocks, NULL };
	g_autoptr(GPtrArray) words = g_ptr_array_new();

	if (!tool) {
		fail(error, DOM1_STATUS_HOST, folder, "mke2fs is not installed: apt install e2fsprogs");
		return FALSE;
	}
	for (size_t i = 0; i < G_N_ELEMENTS(text); i++)
		g_ptr_array_add(words, (char *)(uintptr_t)text[i]);
	g_autofree char *reason = helper_program_start(words, fd, NULL);
	if (!reason)
		return TRUE;
	g_autofree char *why = g_strdup_printf("%s: can you read all of it, and is there room for a copy?", reason);
	fail(error, DOM1_STATUS_FILE, folder, why);
	return FALSE;
}

int share_image_open(const char *folder, const char *label, GError **error)
{
	struct measure measure = { 0 };
	g_autofree char *path = NULL;
	int rc, read_fd;

	if (!g_file_test(folder, G_FILE_TEST_IS_DIR))
		return fail(error, DOM1_STATUS_FILE, folder, "there is no such folder");
	rc = measure_folder(folder, &measure);
	if (rc != 0)
		return fail(error, DOM1_STATUS_FILE, folder, g_strerror(rc));
	int fd = block_snapshot_nameless_file();
	if (fd < 0)
		return fail(error, DOM1_STATUS_HOST, folder, g_strerror(errno));
	if (!make(fd, folder, label, &measure, error)) {
		close(fd);
		return -1;
	}
	/* The disk is locked for reading, and written by nobody. */
	path = g_strdup_printf("/proc/self/fd/%d", fd);
	read_fd = open(path, O_RDONLY | O_CLOEXEC);
	close(fd);
	return read_fd >= 0 ? read_fd : fail(error, DOM1_STATUS_HOST, folder, g_strerror(errno));
}
