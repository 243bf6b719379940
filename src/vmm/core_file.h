// SPDX-License-Identifier: MIT
/* The file of a core: bytes at their places, and holes where there are zeros. What goes wrong is known at the end. */
#pragma once

#include <stdint.h>
#include <stdlib.h>

#define CORE_PAGE_BYTES 4096u

struct core_file {
	int fd;
	int error; /* 0, or the first errno; nothing is written after that */
};

/* Empties the file, and makes it as long as that, of zeros. */
void core_file_start(struct core_file *file, uint64_t len_bytes);
void core_file_write(struct core_file *file, const void *bytes, size_t len_bytes, uint64_t offset_bytes);
/* A page of zeros is not written. */
void core_file_write_page(struct core_file *file, const uint8_t *page, uint64_t offset_bytes);
