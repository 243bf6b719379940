/* SPDX-License-Identifier: MIT */
/* What the compiler calls by itself, for guests without a library. */
#pragma once

#include <stddef.h>

void *memset(void *at, int byte, size_t len_bytes);
void *memcpy(void *to, const void *from, size_t len_bytes);
int memcmp(const void *a, const void *b, size_t len_bytes); /* not 0: they differ */
