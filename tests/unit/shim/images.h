// SPDX-License-Identifier: MIT
/*
 * Small good files, made by code, for the tests of src/shim; and the ways in which files go bad.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <glib.h>

enum {
	IMAGE_SHIM_GPA = 0x200000,
	IMAGE_SHIM_MEM_BYTES = 0x800000,
	IMAGE_SHIM_PVH_ENTRY = IMAGE_SHIM_GPA + 0x20,
	IMAGE_VMLINUX_GPA = 0x1000000,
	IMAGE_VMLINUX_MEM_BYTES = 0x300000,
	IMAGE_VMLINUX_PVH_ENTRY = IMAGE_VMLINUX_GPA + 0x40,

	IMAGE_N_MUTATIONS = 10000,
};

/* ELF32 for EM_386 as Debian's xen-shim: one PT_LOAD, Multiboot header, PHYS32_ENTRY note. */
GByteArray *image_shim(void);

/* ELF64 of the machine with Xen's notes and tail_bytes of text that compresses a little, different for each seed. */
GByteArray *image_vmlinux(uint16_t machine, size_t tail_bytes, uint32_t seed);

/* The bytes packed by one of libarchive's filters (ARCHIVE_FILTER_*). */
GByteArray *image_packed(const GByteArray *plain, int filter);

/* LZ4's legacy frame, as Linux' build makes it, with blocks of literals only. */
GByteArray *image_packed_lz4_legacy(const GByteArray *plain);

/* A bzImage around payload; trailer: the size is appended (all compressions but gzip). */
GByteArray *image_bzimage(const GByteArray *payload, gboolean trailer, size_t unpacked_bytes);

/* TRUE: the bytes were accepted as good. */
typedef gboolean (*image_check)(const uint8_t *bytes, size_t len_bytes, gconstpointer user);

/* Calls check with each prefix (in a block of exactly its size, so that a sanitizer sees each byte too much). */
void image_every_prefix(const GByteArray *image, image_check check, gconstpointer user);

/*
 * Calls check with IMAGE_N_MUTATIONS damaged copies; the same ones in each run. Some are accepted and some refused,
 * or the damage would test nothing.
 */
void image_mutations(const GByteArray *image, image_check check, gconstpointer user);

void image_put16(GByteArray *image, size_t offset, uint16_t value);
void image_put32(GByteArray *image, size_t offset, uint32_t value);
void image_put64(GByteArray *image, size_t offset, uint64_t value);
