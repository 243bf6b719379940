// SPDX-License-Identifier: MIT
/*
 * Where an NBD disk's connection comes from: a private qemu-nbd that reads a qcow2 image, started by the launcher or by who
 * attaches the disk, with no more than that image and a socket; or a server that somebody else runs, by its URI.
 *
 * The socket has not been spoken on yet: nbd_client.h does that, in the process that uses it.
 */
#pragma once

#include <glib.h>

struct disk_config;

/* "nbd://HOST[:PORT][/EXPORT]", "nbd+unix:///[EXPORT]?socket=PATH". To be freed; NULL and DOM1_STATUS_USAGE: it is none. */
char *nbd_uri_export(const char *uri, GError **error);

/* A connected socket, or -1: DOM1_STATUS_FILE, DOM1_STATUS_USAGE, DOM1_STATUS_HOST. Waits ten seconds at most. */
int nbd_server_connect(const char *uri, GError **error);

/*
 * Starts qemu-nbd for a qcow2 image. It ends when all copies of the socket are closed. *pidfd tells its end; -1 where that
 * cannot be known. Errors as above.
 */
int nbd_server_start(const struct disk_config *disk, int *pidfd, GError **error);
