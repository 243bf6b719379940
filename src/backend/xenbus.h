// SPDX-License-Identifier: MIT
/*
 * The back end of one PV device in the xenstore: its nodes, its watch on the front end, and the states between the two.
 *
 *      /local/domain/1/device/CLASS/NUMBER      n1,r0    the guest's: it publishes its rings and its state there
 *      /local/domain/0/backend/CLASS/1/NUMBER   n0,r1    ours: the device's properties and our state
 *
 * The store is output: what we know of a device is never read back from it. Of the guest's nodes only the state is
 * watched; the others are read once, when it says that they are there. A watch only makes the device due: the work is
 * done from the event loop, so a guest that writes states without end has one piece of work waiting, and it attaches ten
 * times a second at most.
 *
 * Thread: the main thread, with its default main context.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct trace;
struct xenbus_device;
struct xenstore;

struct xenbus_device_ops {
	/* The guest has published its rings. NULL: they are in use. Else one line, why not: the device goes to Closing. */
	const char *(*attach)(void *opaque);
	/* Let go of them. xenbus_device_detached() when that is done, perhaps before this returns. */
	void (*detach)(void *opaque);
	/*
	 * After xenbus_device_leave(): the guest has let go of the device, its nodes are removed. It may be freed here.
	 * NULL where devices do not leave.
	 */
	void (*gone)(void *opaque);
};

/*
 * Writes the nodes that every device has; the state comes with start(), when the rest is written. class and ops are
 * borrowed. NULL when memory is out, or the store refuses.
 */
struct xenbus_device *xenbus_device_new(struct xenstore *store, const char *class, uint32_t number,
					const struct xenbus_device_ops *ops, void *opaque);
/* Its states, and the front end's, are traced from now on. Borrowed; NULL: not. */
void xenbus_device_trace(struct xenbus_device *device, const struct trace *trace);
/* It must be detached. The nodes stay: they go with the store. */
void xenbus_device_free(struct xenbus_device *device);

/* 0 or a positive errno. key is below the device's folder on the named side. */
int xenbus_write_ours(struct xenbus_device *device, const char *key, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
int xenbus_write_guests(struct xenbus_device *device, const char *key, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* The guest's node is there, empty, to be written by it; its own watches do not hear of that. 0 or a positive errno. */
int xenbus_expect_quietly(struct xenbus_device *device, const char *key);

/* A node of the guest's. FALSE: it is not there, does not fit in value, or has a NUL in it. */
bool xenbus_read_text(const struct xenbus_device *device, const char *key, char *value, size_t room_bytes);
/* FALSE: not a decimal number of 32 bits. */
bool xenbus_read_number(const struct xenbus_device *device, const char *key, uint32_t *number);
bool xenbus_has_node(const struct xenbus_device *device, const char *key);

/* State InitWait; from now on the guest may connect. 0 or a positive errno. */
int xenbus_device_start(struct xenbus_device *device);

/* The device is to go: the guest is asked to close it, and gone() is called when it has, perhaps before this returns. */
void xenbus_device_leave(struct xenbus_device *device);
/* Of a connected device something has changed: the guest's driver is made to read our nodes again. 0 or a positive errno. */
int xenbus_device_announce(struct xenbus_device *device);
bool xenbus_device_is_connected(const struct xenbus_device *device);

/* What a saved domain's file says of a device; its nodes are in the store. */
struct xenbus_saved {
	uint8_t state, frontend; /* XenbusState */
	bool attached;
};

/* Nothing is being detached. */
struct xenbus_saved xenbus_device_save(const struct xenbus_device *device);
/* In place of new() and start(): of a device that is in the store already. attached: attach_again() is to follow. */
struct xenbus_device *xenbus_device_restore(struct xenstore *store, const char *class, uint32_t number,
					    const struct xenbus_device_ops *ops, void *opaque, const struct xenbus_saved *saved);
/*
 * Of an attached device whose rings its owner has let go of by itself: attach() is called once more, and the guest hears of that
 * only if it fails. FALSE: it has.
 */
bool xenbus_device_attach_again(struct xenbus_device *device);

/* The guest broke the protocol: the device goes to Closing. why: one line, for "error" beside our nodes. */
void xenbus_device_fail(struct xenbus_device *device, const char *why);
void xenbus_device_detached(struct xenbus_device *device);

/* "device/vbd/51712" */
const char *xenbus_device_name(const struct xenbus_device *device);
