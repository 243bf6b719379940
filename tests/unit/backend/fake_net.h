// SPDX-License-Identifier: MIT
/*
 * A network front end in this process, with a domain's memory, grants, store and event channels without KVM. It writes
 * what a guest may write, true or not. The host's side is a pair of sockets: of messages for a tap, of bytes for a stream.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "backend/net.h"
#include "backend/nic.h"
#include "vmm/guest_memory.h"
#include "xen/grant.h"

#define FAKE_PAGE    4096u
#define FAKE_PORTS   16u
#define FAKE_FRAMES  4u  /* of grants */
#define FAKE_ENTRIES (FAKE_FRAMES * 512)
#define FAKE_SLOTS   256u
#define FAKE_QUEUES  2u

struct fake_port {
	int from_guest_fd, to_guest_fd;
	bool waits; /* for domain 0 */
};

struct fake_queue {
	uint8_t *tx, *rx;
	uint32_t tx_ref, rx_ref;
	uint32_t tx_produced, tx_consumed, rx_produced, rx_consumed;
	uint32_t tx_port, rx_port; /* the same unless split */
	uint32_t posted_ref[FAKE_SLOTS];
	uint8_t *posted[FAKE_SLOTS]; /* pages of the receive ring, by position */
};

struct fake {
	struct xenstore *store;
	struct guest_memory *memory;
	void *grant_frames;
	struct grant_table grants;
	pthread_mutex_t lock;
	struct io_thread *io;
	struct fake_port ports[FAKE_PORTS];
	unsigned int n_bound, n_warnings;
	struct nic nic;
	struct net_env env;
	struct net_device *device;
	int host_fd[FAKE_QUEUES];
	struct net_features features; /* as the link was told */
	uint32_t next_gfn, next_ref, next_port;
	struct fake_queue queues[FAKE_QUEUES];
	unsigned int n_queues;
};

struct fake *fake_new(bool use_uring, bool stream);
void fake_free(struct fake *fake);
/* Forgets pages and references given out so far; nothing may be connected. */
void fake_recycle(struct fake *fake);

uint8_t *fake_page(struct fake *fake, uint32_t *gfn);
uint32_t fake_grant(struct fake *fake, uint32_t gfn, uint16_t flags);
uint8_t *fake_granted_page(struct fake *fake, uint32_t *ref);
uint16_t fake_grant_flags(const struct fake *fake, uint32_t ref);

void fake_write(struct fake *fake, const char *key, const char *format, ...) G_GNUC_PRINTF(3, 4);
void fake_set_state(struct fake *fake, int state);
int fake_back_state(const struct fake *fake);
char *fake_back_node(const struct fake *fake, const char *key); /* NULL: there is none. g_free() */
void fake_wait_state(struct fake *fake, int state);
void fake_run_for(unsigned int ms);

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
