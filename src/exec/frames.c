// SPDX-License-Identifier: MIT
#include "exec/frames.h"

#include <string.h>

static bool header_is_good(uint8_t type, size_t len_bytes)
{
	switch (type) {
	case EXEC_READY:
		return len_bytes == 0;
	case EXEC_OUTPUT:
	case EXEC_ERROR:
		return len_bytes > 0 && len_bytes <= EXEC_PAYLOAD_BYTES;
	case EXEC_STATUS:
		return len_bytes == 1;
	default:
		return false;
	}
}

bool exec_frames_feed(struct exec_frames *frames, const uint8_t *bytes, size_t len_bytes, exec_frame_seen seen, void *opaque)
{
	while (len_bytes > 0) {
		size_t wanted_bytes = EXEC_HEADER_BYTES;

		if (frames->n_bytes >= EXEC_HEADER_BYTES)
			wanted_bytes += frames->bytes[1] | (size_t)frames->bytes[2] << 8;
		size_t taken_bytes = wanted_bytes - frames->n_bytes;
		if (taken_bytes > len_bytes)
			taken_bytes = len_bytes;
		memcpy(frames->bytes + frames->n_bytes, bytes, taken_bytes);
		frames->n_bytes += taken_bytes;
		bytes += taken_bytes;
		len_bytes -= taken_bytes;
		if (frames->n_bytes < EXEC_HEADER_BYTES)
			return true;
		size_t payload_bytes = frames->bytes[1] | (size_t)frames->bytes[2] << 8;
		if (!header_is_good(frames->bytes[0], payload_bytes))
			return false;
		if (frames->n_bytes == EXEC_HEADER_BYTES + payload_bytes) {
			frames->n_bytes = 0;
			seen(frames->bytes[0], frames->bytes + EXEC_HEADER_BYTES, payload_bytes, opaque);
		}
	}
	return true;
}

void exec_frame_header(uint8_t header[EXEC_HEADER_BYTES], uint8_t type, size_t len_bytes)
{
	header[0] = type;
	header[1] = (uint8_t)len_bytes;
	header[2] = (uint8_t)(len_bytes >> 8);
}
