// SPDX-License-Identifier: MIT
/*
 * The host's side of dom1 exec's wire (wire.h): a stream of bytes, in pieces of any size, as frames. The other side is a
 * guest, and may lie. Pure; one user.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "exec/wire.h"

struct exec_frames {
	uint8_t bytes[EXEC_HEADER_BYTES + EXEC_PAYLOAD_BYTES];
	size_t n_bytes; /* of the frame that is not complete yet */
};

/* type: one of init's; payload: valid during the call. */
typedef void (*exec_frame_seen)(uint8_t type, const uint8_t *payload, size_t len_bytes, void *opaque);

/* FALSE: what came is no frame, and nothing more makes sense. All that came before has been seen. */
bool exec_frames_feed(struct exec_frames *frames, const uint8_t *bytes, size_t len_bytes, exec_frame_seen seen, void *opaque);

/* Writes the header of a frame; len_bytes: EXEC_PAYLOAD_BYTES at most. */
void exec_frame_header(uint8_t header[EXEC_HEADER_BYTES], uint8_t type, size_t len_bytes);
