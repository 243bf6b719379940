// SPDX-License-Identifier: MIT
/*
 * The file behind a disk that an NBD server has: block_file.h for qcow2 images and NBD URIs. Its descriptor is a socket on
 * which nothing was said when it is handed from process to process; begin() is for the one that goes on to use it, and its
 * children.
 */
#pragma once

#include <stdbool.h>

#include <glib.h>

struct block_file;
struct disk_config;

bool block_remote_is(const struct disk_config *disk);

/* Starts or finds the server: file->fd. DOM1_STATUS_FILE, DOM1_STATUS_USAGE, DOM1_STATUS_HOST. */
gboolean block_remote_connect(struct block_file *file, const struct disk_config *disk, GError **error);
/* file->remote and all that is known of it. The same errors. */
gboolean block_remote_begin(struct block_file *file, const struct disk_config *disk, GError **error);

/* A private server has a moment to write what it has and to let go of its image. */
void block_remote_await_end(int pidfd);
