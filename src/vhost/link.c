// SPDX-License-Identifier: MIT
#include "vhost/link.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PAGE_BYTES 4096u
#define MAX_FDS    VHOST_MAX_REGIONS
#define NS_PER_MS  1000000
#define MS_PER_S   1000

/* Whoever uses a link has these. syscalls(vhost): sendmsg recvmsg poll shutdown close clock_gettime */

static bool has(const struct vhost_link *link, unsigned int feature)
{
	return link->protocol >> feature & 1;
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * MS_PER_S + now.tv_nsec / NS_PER_MS;
}

/* The launcher has these sockets, too: the other side is to see the end at once. */
void vhost_close(struct vhost_link *link)
{
	if (link->fd >= 0) {
		shutdown(link->fd, SHUT_RDWR);
		close(link->fd);
	}
	if (link->channel_fd >= 0)
		close(link->channel_fd);
	link->fd = link->channel_fd = -1;
}

/* It ends for this reason. */
static bool give_up(struct vhost_link *link, int why)
{
	vhost_close(link);
	errno = why;
	return false;
}

/* TRUE: fd has events. The back end's requests are served meanwhile. FALSE: errno. */
static bool await(struct vhost_link *link, short events, int64_t deadline_ms)
{
	for (;;) {
		struct pollfd fds[] = { { .fd = link->fd, .events = events },
					{ .fd = link->on_request ? link->channel_fd : -1, .events = POLLIN } };
		int64_t left_ms = deadline_ms - now_ms();
		int n = left_ms > 0 ? poll(fds, 2, (int)left_ms) : 0;

		if (n == 0)
			errno = ETIMEDOUT;
		if (n == 0 || (n < 0 && errno != EINTR))
			return false;
		if (n > 0 && fds[1].revents)
			link->on_request(link->opaque);
		if (n > 0 && fds[0].revents)
			return true;
		if (link->fd < 0) {
			errno = ENOTCONN;
			return false;
		}
	}
}

static bool send_all(struct vhost_link *link, const void *bytes, size_t len_bytes, const int *fds, size_t n_fds)
{
	union {
		struct cmsghdr header;
		uint8_t bytes[CMSG_SPACE(MAX_FDS * sizeof(int))];
	} control = { 0 };
	int64_t deadline_ms = now_ms() + VHOST_ANSWER_MS;
	size_t sent = 0;

	while (sent < len_bytes) {
		struct iovec iov = { (uint8_t *)(uintptr_t)bytes + sent, len_bytes - sent };
		struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };

		if (sent == 0 && n_fds > 0) {
			message.msg_control = &control;
			message.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
			control.header = (struct cmsghdr){ .cmsg_level = SOL_SOCKET,
							   .cmsg_type = SCM_RIGHTS,
							   .cmsg_len = CMSG_LEN(n_fds * sizeof(int)) };
			memcpy(CMSG_DATA(&control.header), fds, n_fds * sizeof(int));
		}
		ssize_t done = sendmsg(link->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (done > 0)
			sent += (size_t)done;
		else if (errno == EAGAIN ? !await(link, POLLOUT, deadline_ms) : errno != EINTR)
			return give_up(link, errno);
	}
	return true;
}

static bool send_message(struct vhost_link *link, uint32_t request, uint32_t flags, const void *bytes, size_t len_bytes,
			 const int *fds, size_t n_fds)
{
	struct {
		struct vhost_user_header header;
		uint8_t bytes[sizeof(struct vhost_user_config) + sizeof(struct vhost_user_memory)];
	} message = { .header = { request, VHOST_FLAGS_VERSION | flags, (uint32_t)len_bytes } };

	static_assert(MAX_FDS <= VHOST_MAX_REGIONS, "one each");
	if (link->fd < 0 || len_bytes > sizeof(message.bytes)) {
		errno = link->fd < 0 ? ENOTCONN : EMSGSIZE;
		return false;
	}
	if (len_bytes > 0)
		memcpy(message.bytes, bytes, len_bytes);
	return send_all(link, &message, sizeof(message.header) + len_bytes, fds, n_fds);
}

bool vhost_send(struct vhost_link *link, enum vhost_request request, const void *bytes, size_t len_bytes, const int *fds,
		size_t n_fds)
{
	return send_message(link, request, 0, bytes, len_bytes, fds, n_fds);
}

