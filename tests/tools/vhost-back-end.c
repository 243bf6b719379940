// SPDX-License-Identifier: MIT
/*
 * A vhost-user back end for tests: a disk without writes, in whose sector N each 64-bit word is N * 64 and its place, and which
 * has 4 MiB of shared memory, number 3. It does what lines on standard input say, and prints what comes of it:
 *
 *   map OFFSET LENGTH FILE OFFSET ro|rw    unmap OFFSET LENGTH    resize SECTORS    junk    quit
 *
 * usage: vhost-back-end SOCKET SECTORS [mute]    mute: it answers nothing
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <linux/vhost_types.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

#include "vhost/wire.h"

#define SHMID        3u
#define SHMEM_BYTES  (UINT64_C(4) << 20)
#define SECTOR_BYTES 512u

struct region {
	struct vhost_user_region at;
	uint8_t *bytes;
};

struct message {
	uint32_t room; /* so that the rest lies as it is sent */
	struct vhost_user_header header;
	union {
		uint64_t number;
		struct vhost_vring_state state;
		struct vhost_vring_addr address;
		struct vhost_user_memory memory;
		struct vhost_user_config config;
		struct vhost_user_shmem_config shmem;
		struct vhost_user_mmap map;
	} body;
	int fds[VHOST_MAX_REGIONS];
	size_t n_fds;
};

static struct {
	int fd, channel_fd, kick_fd, call_fd;
	struct region regions[VHOST_MAX_REGIONS];
	size_t n_regions;
	unsigned int size;
	struct vhost_vring_addr address;
	uint16_t next;
	bool enabled;
	uint64_t sectors;
} B = { .fd = -1, .channel_fd = -1, .kick_fd = -1, .call_fd = -1 };

static _Noreturn void die(const char *what)
{
	printf("error %s: %s\n", what, strerror(errno));
	exit(1);
}

static bool receive(int fd, struct message *message)
{
	union {
		struct cmsghdr header;
		uint8_t bytes[CMSG_SPACE(sizeof(message->fds))];
	} control;
	struct iovec iov = { &message->header, sizeof(message->header) };
	struct msghdr parts = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };

	message->n_fds = 0;
	if (recvmsg(fd, &parts, MSG_CMSG_CLOEXEC) != (ssize_t)sizeof(message->header))
		return false;
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&parts);
	if (cmsg) {
		message->n_fds = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(message->fds, CMSG_DATA(cmsg), message->n_fds * sizeof(int));
	}
	return message->header.len_bytes <= sizeof(message->body) &&
	       (message->header.len_bytes == 0 ||
		recv(fd, &message->body, message->header.len_bytes, MSG_WAITALL) == (ssize_t)message->header.len_bytes);
}

static void reply(struct message *message, size_t len_bytes)
{
	message->header.flags = VHOST_FLAGS_VERSION | VHOST_FLAG_REPLY;
	message->header.len_bytes = (uint32_t)len_bytes;
	if (send(B.fd, &message->header, sizeof(message->header) + len_bytes, MSG_NOSIGNAL) < 0)
		die("send");
}

static uint8_t *at(uint64_t place, uint64_t len_bytes, bool by_address)
{
	for (size_t i = 0; i < B.n_regions; i++) {
		const struct vhost_user_region *region = &B.regions[i].at;
		uint64_t start = by_address ? region->address : region->gpa;

		if (place >= start && place - start < region->len_bytes && len_bytes <= region->len_bytes - (place - start))
			return B.regions[i].bytes + (place - start);
	}
	errno = EFAULT;
	die("address");
}

static void set_memory(const struct message *message)
{
	for (size_t i = 0; i < B.n_regions; i++)
		munmap(B.regions[i].bytes, B.regions[i].at.len_bytes);
	B.n_regions = message->body.memory.n_regions;
	if (B.n_regions != message->n_fds)
		die("memory table");
	for (size_t i = 0; i < B.n_regions; i++) {
		struct region *region = &B.regions[i];

		region->at = message->body.memory.regions[i];
		region->bytes = mmap(NULL, region->at.len_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, message->fds[i],
				     (off_t)region->at.fd_offset_bytes);
		if (region->bytes == MAP_FAILED)
			die("mmap");
	}
	printf("regions %zu\n", B.n_regions);
}

static void take_fd(int *fd, struct message *message)
{
	if (message->n_fds != 1)
		die("descriptor");
	if (*fd >= 0)
		close(*fd);
	*fd = message->fds[0];
	message->n_fds = 0;
}

