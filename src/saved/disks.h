// SPDX-License-Identifier: MIT
/*
 * The disks of a saved domain. The images stay where they are: the file says which they were, and how old. What a guest had
 * written to a disk with snapshot=on is in the file, behind memory: runs of sectors, one after the other, each disk's from a page on.
 *
 * Pure, but for saved_disk_copy().
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "backend/xenbus.h"
#include "saved/bytes.h"

struct stat;

struct saved_run {
	uint64_t sector, n_sectors; /* of 512 bytes */
};

struct saved_disk {
	char *words;          /* its specification: config/xl_cfg.h */
	uint64_t n_sectors;
	uint64_t changed_ns;  /* since 1970: when its image was changed last; 0: that is not known, or does not matter */
	struct xenbus_saved bus;
	bool has_data;        /* snapshot=on */
	bool is_whole;        /* nothing is needed of the image: what is in no run is zeros */
	GArray *runs;         /* of struct saved_run, from the lowest sector on; empty without has_data */
};

/* Of a regular file, as in changed_ns; 0: the time of a device's node says nothing of what is on the device. */
uint64_t saved_disk_changed_ns(const struct stat *status);

struct saved_disk *saved_disk_new(void);
void saved_disk_free(void *disk);

/* disks: of struct saved_disk *. */
void saved_disks_write(GByteArray *to, const GPtrArray *disks);
/* NULL: it is damaged. */
GPtrArray *saved_disks_read(struct saved_cursor from);

/* How many of them have data, each of which has a sum. */
unsigned int saved_disks_n_data(const GPtrArray *disks);
/* How much comes behind memory: up to disk number n, or n of them all. */
uint64_t saved_disks_data_bytes(const GPtrArray *disks, unsigned int n);

/*
 * Its data, between disk_fd, where a sector is at its place, and file_fd at offset_bytes. disk_fd -1: it is only read. *sum is that
 * of the data. 0 or a positive errno; ENODATA: a file ends too early. System calls: pread64, pwrite64.
 */
int saved_disk_copy(const struct saved_disk *disk, int disk_fd, int file_fd, uint64_t offset_bytes, bool to_disk, uint64_t *sum);
