// SPDX-License-Identifier: MIT
/*
 * The control socket of a machine: QMP's shape, one JSON object a line.
 *
 *   < {"QMP": {"version": {"dom1": {"major": 0, "minor": 1, "micro": 0}, "package": "dom1 0.1.0"}, "capabilities": []}}
 *   > {"execute": "balloon", "arguments": {"bytes": 268435456}, "id": 7}
 *   < {"return": {}, "id": 7}
 *   < {"event": "PAUSE", "timestamp": {"seconds": 1, "microseconds": 2}, "data": {}}
 *   < {"error": {"class": "GenericError", "desc": "..."}, "id": 8}
 *
 * qmp_capabilities is accepted and not required. Commands are in commands.h. Descriptors that come with a message
 * (SCM_RIGHTS) are the command's; what it does not take is closed.
 *
 * Every client is bounded, in number, in what it sends and in what it leaves unread; none can make the machine wait.
 * Thread: the main thread.
 */
#pragma once

#include <glib.h>
#include <jansson.h>

#include "control/ops.h"

#define CONTROL_CLIENTS_MAX 16
#define CONTROL_LINE_MAX    65536  /* bytes of a request, without its newline */
#define CONTROL_UNREAD_MAX  262144 /* bytes that wait for a client; who has more waiting is disconnected */
#define CONTROL_FDS_MAX     8      /* descriptors that wait for their command; more are closed at once */

struct control_server;

/* listen_fd and ops are borrowed; listen_fd is non-blocking. */
struct control_server *control_server_new(int listen_fd, const struct control_ops *ops, void *opaque);
/* Sends what the sockets take, and closes the clients. Not from within an operation. */
void control_server_free(struct control_server *server);

/* To every client, at once as far as its socket takes it. data (may be NULL) is an object, taken over. */
void control_server_event(struct control_server *server, const char *name, json_t *data);
