// SPDX-License-Identifier: MIT
/*
 * Reads little-endian ELF files of either class. Everything here trusts nothing in the file: what elf_open() has
 * accepted can be walked without a further check, and no pointer that comes out leaves the file's bytes.
 * Pure functions of bytes: thread-safe, no system calls, no allocation besides error messages.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <glib.h>

struct elf_image {
	const uint8_t *bytes;
	size_t len_bytes;
	gboolean is_64bit;
	uint16_t machine; /* EM_* of <elf.h> */
	uint64_t entry;
	uint64_t segments_offset;
	uint32_t segment_stride;
	uint32_t n_segments;
	uint64_t sections_offset;
	uint32_t section_stride;
	uint32_t n_sections; /* 0 when the section table is damaged: loading does not need it */
};

/* A program header. For PT_LOAD and PT_NOTE, offset and file_bytes lie inside the file. */
struct elf_segment {
	uint32_t type;
	uint64_t offset;
	uint64_t gpa; /* p_paddr */
	uint64_t file_bytes;
	uint64_t mem_bytes; /* PT_LOAD: at least file_bytes, and gpa + mem_bytes does not wrap */
	uint64_t align;
};

struct elf_note {
	const char *owner; /* without its terminating NUL; not terminated */
	size_t owner_len;
	uint32_t type;
	const uint8_t *desc;
	size_t desc_len;
};

/* Where a walk over all notes stands; fill it by elf_notes_begin(). */
struct elf_notes {
	const struct elf_image *elf;
	uint32_t next; /* of the program headers, then of the sections */
	gboolean in_sections;
	uint64_t offset;
	uint64_t end;
	uint64_t align;
};

gboolean elf_has_magic(const uint8_t *bytes, size_t len_bytes);

/* FALSE and DOM1_STATUS_FILE when it is not a sound ELF. bytes must outlive elf; name is for messages only. */
gboolean elf_open(struct elf_image *elf, const uint8_t *bytes, size_t len_bytes, const char *name, GError **error);

/* index < elf->n_segments. */
struct elf_segment elf_segment(const struct elf_image *elf, uint32_t index);

/*
 * Notes of PT_NOTE segments, then of SHT_NOTE sections (kernels linked without PT_NOTE; Xen reads both). A note may
 * come twice. A damaged note ends its segment, not the walk: Xen does not refuse such a file either.
 */
void elf_notes_begin(struct elf_notes *notes, const struct elf_image *elf);
gboolean elf_notes_next(struct elf_notes *notes, struct elf_note *note);

/* Is the note of this owner? */
gboolean elf_note_owner_is(const struct elf_note *note, const char *owner);

/* The descriptor as a number of 4 or 8 bytes. FALSE: it is neither. */
gboolean elf_note_number(const struct elf_note *note, uint64_t *number);

/* The word a person uses for EM_*, or NULL. */
const char *elf_machine_name(uint16_t machine);
