// SPDX-License-Identifier: MIT
/* Files that call themselves kernels: containers, ELF, its notes, and the headers of both ways to start one. */
#include <string.h>

#include <glib.h>

#include "bytes.h"
#include "shim/elf.h"
#include "shim/kernel_image.h"
#include "shim/multiboot.h"
#include "shim/pvh.h"

/* Each byte of what was found: the sanitizers see whether it is the file's. */
static unsigned int touch(const void *bytes, size_t len_bytes)
{
	unsigned int sum = 0;

	for (size_t i = 0; i < len_bytes; i++)
		sum += ((const uint8_t *)bytes)[i];
	return sum;
}

static void look_into_elf(const uint8_t *bytes, size_t len_bytes)
{
	struct elf_image elf;
	struct elf_notes notes;
	struct elf_note note;
	uint64_t number;
	uint32_t entry;

	if (!elf_open(&elf, bytes, len_bytes, "image", NULL))
		return;
	for (uint32_t i = 0; i < MIN(elf.n_segments, 64); i++) {
		const struct elf_segment segment = elf_segment(&elf, i);

		g_assert_true(segment.type != 1 || segment.mem_bytes >= segment.file_bytes);
	}
	elf_notes_begin(&notes, &elf);
	for (unsigned int i = 0; i < 256 && elf_notes_next(&notes, &note); i++) {
		(void)touch(note.owner, note.owner_len);
		(void)touch(note.desc, note.desc_len);
		(void)elf_note_owner_is(&note, "Xen");
		(void)elf_note_number(&note, &number);
	}
	(void)pvh_find_entry(&elf, "image", &entry, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len_bytes)
{
	/* Exactly as long as the file: what is read behind it is seen. */
	g_autofree uint8_t *file = g_memdup2(bytes, len_bytes);
	struct kernel_image image;
	struct kernel_elf elf;
	size_t offset_bytes, payload_bytes;

	if (kernel_image_parse(file, len_bytes, "image", &image, NULL)) {
		g_assert_cmpuint(image.payload_offset_bytes, <=, len_bytes);
		g_assert_cmpuint(image.payload_len_bytes, <=, len_bytes - image.payload_offset_bytes);
	}
	(void)kernel_image_peek(file, MIN(len_bytes, 4096), len_bytes, &offset_bytes, &payload_bytes);
	(void)kernel_elf_parse(file, len_bytes, "image", &elf, NULL);
	(void)multiboot_check_header(file, len_bytes, "image", NULL);
	look_into_elf(file, len_bytes);
	return 0;
}
