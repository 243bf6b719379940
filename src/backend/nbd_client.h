// SPDX-License-Identifier: MIT
/*
 * A disk that an NBD server has (a private qemu-nbd for qcow2, or somebody else's), as a file of the I/O thread's. Each
 * piece of a request that is contiguous in the guest's memory is one request of NBD, read and written there.
 *
 * When the server is gone, all that is in flight fails with ENOTCONN, and so does what comes later: the disk's policy for
 * errors decides. A server that does not answer holds up what waits for it, as a network file system
 * does, but the end of a domain for ten seconds only.
 *
 * Opened by any thread, then the I/O thread's between attach() and detach(), as all of struct io_remote.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "backend/io_engine.h"

struct nbd_client;

struct nbd_facts {
	uint64_t len_bytes;
	uint32_t block_bytes; /* what it is quick with */
	bool read_only, can_discard;
};

/*
 * Over a connected socket, which is taken. Waits ten seconds for the server at most. NULL: *why, to be freed, is the reason
 * in one line.
 */
struct nbd_client *nbd_client_new(int fd, const char *export_name, struct nbd_facts *facts, char **why);
/* Not while it is attached. Other copies of the socket stay open. */
void nbd_client_free(struct nbd_client *client);

/* The connection ends, whoever has a copy of the socket: a private server ends with it. */
void nbd_client_hang_up(struct nbd_client *client);

/* What it has open: a process that closes all else must leave them. Returns how many. */
#define NBD_CLIENT_FDS_MAX 3u
unsigned int nbd_client_fds(const struct nbd_client *client, int fds[NBD_CLIENT_FDS_MAX]);

struct io_remote *nbd_client_remote(struct nbd_client *client);
