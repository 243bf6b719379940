// SPDX-License-Identifier: MIT
/* All of some bytes into a file that does not refuse for a moment. read_whole.h is the other direction. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* 0 or a positive errno; something may have been written then. Who calls it needs the system call write. */
int write_whole(int fd, const void *bytes, size_t len_bytes);

/* The same at a place in the file, by pwrite64. */
int write_whole_at(int fd, const void *bytes, size_t len_bytes, uint64_t offset_bytes);