static const struct vring_desc *descriptor(unsigned int i)
{
	return (const struct vring_desc *)(void *)at(B.address.desc_user_addr, 16u * B.size, true) + i % B.size;
}

/* Returns how many bytes were written to the guest. */
static uint32_t serve_chain(unsigned int head)
{
	const struct vring_desc *first = descriptor(head);
	struct virtio_blk_outhdr request;
	uint32_t written = 0;
	uint64_t word;

	memcpy(&request, at(first->addr, sizeof(request), false), sizeof(request));
	word = request.sector * (SECTOR_BYTES / 8);
	const struct vring_desc *piece = first;
	while (piece->flags & VRING_DESC_F_NEXT) {
		piece = descriptor(piece->next);
		if (!(piece->flags & VRING_DESC_F_WRITE))
			continue;
		uint8_t *to = at(piece->addr, piece->len, false);
		if (!(piece->flags & VRING_DESC_F_NEXT)) {
			*to = request.type == VIRTIO_BLK_T_IN || request.type == VIRTIO_BLK_T_GET_ID ? VIRTIO_BLK_S_OK : VIRTIO_BLK_S_UNSUPP;
			written++;
			break;
		}
		for (uint32_t i = 0; i + 8 <= piece->len; i += 8, word++)
			memcpy(to + i, &word, 8);
		written += piece->len;
	}
	return written;
}

static void serve_queue(void)
{
	struct vring_avail *avail = (void *)at(B.address.avail_user_addr, 6 + 2u * B.size, true);
	struct vring_used *used = (void *)at(B.address.used_user_addr, 6 + 8u * B.size, true);
	const uint64_t one = 1;

	while (atomic_load((_Atomic uint16_t *)&avail->idx) != B.next) {
		uint16_t head = avail->ring[B.next++ % B.size];
		struct vring_used_elem *element = &used->ring[used->idx % B.size];

		element->len = serve_chain(head);
		element->id = head;
		atomic_store((_Atomic uint16_t *)&used->idx, (uint16_t)(used->idx + 1));
		if (write(B.call_fd, &one, sizeof(one)) < 0)
			die("call");
	}
}

static void set_enabled(bool enabled)
{
	if (enabled != B.enabled)
		printf(enabled ? "started\n" : "stopped\n");
	B.enabled = enabled;
}

static void answer_config(struct message *message)
{
	const struct virtio_blk_config config = { .capacity = B.sectors };

	/* As most back ends: what is not theirs is refused. */
	bool all = message->body.config.len_bytes <= sizeof(config);
	if (all)
		memcpy(message->body.config.bytes, &config, message->body.config.len_bytes);
	reply(message, all ? message->header.len_bytes : 0);
}

static void serve(struct message *message)
{
	switch (message->header.request) {
	case VHOST_USER_GET_FEATURES:
		/* More than a front end may pass on. */
		message->body.number = UINT64_C(1) << VIRTIO_F_VERSION_1 | UINT64_C(1) << VHOST_USER_F_PROTOCOL_FEATURES |
				       UINT64_C(1) << VIRTIO_F_ACCESS_PLATFORM | UINT64_C(1) << VIRTIO_F_RING_PACKED;
		reply(message, 8);
		return;
	case VHOST_USER_GET_PROTOCOL_FEATURES:
		message->body.number = ~UINT64_C(0);
		reply(message, 8);
		return;
	case VHOST_USER_SET_PROTOCOL_FEATURES:
		printf("protocol 0x%" PRIx64 "\n", message->body.number);
		break;
	case VHOST_USER_SET_FEATURES:
		printf("features 0x%" PRIx64 "\n", message->body.number);
		break;
	case VHOST_USER_GET_QUEUE_NUM:
		message->body.number = 1;
		reply(message, 8);
		return;
	case VHOST_USER_GET_CONFIG:
		answer_config(message);
		return;
	case VHOST_USER_GET_SHMEM_CONFIG:
		memset(&message->body.shmem, 0, sizeof(message->body.shmem));
		message->body.shmem.n_regions = 1;
		message->body.shmem.len_bytes[SHMID] = SHMEM_BYTES;
		reply(message, sizeof(message->body.shmem));
		return;
	case VHOST_USER_SET_BACKEND_REQ_FD:
		take_fd(&B.channel_fd, message);
		break;
	case VHOST_USER_SET_MEM_TABLE:
		set_memory(message);
		break;
	case VHOST_USER_SET_VRING_NUM:
		B.size = message->body.state.num;
		break;
	case VHOST_USER_SET_VRING_BASE:
		B.next = (uint16_t)message->body.state.num;
		break;
	case VHOST_USER_SET_VRING_ADDR:
		B.address = message->body.address;
		break;
	case VHOST_USER_SET_VRING_KICK:
		take_fd(&B.kick_fd, message);
		break;
	case VHOST_USER_SET_VRING_CALL:
		take_fd(&B.call_fd, message);
		break;
	case VHOST_USER_SET_VRING_ENABLE:
		set_enabled(message->body.state.num != 0);
		break;
	case VHOST_USER_GET_VRING_BASE:
		message->body.state.num = B.next;
		set_enabled(false);
		reply(message, sizeof(message->body.state));
		return;
	default:
		break;
	}
	if (message->header.flags & VHOST_FLAG_NEED_REPLY) {
		message->body.number = 0;
		reply(message, 8);
	}
}