/* Descriptors that came, of which fd gets the first one: *n counts them; the others are closed. */
static void take_fds(struct msghdr *message, int *fd, size_t *n)
{
	if (message->msg_flags & MSG_CTRUNC)
		(*n)++;
	for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header; header = CMSG_NXTHDR(message, header)) {
		if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < (header->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++, (*n)++) {
			int came;

			memcpy(&came, CMSG_DATA(header) + i * sizeof(int), sizeof(int));
			if (*n == 0 && fd)
				*fd = came;
			else
				close(came);
		}
	}
}

/* All len_bytes, before the deadline. fd: NULL, none may come. FALSE: errno; ENODATA: the other side has ended. */
static bool receive_all(struct vhost_link *link, int from_fd, void *bytes, size_t len_bytes, int *fd, int64_t deadline_ms)
{
	size_t got = 0, n_fds = 0;

	while (got < len_bytes) {
		union {
			struct cmsghdr header;
			uint8_t bytes[CMSG_SPACE(MAX_FDS * sizeof(int))];
		} control;
		struct iovec iov = { (uint8_t *)bytes + got, len_bytes - got };
		struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
		ssize_t n = recvmsg(from_fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);

		if (n > 0) {
			take_fds(&message, got == 0 ? fd : NULL, &n_fds);
			got += (size_t)n;
		} else if (n == 0) {
			errno = ENODATA;
			return false;
		} else if (errno == EAGAIN && from_fd == link->fd) {
			if (!await(link, POLLIN, deadline_ms))
				return false;
		} else if (errno == EAGAIN) {
			struct pollfd waits = { .fd = from_fd, .events = POLLIN };
			int64_t left_ms = deadline_ms - now_ms();

			if (left_ms <= 0 || poll(&waits, 1, (int)left_ms) == 0) {
				errno = ETIMEDOUT;
				return false;
			}
		} else if (errno != EINTR) {
			return false;
		}
	}
	if (n_fds > (fd ? 1 : 0)) {
		errno = EPROTO;
		return false;
	}
	return true;
}

/* The answer to what was sent last. */
static bool receive_answer(struct vhost_link *link, uint32_t request, void *answer, size_t least_bytes, size_t max_bytes,
			   size_t *answer_bytes)
{
	const uint32_t flags = VHOST_FLAGS_VERSION | VHOST_FLAG_REPLY;
	int64_t deadline_ms = now_ms() + VHOST_ANSWER_MS;
	struct vhost_user_header header;

	if (!receive_all(link, link->fd, &header, sizeof(header), NULL, deadline_ms))
		return give_up(link, errno);
	if (header.request != request || (header.flags & ~VHOST_FLAG_NEED_REPLY) != flags || header.len_bytes < least_bytes ||
	    header.len_bytes > max_bytes)
		return give_up(link, EPROTO);
	if (!receive_all(link, link->fd, answer, header.len_bytes, NULL, deadline_ms))
		return give_up(link, errno);
	if (answer_bytes)
		*answer_bytes = header.len_bytes;
	return true;
}

bool vhost_ask(struct vhost_link *link, enum vhost_request request, const void *bytes, size_t len_bytes, void *answer,
	       size_t least_bytes, size_t max_bytes, size_t *answer_bytes)
{
	return send_message(link, request, 0, bytes, len_bytes, NULL, 0) &&
	       receive_answer(link, request, answer, least_bytes, max_bytes, answer_bytes);
}

bool vhost_send_acknowledged(struct vhost_link *link, enum vhost_request request, const void *bytes, size_t len_bytes,
			     const int *fds, size_t n_fds)
{
	uint64_t refused = 0;

	if (!has(link, VHOST_PROTOCOL_REPLY_ACK))
		return vhost_send(link, request, bytes, len_bytes, fds, n_fds);
	if (!send_message(link, request, VHOST_FLAG_NEED_REPLY, bytes, len_bytes, fds, n_fds) ||
	    !receive_answer(link, request, &refused, sizeof(refused), sizeof(refused), NULL))
		return false;
	if (refused != 0)
		errno = EREMOTEIO;
	return refused == 0;
}

/* A refusal is an answer without bytes of the configuration. */
bool vhost_read_config(struct vhost_link *link, uint8_t bytes[VHOST_CONFIG_BYTES], uint32_t len_bytes, bool *refused)
{
	struct vhost_user_config config = { .len_bytes = len_bytes };
	size_t wanted = VHOST_CONFIG_HEAD_BYTES + len_bytes, got;

	if (!vhost_ask(link, VHOST_USER_GET_CONFIG, &config, wanted, &config, 0, wanted, &got))
		return false;
	*refused = got < wanted;
	if (!*refused)
		memcpy(bytes, config.bytes, len_bytes);
	return true;
}

