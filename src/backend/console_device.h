// SPDX-License-Identifier: MIT
/*
 * A console beside the guest's first: it comes by the xenstore, as disks do, with a ring and a port that the guest
 * provides. Linux calls number N hvcN. What goes through it is console.h's.
 *
 *      /local/domain/1/device/console/N    ring-ref, port, state
 *
 * The guest's own watches do not hear of the first two. Linux since 6.17 would lose the console now and then: its xenstore
 * thread, told of the ring-ref that the driver has just published, reads the state, which the driver then changes, and only
 * then compares it with the driver's (xenbus_dev_changed()). Drivers of disks publish in that very thread.
 *
 * A guest that closes it and comes back finds the same descriptors. Thread: the main thread.
 */
#pragma once

#include <stdbool.h>

#include "backend/console.h"

struct console_device;
struct record;
struct ring_access;
struct xenstore;

/* What a channel has on the host's side; borrowed. */
struct channel {
	char *name;          /* the guest finds it by this */
	const char *kind;    /* "pty", "socket", "file": for whoever looks into the store */
	char *socket_path;   /* NULL, or to be removed */
	struct console_files files;
};

/* In state InitWait. All is borrowed; record: NULL, or told when it is first connected. NULL: memory is out. */
struct console_device *console_device_new(struct xenstore *store, const struct ring_access *access, struct record *record,
					  unsigned int number, const struct channel *channel);
/* At the end of the domain: what the guest has written is passed on; a reader that does not read gets a second at most. */
void console_device_drain(struct console_device *device);
void console_device_free(struct console_device *device);
