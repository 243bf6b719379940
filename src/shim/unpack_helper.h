// SPDX-License-Identifier: MIT
/*
 * Runs one decompressor in a process that can do nothing but read its input and write its output.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <glib.h>

#include "shim/kernel_image.h"

struct unpack_limits {
	uint64_t output_bytes;
	uint64_t memory_bytes; /* beside what the process has mapped already */
	uint32_t cpu_seconds;
};

/*
 * Unpacks packed into out_fd (a regular file or memfd, at its end). FALSE and DOM1_STATUS_FILE: the stream is damaged
 * or goes over a limit; DOM1_STATUS_HOST: the host has no process or no space for it. name is for messages.
 *
 * The caller has one thread. System calls: pipe2, fork (clone), read, wait4, close; the helper's stand in
 * unpack_helper.c beside its filter.
 */
gboolean unpack_in_helper(const uint8_t *packed, size_t packed_len, enum kernel_compression compression,
			  const struct unpack_limits *limits, int out_fd, const char *name, GError **error);
