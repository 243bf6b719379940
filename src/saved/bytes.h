// SPDX-License-Identifier: MIT
/*
 * Values in a saved domain's file: little endian, without padding, one after the other. Pure.
 *
 * Who reads asks for one value after the other and looks at the end whether all of them were there: after a failure every
 * value is 0, and nothing is read any more.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <glib.h>

void saved_put_number(GByteArray *to, uint64_t number, unsigned int n_bytes); /* 1 to 8 */
void saved_put_bytes(GByteArray *to, const void *bytes, size_t len_bytes);
/* Its length, a number of 4 bytes, comes first. */
void saved_put_block(GByteArray *to, const void *bytes, size_t len_bytes);
void saved_put_text(GByteArray *to, const char *text); /* NULL is "" */

static inline void saved_put_u8(GByteArray *to, uint8_t number)
{
	saved_put_number(to, number, 1);
}
static inline void saved_put_u32(GByteArray *to, uint32_t number)
{
	saved_put_number(to, number, 4);
}
static inline void saved_put_u64(GByteArray *to, uint64_t number)
{
	saved_put_number(to, number, 8);
}

struct saved_cursor {
	const uint8_t *at;
	size_t left_bytes;
	bool failed;
};

uint64_t saved_get_number(struct saved_cursor *from, unsigned int n_bytes);
/* More than max is a failure. */
uint32_t saved_get_count(struct saved_cursor *from, uint32_t max);
bool saved_get_flag(struct saved_cursor *from);
/* Into to, as many as asked for; zeros after a failure. */
void saved_get_bytes(struct saved_cursor *from, void *to, size_t len_bytes);
/* In place; NULL after a failure, and for none. Longer than max_bytes is one. */
const uint8_t *saved_get_block(struct saved_cursor *from, size_t max_bytes, size_t *len_bytes);
/* g_free(); "" after a failure. A NUL inside is one. */
char *saved_get_text(struct saved_cursor *from, size_t max_bytes);
/* Without what was to be read, or with something left. */
bool saved_is_wrong(const struct saved_cursor *from);

static inline uint8_t saved_get_u8(struct saved_cursor *from)
{
	return (uint8_t)saved_get_number(from, 1);
}
static inline uint32_t saved_get_u32(struct saved_cursor *from)
{
	return (uint32_t)saved_get_number(from, 4);
}
static inline uint64_t saved_get_u64(struct saved_cursor *from)
{
	return saved_get_number(from, 8);
}
