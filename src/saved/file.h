// SPDX-License-Identifier: MIT
/*
 * The file of a saved domain (docs/saved-format.md):
 *
 *   0               header, one page
 *   4096            sections: what there is besides memory, each with its kind, its length and its sum
 *   memory_offset   memory: the byte at guest-physical address A is A further on. Pages of zeros are holes
 *   behind that     what the guest has written to disks with snapshot=on (saved/disks.h)
 *
 * The header is written last: a file that was not finished is none. Sums are XXH3's, against accidents: whoever can change
 * the file can change them too, so nothing that is read is believed because its sum is right.
 *
 * Thread: any; the descriptor is used by pread and pwrite alone.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <glib.h>

#include "saved/bytes.h"

#define SAVED_PAGE_BYTES     4096u
#define SAVED_FORMAT_VERSION 2u
/* A xenstore that is full, 32 vCPUs and the sums of 1 TiB take less. */
#define SAVED_SECTIONS_MAX_BYTES (UINT64_C(64) << 20)

/* In the file's order. Of vCPUs there are as many as the domain has, of everything else one. */
enum saved_kind {
	SAVED_DOMAIN = 1, /* what dom1 run was told */
	SAVED_CLOCK,
	SAVED_HYPERVISOR, /* event channels, grants, pages, timers */
	SAVED_XENSTORE,
	SAVED_RINGS,
	SAVED_DISKS,
	SAVED_VCPU,
	SAVED_SUMS, /* of memory, and of what was written to disks */
	SAVED_N_KINDS,
};
extern const char *const SAVED_KIND_NAMES[SAVED_N_KINDS];

struct saved_header {
	uint64_t sections_bytes; /* from SAVED_PAGE_BYTES on */
	uint64_t memory_offset;  /* of whole pages, as memory_bytes */
	uint64_t memory_bytes;
	uint64_t disk_bytes; /* behind memory, of whole pages */
};

struct saved_section {
	enum saved_kind kind;
	struct saved_cursor bytes;
};

/* How long the file is. */
uint64_t saved_header_file_bytes(const struct saved_header *header);
/* One page. */
void saved_header_write(uint8_t page[SAVED_PAGE_BYTES], const struct saved_header *header);
/* file_bytes: of the whole file. FALSE and DOM1_STATUS_FILE: "PATH: ...", what is wrong with it. Pure. */
bool saved_header_read(struct saved_header *header, const uint8_t *page, size_t page_bytes, uint64_t file_bytes,
		       const char *path, GError **error);

/* Between the two, what is put into sections becomes one section. */
size_t saved_section_begin(GByteArray *sections, enum saved_kind kind);
void saved_section_end(GByteArray *sections, size_t begin);
/* Each is where it is, borrowed from bytes. NULL and DOM1_STATUS_FILE as above. Pure. */
GArray *saved_sections_read(const uint8_t *bytes, size_t len_bytes, const char *path, GError **error);
/* The n-th of its kind; NULL: there is none. */
const struct saved_section *saved_sections_find(const GArray *sections, enum saved_kind kind, unsigned int n);

struct saved_file {
	char *path;
	int fd;
	struct saved_header header;
	uint8_t *bytes;   /* of the sections */
	GArray *sections; /* of struct saved_section */
};

/* FALSE and DOM1_STATUS_FILE; *file is empty then. What the sections mean is not looked at. */
bool saved_file_open(struct saved_file *file, const char *path, GError **error);
/* The same with a descriptor, which is the file's from now on, whatever comes of it. path: for messages. */
bool saved_file_take(struct saved_file *file, int fd, const char *path, GError **error);
void saved_file_close(struct saved_file *file); /* also one that is all zeros */

/* Always FALSE: DOM1_STATUS_FILE. */
bool saved_refuse(GError **error, const char *path, const char *format, ...) G_GNUC_PRINTF(3, 4);
