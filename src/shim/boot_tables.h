// SPDX-License-Identifier: MIT
/*
 * What boot_plan.c decides and the two boot protocols write down. A protocol is a pair of functions: how many bytes
 * do its tables take, and write them for a given place. Both walk the same structures in the same order.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <glib.h>

#include "shim/boot_plan.h"

enum { BOOT_MAX_MODULES = 2 };

/* A module where the plan has put it. */
struct boot_module {
	uint32_t gpa;
	uint32_t len_bytes;
	const char *string; /* its command line, never NULL */
};

struct boot_modules {
	struct boot_module list[BOOT_MAX_MODULES];
	uint32_t n;
};

/* Fills a block that will lie at base_gpa. With bytes == NULL it only counts. */
struct table_writer {
	uint8_t *bytes;
	uint32_t base_gpa;
	uint32_t used_bytes;
};

/* Appends len bytes at an address aligned to 8, and returns that address. */
static inline uint32_t table_append(struct table_writer *writer, const void *data, size_t len)
{
	uint32_t offset = (writer->used_bytes + 7) & ~UINT32_C(7);

	if (writer->bytes != NULL)
		memcpy(writer->bytes + offset, data, len);
	writer->used_bytes = offset + (uint32_t)len;
	return writer->base_gpa + offset;
}

static inline uint32_t table_append_string(struct table_writer *writer, const char *string)
{
	return table_append(writer, string, strlen(string) + 1);
}
