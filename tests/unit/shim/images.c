// SPDX-License-Identifier: MIT
/*
 * Fields are written by number, from the specifications, and not through the structures that src/shim reads by: a
 * mistake there must not cancel out here.
 */
#include "images.h"

#include <string.h>

#include <archive.h>
#include <archive_entry.h>
#include <elf.h>

void image_put16(GByteArray *image, size_t offset, uint16_t value)
{
	g_assert_cmpuint(offset + 2, <=, image->len);
	image->data[offset] = (uint8_t)value;
	image->data[offset + 1] = (uint8_t)(value >> 8);
}

void image_put32(GByteArray *image, size_t offset, uint32_t value)
{
	image_put16(image, offset, (uint16_t)value);
	image_put16(image, offset + 2, (uint16_t)(value >> 16));
}

void image_put64(GByteArray *image, size_t offset, uint64_t value)
{
	image_put32(image, offset, (uint32_t)value);
	image_put32(image, offset + 4, (uint32_t)(value >> 32));
}

static GByteArray *new_image(size_t len_bytes)
{
	GByteArray *image = g_byte_array_new();

	g_byte_array_set_size(image, (guint)len_bytes);
	memset(image->data, 0, len_bytes);
	return image;
}

static void put_identity(GByteArray *image, uint8_t class, uint16_t machine)
{
	memcpy(image->data,
	       "\x7f"
	       "ELF",
	       4);
	image->data[4] = class;
	image->data[5] = 1; /* little endian */
	image->data[6] = 1;
	image_put16(image, 16, ET_EXEC);
	image_put16(image, 18, machine);
	image_put32(image, 20, 1);
}

/* Returns the offset behind the note. */
static size_t put_note(GByteArray *image, size_t offset, const char *owner, uint32_t type, const void *desc,
		       uint32_t len)
{
	uint32_t owner_len = (uint32_t)strlen(owner) + 1;

	image_put32(image, offset, owner_len);
	image_put32(image, offset + 4, len);
	image_put32(image, offset + 8, type);
	memcpy(image->data + offset + 12, owner, owner_len);
	offset += 12 + ((owner_len + 3) & ~3U);
	memcpy(image->data + offset, desc, len);
	return offset + ((len + 3) & ~3U);
}

GByteArray *image_shim(void)
{
	const uint32_t pvh_entry = IMAGE_SHIM_PVH_ENTRY;
	enum { LOAD_OFFSET = 0x80, NOTE_OFFSET = 0xc0, LEN = 0x110 };
	GByteArray *image = new_image(LEN);
	size_t end;

	put_identity(image, ELFCLASS32, EM_386);
	image_put32(image, 24, IMAGE_SHIM_GPA);
	image_put32(image, 28, 52); /* e_phoff */
	image_put16(image, 40, 52); /* e_ehsize */
	image_put16(image, 42, 32);
	image_put16(image, 44, 2);

	image_put32(image, 52 + 0, PT_LOAD);
	image_put32(image, 52 + 4, LOAD_OFFSET);
	image_put32(image, 52 + 8, IMAGE_SHIM_GPA);
	image_put32(image, 52 + 12, IMAGE_SHIM_GPA);
	image_put32(image, 52 + 16, LEN - LOAD_OFFSET);
	image_put32(image, 52 + 20, IMAGE_SHIM_MEM_BYTES);
	image_put32(image, 52 + 24, 7);
	image_put32(image, 52 + 28, 0x40);

	/* Multiboot header behind the first instruction. */
	image->data[LOAD_OFFSET] = 0xeb;
	image_put32(image, LOAD_OFFSET + 8, 0x1badb002);
	image_put32(image, LOAD_OFFSET + 12, 3);
	image_put32(image, LOAD_OFFSET + 16, 0U - 0x1badb002 - 3);

	end = put_note(image, NOTE_OFFSET, "GNU", 3, "build-id", 8);
	end = put_note(image, end, "Xen", 18, &pvh_entry, 4);
	image_put32(image, 84 + 0, PT_NOTE);
	image_put32(image, 84 + 4, NOTE_OFFSET);
	image_put32(image, 84 + 16, (uint32_t)(end - NOTE_OFFSET));
	image_put32(image, 84 + 20, (uint32_t)(end - NOTE_OFFSET));
	image_put32(image, 84 + 28, 4);
	g_assert_cmpuint(end, <=, LEN);
	return image;
}