/* Back ends refuse to read past the end of theirs, and do not say where that is. */
bool vhost_find_config(struct vhost_link *link, uint8_t bytes[VHOST_CONFIG_BYTES], uint32_t *len_bytes)
{
	uint32_t most = VHOST_CONFIG_BYTES, wanted = VHOST_CONFIG_BYTES;
	bool refused;

	memset(bytes, 0, VHOST_CONFIG_BYTES);
	for (*len_bytes = 0; *len_bytes < most; wanted = *len_bytes + (most - *len_bytes + 1) / 2) {
		if (!vhost_read_config(link, bytes, wanted, &refused))
			return false;
		if (refused)
			most = wanted - 1;
		else
			*len_bytes = wanted;
	}
	return true;
}

/* The back end's requests */

static void close_channel(struct vhost_link *link)
{
	close(link->channel_fd);
	link->channel_fd = -1;
}

static bool has_map(uint32_t request)
{
	return request == VHOST_USER_BACKEND_SHMEM_MAP || request == VHOST_USER_BACKEND_SHMEM_UNMAP;
}

bool vhost_take_request(struct vhost_link *link, struct vhost_asked *asked)
{
	uint8_t ignored[VHOST_CONFIG_BYTES];
	int64_t deadline_ms = now_ms() + VHOST_ANSWER_MS;

	*asked = (struct vhost_asked){ .fd = -1 };
	if (link->channel_fd < 0)
		return false;
	bool ok = receive_all(link, link->channel_fd, &asked->header, sizeof(asked->header), &asked->fd, deadline_ms) &&
		  (asked->header.flags & ~VHOST_FLAG_NEED_REPLY) == VHOST_FLAGS_VERSION;
	if (ok && has_map(asked->header.request))
		ok = asked->header.len_bytes == sizeof(asked->map) &&
		     receive_all(link, link->channel_fd, &asked->map, sizeof(asked->map), NULL, deadline_ms);
	else if (ok)
		ok = asked->header.len_bytes <= sizeof(ignored) &&
		     receive_all(link, link->channel_fd, ignored, asked->header.len_bytes, NULL, deadline_ms);
	if (ok)
		return true;
	if (asked->fd >= 0)
		close(asked->fd);
	asked->fd = -1;
	close_channel(link);
	return false;
}

void vhost_answer(struct vhost_link *link, const struct vhost_asked *asked, int error)
{
	const struct {
		struct vhost_user_header header;
		uint64_t refused;
	} __attribute__((packed)) answer = {
		{ asked->header.request, VHOST_FLAGS_VERSION | VHOST_FLAG_REPLY, sizeof(uint64_t) }, (uint64_t)error,
	};

	if (!(asked->header.flags & VHOST_FLAG_NEED_REPLY) || !has(link, VHOST_PROTOCOL_REPLY_ACK) || link->channel_fd < 0)
		return;
	/* So little fits, but for who does not read. */
	struct iovec iov = { (void *)(uintptr_t)&answer, sizeof(answer) };
	const struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };
	if (sendmsg(link->channel_fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)sizeof(answer))
		close_channel(link);
}

int vhost_check_map(const struct vhost_asked *asked, uint8_t shmid, uint64_t region_bytes)
{
	const struct vhost_user_mmap *map = &asked->map;
	const bool maps = asked->header.request == VHOST_USER_BACKEND_SHMEM_MAP;

	if (map->shmid != shmid || (map->shm_offset_bytes | map->len_bytes) % PAGE_BYTES != 0 || map->len_bytes == 0 ||
	    map->shm_offset_bytes > region_bytes || map->len_bytes > region_bytes - map->shm_offset_bytes || maps != (asked->fd >= 0))
		return EINVAL;
	/* Of UNMAP they say nothing. */
	if (maps && (map->fd_offset_bytes % PAGE_BYTES != 0 || map->fd_offset_bytes > INT64_MAX ||
		     map->len_bytes > (uint64_t)INT64_MAX - map->fd_offset_bytes || (map->flags & ~(uint64_t)VHOST_MMAP_WRITE)))
		return EINVAL;
	return 0;
}
