// SPDX-License-Identifier: MIT
#include "xen/abi_layout.h"

#include <assert.h>
#include <string.h>

#include "xen/abi_layout_headers.h"

struct field {
	uint8_t offset64, bytes64;
	uint8_t offset32, bytes32;
};

#define STRUCT(tag, bytes64, bytes32) static const struct field FIELDS_##tag[] = {
#define FIELD(tag, member, o32, b32) { offsetof(struct tag, member), sizeof(((struct tag *)0)->member), o32, b32 },
#define END(tag) };
#define SAME(type, bytes) static_assert(sizeof(type) == (bytes), "Xen's public headers");
#include "xen/abi_layout.def"
#undef STRUCT
#undef FIELD
#undef END
#undef SAME

#define STRUCT(tag, b64, b32)                                                                                         \
	static_assert(sizeof(struct tag) == (b64) && (b64) <= ABI_LAYOUT_MAX_BYTES && (b32) <= (b64), "Xen's public headers");
#define FIELD(tag, member, offset32, bytes32)
#define END(tag)
#define SAME(type, bytes)
#include "xen/abi_layout.def"
#undef STRUCT

static const struct {
	const struct field *fields;
	uint8_t n_fields;
	uint8_t bytes64, bytes32;
} LAYOUTS[N_ABI_LAYOUTS] = {
#define STRUCT(tag, b64, b32) { FIELDS_##tag, sizeof(FIELDS_##tag) / sizeof(FIELDS_##tag[0]), b64, b32 },
#include "xen/abi_layout.def"
};

size_t abi_layout_bytes(enum abi_layout layout, bool is_64bit)
{
	return is_64bit ? LAYOUTS[layout].bytes64 : LAYOUTS[layout].bytes32;
}

void abi_layout_decode(enum abi_layout layout, bool is_64bit, const void *guest, void *native)
{
	if (is_64bit) {
		memcpy(native, guest, LAYOUTS[layout].bytes64);
		return;
	}
	memset(native, 0, LAYOUTS[layout].bytes64);
	for (unsigned int i = 0; i < LAYOUTS[layout].n_fields; i++) {
		const struct field *field = &LAYOUTS[layout].fields[i];

		/* x86 keeps the low byte first: widening is copying. */
		memcpy((uint8_t *)native + field->offset64, (const uint8_t *)guest + field->offset32, field->bytes32);
	}
}

void abi_layout_encode(enum abi_layout layout, bool is_64bit, const void *native, void *guest)
{
	if (is_64bit) {
		memcpy(guest, native, LAYOUTS[layout].bytes64);
		return;
	}
	memset(guest, 0, LAYOUTS[layout].bytes32);
	for (unsigned int i = 0; i < LAYOUTS[layout].n_fields; i++) {
		const struct field *field = &LAYOUTS[layout].fields[i];

		memcpy((uint8_t *)guest + field->offset32, (const uint8_t *)native + field->offset64, field->bytes32);
	}
}
