// SPDX-License-Identifier: MIT
#include "saved/new_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "saved/file.h"
#include "vmm/error.h"

static bool fail(GError **error, const char *path, const char *what)
{
	g_set_error(error, DOM1_ERROR, DOM1_STATUS_USAGE, "%s: %s: %s", path, what, g_strerror(errno));
	return false;
}

static char *other_name(const char *path)
{
	return g_strdup_printf("%s.%d~", path, (int)getpid());
}

bool new_file_open(struct new_file *file, const char *path, GError **error)
{
	g_autofree char *folder = g_path_get_dirname(path);

	*file = (struct new_file){ .fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600) };
	if (file->fd >= 0)
		return true;
	if (errno != EOPNOTSUPP && errno != EISDIR)
		return fail(error, path, "cannot write");
	file->name = other_name(path);
	file->fd = open(file->name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (file->fd >= 0)
		return true;
	/* It is another's. */
	g_clear_pointer(&file->name, g_free);
	return fail(error, path, "cannot write");
}

bool new_file_is_whole(const struct new_file *file)
{
	uint8_t page[SAVED_PAGE_BYTES];
	struct saved_header header;
	struct stat status;

	return fstat(file->fd, &status) == 0 && pread(file->fd, page, sizeof(page), 0) == (ssize_t)sizeof(page) &&
	       saved_header_read(&header, page, sizeof(page), (uint64_t)status.st_size, "", NULL);
}

bool new_file_give_name(struct new_file *file, const char *path, GError **error)
{
	if (!file->name) {
		g_autofree char *source = g_strdup_printf("/proc/self/fd/%d", file->fd);
		g_autofree char *name = other_name(path);

		if (linkat(AT_FDCWD, source, AT_FDCWD, name, AT_SYMLINK_FOLLOW) != 0)
			return fail(error, path, "cannot write");
		file->name = g_steal_pointer(&name);
	}
	if (rename(file->name, path) != 0)
		return fail(error, path, "cannot write");
	g_clear_pointer(&file->name, g_free);
	return true;
}

void new_file_close(struct new_file *file)
{
	if (file->name)
		(void)unlink(file->name);
	if (file->fd >= 0)
		close(file->fd);
	g_free(file->name);
	*file = NEW_FILE_NONE;
}
