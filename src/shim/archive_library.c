// SPDX-License-Identifier: MIT
#include "shim/archive_library.h"

#include <stddef.h>

#include "vmm/shared_library.h"

bool archive_library_open(struct archive_library *library, const char **why)
{
#define FUNCTION(name) { offsetof(struct archive_library, name), "archive_" #name }
	static const struct shared_function functions[] = {
		FUNCTION(read_new),
		FUNCTION(read_support_format_raw),
		FUNCTION(read_append_filter),
		FUNCTION(read_open_memory),
		FUNCTION(read_next_header),
		FUNCTION(read_data_block),
		FUNCTION(error_string),
	};
#undef FUNCTION

	return shared_library_open(DOM1_LIBARCHIVE, library, functions, sizeof(functions) / sizeof(functions[0]), why);
}
