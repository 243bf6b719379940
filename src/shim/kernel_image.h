// SPDX-License-Identifier: MIT
/*
 * What kind of kernel is this file, and how does its ELF come out of it? Parsing only: bytes in, facts out.
 *
 * A bzImage (Linux boot protocol 2.08 or newer) holds a compressed ELF; its last four payload bytes are the unpacked
 * size and belong to no stream (but for gzip, whose own last field is that number). A kernel may also be an ELF
 * (vmlinux), or an ELF compressed as a whole (vmlinux.gz).
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <glib.h>

enum kernel_compression {
	KERNEL_COMPRESSION_NONE,
	KERNEL_COMPRESSION_GZIP,
	KERNEL_COMPRESSION_BZIP2,
	KERNEL_COMPRESSION_LZMA,
	KERNEL_COMPRESSION_XZ,
	KERNEL_COMPRESSION_LZO,
	KERNEL_COMPRESSION_LZ4, /* the legacy frame that Linux uses */
	KERNEL_COMPRESSION_ZSTD,
};

struct kernel_image {
	enum { KERNEL_ELF, KERNEL_BZIMAGE, KERNEL_COMPRESSED_ELF } container;
	enum kernel_compression compression;
	size_t payload_offset_bytes; /* the compressed stream, or the ELF itself */
	size_t payload_len_bytes;    /* without a bzImage's size trailer */
	uint32_t unpacked_bytes;     /* from the trailer; 0: unknown. A hint of the file: never allocate by it alone */
};

/*
 * Where a bzImage says its payload lies, size trailer included, from the first head_bytes (a sector or two) of a file of
 * file_bytes. Of the rest kernel_image_parse() looks at the first 8 and the last 4 bytes of the payload. FALSE: not a
 * bzImage, or not a whole one: kernel_image_parse() tells.
 */
gboolean kernel_image_peek(const uint8_t *head, size_t head_bytes, size_t file_bytes, size_t *payload_offset_bytes,
			   size_t *payload_len_bytes);

/* name is for messages. FALSE and DOM1_ERROR/DOM1_STATUS_FILE: not a kernel, truncated, or of another machine. */
gboolean kernel_image_parse(const uint8_t *bytes, size_t len_bytes, const char *name, struct kernel_image *image,
			    GError **error);

/* What an unpacked ELF says of itself. */
struct kernel_elf {
	gboolean is_64bit;
	uint16_t machine;          /* EM_X86_64, EM_386 */
	gboolean has_xen_notes;    /* any note of owner "Xen" */
	gboolean is_pv;            /* XEN_ELFNOTE_ENTRY; or HYPERCALL_PAGE or GUEST_OS without PHYS32_ENTRY */
	gboolean is_pae;           /* XEN_ELFNOTE_PAE_MODE says yes: a 32-bit PV kernel that Xen can run */
	gboolean has_phys32_entry; /* PVH */
	uint32_t phys32_entry;
	char guest_os[16];   /* XEN_ELFNOTE_GUEST_OS, "" without */
	uint64_t load_bytes; /* from the first to the last byte its PT_LOAD segments take in memory */
	uint64_t load_end;   /* the (pseudo-)physical address behind the last of them */
};
gboolean kernel_elf_parse(const uint8_t *bytes, size_t len_bytes, const char *name, struct kernel_elf *elf,
			  GError **error);
