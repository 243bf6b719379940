// SPDX-License-Identifier: MIT
#include "saved/bytes.h"

#include <string.h>

void saved_put_number(GByteArray *to, uint64_t number, unsigned int n_bytes)
{
	uint8_t bytes[8];

	for (unsigned int i = 0; i < n_bytes; i++)
		bytes[i] = (uint8_t)(number >> 8 * i);
	saved_put_bytes(to, bytes, n_bytes);
}

void saved_put_bytes(GByteArray *to, const void *bytes, size_t len_bytes)
{
	if (len_bytes > 0)
		g_byte_array_append(to, bytes, (guint)len_bytes);
}

void saved_put_block(GByteArray *to, const void *bytes, size_t len_bytes)
{
	saved_put_u32(to, (uint32_t)len_bytes);
	saved_put_bytes(to, bytes, len_bytes);
}

void saved_put_text(GByteArray *to, const char *text)
{
	saved_put_block(to, text, text ? strlen(text) : 0);
}

/* NULL: there are not so many. */
static const uint8_t *take(struct saved_cursor *from, size_t len_bytes)
{
	const uint8_t *at = from->at;

	if (from->failed || from->left_bytes < len_bytes) {
		from->failed = true;
		return NULL;
	}
	from->at += len_bytes;
	from->left_bytes -= len_bytes;
	return at;
}

uint64_t saved_get_number(struct saved_cursor *from, unsigned int n_bytes)
{
	const uint8_t *bytes = take(from, n_bytes);
	uint64_t number = 0;

	for (unsigned int i = 0; bytes && i < n_bytes; i++)
		number |= (uint64_t)bytes[i] << 8 * i;
	return number;
}

uint32_t saved_get_count(struct saved_cursor *from, uint32_t max)
{
	uint32_t count = saved_get_u32(from);

	from->failed |= count > max;
	return from->failed ? 0 : count;
}

bool saved_get_flag(struct saved_cursor *from)
{
	uint8_t flag = saved_get_u8(from);

	from->failed |= flag > 1;
	return !from->failed && flag;
}

void saved_get_bytes(struct saved_cursor *from, void *to, size_t len_bytes)
{
	const uint8_t *bytes = take(from, len_bytes);

	if (bytes && len_bytes > 0)
		memcpy(to, bytes, len_bytes);
	else if (len_bytes > 0)
		memset(to, 0, len_bytes);
}

const uint8_t *saved_get_block(struct saved_cursor *from, size_t max_bytes, size_t *len_bytes)
{
	*len_bytes = saved_get_count(from, (uint32_t)MIN(max_bytes, UINT32_MAX));
	const uint8_t *bytes = take(from, *len_bytes);

	if (!bytes)
		*len_bytes = 0;
	return *len_bytes > 0 ? bytes : NULL;
}

char *saved_get_text(struct saved_cursor *from, size_t max_bytes)
{
	size_t len_bytes;
	const uint8_t *bytes = saved_get_block(from, max_bytes, &len_bytes);

	if (bytes && memchr(bytes, 0, len_bytes)) {
		from->failed = true;
		bytes = NULL;
	}
	return bytes ? g_strndup((const char *)bytes, len_bytes) : g_strdup("");
}

bool saved_is_wrong(const struct saved_cursor *from)
{
	return from->failed || from->left_bytes > 0;
}
