// SPDX-License-Identifier: MIT
/* However a guest's stream is cut into pieces: the same frames, or none of what is none. */
#include <string.h>

#include <glib.h>

#include "exec/frames.h"

#define N_FRAMES 40u

struct seen {
	GByteArray *stream; /* the frames, written again */
	unsigned int n;
};

static void write_frame(GByteArray *stream, uint8_t type, const uint8_t *payload, size_t len_bytes)
{
	uint8_t header[EXEC_HEADER_BYTES];

	exec_frame_header(header, type, len_bytes);
	g_byte_array_append(stream, header, sizeof(header));
	g_byte_array_append(stream, payload, (guint)len_bytes);
}

static void on_frame(uint8_t type, const uint8_t *payload, size_t len_bytes, void *opaque)
{
	struct seen *seen = opaque;

	seen->n++;
	write_frame(seen->stream, type, payload, len_bytes);
}

static void add_random_frame(GByteArray *stream, GRand *random)
{
	static const uint8_t types[] = { EXEC_READY, EXEC_OUTPUT, EXEC_ERROR, EXEC_STATUS };
	uint8_t payload[EXEC_PAYLOAD_BYTES], type = types[g_rand_int_range(random, 0, 4)];
	size_t len_bytes = (size_t)(g_rand_boolean(random) ? g_rand_int_range(random, 1, 20) : g_rand_int_range(random, 4000, 4097));

	for (size_t i = 0; i < len_bytes; i++)
		payload[i] = (uint8_t)g_rand_int(random);
	write_frame(stream, type, payload, type == EXEC_READY ? 0 : type == EXEC_STATUS ? 1 : len_bytes);
}

static void test_pieces(void)
{
	GRand *random = g_rand_new_with_seed(7);

	for (unsigned int round = 0; round < 100; round++) {
		g_autoptr(GByteArray) stream = g_byte_array_new(), again = g_byte_array_new();
		struct exec_frames frames = { 0 };
		struct seen seen = { again, 0 };

		for (unsigned int i = 0; i < N_FRAMES; i++)
			add_random_frame(stream, random);
		for (guint at = 0; at < stream->len;) {
			guint piece = (guint)g_rand_int_range(random, 1, round % 2 ? 10 : 9000);

			piece = MIN(piece, stream->len - at);
			g_assert_true(exec_frames_feed(&frames, stream->data + at, piece, on_frame, &seen));
			at += piece;
		}
		g_assert_cmpuint(seen.n, ==, N_FRAMES);
		g_assert_true(again->len == stream->len && memcmp(again->data, stream->data, stream->len) == 0);
	}
	g_rand_free(random);
}

static void test_nonsense(void)
{
	static const uint8_t bad[][EXEC_HEADER_BYTES] = {
		{ 'x', 0, 0 },		  { EXEC_OUTPUT, 0, 0 }, { EXEC_ERROR, 0x01, 0x10 }, { EXEC_OUTPUT, 0xff, 0xff },
		{ EXEC_STATUS, 0, 0 },	  { EXEC_STATUS, 2, 0 }, { EXEC_READY, 1, 0 },	     { EXEC_GO, 0, 0 },
		{ EXEC_INPUT, 1, 0 },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autoptr(GByteArray) stream = g_byte_array_new(), again = g_byte_array_new();
		struct exec_frames frames = { 0 };
		struct seen seen = { again, 0 };

		write_frame(stream, EXEC_OUTPUT, (const uint8_t *)"good", 4);
		g_byte_array_append(stream, bad[i], EXEC_HEADER_BYTES);
		g_assert_false(exec_frames_feed(&frames, stream->data, stream->len, on_frame, &seen));
		g_assert_cmpuint(seen.n, ==, 1);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/exec/frames/pieces", test_pieces);
	g_test_add_func("/exec/frames/nonsense", test_nonsense);
	return g_test_run();
}
