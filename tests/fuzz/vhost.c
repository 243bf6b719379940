// SPDX-License-Identifier: MIT
/*
 * What a vhost-user back end sends: answers to what it is asked, and requests of its own in between, of which the header is
 * sensible as often as not. Each is taken or ends the connection; what is mapped by them never overlaps; every descriptor is
 * closed in the end.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <glib.h>

#include "bytes.h"
#include "vhost/link.h"
#include "vhost/maps.h"

#define REGION_BYTES (UINT64_C(4) << 20)
#define SHMID        3u

struct back_end {
	struct vhost_link link;
	struct vhost_maps maps;
};

static void serve(void *opaque)
{
	struct back_end *end = opaque;
	struct vhost_asked asked;

	if (!vhost_take_request(&end->link, &asked))
		return;
	int error = vhost_check_map(&asked, SHMID, REGION_BYTES);
	if (error == 0 && asked.header.request == VHOST_USER_BACKEND_SHMEM_MAP && !vhost_maps_add(&end->maps, asked.map.shm_offset_bytes, asked.map.len_bytes))
		error = EEXIST;
	else if (error == 0 && asked.header.request == VHOST_USER_BACKEND_SHMEM_UNMAP)
		error = vhost_maps_remove(&end->maps, asked.map.shm_offset_bytes, asked.map.len_bytes) ? 0 : EINVAL;
	vhost_answer(&end->link, &asked, error);
	if (asked.fd >= 0)
		close(asked.fd);
	for (size_t i = 0; i < end->maps.n; i++) {
		const struct vhost_map *map = &end->maps.maps[i];

		g_assert_cmpuint(map->offset_bytes + map->len_bytes, <=, REGION_BYTES);
		if (i > 0)
			g_assert_cmpuint(map[-1].offset_bytes + map[-1].len_bytes, <=, map->offset_bytes);
	}
}

static void send_piece(int fd, struct input *input, uint32_t likely_request, uint32_t likely_flags, uint32_t likely_bytes)
{
	const uint8_t what = next(input);
	struct vhost_user_header header = { what & 1 ? likely_request : next(input), what & 2 ? likely_flags : next32(input),
					    what & 4 ? likely_bytes : next32(input) };
	uint8_t piece[sizeof(header) + 64] = { 0 };
	union {
		struct cmsghdr header;
		uint8_t bytes[CMSG_SPACE(2 * sizeof(int))];
	} control = { 0 };
	size_t n = sizeof(header), n_fds = what >> 6 & 3;
	struct iovec iov = { piece, 0 };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };

	memcpy(piece, &header, sizeof(header));
	for (uint32_t i = 0; i < MIN(header.len_bytes, 64) && (what & 8 || input->at < input->end); i++)
		piece[n++] = what & 16 && i % 8 < 1 ? 0 : next(input) & (what & 32 ? 0x30 : 0xff);
	if (what & 16 && likely_bytes == sizeof(struct vhost_user_mmap))
		piece[sizeof(header)] = SHMID;
	iov.iov_len = n;
	if (n_fds > 0 && n_fds < 3) {
		const int fds[2] = { fd, fd };

		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		control.header = (struct cmsghdr){ .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(n_fds * sizeof(int)) };
		memcpy(CMSG_DATA(&control.header), fds, n_fds * sizeof(int));
	}
	ssize_t sent = sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	(void)sent;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len_bytes)
{
	struct input input = { bytes, bytes + len_bytes };
	struct back_end *end = g_new0(struct back_end, 1);
	int fds[2], channel_fds[2];
	uint64_t number;

	g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
	g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channel_fds), ==, 0);
	end->link = (struct vhost_link){ .fd = fds[0], .channel_fd = channel_fds[0], .protocol = ~UINT64_C(0), .on_request = serve, .opaque = end };
	/* All of it is there, and then the end: nobody waits. */
	for (unsigned int i = 0; i < 32 && input.at < input.end; i++) {
		if (next(&input) & 3)
			send_piece(channel_fds[1], &input, next(&input) & 1 ? VHOST_USER_BACKEND_SHMEM_MAP : VHOST_USER_BACKEND_SHMEM_UNMAP,
				   VHOST_FLAGS_VERSION | (next(&input) & VHOST_FLAG_NEED_REPLY), sizeof(struct vhost_user_mmap));
		else
			send_piece(fds[1], &input, VHOST_USER_GET_FEATURES, VHOST_FLAGS_VERSION | VHOST_FLAG_REPLY, sizeof(number));
	}
	shutdown(fds[1], SHUT_WR);
	shutdown(channel_fds[1], SHUT_WR);
	for (unsigned int i = 0; i < 33 && end->link.channel_fd >= 0; i++)
		serve(end);
	while (vhost_ask(&end->link, VHOST_USER_GET_FEATURES, NULL, 0, &number, sizeof(number), sizeof(number), NULL))
		;
	g_assert_cmpint(end->link.fd, ==, -1);
	vhost_close(&end->link);
	close(fds[1]);
	close(channel_fds[1]);
	g_free(end);
	return 0;
}
