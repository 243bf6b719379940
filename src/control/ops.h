// SPDX-License-Identifier: MIT
/*
 * What a running machine lets the control socket do with it. All are called in the main thread, and must not wait for
 * the guest. None may free the control server: what ends the domain asks for its end (vm_end()) and returns.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

struct xenstore;

enum control_state { CONTROL_RUNNING, CONTROL_PAUSED, CONTROL_SHUTDOWN };
enum control_trigger { CONTROL_TRIGGER_NMI, CONTROL_TRIGGER_DEBUG };

struct control_status {
	const char *name, *uuid, *type; /* borrowed until the next turn of the loop */
	unsigned int domid;
	enum control_state state;
	const char *pause_reason; /* paused by the host: why; else NULL. Borrowed like the names */
	unsigned int max_vcpus; /* those that the guest was given, online or not */
	uint64_t memory_kib;    /* the domain's RAM seen from outside */
	uint64_t uptime_ns;     /* of this start of the machine */
	unsigned int restarts;
};

struct control_event_channel {
	const char *kind; /* "unbound", "loopback", "backend", "virq", "ipi" */
	uint32_t vcpu;
	int64_t remote_domid, remote_port, virq; /* -1: means nothing for this kind */
	bool pending, masked;
};

struct control_disk {
	const char *vdev, *path; /* borrowed like the names */
	uint64_t bytes;
	bool read_only, snapshot;
	bool connected; /* the guest uses it */
	bool leaving;   /* it was asked to let go of it */
	/* Since the start of the domain. */
	uint64_t requests, transferred_bytes, failed, events_from_guest, events_to_guest;
};

#define CONTROL_EVERY_VCPU (-1)

/* An operation that is NULL is not offered. The GError's message goes to the client, one line. */
struct control_ops {
	void (*status)(void *opaque, struct control_status *status); /* never NULL */
	/* The store of this start of the machine, never kept over a turn of the loop; NULL: there is none now. */
	struct xenstore *(*store)(void *opaque);
	bool (*pause)(void *opaque, GError **error);   /* fine when paused already */
	bool (*unpause)(void *opaque, GError **error); /* fine when running */
	bool (*destroy)(void *opaque, GError **error);
	/* vcpu < max_vcpus, or CONTROL_EVERY_VCPU */
	bool (*trigger)(void *opaque, enum control_trigger trigger, int vcpu, GError **error);
	/*
	 * fd: of an empty regular file, borrowed; unfinished without the last of what is written, which is its beginning. The domain goes
	 * on, or ends as saved when the answer has been given. *stored_bytes: those of the file that are no holes, about.
	 */
	bool (*save)(void *opaque, bool leave_running, int fd, uint64_t *stored_bytes, GError **error);
	/* FALSE: the port is free. Asked for every port from 1 to the ABI's limit. */
	bool (*event_channel)(void *opaque, uint32_t port, struct control_event_channel *channel);
	uint32_t n_ports;
	/*
	 * text: as after --disk, with a vdev. The descriptors that came with it: of the image, open and locked, and of a
	 * snapshot's overlay; what is taken is replaced by -1.
	 */
	bool (*disk_attach)(void *opaque, const char *text, int *fds, unsigned int n_fds, GError **error);
	/* Asks the guest; event DISK_DETACHED when it has let go. */
	bool (*disk_detach)(void *opaque, const char *vdev, GError **error);
	/* Of one that is only read: the image is let go of at once, event DISK_EJECTED, and then the same. */
	bool (*disk_eject)(void *opaque, const char *vdev, GError **error);
	/* *bytes: how large the file is to be, 0: as large as it is; then how large the guest sees it. */
	bool (*disk_resize)(void *opaque, const char *vdev, uint64_t *bytes, GError **error);
	/* FALSE: there are not so many. */
	bool (*disk)(void *opaque, unsigned int index, struct control_disk *disk);
};
