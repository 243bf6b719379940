// SPDX-License-Identifier: MIT
/*
 * snapshot=on: what the guest writes is thrown away at the end. A clone of the image where its file system can share
 * blocks (FICLONE), which is then a disk like any other; else an overlay of ours: a sparse file without a name beside the
 * image, which is only read. docs/backends.md says where the file lies.
 */
#pragma once

#include <stdbool.h>

#include <glib.h>

struct block_file;
struct disk_config;

/* file is open for reading, locked and measured. DOM1_STATUS_FILE, or DOM1_STATUS_HOST: there is no room for an overlay. */
gboolean block_snapshot_open(struct block_file *file, const struct disk_config *disk, GError **error);

/* For what can be no clone: file->overlay_fd, a file without a size and a name. DOM1_STATUS_HOST. */
gboolean block_snapshot_make_overlay(struct block_file *file, const struct disk_config *disk, GError **error);

/* Nameless, where large files may lie ($TMPDIR, /var/tmp); in memory, when nothing can be written there. -1: errno says why. */
int block_snapshot_nameless_file(void);
