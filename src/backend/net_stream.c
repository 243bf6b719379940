// SPDX-License-Identifier: MIT
#include "backend/net_stream.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/param.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "backend/net_frame.h"

/* With what goes before and behind the guest's pages. */
#define IOV_MAX_ROOM 40u
#define SKIP_BYTES   16384u

static void begin_frame(struct net_link *link)
{
	link->header_bytes = link->frame_bytes = link->have_bytes = 0;
	link->skipping = false;
}

/* syscalls(io, io_sync): close fcntl(F_DUPFD_CLOEXEC) */
void net_stream_set_peer(struct net_link *link, int fd)
{
	if (link->fd >= 0)
		close(link->fd);
	if (link->writing_fd >= 0)
		close(link->writing_fd);
	link->fd = fd;
	link->writing_fd = fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 3) : -1;
	link->kept_at = link->kept_end = 0;
	begin_frame(link);
}

void net_stream_forget(struct net_link *link)
{
	link->skipping = link->skipping || link->have_bytes > 0;
}

/* syscalls(io, io_sync): accept4 */
bool net_stream_accept(struct net_link *link)
{
	int fd = accept4(link->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd >= 0)
		net_stream_set_peer(link, fd);
	return fd >= 0;
}

static bool would_block(void)
{
	return errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM;
}

/* At offset -1 these two are writev() and readv(). SIGPIPE is ignored here. */
static ssize_t send_all(int fd, const struct iovec *iov, unsigned int n_iov)
{
	ssize_t sent;

	do
		sent = pwritev2(fd, iov, (int)n_iov, -1, RWF_NOWAIT);
	while (sent < 0 && errno == EINTR);
	return sent;
}

/* The end of a frame that has begun: it must follow, and the guest wants its pages back. */
static void keep_rest(struct net_link *link, const struct iovec *iov, unsigned int n_iov, size_t sent_bytes)
{
	link->kept_at = link->kept_end = 0;
	for (unsigned int i = 0; i < n_iov; i++) {
		if (sent_bytes >= iov[i].iov_len) {
			sent_bytes -= iov[i].iov_len;
			continue;
		}
		memcpy(link->kept + link->kept_end, (const uint8_t *)iov[i].iov_base + sent_bytes, iov[i].iov_len - sent_bytes);
		link->kept_end += iov[i].iov_len - sent_bytes;
		sent_bytes = 0;
	}
}

enum net_sent net_stream_send(struct net_link *link, struct iovec *iov, unsigned int n_iov, size_t frame_bytes)
{
	const uint8_t header[4] = { (uint8_t)(frame_bytes >> 24), (uint8_t)(frame_bytes >> 16), (uint8_t)(frame_bytes >> 8),
				    (uint8_t)frame_bytes };

	if (link->fd < 0)
		return NET_DROPPED;
	iov[0] = (struct iovec){ (void *)(uintptr_t)header, sizeof(header) };
	ssize_t sent = send_all(link->fd, iov, n_iov);
	if (sent < 0 && !would_block())
		return NET_DROPPED; /* reading tells that the peer is gone */
	if ((size_t)MAX(sent, 0) == sizeof(header) + frame_bytes)
		return NET_SENT;
	/* The guest waits, as it would for a full wire, rather than losing what it has to send again. */
	keep_rest(link, iov, n_iov, (size_t)MAX(sent, 0));
	return NET_SENT_FULL;
}

bool net_stream_flush(struct net_link *link)
{
	while (link->fd >= 0 && link->kept_at < link->kept_end) {
		const struct iovec rest = { link->kept + link->kept_at, link->kept_end - link->kept_at };
		ssize_t sent = send_all(link->fd, &rest, 1);

		if (sent < 0)
			return !would_block();
		link->kept_at += (size_t)sent;
	}
	return true;
}

static ssize_t receive(int fd, struct iovec *iov, unsigned int n_iov)
{
	ssize_t got;

	do
		got = preadv2(fd, iov, (int)n_iov, -1, RWF_NOWAIT);
	while (got < 0 && errno == EINTR);
	return got;
}

static enum net_received why_not(const struct net_link *link, ssize_t got)
{
	return link->fd < 0 || (got < 0 && would_block()) ? NET_NOTHING : NET_ENDED;
}

/* FALSE: no frame has this length. */
static bool read_length(struct net_link *link)
{
	link->frame_bytes = (uint32_t)link->header[0] << 24 | (uint32_t)link->header[1] << 16 | (uint32_t)link->header[2] << 8 |
			    link->header[3];
	return link->frame_bytes >= NET_ETHERNET_BYTES && link->frame_bytes <= NET_FRAME_MAX;
}

static enum net_received receive_header(struct net_link *link)
{
	while (link->header_bytes < sizeof(link->header)) {
		struct iovec rest = { link->header + link->header_bytes, sizeof(link->header) - link->header_bytes };
		ssize_t got = link->fd < 0 ? -1 : receive(link->fd, &rest, 1);

		if (got <= 0)
			return why_not(link, got);
		link->header_bytes += (unsigned int)got;
	}
	return read_length(link) ? NET_FRAME : NET_ENDED;
}

static enum net_received skip_frame(struct net_link *link)
{
	uint8_t bytes[SKIP_BYTES];

	while (link->have_bytes < link->frame_bytes) {
		struct iovec rest = { bytes, MIN(sizeof(bytes), link->frame_bytes - link->have_bytes) };
		ssize_t got = receive(link->fd, &rest, 1);

		if (got <= 0)
			return why_not(link, got);
		link->have_bytes += (uint32_t)got;
	}
	begin_frame(link);
	return NET_LOST;
}

/* The rest of the frame into the pages, and what follows it is the next one's length: one system call a frame. */
static unsigned int aim(struct net_link *link, const struct iovec *pages, unsigned int n_pages, struct iovec *to)
{
	size_t skip_bytes = link->have_bytes, left_bytes = link->frame_bytes - link->have_bytes;
	unsigned int n = 0;

	for (unsigned int i = 0; i < n_pages && left_bytes > 0; i++) {
		if (skip_bytes >= pages[i].iov_len) {
			skip_bytes -= pages[i].iov_len;
			continue;
		}
		to[n] = (struct iovec){ (uint8_t *)pages[i].iov_base + skip_bytes, MIN(pages[i].iov_len - skip_bytes, left_bytes) };
		left_bytes -= to[n++].iov_len;
		skip_bytes = 0;
	}
	to[n++] = (struct iovec){ link->header, sizeof(link->header) };
	return n;
}

enum net_received net_stream_receive(struct net_link *link, struct iovec *iov, unsigned int n_iov, size_t room_bytes,
				     size_t *bytes)
{
	struct iovec to[IOV_MAX_ROOM];

	if (link->frame_bytes == 0) {
		enum net_received header = receive_header(link);

		if (header != NET_FRAME)
			return header;
	}
	if (link->skipping)
		return skip_frame(link);
	*bytes = link->frame_bytes;
	if (room_bytes < link->frame_bytes)
		return NET_MORE_ROOM;
	while (link->have_bytes < link->frame_bytes) {
		ssize_t got = receive(link->fd, to, aim(link, iov + 1, n_iov - 1, to));

		if (got <= 0)
			return why_not(link, got);
		link->have_bytes += (uint32_t)got;
	}
	/* Some of the next one's length may have come, or all. */
	const uint32_t more_bytes = link->have_bytes - link->frame_bytes;
	begin_frame(link);
	link->header_bytes = more_bytes;
	return NET_FRAME;
}
