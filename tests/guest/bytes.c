// SPDX-License-Identifier: MIT
#include "bytes.h"

#include <stdint.h>

void *memset(void *at, int byte, size_t len_bytes)
{
	uint8_t *to = at;

	for (size_t i = 0; i < len_bytes; i++)
		to[i] = (uint8_t)byte;
	return at;
}

void *memcpy(void *to, const void *from, size_t len_bytes)
{
	for (size_t i = 0; i < len_bytes; i++)
		((uint8_t *)to)[i] = ((const uint8_t *)from)[i];
	return to;
}

int memcmp(const void *a, const void *b, size_t len_bytes)
{
	for (size_t i = 0; i < len_bytes; i++)
		if (((const uint8_t *)a)[i] != ((const uint8_t *)b)[i])
			return 1;
	return 0;
}
