// SPDX-License-Identifier: MIT
/*
 * The commands of the control socket, as a table: their names and arguments are those of the command line.
 *
 *   qmp_capabilities, query-version, query-commands
 *   info                                  name, uuid, domid, type, state, vcpus, max_vcpus, memory_kib,
 *                                         memory_target_kib, memory_max_kib, uptime_ns, restarts, and pause_reason when
 *                                         it was the host that paused it
 *   event-channels                        [{port, kind, vcpu, pending, masked, remote_domid, remote_port, virq}...]
 *   pause, unpause                        events PAUSE, UNPAUSE when something changed; PAUSE has a reason when nobody
 *                                         asked for it
 *   shutdown, reboot                      asks the guest; {"heeded": whether it has said that it listens}
 *   destroy
 *   save       leave_running (default false)      {"bytes"}; a descriptor: an empty regular file. What goes wrong leaves the domain
 *                                         as it was
 *   sysrq      key                        one printable character; {"heeded"} as above
 *   balloon    bytes                      {"target_kib"}
 *   vcpu-set   vcpus
 *   disks                                 [{vdev, path, bytes, read_only, snapshot, connected, leaving, requests,
 *                                         transferred_bytes, failed, events_from_guest, events_to_guest}...]
 *   disk-attach  disk                     as after --disk, with a vdev; descriptors: the image, open and locked, and of a
 *                                         snapshot the overlay. Event DISK_ATTACHED {vdev}
 *   disk-detach  vdev                     asks the guest; event DISK_DETACHED {vdev} when it has let go
 *   disk-resize  vdev, bytes              {"bytes"}; without bytes: as large as the file is by now
 *   trigger    type ("nmi" | "debug"), vcpu (default: 0 for an NMI, all for the debug interrupt)
 *
 * Other events: SHUTDOWN (with the outcome), RESTART, SOFT_RESET (the guest starts another kernel in its own place).
 */
#pragma once

#include <glib.h>
#include <jansson.h>

#include "control/ops.h"

struct control_server;

struct control_request {
	struct control_server *server; /* where events go */
	const struct control_ops *ops;
	void *opaque;
	/* Descriptors that came with the request: who takes one puts -1 in its place. */
	int *fds;
	unsigned int n_fds;
};

/*
 * Carries out one line that a client sent and returns the answer as one line, newline included (g_free()). NULL for a
 * line of blanks: no answer.
 */
char *control_execute(const struct control_request *request, const char *line, size_t len_bytes);

/* The other lines a client gets. data is taken over and may be NULL. */
char *control_greeting(void);
char *control_event_line(const char *name, json_t *data);
char *control_error_line(const char *desc);
