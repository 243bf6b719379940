// SPDX-License-Identifier: MIT
/*
 * What passt sends: frames with their length before them, in pieces of any size, to a guest that has little room now and then.
 * A frame of a length that there is comes as it was sent; another length ends the connection.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <glib.h>

#include "backend/net_link.h"
#include "bytes.h"

#define ROOM_BYTES 8192u

static uint8_t room[ROOM_BYTES];

/* FALSE: it has ended. */
static bool receive_all(struct net_link *link, size_t room_bytes)
{
	for (unsigned int i = 0; i < 64; i++) {
		struct iovec iov[3] = { { 0 }, { room, room_bytes / 2 }, { room + room_bytes / 2, room_bytes - room_bytes / 2 } };
		struct net_offload offload;
		size_t bytes = 0;

		switch (net_link_receive(link, 0, iov, 3, room_bytes, &offload, &bytes)) {
		case NET_FRAME:
			g_assert_cmpuint(bytes, >, 0);
			g_assert_cmpuint(bytes, <=, room_bytes);
			break;
		case NET_MORE_ROOM:
			g_assert_cmpuint(bytes, >, room_bytes);
			g_assert_cmpuint(bytes, <=, NET_FRAME_MAX);
			if (room_bytes == ROOM_BYTES)
				net_link_skip(link);
			room_bytes = ROOM_BYTES;
			break;
		case NET_LOST:
			break;
		case NET_NOTHING:
			return true;
		default:
			return false;
		}
	}
	return true;
}

static void send_piece(int fd, struct input *input)
{
	const uint8_t what = next(input);
	uint8_t piece[260] = { 0 };
	size_t n = 0;

	/* A length that there is, as often as not. */
	if (what & 1) {
		const uint32_t len_bytes = what & 2 ? 14u + next(input) : what & 4 ? next32(input) % 70000u : next32(input);

		for (unsigned int i = 0; i < 4; i++)
			piece[n++] = (uint8_t)(len_bytes >> (24 - 8 * i));
	}
	for (unsigned int more = next(input); more > 0; more--)
		piece[n++] = next(input);
	ssize_t sent = send(fd, piece, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	(void)sent;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len_bytes)
{
	struct input input = { bytes, bytes + len_bytes };
	struct net_link link;
	int fds[2];

	g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), ==, 0);
	g_assert_true(net_link_init_stream(&link, fds[0], -1, true));
	bool alive = true;
	while (alive && input.at < input.end) {
		send_piece(fds[1], &input);
		if (next(&input) % 8 == 0)
			net_link_forget(&link);
		alive = receive_all(&link, next(&input) % 4 == 0 ? 100 : ROOM_BYTES);
	}
	net_link_fini(&link);
	close(fds[1]);
	return 0;
}
