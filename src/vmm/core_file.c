// SPDX-License-Identifier: MIT
#include "vmm/core_file.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "vmm/write_whole.h"

/* syscalls(main): ftruncate */
void core_file_start(struct core_file *file, uint64_t len_bytes)
{
	if (ftruncate(file->fd, 0) != 0 || ftruncate(file->fd, (off_t)len_bytes) != 0)
		file->error = errno;
}

/* syscalls(main): pwrite64 */
void core_file_write(struct core_file *file, const void *bytes, size_t len_bytes, uint64_t offset_bytes)
{
	if (file->error == 0)
		file->error = write_whole_at(file->fd, bytes, len_bytes, offset_bytes);
}

static bool is_zero(const uint8_t *page)
{
	return page[0] == 0 && memcmp(page, page + 1, CORE_PAGE_BYTES - 1) == 0;
}

void core_file_write_page(struct core_file *file, const uint8_t *page, uint64_t offset_bytes)
{
	if (!is_zero(page))
		core_file_write(file, page, CORE_PAGE_BYTES, offset_bytes);
}
