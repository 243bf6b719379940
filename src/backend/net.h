// SPDX-License-Identifier: MIT
/*
 * A PV network interface: what the guest reads of it in the xenstore, and how its rings come into use and out of it. The
 * data path is net_queue.h. docs/backends.md describes the protocol as built.
 *
 * Thread: the main thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "backend/net_queue.h"
#include "backend/ring_claims.h"

struct inject_plan;
struct net_device;
struct nic;
struct record;
struct xenstore;

/* What all interfaces of a domain share. Borrowed. */
struct net_env {
	struct xenstore *store;
	struct ring_access access;
	struct io_thread *io;
	unsigned int max_queues; /* as many as vCPUs, up to NET_QUEUES_MAX */
	struct record *record;   /* NULL: nobody wants to know when an interface is connected */
	const struct inject_plan *inject; /* NULL: all features are offered */
	/* One line for the person: an interface has lost its host side. Any thread. */
	void (*warn)(void *opaque, const char *line);
	void *warn_opaque;
};

/* The device in state InitWait. env and nic are borrowed. NULL when memory is out. */
struct net_device *net_device_new(const struct net_env *env, struct nic *nic);
/* Waits for the I/O thread to let go. The guest must not run any more, or the interface be closed. */
void net_device_free(struct net_device *device);

/* The back end goes away on purpose: it lets go of the rings at once, and is in state Closing. FALSE: nobody uses it. */
bool net_device_vanish(struct net_device *device);

struct net_counters net_device_counters(const struct net_device *device);
