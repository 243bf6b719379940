// SPDX-License-Identifier: MIT
#include "vmm/shared_library.h"

#include <dlfcn.h>

bool shared_library_open(const char *soname, void *table, const struct shared_function *functions, size_t n_functions,
			 const char **why)
{
	void *handle = dlopen(soname, RTLD_NOW | RTLD_LOCAL);

	for (size_t i = 0; handle && i < n_functions; i++) {
		void *function = dlsym(handle, functions[i].symbol);

		if (!function)
			handle = NULL;
		*(void **)((char *)table + functions[i].offset) = function;
	}
	if (!handle)
		*why = dlerror();
	return handle != NULL;
}
