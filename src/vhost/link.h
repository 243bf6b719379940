// SPDX-License-Identifier: MIT
/*
 * The two sockets of a vhost-user front end, message by message. The back end is another program: it has all of the guest's
 * RAM, and is trusted with that; but what it sends is read as from anybody. It may not answer: then the wait has an end, and
 * the connection too.
 *
 * Thread: one at a time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vhost/wire.h"

/* Between a question and its answer. */
#define VHOST_ANSWER_MS 10000

struct vhost_link {
	int fd;         /* -1: the connection has ended */
	int channel_fd; /* of the back end's requests; -1: there is none */
	uint64_t protocol; /* features that both have */
	/* What the back end asks for while we wait for its answer: it may be what its answer waits for. */
	void (*on_request)(void *opaque);
	void *opaque;
};

/* FALSE: the connection has ended, now or before; errno says why. fds: that go with it. */
bool vhost_send(struct vhost_link *link, enum vhost_request request, const void *bytes, size_t len_bytes, const int *fds,
		size_t n_fds);
/* The answer has at least least_bytes and at most max_bytes; *len_bytes may be NULL. FALSE: as above. */
bool vhost_ask(struct vhost_link *link, enum vhost_request request, const void *bytes, size_t len_bytes, void *answer,
	       size_t least_bytes, size_t max_bytes, size_t *answer_bytes);
/* As send(), and where the back end can say so: when this returns, it has done it. FALSE: as above, or it has not. */
bool vhost_send_acknowledged(struct vhost_link *link, enum vhost_request request, const void *bytes, size_t len_bytes,
			     const int *fds, size_t n_fds);
/* The first len_bytes of the device's configuration. FALSE: as above. *refused: it has not so many; bytes are as they were. */
bool vhost_read_config(struct vhost_link *link, uint8_t bytes[VHOST_CONFIG_BYTES], uint32_t len_bytes, bool *refused);
/* As much of it as there is: *len_bytes, the rest zeros. FALSE: as above. */
bool vhost_find_config(struct vhost_link *link, uint8_t bytes[VHOST_CONFIG_BYTES], uint32_t *len_bytes);
/* Both sockets are closed. */
void vhost_close(struct vhost_link *link);

/* A request on the channel. */
struct vhost_asked {
	struct vhost_user_header header;
	struct vhost_user_mmap map; /* of SHMEM_MAP and SHMEM_UNMAP: as it came */
	int fd; /* the caller's; -1: none */
};
/* One request that has come. FALSE: none, or it was none: then the channel is closed. */
bool vhost_take_request(struct vhost_link *link, struct vhost_asked *asked);
/* If an answer is wanted. error: 0, or what was wrong. */
void vhost_answer(struct vhost_link *link, const struct vhost_asked *asked, int error);

/*
 * 0, or EINVAL: no range of pages in a region of region_bytes, flags that nobody knows, a number that is not shmid, or not
 * the one descriptor that SHMEM_MAP has. Pure.
 */
int vhost_check_map(const struct vhost_asked *asked, uint8_t shmid, uint64_t region_bytes);
