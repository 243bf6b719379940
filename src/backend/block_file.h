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

struct disk_config;

struct block_file {
	int fd;
	char *path, *vdev, *serial; /* serial: NULL, none */
	uint32_t number;            /* of vdev */
	uint64_t n_sectors;         /* of 512 bytes; what is left over at the end is not used */
	uint32_t physical_sector_bytes;
	uint32_t discard_granularity_bytes;
	bool read_only;
	bool discard;
	bool at_once;      /* reads and writes of it never block */
	bool ignore_flush; /* cache=unsafe */
	bool stop_on_error;
	bool cdrom;
};

/*
 * DOM1_STATUS_FILE: missing, unreadable, empty, of another format, or in use by somebody else, who is named if that can
 * be found out.
 */
gboolean block_file_open(struct block_file *file, const struct disk_config *disk, GError **error);
void block_file_close(struct block_file *file);

/* All of a domain's; on failure none is open. configs: of struct disk_config *. */
gboolean block_files_open(struct block_file **files, size_t *n_files, const GPtrArray *configs, GError **error);
void block_files_close(struct block_file *files, size_t n_files);

/* Who has a lock of the file: "domain NAME (process 12)", "process 12 (qemu-system-x86)"; NULL: nobody we may look at. */
char *block_holder_describe(int fd);
