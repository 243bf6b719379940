// SPDX-License-Identifier: MIT
/* A saved domain as a whole: its file, and what its sections mean. */
#pragma once

#include "saved/disks.h"
#include "saved/domain.h"
#include "saved/file.h"
#include "saved/hypervisor.h"
#include "saved/vcpu.h"

struct saved_image {
	struct saved_file file;
	struct saved_domain domain;
	struct saved_clock clock;
	struct saved_hypervisor *hypervisor;
	struct saved_rings rings;
	struct saved_cursor xenstore; /* for xenstore_restore(), which has taken it once */
	struct saved_vcpu *vcpus;     /* domain.max_vcpus of them */
	GPtrArray *disks;             /* of struct saved_disk * */
	uint64_t *sums;               /* of memory's chunks */
	uint64_t *disk_sums;          /* of each disk that has data; within sums */
};

/* FALSE and DOM1_STATUS_FILE; *image is empty then. Memory is not looked at. */
bool saved_image_open(struct saved_image *image, const char *path, GError **error);
/* The same with a descriptor, which is the image's from now on, whatever comes of it. path: for messages. */
bool saved_image_take(struct saved_image *image, int fd, const char *path, GError **error);
void saved_image_close(struct saved_image *image); /* also one that is all zeros */

/* Where the data of a disk begins. */
uint64_t saved_image_disk_offset(const struct saved_image *image, unsigned int disk);
/* Reads what was written to disks. FALSE and DOM1_STATUS_FILE. */
bool saved_image_check_disks(const struct saved_image *image, GError **error);

/* The same of bytes that a file of file_bytes begins with, all sections among them: for tests. Its descriptor is -1. */
bool saved_image_read(struct saved_image *image, const uint8_t *bytes, size_t len_bytes, uint64_t file_bytes, GError **error);
