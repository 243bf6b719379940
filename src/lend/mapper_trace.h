// SPDX-License-Identifier: MIT
/* A mapper that writes down what is asked of another one: --trace lend. What it copies is not written down. */
#pragma once

#include "lend/mapper.h"

struct trace;

/* All borrowed. */
struct mapper_trace {
	const struct lend_mapper *mapper;
	void *opaque; /* of the mapper */
	const struct trace *trace;
};

extern const struct lend_mapper MAPPER_TRACE; /* opaque: struct mapper_trace */
