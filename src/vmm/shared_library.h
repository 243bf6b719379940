// SPDX-License-Identifier: MIT
/* Libraries that are loaded when they are needed, with their functions in a table. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct shared_function {
	size_t offset; /* of its pointer in the table */
	const char *symbol;
};

/* False: *why is a line of text, valid until the next call. It is never closed. */
bool shared_library_open(const char *soname, void *table, const struct shared_function *functions, size_t n_functions,
			 const char **why);
