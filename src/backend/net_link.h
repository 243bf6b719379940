// SPDX-License-Identifier: MIT
/*
 * The host's end of a network interface: where frames go to and come from.
 *
 *   tap      an Ethernet interface of the host's kernel, a descriptor a queue. A struct virtio_net_hdr before each frame
 *            lets checksums and segmentation be the kernel's, both ways.
 *   stream   a Unix socket with 4 bytes of length, big-endian, before each frame: passt, or another dom1. What a full
 *            socket did not take is kept, and nothing is taken from the guest until it is gone. It may listen: then there is
 *            one peer at a time.
 *
 * Frames are read and written where they lie. The first of the iovecs is the link's own, for what goes before a frame.
 * A stream in the middle of a frame outlives the guest's connection, and its reboot.
 *
 * Thread: connect() and forget() the main thread's, while no other uses the link; the rest the I/O thread's.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include <linux/virtio_net.h>

#define NET_LINK_QUEUES_MAX 8u
/* 65535 bytes of IP behind an Ethernet header with VLAN tags. */
#define NET_FRAME_MAX       65560u

/* What is to be done to a frame, or was not done yet. */
struct net_offload {
	bool csum_blank;     /* csum_at holds the sum of the pseudo header only */
	bool csum_valid;     /* received: looked at by somebody we trust */
	uint8_t gso_type;    /* XEN_NETIF_GSO_TYPE_* */
	bool cwr;
	uint16_t gso_bytes;
	uint16_t csum_from, csum_at; /* offsets in the frame */
	uint16_t headers_bytes;
};

/* What the guest understands of what a link may give it. */
struct net_features {
	bool csum, gso_ipv4, gso_ipv6;
};

struct net_link {
	bool stream;
	/* Of a tap. */
	int fds[NET_LINK_QUEUES_MAX];
	unsigned int n_fds;
	bool attached[NET_LINK_QUEUES_MAX]; /* a queue that nobody reads would swallow frames */
	/* net_tap_connect(); tests have taps that are none. */
	bool (*configure)(struct net_link *link, unsigned int n_queues, const struct net_features *features);
	/* Of a stream. */
	int fd;        /* -1: there is no peer */
	int writing_fd; /* another of the same, for who waits to write */
	int listen_fd; /* -1: it does not listen */
	bool trusted;  /* what comes from it has good checksums: it is passt */
	uint8_t header[4]; /* of the frame that comes */
	unsigned int header_bytes;
	uint32_t frame_bytes; /* 0: not known yet */
	uint32_t have_bytes;  /* of it */
	bool skipping;        /* it goes to nobody */
	uint8_t *kept;        /* bytes that the socket did not take, with room for one frame */
	size_t kept_at, kept_end;
};

/* Descriptors become the link's. FALSE: memory is out. */
void net_link_init_tap(struct net_link *link, const int *fds, unsigned int n_fds);
/* fd or listen_fd is -1. */
bool net_link_init_stream(struct net_link *link, int fd, int listen_fd, bool trusted);
void net_link_fini(struct net_link *link);

/* Its descriptors, NET_LINK_FDS_MAX at most; how many. */
#define NET_LINK_FDS_MAX (NET_LINK_QUEUES_MAX + 3)
unsigned int net_link_fds(const struct net_link *link, int *fds);

/* Queues a guest may use. */
unsigned int net_link_queues(const struct net_link *link);
/* A guest uses the first n_queues. FALSE: the kernel does not want to. */
bool net_link_connect(struct net_link *link, unsigned int n_queues, const struct net_features *features);
/* The guest's pages go: of a frame that is half there, the rest is thrown away. No queue is used. */
void net_link_forget(struct net_link *link);

enum net_sent {
	NET_SENT,
	NET_SENT_FULL, /* and no more until flush() says so */
	NET_DROPPED,
	NET_REFUSED,   /* the kernel does not like it */
};
/* iov[0] is overwritten; frame_bytes are in the others. */
enum net_sent net_link_send(struct net_link *link, unsigned int queue, struct iovec *iov, unsigned int n_iov,
			    size_t frame_bytes, const struct net_offload *offload);
/* TRUE: there is room again. */
bool net_link_flush(struct net_link *link);

enum net_received {
	NET_FRAME,
	NET_NOTHING,
	NET_MORE_ROOM, /* *bytes are wanted */
	NET_LOST,      /* it was there, and is gone: ask again */
	NET_ENDED,     /* the peer is gone; it may come back if the link listens */
};
/*
 * iov[0] is overwritten; room_bytes are in the others, which are the same again as long as nothing came. What came may
 * be more than *bytes says there is room for with a tap: then it was cut.
 */
enum net_received net_link_receive(struct net_link *link, unsigned int queue, struct iovec *iov, unsigned int n_iov,
				   size_t room_bytes, struct net_offload *offload, size_t *bytes);
/* The frame that wants more room than there will ever be. */
void net_link_skip(struct net_link *link);
/* The peer of a stream is gone; nobody looks at its descriptors any more. */
void net_link_hang_up(struct net_link *link);
/* Somebody may wait at the listening socket. TRUE: there is a new peer. */
bool net_link_accept(struct net_link *link);
