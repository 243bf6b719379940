// SPDX-License-Identifier: MIT
/* Sums of what is saved: XXH3 with 64 bits, whose values are the same everywhere (xxHash's specification). Pure. */
#pragma once

#include <stddef.h>
#include <stdint.h>

uint64_t saved_sum(const void *bytes, size_t len_bytes);
