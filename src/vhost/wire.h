// SPDX-License-Identifier: MIT
/*
 * The vhost-user protocol, as far as a front end needs it: messages of a header and so many bytes as it says, in the machine's
 * byte order, on a Unix stream socket; descriptors come with a message's first byte. The back end answers some requests, and
 * makes requests of its own on a second socket, the back end's channel.
 *
 * Source: the vhost-user protocol's specification, with SHMEM_MAP (protocol feature 22).
 */
#pragma once

#include <assert.h>
#include <stdint.h>

enum vhost_request {
	VHOST_USER_GET_FEATURES = 1,          /* -> u64 */
	VHOST_USER_SET_FEATURES = 2,          /* u64 */
	VHOST_USER_SET_OWNER = 3,
	VHOST_USER_SET_MEM_TABLE = 5,         /* vhost_user_memory, a descriptor for each region */
	VHOST_USER_SET_VRING_NUM = 8,         /* vhost_vring_state */
	VHOST_USER_SET_VRING_ADDR = 9,        /* vhost_vring_addr */
	VHOST_USER_SET_VRING_BASE = 10,       /* vhost_vring_state */
	VHOST_USER_GET_VRING_BASE = 11,       /* vhost_vring_state -> the same: the queue is stopped */
	VHOST_USER_SET_VRING_KICK = 12,       /* u64: the queue; a descriptor */
	VHOST_USER_SET_VRING_CALL = 13,       /* u64: the queue; a descriptor */
	VHOST_USER_GET_PROTOCOL_FEATURES = 15, /* -> u64 */
	VHOST_USER_SET_PROTOCOL_FEATURES = 16, /* u64 */
	VHOST_USER_GET_QUEUE_NUM = 17,        /* -> u64 */
	VHOST_USER_SET_VRING_ENABLE = 18,     /* vhost_vring_state */
	VHOST_USER_SET_BACKEND_REQ_FD = 21,   /* a descriptor */
	VHOST_USER_GET_CONFIG = 24,           /* vhost_user_config -> the same */
	VHOST_USER_SET_CONFIG = 25,           /* vhost_user_config */
	VHOST_USER_GET_SHMEM_CONFIG = 44,     /* -> vhost_user_shmem_config */
};

enum vhost_backend_request {
	VHOST_USER_BACKEND_CONFIG_CHANGE = 2,
	VHOST_USER_BACKEND_SHMEM_MAP = 9,     /* vhost_user_mmap, a descriptor */
	VHOST_USER_BACKEND_SHMEM_UNMAP = 10,  /* vhost_user_mmap */
};

/* Of vhost_user_header.flags. */
#define VHOST_FLAGS_VERSION   1u
#define VHOST_FLAG_REPLY      4u
#define VHOST_FLAG_NEED_REPLY 8u

/* A feature bit of the device's. */
#define VHOST_USER_F_PROTOCOL_FEATURES 30u

#define VHOST_PROTOCOL_MQ              0u
#define VHOST_PROTOCOL_REPLY_ACK       3u
#define VHOST_PROTOCOL_BACKEND_REQ     5u
#define VHOST_PROTOCOL_CONFIG          9u
#define VHOST_PROTOCOL_BACKEND_SEND_FD 10u
#define VHOST_PROTOCOL_SHMEM_MAP       22u

#define VHOST_MAX_REGIONS  8u
#define VHOST_CONFIG_BYTES 256u
#define VHOST_MAX_SHMEMS   256u

struct vhost_user_header {
	uint32_t request, flags, len_bytes; /* of what follows */
};

struct vhost_user_region {
	uint64_t gpa, len_bytes, address, fd_offset_bytes; /* address: the front end's, by which it names rings */
};

struct vhost_user_memory {
	uint32_t n_regions, padding;
	struct vhost_user_region regions[VHOST_MAX_REGIONS]; /* n_regions of them are sent */
};

struct vhost_user_config {
	uint32_t offset_bytes, len_bytes, flags;
	uint8_t bytes[VHOST_CONFIG_BYTES]; /* len_bytes of them are sent */
};
#define VHOST_CONFIG_HEAD_BYTES 12u

struct vhost_user_shmem_config {
	uint32_t n_regions, padding;
	uint64_t len_bytes[VHOST_MAX_SHMEMS]; /* by number; 0: there is none */
};

struct vhost_user_mmap {
	uint8_t shmid, padding[7];
	uint64_t fd_offset_bytes, shm_offset_bytes, len_bytes;
	uint64_t flags; /* 1: it may be written to */
};
#define VHOST_MMAP_WRITE 1u

static_assert(sizeof(struct vhost_user_header) == 12 && sizeof(struct vhost_user_region) == 32, "vhost-user");
static_assert(sizeof(struct vhost_user_config) == VHOST_CONFIG_HEAD_BYTES + VHOST_CONFIG_BYTES, "vhost-user");
static_assert(sizeof(struct vhost_user_shmem_config) == 2056 && sizeof(struct vhost_user_mmap) == 40, "vhost-user");
