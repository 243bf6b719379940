// SPDX-License-Identifier: MIT
/*
 * The file or block device behind a disk, opened and locked by the launcher before there is a machine.
 *
 * Locks are those of open file descriptions (fcntl F_OFD_SETLK) over the whole file: shared for a disk that is only
 * read, exclusive for one that is written. The machine inherits the description, so the lock lives as long as either
 * process. QEMU's own locks on an image conflict with it, as they should.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

struct block_overlay;
struct disk_config;
struct nbd_client;

struct block_file {
	int fd;                        /* -1: there is remote */
	struct nbd_client *remote;     /* of qcow2 and NBD: who speaks with the server; NULL */
	int helper_pidfd;              /* of the server, in the process that started it; -1 */
	int overlay_fd;                /* of a snapshot that is no clone: what was written; else -1 */
	struct block_overlay *overlay; /* where that is; NULL */
	char *path, *vdev;
	char *words; /* the disk's specification, with its whole path; NULL: it is remote, or a shared folder */
	uint32_t number; /* of vdev */
	uint64_t n_sectors;         /* of 512 bytes; what is left over at the end is not used */
	uint32_t physical_sector_bytes;
	uint32_t discard_granularity_bytes;
	unsigned int segments_max; /* pages of a request that the host takes in one piece; 0: as many as may be */
	bool read_only;
	bool discard;
	bool at_once;      /* reads and writes of it never block */
	bool overlay_at_once;
	bool ignore_flush; /* cache=unsafe, and snapshots */
	bool stop_on_error;
	bool pause_without_room;
	bool cdrom;
	bool snapshot;
};

/*
 * DOM1_STATUS_FILE: missing, unreadable, empty, of another format, or in use by somebody else, who is named if that can
 * be found out.
 */
gboolean block_file_open(struct block_file *file, const struct disk_config *disk, GError **error);
/* Of qcow2 and NBD, after open(), by the process that is the machine's or becomes it: it learns the size. */
gboolean block_file_begin(struct block_file *file, const struct disk_config *disk, GError **error);
void block_file_close(struct block_file *file);

/*
 * From descriptors that somebody else has opened, locked and checked so: of the image, and of a snapshot's overlay. Those
 * that are taken are replaced by -1. DOM1_STATUS_USAGE.
 */
gboolean block_file_adopt(struct block_file *file, const struct disk_config *disk, int *fds, unsigned int n_fds,
			  GError **error);

/* Makes it larger, to bytes, unless that is 0; and takes the size that it has now. DOM1_STATUS_USAGE. */
gboolean block_file_resize(struct block_file *file, uint64_t bytes, GError **error);

/* All of a domain's, begun; on failure none is open. configs: of struct disk_config *. */
gboolean block_files_open(struct block_file **files, size_t *n_files, const GPtrArray *configs, GError **error);
void block_files_close(struct block_file *files, size_t n_files);

/* What it has open, -1 for what it has not. Returns how many. */
#define BLOCK_FILE_FDS_MAX 5u
unsigned int block_file_fds(const struct block_file *file, int fds[BLOCK_FILE_FDS_MAX]);

/* Nobody uses the file any more, not even another process that has a copy of the descriptor. */
void block_file_let_go(const struct block_file *file);

/* Who has a lock of the file: "domain NAME (process 12)", "process 12 (qemu-system-x86)"; NULL: nobody we may look at. */
char *block_holder_describe(int fd);
