// SPDX-License-Identifier: MIT
/*
 * The same store for tools on the host: a Unix socket with xenstore's wire protocol, as xenstored's own
 * (XENSTORED_PATH of Debian's xenstore-utils). A client has the rights of domain 0.
 *
 * A client that does not read is not read from, and its watch events are coalesced in the store: it costs nobody else
 * anything. Thread: the main thread.
 */
#pragma once

#define XENSTORE_SOCKET_CLIENTS_MAX 32

struct xenstore;
struct xenstore_socket;

/* Both are borrowed; listen_fd is non-blocking. A new start of the machine has a new store, and makes a new one. */
struct xenstore_socket *xenstore_socket_new(int listen_fd, struct xenstore *store);
/* Sends what is pending, as far as clients take it, and closes them: a tool sees the end of its connection. */
void xenstore_socket_free(struct xenstore_socket *socket);
