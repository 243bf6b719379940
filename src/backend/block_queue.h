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
 * Events in both directions are few while much is in flight (block_patience.h); with little in flight nothing waits, whatever
 * other queues and disks are busy with.
 *
 * A connection is made by the main thread, which hands it over by start(), and gets it back, with nothing in flight, by
 * the reply to stop(). In between only the I/O thread touches it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "backend/block_patience.h"
#include "backend/block_ring.h"
#include "backend/io_engine.h"
#include "backend/io_thread.h"

#define BLOCK_QUEUES_MAX 8u

struct block_overlay;
struct inject_point;
struct ring_access;

/* What does not change while a connection lives. */
struct block_target {
	int fd;
	struct io_remote *remote; /* in place of fd; NULL */
	bool at_once;      /* the file never blocks */
	bool ignore_flush; /* cache=unsafe */
	bool ejected;      /* the image is not ours any more: everything is answered with an error */
	bool keep_for_room; /* what fails for lack of room is kept, until somebody says to try again */
	/* What is written goes here, and fd is the base that is only read; NULL: there is only fd. */
	struct block_overlay *overlay;
	int overlay_fd;
	bool overlay_at_once;
	struct block_limits limits;
	const struct ring_access *access;
	struct io_thread *io;
	struct inject_point *inject; /* what is done to requests on purpose; NULL: nothing */
	/* The host's file failed; may be NULL. The I/O thread calls it. */
	void (*failed)(void *opaque, enum io_kind kind, int error);
	void *opaque;
};

/* Of uint64_t alone: they are added up as an array. */
struct block_counters {
	uint64_t requests, bytes, refused, failed;
	uint64_t kicks, notifications; /* events from the guest, and to it */
	uint64_t iovecs, segments;
};

struct block_connection;
struct transfer;

struct block_queue {
	struct block_connection *connection;
	struct block_ring ring;
	struct io_watch kick;  /* the guest's events */
	int notify_fd;         /* ours */
	struct io_task finish; /* publishes what was answered in a turn */
	unsigned int in_flight;
	unsigned int n_kept; /* of them, those that wait for room */
	unsigned int moving; /* of them, reads and writes: they end soon */
	bool is_quiet;       /* with little in flight, but something: the I/O thread waits for each */
	struct block_patience patience;
	struct io_timer patience_end; /* set while something waits */
	bool watched;
};

struct block_connection {
	const struct block_target *target;
	struct block_queue queues[BLOCK_QUEUES_MAX];
	unsigned int n_queues;
	bool stopping; /* nothing is taken from the rings any more */
	bool stopped;  /* and nothing is in flight */
	bool keeps;    /* but what waits for room: it is kept for the next start() */
	struct io_timer last_patience; /* of a remote file, set while it is stopping */
	/* What a read or a write takes, of late; 0: not known yet. One at a time is measured. */
	uint64_t service_ns;
	bool measuring;
	const char *broken; /* why the guest's rings are not read any more; NULL */
	struct block_counters counters;

	struct transfer *late;  /* in flight, held back on purpose */
	struct transfer *kept;  /* in flight, waiting for room */
	struct transfer *spare; /* ended, for the next */
	bool told_no_room, told_gone;
	/* The first request that failed for the host's sake; 0: none has. */
	int failure;
	enum io_kind failed_kind;

	struct io_task start, stop, retry;
	bool retrying;                 /* the main thread's: retry is on its way, until retried_reply */
	struct io_task retried_reply;
	struct io_task no_room_reply;  /* run in the main thread when something is kept */
	struct io_task gone_reply;     /* run in the main thread when a request failed because the image's server is gone */
	struct io_task failed_reply;   /* run in the main thread when failure is set */
	struct io_task broken_reply;  /* run in the main thread when broken is set; before stopped_reply */
	struct io_task stopped_reply; /* run in the main thread when nothing is in flight */
};

/* Queues have their rings, kick.fd and notify_fd; the replies have their functions. Also of one that was stopped, with what it kept. */
void block_connection_start(struct block_connection *connection);
void block_connection_stop(struct block_connection *connection);
/* The same, but what waits for room goes on to wait: after the reply, kept is NULL or start() is to follow. */
void block_connection_suspend(struct block_connection *connection);
/* What is kept is tried once more. Not after stop(). */
void block_connection_retry(struct block_connection *connection);
