// SPDX-License-Identifier: MIT
#include "shim/archive_library.h"

#include <dlfcn.h>
#include <stddef.h>

bool archive_library_open(struct archive_library *library, const char **why)
{
#define FUNCTION(name) { offsetof(struct archive_library, name), "archive_" #name }
	static const struct {
		size_t offset;
		const char *symbol;
	} functions[] = {
		FUNCTION(read_new),
		FUNCTION(read_support_format_raw),
		FUNCTION(read_append_filter),
		FUNCTION(read_open_memory),
		FUNCTION(read_next_header),
		FUNCTION(read_data_block),
		FUNCTION(error_string),
	};
#undef FUNCTION
	void *handle = dlopen(DOM1_LIBARCHIVE, RTLD_NOW | RTLD_LOCAL);

	for (size_t i = 0; handle && i < sizeof(functions) / sizeof(functions[0]); i++) {
		void *function = dlsym(handle, functions[i].symbol);

		if (!function)
			handle = NULL;
		*(void **)((char *)library + functions[i].offset) = function;
	}
	if (!handle)
		*why = dlerror();
	return handle != NULL;
}
