// SPDX-License-Identifier: MIT
#include "vmm/mapped_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/error.h"

gboolean mapped_file_open(struct mapped_file *file, const char *path, const char *what, GError **error)
{
	struct stat status;
	const char *reason = NULL, *remedy = "check its path and who may read it";
	/* O_NONBLOCK: opening a FIFO must not wait for a writer. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	*file = (struct mapped_file){ 0 };
	if (fd < 0 || fstat(fd, &status) != 0)
		reason = g_strerror(errno);
	else if (!S_ISREG(status.st_mode))
		reason = S_ISDIR(status.st_mode) ? "a directory, not a regular file" : "not a regular file", remedy = "give a file";
	else if (status.st_size == 0)
		reason = "the file is empty", remedy = "get it again";
	if (!reason) {
		void *bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);

		if (bytes == MAP_FAILED) {
			reason = g_strerror(errno);
		} else {
			file->bytes = bytes;
			file->len_bytes = (size_t)status.st_size;
			file->fd = fd;
		}
	}
	if (reason && fd >= 0)
		close(fd);
	if (reason)
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_FILE, "%s: cannot use it as the %s: %s: %s", path, what, reason,
			    remedy);
	return reason == NULL;
}

void mapped_file_close(struct mapped_file *file)
{
	if (file->bytes) {
		munmap((void *)(uintptr_t)file->bytes, file->len_bytes);
		close(file->fd);
	}
	*file = (struct mapped_file){ 0 };
}