GByteArray *image_vmlinux(uint16_t machine, size_t tail_bytes, uint32_t seed)
{
	const uint64_t entry = UINT64_C(0xffffffff81000000), hypercall_page = entry + 0x1000;
	const uint32_t pvh_entry = IMAGE_VMLINUX_PVH_ENTRY;
	enum { NOTE_OFFSET = 64 + 2 * 56, LOAD_OFFSET = 0x180, CODE_BYTES = 0x80 };
	GByteArray *image = new_image(LOAD_OFFSET + CODE_BYTES + tail_bytes);
	g_autoptr(GRand) random = g_rand_new_with_seed(seed);
	size_t end;

	put_identity(image, ELFCLASS64, machine);
	image_put64(image, 24, IMAGE_VMLINUX_GPA);
	image_put64(image, 32, 64); /* e_phoff */
	image_put16(image, 52, 64);
	image_put16(image, 54, 56);
	image_put16(image, 56, 2);

	image_put32(image, 64 + 0, PT_LOAD);
	image_put64(image, 64 + 8, LOAD_OFFSET);
	image_put64(image, 64 + 16, entry);
	image_put64(image, 64 + 24, IMAGE_VMLINUX_GPA);
	image_put64(image, 64 + 32, CODE_BYTES + tail_bytes);
	image_put64(image, 64 + 40, MAX(IMAGE_VMLINUX_MEM_BYTES, CODE_BYTES + tail_bytes));
	image_put64(image, 64 + 48, 0x200000);

	end = put_note(image, NOTE_OFFSET, "Xen", 6, "linux", 6);
	end = put_note(image, end, "Xen", 1, &entry, 8);
	end = put_note(image, end, "Xen", 2, &hypercall_page, 8);
	end = put_note(image, end, "Xen", 18, &pvh_entry, 4);
	image_put32(image, 120 + 0, PT_NOTE);
	image_put64(image, 120 + 8, NOTE_OFFSET);
	image_put64(image, 120 + 32, end - NOTE_OFFSET);
	image_put64(image, 120 + 40, end - NOTE_OFFSET);
	image_put64(image, 120 + 48, 4);
	g_assert_cmpuint(end, <=, LOAD_OFFSET);

	for (size_t i = 0; i < tail_bytes; i++)
		image->data[LOAD_OFFSET + CODE_BYTES + i] = (uint8_t)('a' + (g_rand_int(random) & 7));
	return image;
}

GByteArray *image_packed(const GByteArray *plain, int filter)
{
	size_t size = plain->len * 2 + (1 << 16), used = 0;
	struct archive *archive = archive_write_new();
	struct archive_entry *entry = archive_entry_new();
	GByteArray *packed = new_image(size);

	g_assert_cmpint(archive_write_set_format_raw(archive), ==, ARCHIVE_OK);
	g_assert_cmpint(archive_write_add_filter(archive, filter), ==, ARCHIVE_OK);
	g_assert_cmpint(archive_write_set_bytes_in_last_block(archive, 1), ==, ARCHIVE_OK);
	g_assert_cmpint(archive_write_open_memory(archive, packed->data, size, &used), ==, ARCHIVE_OK);
	archive_entry_set_pathname(entry, "kernel");
	archive_entry_set_filetype(entry, AE_IFREG);
	g_assert_cmpint(archive_write_header(archive, entry), ==, ARCHIVE_OK);
	g_assert_cmpint(archive_write_data(archive, plain->data, plain->len), ==, plain->len);
	g_assert_cmpint(archive_write_close(archive), ==, ARCHIVE_OK);
	archive_entry_free(entry);
	archive_write_free(archive);
	g_byte_array_set_size(packed, (guint)used);
	return packed;
}

GByteArray *image_packed_lz4_legacy(const GByteArray *plain)
{
	enum { BLOCK_BYTES = 8 << 20 };
	GByteArray *packed = new_image(4);

	image_put32(packed, 0, 0x184c2102);
	for (size_t at = 0; at < plain->len; at += BLOCK_BYTES) {
		size_t len = MIN(plain->len - at, BLOCK_BYTES), start = packed->len;
		const uint8_t token = 0xf0, full = 0xff;
		size_t rest = len - 15;
		uint8_t last;

		g_assert_cmpuint(len, >=, 15);
		g_byte_array_set_size(packed, packed->len + 4);
		g_byte_array_append(packed, &token, 1);
		for (; rest >= 255; rest -= 255)
			g_byte_array_append(packed, &full, 1);
		last = (uint8_t)rest;
		g_byte_array_append(packed, &last, 1);
		g_byte_array_append(packed, plain->data + at, (guint)len);
		image_put32(packed, start, (uint32_t)(packed->len - start - 4));
	}
	return packed;
}

