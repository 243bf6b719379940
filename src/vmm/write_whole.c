// SPDX-License-Identifier: MIT
#include "vmm/write_whole.h"

#include <errno.h>
#include <sys/types.h>
#include <unistd.h>

/* offset_bytes: negative, where the file is. */
static int write_pieces(int fd, const uint8_t *from, size_t len_bytes, off_t offset_bytes)
{
	size_t done = 0;

	while (done < len_bytes) {
		ssize_t written = offset_bytes < 0 ? write(fd, from + done, len_bytes - done) :
						     pwrite(fd, from + done, len_bytes - done, offset_bytes + (off_t)done);

		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			return written < 0 ? errno : ENOSPC;
		done += (size_t)written;
	}
	return 0;
}

int write_whole(int fd, const void *bytes, size_t len_bytes)
{
	return write_pieces(fd, bytes, len_bytes, -1);
}

int write_whole_at(int fd, const void *bytes, size_t len_bytes, uint64_t offset_bytes)
{
	return write_pieces(fd, bytes, len_bytes, (off_t)offset_bytes);
}
