// SPDX-License-Identifier: MIT
/*
 * Both classes are read through one table of field offsets (rule 5 of the design), so that no check exists twice and
 * none can be forgotten in the class that is tested less.
 *
 * Arithmetic: a range is tested as "len <= total && offset <= total - len", which cannot wrap whatever the file says.
 */
#include "shim/elf.h"

#include <assert.h>
#include <elf.h>
#include <string.h>

#include "vmm/error.h"

/* Offset and width of one field in a header. */
struct field {
	uint8_t offset;
	uint8_t width;
};

struct layout {
	uint8_t header_bytes, segment_bytes, section_bytes;
	struct field entry, phoff, phentsize, phnum, shoff, shentsize, shnum;
	struct field p_type, p_offset, p_paddr, p_filesz, p_memsz, p_align;
	struct field sh_type, sh_offset, sh_size, sh_addralign;
};

#define FIELD(type, member)                                                                                            \
	{                                                                                                              \
		offsetof(type, member), sizeof(((type *)NULL)->member)                                                 \
	}
#define LAYOUT(class)                                                                                                  \
	{                                                                                                              \
		.header_bytes = sizeof(Elf##class##_Ehdr), .segment_bytes = sizeof(Elf##class##_Phdr),                 \
		.section_bytes = sizeof(Elf##class##_Shdr), .entry = FIELD(Elf##class##_Ehdr, e_entry),                \
		.phoff = FIELD(Elf##class##_Ehdr, e_phoff), .phentsize = FIELD(Elf##class##_Ehdr, e_phentsize),        \
		.phnum = FIELD(Elf##class##_Ehdr, e_phnum), .shoff = FIELD(Elf##class##_Ehdr, e_shoff),                \
		.shentsize = FIELD(Elf##class##_Ehdr, e_shentsize), .shnum = FIELD(Elf##class##_Ehdr, e_shnum),        \
		.p_type = FIELD(Elf##class##_Phdr, p_type), .p_offset = FIELD(Elf##class##_Phdr, p_offset),            \
		.p_paddr = FIELD(Elf##class##_Phdr, p_paddr), .p_filesz = FIELD(Elf##class##_Phdr, p_filesz),          \
		.p_memsz = FIELD(Elf##class##_Phdr, p_memsz), .p_align = FIELD(Elf##class##_Phdr, p_align),            \
		.sh_type = FIELD(Elf##class##_Shdr, sh_type), .sh_offset = FIELD(Elf##class##_Shdr, sh_offset),        \
		.sh_size = FIELD(Elf##class##_Shdr, sh_size), .sh_addralign = FIELD(Elf##class##_Shdr, sh_addralign)   \
	}

static const struct layout layouts[2] = {LAYOUT(32), LAYOUT(64)};

/* Class, byte order and machine lie at one place in both classes: they are read before the class is known. */
static_assert(offsetof(Elf32_Ehdr, e_machine) == 18 && offsetof(Elf64_Ehdr, e_machine) == 18, "ELF ABI");
static_assert(sizeof(Elf32_Ehdr) == 52 && sizeof(Elf64_Ehdr) == 64, "ELF ABI");
static_assert(sizeof(Elf32_Phdr) == 32 && sizeof(Elf64_Phdr) == 56, "ELF ABI");
static_assert(sizeof(Elf32_Nhdr) == 12 && sizeof(Elf64_Nhdr) == 12, "ELF ABI");

static const struct layout *layout_of(const struct elf_image *elf)
{
	return &layouts[elf->is_64bit ? 1 : 0];
}

/* base + field lies inside the file: the caller has checked the whole record. */
static uint64_t read_field(const struct elf_image *elf, uint64_t base, struct field field)
{
	uint64_t value = 0;

	memcpy(&value, elf->bytes + base + field.offset, field.width);
	return GUINT64_FROM_LE(value);
}

static gboolean range_fits(uint64_t offset, uint64_t len, uint64_t total)
{
	return len <= total && offset <= total - len;
}

static gboolean table_fits(const struct elf_image *elf, uint64_t offset, uint32_t n, uint32_t stride, uint32_t need)
{
	/* Both factors are 16-bit fields: the product cannot overflow. */
	return stride >= need && range_fits(offset, (uint64_t)n * stride, elf->len_bytes);
}

static const struct {
	uint16_t machine;
	const char *name;
} machine_names[] = {
	{EM_386, "x86 (32-bit)"}, {EM_X86_64, "x86-64"},       {EM_AARCH64, "arm64"},    {EM_ARM, "arm (32-bit)"},
	{EM_RISCV, "RISC-V"},     {EM_PPC64, "PowerPC 64"},    {EM_PPC, "PowerPC"},      {EM_S390, "s390"},
	{EM_MIPS, "MIPS"},        {EM_LOONGARCH, "LoongArch"}, {EM_SPARCV9, "SPARC 64"}, {EM_IA_64, "Itanium"},
};

const char *elf_machine_name(uint16_t machine)
{
	for (size_t i = 0; i < G_N_ELEMENTS(machine_names); i++)
		if (machine_names[i].machine == machine)
			return machine_names[i].name;
	return NULL;
}

gboolean elf_has_magic(const uint8_t *bytes, size_t len_bytes)
{
	return len_bytes >= SELFMAG && memcmp(bytes, ELFMAG, SELFMAG) == 0;
}

static gboolean check_identity(const uint8_t *bytes, size_t len_bytes, const char *name, GError **error)
{
	if (!elf_has_magic(bytes, len_bytes)) {
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_FILE, "%s: not an ELF file", name);
		return FALSE;
	}
	if (len_bytes < sizeof(Elf32_Ehdr)) {
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_FILE,
			    "%s: truncated inside the ELF header (%zu bytes): get the file again", name, len_bytes);
		return FALSE;
	}
	if (bytes[EI_DATA] == ELFDATA2MSB) {
		uint16_t machine = (uint16_t)(bytes[18] << 8 | bytes[19]);
		const char *machine_name = elf_machine_name(machine);

		g_set_error(error, DOM1_ERROR, DOM1_STATUS_FILE,
			    "%s: a big-endian ELF for %s (machine %u): give a file built for x86-64", name,
			    machine_name != NULL ? machine_name : "another machine", machine);
		return FALSE;
	}
	if (bytes[EI_DATA] != ELFDATA2LSB || bytes[EI_VERSION] != EV_CURRENT ||
	    (bytes[EI_CLASS] != ELFCLASS32 && bytes[EI_CLASS] != ELFCLASS64)) {
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_FILE,
			    "%s: an ELF of unknown kind (class %u, byte order %u, version %u): the file is damaged",
			    name, bytes[EI_CLASS], bytes[EI_DATA], bytes[EI_VERSION]);
		return FALSE;
	}
	return TRUE;
}

static gboolean check_segment(const struct elf_image *elf, uint32_t index, const char *name, GError **error)
{
	struct elf_segment segment = elf_segment(elf, index);

	if (segment.type != PT_LOAD && segment.type != PT_NOTE)
		return TRUE;
	if (!range_fits(segment.offset, segment.file_bytes, elf->len_bytes)) {
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_FILE,
			    "%s: truncated or damaged: ELF segment %u ends past the end of the file (%zu bytes): get "
			    "the file again",
			    name, index, elf->len_bytes);
		return FALSE;
	}
	if (segment.type == PT_LOAD &&
	    (segment.file_bytes > segment.mem_bytes || segment.mem_bytes > UINT64_MAX - segment.gpa)) {
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_FILE,
			    "%s: damaged: ELF segment %u has absurd sizes: get the file again", name, index);
		return FALSE;
	}
	return TRUE;
}

gboolean elf_open(struct elf_image *elf, const uint8_t *bytes, size_t len_bytes, const char *name, GError **error)
{
	const struct layout *layout;

	*elf = (struct elf_image){.bytes = bytes, .len_bytes = len_bytes};
	if (!check_identity(bytes, len_bytes, name, error))
		return FALSE;
	elf->is_64bit = bytes[EI_CLASS] == ELFCLASS64;
	layout = layout_of(elf);
	if (len_bytes < layout->header_bytes) {
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_FILE,
			    "%s: truncated inside the ELF header (%zu bytes): get the file again", name, len_bytes);
		return FALSE;
	}
	elf->machine = (uint16_t)read_field(elf, 0, (struct field){18, 2});
	elf->entry = read_field(elf, 0, layout->entry);
	elf->segments_offset = read_field(elf, 0, layout->phoff);
	elf->segment_stride = (uint32_t)read_field(elf, 0, layout->phentsize);
	elf->n_segments = (uint32_t)read_field(elf, 0, layout->phnum);
	elf->sections_offset = read_field(elf, 0, layout->shoff);
	elf->section_stride = (uint32_t)read_field(elf, 0, layout->shentsize);
	elf->n_sections = (uint32_t)read_field(elf, 0, layout->shnum);

	/* PN_XNUM would mean that the number is elsewhere: nothing bootable has 65535 segments. */
	if (elf->n_segments == PN_XNUM ||
	    (elf->n_segments != 0 &&
	     !table_fits(elf, elf->segments_offset, elf->n_segments, elf->segment_stride, layout->segment_bytes))) {
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_FILE,
			    "%s: truncated or damaged: its table of ELF segments is not inside the file (%zu bytes): "
			    "get the file again",
			    name, len_bytes);
		return FALSE;
	}
	if (!table_fits(elf, elf->sections_offset, elf->n_sections, elf->section_stride, layout->section_bytes))
		elf->n_sections = 0;
	for (uint32_t i = 0; i < elf->n_segments; i++)
		if (!check_segment(elf, i, name, error))
			return FALSE;
	return TRUE;
}

struct elf_segment elf_segment(const struct elf_image *elf, uint32_t index)
{
	const struct layout *layout = layout_of(elf);
	uint64_t base = elf->segments_offset + (uint64_t)index * elf->segment_stride;

	g_assert(index < elf->n_segments);
	return (struct elf_segment){
		.type = (uint32_t)read_field(elf, base, layout->p_type),
		.offset = read_field(elf, base, layout->p_offset),
		.gpa = read_field(elf, base, layout->p_paddr),
		.file_bytes = read_field(elf, base, layout->p_filesz),
		.mem_bytes = read_field(elf, base, layout->p_memsz),
		.align = read_field(elf, base, layout->p_align),
	};
}

void elf_notes_begin(struct elf_notes *notes, const struct elf_image *elf)
{
	*notes = (struct elf_notes){.elf = elf};
}

/* Finds the next segment or section that holds notes. FALSE: there is none left. */
static gboolean next_container(struct elf_notes *notes)
{
	const struct elf_image *elf = notes->elf;
	const struct layout *layout = layout_of(elf);

	while (!notes->in_sections && notes->next < elf->n_segments) {
		struct elf_segment segment = elf_segment(elf, notes->next++);

		if (segment.type != PT_NOTE)
			continue;
		notes->offset = segment.offset;
		notes->end = segment.offset + segment.file_bytes;
		notes->align = segment.align;
		return TRUE;
	}
	if (!notes->in_sections) {
		notes->in_sections = TRUE;
		notes->next = 0;
	}
	while (notes->next < elf->n_sections) {
		uint64_t base = elf->sections_offset + (uint64_t)notes->next++ * elf->section_stride;
		uint64_t offset = read_field(elf, base, layout->sh_offset);
		uint64_t len = read_field(elf, base, layout->sh_size);

		if (read_field(elf, base, layout->sh_type) != SHT_NOTE || !range_fits(offset, len, elf->len_bytes))
			continue;
		notes->offset = offset;
		notes->end = offset + len;
		notes->align = read_field(elf, base, layout->sh_addralign);
		return TRUE;
	}
	return FALSE;
}

static uint64_t align_up(uint64_t value, uint64_t align)
{
	return (value + align - 1) & ~(align - 1);
}

/*
 * Reads the note at notes->offset and steps over it. Alignment is 4 in every file but those of .note.gnu.property,
 * where the gABI's 8 is meant; it counts from the start of the segment, which is aligned itself.
 */
static gboolean read_note(struct elf_notes *notes, struct elf_note *note)
{
	uint64_t align = notes->align == 8 ? 8 : 4;
	uint64_t left = notes->end - notes->offset;
	const uint8_t *bytes = notes->elf->bytes + notes->offset;
	uint32_t header[3]; /* n_namesz, n_descsz, n_type */
	uint64_t desc_offset, owner_len;

	if (left < sizeof(header))
		return FALSE;
	memcpy(header, bytes, sizeof(header));
	owner_len = GUINT32_FROM_LE(header[0]);
	note->desc_len = GUINT32_FROM_LE(header[1]);
	note->type = GUINT32_FROM_LE(header[2]);
	/* 32-bit lengths in 64-bit sums: nothing wraps. */
	desc_offset = align_up(sizeof(header) + owner_len, align);
	if (desc_offset > left || note->desc_len > left - desc_offset)
		return FALSE;
	note->owner = (const char *)bytes + sizeof(header);
	note->owner_len = strnlen(note->owner, (size_t)owner_len);
	note->desc = bytes + desc_offset;
	notes->offset += MIN(align_up(desc_offset + note->desc_len, align), left);
	return TRUE;
}

gboolean elf_notes_next(struct elf_notes *notes, struct elf_note *note)
{
	for (;;) {
		if (notes->offset < notes->end) {
			if (read_note(notes, note))
				return TRUE;
			notes->offset = notes->end;
		}
		if (!next_container(notes))
			return FALSE;
	}
}

gboolean elf_note_owner_is(const struct elf_note *note, const char *owner)
{
	return note->owner_len == strlen(owner) && memcmp(note->owner, owner, note->owner_len) == 0;
}

gboolean elf_note_number(const struct elf_note *note, uint64_t *number)
{
	uint64_t value = 0;

	if (note->desc_len != 4 && note->desc_len != 8)
		return FALSE;
	memcpy(&value, note->desc, note->desc_len);
	*number = GUINT64_FROM_LE(value);
	return TRUE;
}
