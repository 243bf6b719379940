// SPDX-License-Identifier: MIT
/* All of a range of a file, or nothing of it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* FALSE: errno says why, 0 when the file ends before [offset_bytes, offset_bytes + len_bytes) does. System call: pread64. */
bool read_whole(int fd, void *to, size_t len_bytes, uint64_t offset_bytes);

/* Of such a failure, in words: errno's, or that the file has become shorter. */
const char *read_whole_reason(void);