GByteArray *image_bzimage(const GByteArray *payload, gboolean trailer, size_t unpacked_bytes)
{
	enum { SETUP_SECTS = 1, HEADER_BYTES = (SETUP_SECTS + 1) * 512, STUB_BYTES = 0x40, BEHIND_BYTES = 0x20 };
	size_t len = payload->len + (trailer ? 4 : 0);
	GByteArray *image = new_image(HEADER_BYTES + STUB_BYTES + len + BEHIND_BYTES);

	memcpy(image->data, "MZ", 2); /* the EFI stub's */
	image->data[0x1f1] = SETUP_SECTS;
	image_put16(image, 0x1fe, 0xaa55);
	memcpy(image->data + 0x202, "HdrS", 4);
	image_put16(image, 0x206, 0x20f);
	image_put32(image, 0x248, STUB_BYTES);
	image_put32(image, 0x24c, (uint32_t)len);
	memcpy(image->data + HEADER_BYTES + STUB_BYTES, payload->data, payload->len);
	if (trailer)
		image_put32(image, HEADER_BYTES + STUB_BYTES + payload->len, (uint32_t)unpacked_bytes);
	return image;
}

void image_every_prefix(const GByteArray *image, image_check check, gconstpointer user)
{
	for (size_t len = 0; len <= image->len; len++) {
		/* g_memdup2() of nothing is NULL, as an empty file is. */
		g_autofree uint8_t *copy = g_memdup2(image->data, len);

		check(copy, len, user);
	}
}

/* Numbers that sit on the edges of checks. */
static const uint64_t edges[] = {
	0,
	1,
	2,
	3,
	4,
	7,
	8,
	0x7f,
	0x80,
	0xff,
	0x7fff,
	0x8000,
	0xffff,
	0x10000,
	0x7fffffff,
	0x80000000,
	0xfffffff0,
	0xfffffffc,
	0xffffffff,
	UINT64_C(0x100000000),
	UINT64_C(0x7fffffffffffffff),
	UINT64_C(0x8000000000000000),
	UINT64_C(0xfffffffffffffff8),
	UINT64_C(0xffffffffffffffff),
};

static void mutate(GByteArray *image, GRand *random)
{
	static const size_t widths[] = {1, 2, 4, 8};
	int n = g_rand_int_range(random, 1, 5);

	while (n-- > 0 && image->len != 0) {
		/* Headers are at the start, and small: half of the damage goes there. */
		guint range = g_rand_boolean(random) ? MIN(image->len, 0x260) : image->len;
		guint at = (guint)g_rand_int_range(random, 0, (gint32)range);
		size_t width = widths[g_rand_int_range(random, 0, 4)];
		uint64_t value;

		switch (g_rand_int_range(random, 0, 4)) {
		case 0:
			image->data[at] ^= (uint8_t)(1U << g_rand_int_range(random, 0, 8));
			break;
		case 1:
			image->data[at] = (uint8_t)g_rand_int(random);
			break;
		case 2:
			/* Fields are aligned to their width: hit whole ones. */
			at &= ~(guint)(width - 1);
			value = edges[g_rand_int_range(random, 0, G_N_ELEMENTS(edges))];
			if (width <= image->len - at)
				memcpy(image->data + at, &value, width);
			break;
		default:
			if (g_rand_int_range(random, 0, 8) == 0)
				g_byte_array_set_size(image, at);
			else
				image->data[at]++;
			break;
		}
	}
}

void image_mutations(const GByteArray *image, image_check check, gconstpointer user)
{
	g_autoptr(GRand) random = g_rand_new_with_seed(20);
	int n_accepted = 0;

	for (int i = 0; i < IMAGE_N_MUTATIONS; i++) {
		g_autoptr(GByteArray) damaged = g_byte_array_new();
		g_autofree uint8_t *copy = NULL;

		g_byte_array_append(damaged, image->data, image->len);
		mutate(damaged, random);
		copy = g_memdup2(damaged->data, damaged->len);
		if (check(copy, damaged->len, user))
			n_accepted++;
	}
	g_test_message("%d of %d mutations accepted", n_accepted, IMAGE_N_MUTATIONS);
	g_assert_cmpint(n_accepted, >, 0);
	g_assert_cmpint(n_accepted, <, IMAGE_N_MUTATIONS);
}
