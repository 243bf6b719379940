// SPDX-License-Identifier: MIT
/*
 * The data path of a connected disk, in the I/O thread: from the ring to the file and back.
 *
 *   take a slot --> check it --> claim its grants --> iovecs over the guest's own pages --> engine
 *   engine --> let go of the grants --> answer --> one publication and at most one event for all of this turn
 *
 * Nothing is copied but the slots. Grants are marked as in use from before their frame is read until before the answer
 * is published: Linux looks at that and gives up a disk whose back end forgets one. A ring whose indexes are a lie is not
 * read any more, and the main thread is told; a bad request is answered with an error, and the others go on.
 *
 * A connection is made by the main thread, which hands it over by start(), and gets it back, with nothing in flight, by
 * the reply to stop(). In between only the I/O thread touches it.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "backend/block_ring.h"
#include "backend/io_engine.h"
#include "backend/io_thread.h"

#define BLOCK_QUEUES_MAX 8u

struct grant_table;
struct guest_memory;

/* What does not change while a connection lives. */
struct block_target {
	int fd;
	bool at_once;      /* the file never blocks */
	bool ignore_flush; /* cache=unsafe */
	struct block_limits limits;
	struct guest_memory *memory;
	struct grant_table *grants;
	pthread_mutex_t *grants_lock;
	struct io_thread *io;
	/* The host's file failed; may be NULL. The I/O thread calls it. */
	void (*failed)(void *opaque, enum io_kind kind, int error);
	void *opaque;
};

struct block_counters {
	uint64_t requests, bytes, refused, failed;
	uint64_t kicks, notifications, iovecs, segments;
};

struct block_connection;

struct block_queue {
	struct block_connection *connection;
	struct block_ring ring;
	struct io_watch kick;  /* the guest's events */
	int notify_fd;         /* ours */
	struct io_task finish; /* publishes what was answered in a turn */
	unsigned int in_flight;
	bool watched;
};

struct block_connection {
	const struct block_target *target;
	struct block_queue queues[BLOCK_QUEUES_MAX];
	unsigned int n_queues;
	bool stopping; /* nothing is taken from the rings any more */
	bool told_stopped;
	const char *broken; /* why the guest's rings are not read any more; NULL */
	struct block_counters counters;

	struct io_task start, stop;
	struct io_task broken_reply;  /* run in the main thread when broken is set; before stopped_reply */
	struct io_task stopped_reply; /* run in the main thread when nothing is in flight */
};

/* Queues have their rings, kick.fd and notify_fd; the two replies have their functions. */
void block_connection_start(struct block_connection *connection);
void block_connection_stop(struct block_connection *connection);
