// SPDX-License-Identifier: MIT
/*
 * A network front end in this process, true or not. The host's side is a pair of sockets: of messages for a tap, of bytes
 * for a stream.
 */
#pragma once

#include "backend/fake_guest.h"
#include "backend/net.h"
#include "backend/nic.h"

#define FAKE_SLOTS  256u
#define FAKE_QUEUES 2u

struct fake_queue {
	uint8_t *tx, *rx;
	uint32_t tx_ref, rx_ref;
	uint32_t tx_produced, tx_consumed, rx_produced, rx_consumed;
	uint32_t tx_port, rx_port; /* the same unless split */
	uint32_t posted_ref[FAKE_SLOTS];
	uint8_t *posted[FAKE_SLOTS]; /* pages of the receive ring, by position */
};

struct fake {
	struct fake_guest guest;
	unsigned int n_warnings;
	struct nic nic;
	struct net_env env;
	struct net_device *device;
	int host_fd[FAKE_QUEUES];
	struct net_features features; /* as the link was told */
	uint32_t next_port;
	struct fake_queue queues[FAKE_QUEUES];
	unsigned int n_queues;
};

struct fake *fake_new(bool use_uring, bool stream);
void fake_free(struct fake *fake);
/* Forgets pages and references given out so far; nothing may be connected. */
void fake_recycle(struct fake *fake);

/* Rings and nodes of n_queues, without a state; then the state, and the answer. */
void fake_publish(struct fake *fake, unsigned int n_queues, bool split, bool offloads);
void fake_connect(struct fake *fake, unsigned int n_queues, bool split, bool offloads);
void fake_disconnect(struct fake *fake); /* Closing, Closed, Initialising */

/* Transmit. put: not yet seen by the other side. */
void fake_put_request(struct fake_queue *queue, uint32_t ref, uint16_t offset, uint16_t flags, uint16_t id, uint16_t size);
void fake_put_extra(struct fake_queue *queue, uint8_t type, uint8_t flags, uint8_t gso_type, uint16_t gso_size);
void fake_kick(struct fake *fake, struct fake_queue *queue);
/* Waits for an answer. */
int16_t fake_take(struct fake_queue *queue, uint16_t *id);

/* Receive. post: n more buffers of fresh pages, or of the position's old one. */
void fake_post(struct fake *fake, struct fake_queue *queue, unsigned int n);
void fake_post_ref(struct fake *fake, struct fake_queue *queue, uint32_t ref);
/* Waits for one frame and puts it together; its length, or a negative status. flags of the first response. */
int fake_receive(struct fake_queue *queue, uint8_t *frame, uint16_t *flags, uint8_t *gso_type, uint16_t *gso_size);

/* The host's side: one frame, and what a tap is told of it; nothing for a stream. */
size_t fake_host_receive(struct fake *fake, unsigned int queue, uint8_t *frame, struct virtio_net_hdr *header);
void fake_host_send(struct fake *fake, unsigned int queue, const uint8_t *frame, size_t len_bytes, const struct virtio_net_hdr *header);
