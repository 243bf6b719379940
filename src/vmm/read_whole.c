// SPDX-License-Identifier: MIT
#include "vmm/read_whole.h"

#include <errno.h>
#include <unistd.h>

#include <glib.h>

/* syscalls(main, loader): pread64 */
bool read_whole(int fd, void *to, size_t len_bytes, uint64_t offset_bytes)
{
	size_t done = 0;

	while (done < len_bytes) {
		ssize_t got = pread(fd, (uint8_t *)to + done, len_bytes - done, (off_t)(offset_bytes + done));

		if (got < 0 && errno == EINTR)
			continue;
		if (got == 0)
			errno = 0;
		if (got <= 0)
			return false;
		done += (size_t)got;
	}
	return true;
}

const char *read_whole_reason(void)
{
	return errno ? g_strerror(errno) : "the file has become shorter";
}
