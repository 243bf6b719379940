// SPDX-License-Identifier: MIT
/*
 * Arguments of hypercalls in the layout of the guest's word size, and in ours. A guest of 32 bits packs words and
 * handles in 4 bytes and 64-bit numbers without alignment; a table of fields (abi_layout.def) says where. Code sees
 * the native structure only. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define STRUCT(tag, bytes64, bytes32) ABI_##tag,
#define FIELD(tag, member, offset32, bytes32)
#define END(tag)
#define SAME(type, bytes)
enum abi_layout {
#include "xen/abi_layout.def"
	N_ABI_LAYOUTS
};
#undef STRUCT
#undef FIELD
#undef END
#undef SAME

/* Of any structure in the table, in either layout. */
#define ABI_LAYOUT_MAX_BYTES 64u

size_t abi_layout_bytes(enum abi_layout layout, bool is_64bit);

/* Fields are widened with zeros. What a 32-bit layout does not have is zero. */
void abi_layout_decode(enum abi_layout layout, bool is_64bit, const void *guest, void *native);

/* Fields are cut to their width; padding is zero. */
void abi_layout_encode(enum abi_layout layout, bool is_64bit, const void *native, void *guest);
