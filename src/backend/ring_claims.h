// SPDX-License-Identifier: MIT
/*
 * What one attachment of a device holds of the guest's: the pages of its rings, by grant, and its event channels.
 *
 * Thread: the main thread.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "backend/backend_port.h"

/* The most that any device takes: a disk of 8 queues with rings of 16 pages; an interface of 8 with two channels each. */
#define RING_CLAIMS_PAGES_MAX 128u
#define RING_CLAIMS_PORTS_MAX 16u

struct grant_table;
struct guest_memory;
struct trace;
struct xenbus_device;

/* How a domain's devices get at it. Borrowed. */
struct ring_access {
	struct guest_memory *memory;
	struct grant_table *grants;
	pthread_mutex_t *grants_lock;
	const struct backend_port_ops *ports;
	void *ports_opaque;
	const struct trace *trace; /* of the devices' states; NULL: nobody wants that */
};

struct ring_claims {
	const struct ring_access *access;
	uint32_t refs[RING_CLAIMS_PAGES_MAX];
	unsigned int n_refs;
	struct backend_port ports[RING_CLAIMS_PORTS_MAX];
	unsigned int n_ports;
};

/*
 * key: the front end's node with the reference, or with the port's number. NULL, and *why in one line: the node is not
 * there or makes no sense. What was claimed before stays claimed until release().
 */
uint8_t *ring_claims_page(struct ring_claims *claims, const struct xenbus_device *bus, const char *key, const char **why);
const struct backend_port *ring_claims_port(struct ring_claims *claims, const struct xenbus_device *bus, const char *key,
					    const char **why);
void ring_claims_release(struct ring_claims *claims);