/* A request on the channel; waits for its answer. */
static void ask(const char *what, uint32_t request, const struct vhost_user_mmap *map, int fd)
{
	struct message message = { .header = { request, VHOST_FLAGS_VERSION | VHOST_FLAG_NEED_REPLY, map ? sizeof(*map) : 0 } };
	union {
		struct cmsghdr header;
		uint8_t bytes[CMSG_SPACE(sizeof(int))];
	} control = { .header = { .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int)) } };
	struct iovec iov = { &message.header, sizeof(message.header) + message.header.len_bytes };
	struct msghdr parts = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (map)
		message.body.map = *map;
	if (fd >= 0) {
		memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
		parts.msg_control = &control;
		parts.msg_controllen = sizeof(control);
	}
	if (sendmsg(B.channel_fd, &parts, MSG_NOSIGNAL) < 0 || !receive(B.channel_fd, &message))
		printf("%s: nobody is there\n", what);
	else
		printf("%s: %s\n", what, message.body.number ? strerror((int)message.body.number) : "done");
}

static void obey(const char *line)
{
	struct vhost_user_mmap map = { .shmid = SHMID };
	char file[256], rights[4];

	if (sscanf(line, "map %" SCNi64 " %" SCNi64 " %255s %" SCNi64 " %3s", &map.shm_offset_bytes, &map.len_bytes, file,
		   &map.fd_offset_bytes, rights) == 5) {
		map.flags = strcmp(rights, "rw") == 0 ? VHOST_MMAP_WRITE : 0;
		int fd = open(file, O_RDWR | O_CLOEXEC);
		ask("map", VHOST_USER_BACKEND_SHMEM_MAP, &map, fd);
		close(fd);
	} else if (sscanf(line, "unmap %" SCNi64 " %" SCNi64, &map.shm_offset_bytes, &map.len_bytes) == 2) {
		ask("unmap", VHOST_USER_BACKEND_SHMEM_UNMAP, &map, -1);
	} else if (sscanf(line, "resize %" SCNu64, &B.sectors) == 1) {
		ask("resize", VHOST_USER_BACKEND_CONFIG_CHANGE, NULL, -1);
	} else if (strcmp(line, "junk\n") == 0) {
		if (send(B.fd, "junk", 4, MSG_NOSIGNAL) < 0)
			die("send");
	} else if (strcmp(line, "quit\n") == 0) {
		exit(0);
	} else {
		printf("error line %s", line);
	}
}

static int listen_at(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) != 0 || listen(fd, 1) != 0)
		die(path);
	return fd;
}

int main(int argc, char **argv)
{
	struct message message;
	char line[512];
	uint64_t count;

	setvbuf(stdout, NULL, _IOLBF, 0);
	setvbuf(stdin, NULL, _IONBF, 0);
	if (argc < 3)
		return 2;
	B.sectors = strtoull(argv[2], NULL, 0);
	int listen_fd = listen_at(argv[1]);
	printf("listening\n");
	B.fd = accept(listen_fd, NULL, NULL);
	if (argc > 3)
		pause();
	for (;;) {
		struct pollfd fds[] = { { .fd = B.fd, .events = POLLIN }, { .fd = STDIN_FILENO, .events = POLLIN },
					{ .fd = B.enabled ? B.kick_fd : -1, .events = POLLIN } };

		if (poll(fds, 3, -1) < 0)
			die("poll");
		if (fds[0].revents) {
			if (!receive(B.fd, &message))
				break;
			serve(&message);
			for (size_t i = 0; i < message.n_fds; i++)
				close(message.fds[i]);
			continue;
		}
		if (fds[2].revents && read(B.kick_fd, &count, sizeof(count)) > 0)
			serve_queue();
		if (fds[1].revents && fgets(line, sizeof(line), stdin))
			obey(line);
	}
	printf("ended\n");
	return 0;
}
