// SPDX-License-Identifier: MIT
/*
 * A PV disk: what the guest reads of it in the xenstore, and how its rings come into use and out of it. The data path is
 * block_queue.h. docs/backends.md describes the protocol as built.
 *
 * Thread: the main thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "backend/block_queue.h"
#include "backend/ring_claims.h"

struct block_device;
struct block_file;
struct inject_plan;
struct record;
struct xenbus_saved;
struct xenstore;

/* What all disks of a domain share. Borrowed. */
struct block_env {
	struct xenstore *store;
	struct ring_access access;
	struct io_thread *io;
	unsigned int max_queues; /* as many as vCPUs, up to BLOCK_QUEUES_MAX */
	struct record *record;   /* NULL: nobody wants to know when a disk is connected */
	const struct inject_plan *inject; /* NULL: no faults on purpose */
	/* The policy of the disk is to end the domain, and its file has failed. Any thread. */
	void (*end)(void *opaque, const char *why);
	/* After block_device_leave(): the guest has let go of it; to be freed by this, or later. The main thread. */
	void (*gone)(void *opaque, struct block_device *device);
	/* After block_device_eject(). The main thread. */
	void (*ejected)(void *opaque, struct block_device *device);
	/* The same for on-error=enospc-pause: requests are kept until block_device_retry(). The main thread. May be NULL. */
	void (*no_room)(void *opaque, const char *why);
	/* The first failure of the host's file since the guest connected, which the guest saw as an error. The main thread. */
	void (*warn)(void *opaque, const char *why);
	void *end_opaque; /* of all of them */
};

/* The device in state InitWait. env and file are borrowed. NULL when memory is out. */
struct block_device *block_device_new(const struct block_env *env, const struct block_file *file);
/* Waits for what is in flight. The guest must not run any more, or the disk be closed. */
void block_device_free(struct block_device *device);

/*
 * While the guest does not run: what is in flight is completed and answered, and the guest's rings, grants and ports are let go of
 * without its knowing. FALSE: something waits for room, or the disk is on its way out; it goes on.
 */
bool block_device_suspend(struct block_device *device);
/* The rings go on where they stopped. Of one that is not suspended: nothing. */
void block_device_resume(struct block_device *device);
/* While it is suspended. */
struct xenbus_saved block_device_save(const struct block_device *device);
/* In place of new(): one that was saved, suspended still. */
struct block_device *block_device_restore(const struct block_env *env, const struct block_file *file,
					  const struct xenbus_saved *saved);

/* There may be room now: requests that are kept are tried again. */
void block_device_retry(struct block_device *device);

/* Asks the guest to let go of the disk; env.gone() when it has. */
void block_device_leave(struct block_device *device);

/*
 * The same without waiting for the guest: from now on all that it asks for fails. When env.ejected() is called, nothing
 * of the file is read any more but what was on its way before. May be called again.
 */
void block_device_eject(struct block_device *device);

/* The file has another size now. FALSE: the last change is not told yet. */
bool block_device_resize(struct block_device *device, uint64_t n_sectors);

bool block_device_is_connected(const struct block_device *device);

struct block_counters block_device_counters(const struct block_device *device);
