// SPDX-License-Identifier: MIT
/*
 * The data path of a connected network interface, in the I/O thread.
 *
 *   transmit:  net_tx.h takes a packet --> claim its grants --> headers that are to be believed are copied and checked
 *              --> one writev over the guest's own pages --> let go of the grants, answer
 *   receive:   requests are claimed ahead --> one readv into the guest's own pages --> answer those that it filled
 *
 * Receive requests are claimed a frame ahead because nobody knows how long the next one is. A frame with segments has its
 * extra info in the second slot, whose page stays unused; whether the next frame is such a one is guessed from the last,
 * and where that was wrong the pages are moved up or down.
 *
 * Of frames that were sent the guest is told together with the next that it gets, or when a quarter of the ring is full of
 * them, or after TX_EVENT_NS. It sees them before, when it sends the next.
 *
 * When the guest has posted too little, frames stay where they are: in the tap's queue, which drops, or in the socket.
 * Nothing is queued here. A ring whose indexes are a lie is not read any more, and the main thread is told.
 *
 * A connection is made by the main thread, which hands it over by start(), and gets it back, holding nothing of the
 * guest's but its rings, by the reply to stop(). In between only the I/O thread touches it.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "backend/io_engine.h"
#include "backend/io_thread.h"
#include "backend/net_link.h"
#include "backend/net_tx.h"
#include "backend/slot_ring.h"

#define NET_QUEUES_MAX NET_LINK_QUEUES_MAX
#define NET_WINDOW     32u /* a power of two */
/* Pages that the largest frame may fill, wherever in it segments begin. */
#define NET_FRAME_PAGES 17u

struct grant_table;
struct guest_memory;
struct ring_access;

struct net_target {
	const struct ring_access *access;
	struct net_link *link;
	struct io_thread *io;
	/* The peer of a stream is gone, perhaps for good. The I/O thread calls it. */
	void (*ended)(void *opaque);
	void *opaque;
};

struct net_counters {
	uint64_t tx_frames, tx_bytes, tx_refused, tx_dropped;
	uint64_t rx_frames, rx_bytes, rx_dropped, rx_moved; /* moved: the guess was wrong */
	uint64_t kicks, notifications;
};

struct net_connection;
struct net_queue;

/* Of a descriptor, for as long as the connection wants it. */
struct net_watch {
	struct io_watch io;
	struct net_connection *connection;
	struct net_queue *queue; /* NULL: it concerns all */
	bool on;
};

/* A receive request that is held. */
struct net_buffer {
	uint32_t ref;
	uint16_t id;
	bool claimed;
	uint8_t *page; /* NULL: no such grant, or not of RAM */
};

struct net_queue {
	struct net_connection *connection;
	unsigned int number;
	struct slot_ring tx, rx;
	struct net_watch tx_kick, rx_kick; /* the guest's events; without rx_kick they are one */
	struct net_watch host;             /* the link has a frame */
	int tx_notify_fd, rx_notify_fd;    /* ours, perhaps the same */
	struct io_task finish; /* publishes what was answered in a turn */
	struct io_timer patience; /* runs while the guest is not told yet of frames that were sent */
	bool host_ready;       /* the link had more, when last asked */
	bool expect_segments;  /* the last large frame had some */
	struct net_buffer window[NET_WINDOW];
	uint32_t first;        /* of the window, as a free-running index */
	unsigned int n_held;
};

struct net_connection {
	const struct net_target *target;
	struct net_queue queues[NET_QUEUES_MAX];
	unsigned int n_queues;
	/* Of the front end. */
	bool sg;
	struct net_features features;
	bool tx_full;    /* the link takes nothing just now */
	bool peer_ended; /* and is hung up as soon as nobody looks at its descriptors */
	bool stopping;
	bool told_stopped;
	const char *broken; /* why the guest's rings are not read any more; NULL */
	struct net_counters counters;

	struct net_watch room, peers; /* of a stream's sockets: room to write; somebody to accept */
	unsigned int n_watched;
	struct io_task start, stop;
	struct io_task broken_reply;  /* run in the main thread when broken is set; before stopped_reply */
	struct io_task stopped_reply; /* run in the main thread when nothing is held */
	uint8_t overflow[NET_FRAME_MAX]; /* what a frame has more than its pages */
};

/* Queues have their rings, the descriptors of their kicks (rx_kick: -1, none) and of notify; replies have their functions. */
void net_connection_start(struct net_connection *connection);
void net_connection_stop(struct net_connection *connection);

/* For the two halves: net_send.c and net_deliver.c. */
void net_queue_break(struct net_queue *queue, const char *why);
void net_queue_changed(struct net_queue *queue); /* there is something to publish */
void net_queue_again(struct net_queue *queue);   /* it has had its turn; the rest follows when others had theirs */
void net_queue_await_room(struct net_queue *queue); /* nothing is sent until the link has some */
void net_queue_ended(struct net_queue *queue);   /* the link's peer is gone */
void net_queue_send(struct net_queue *queue);
void net_queue_deliver(struct net_queue *queue);
void net_queue_drop_window(struct net_queue *queue); /* held requests are let go of, unanswered */
