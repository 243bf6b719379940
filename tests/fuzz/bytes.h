// SPDX-License-Identifier: MIT
/* Bytes of a fuzzer's input as numbers; behind its end there are zeros. */
#pragma once

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len_bytes);

struct input {
	const uint8_t *at, *end;
};

static inline uint8_t next(struct input *input)
{
	return input->at < input->end ? *input->at++ : 0;
}

static inline uint32_t next32(struct input *input)
{
	uint32_t value = 0;

	for (unsigned int i = 0; i < 4; i++)
		value = value << 8 | next(input);
	return value;
}
