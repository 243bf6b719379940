// SPDX-License-Identifier: MIT
/*
 * libarchive, loaded when a kernel has to be unpacked and by the process that unpacks it. With the dozen libraries it
 * needs itself it takes longer to load than all else of dom1, and a kernel that lies in the cache needs none of it.
 */
#pragma once

#include <stdbool.h>

#include <archive.h>

/* The functions of <archive.h> that dom1 uses, by their names there without "archive_". */
struct archive_library {
	__typeof__(archive_read_new) *read_new;
	__typeof__(archive_read_support_format_raw) *read_support_format_raw;
	__typeof__(archive_read_append_filter) *read_append_filter;
	__typeof__(archive_read_open_memory) *read_open_memory;
	__typeof__(archive_read_next_header) *read_next_header;
	__typeof__(archive_read_data_block) *read_data_block;
	__typeof__(archive_error_string) *error_string;
};

/* False: *why is a line of text, valid until the next call. It is never closed. */
bool archive_library_open(struct archive_library *library, const char **why);
