// SPDX-License-Identifier: MIT
#include "saved/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "saved/sum.h"
#include "vmm/error.h"
#include "vmm/read_whole.h"

#define MAGIC              "DOM1SAVD"
#define MAGIC_BYTES        8u
#define VERSION_TEXT_BYTES 32u
#define SUM_BYTES          8u
#define SECTION_HEAD_BYTES 24u
#define LAYOUT_MAX_BYTES   (UINT64_C(1) << 52)

const char *const SAVED_KIND_NAMES[SAVED_N_KINDS] = {
	[SAVED_DOMAIN] = "domain",     [SAVED_CLOCK] = "clock",	 [SAVED_HYPERVISOR] = "hypervisor", [SAVED_XENSTORE] = "xenstore",
	[SAVED_RINGS] = "rings", [SAVED_DISKS] = "disks", [SAVED_VCPU] = "vcpu", [SAVED_SUMS] = "sums",
};

bool saved_refuse(GError **error, const char *path, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	g_autofree char *why = g_strdup_vprintf(format, arguments);
	va_end(arguments);
	g_set_error(error, DOM1_ERROR, DOM1_STATUS_FILE, "%s: %s", path, why);
	return false;
}

uint64_t saved_header_file_bytes(const struct saved_header *header)
{
	return header->memory_offset + header->memory_bytes + header->disk_bytes;
}

void saved_header_write(uint8_t page[SAVED_PAGE_BYTES], const struct saved_header *header)
{
	g_autoptr(GByteArray) bytes = g_byte_array_new();
	char version[VERSION_TEXT_BYTES] = DOM1_VERSION;

	saved_put_bytes(bytes, MAGIC, MAGIC_BYTES);
	saved_put_u32(bytes, SAVED_FORMAT_VERSION);
	saved_put_bytes(bytes, version, sizeof(version));
	saved_put_u64(bytes, header->sections_bytes);
	saved_put_u64(bytes, header->memory_offset);
	saved_put_u64(bytes, header->memory_bytes);
	saved_put_u64(bytes, header->disk_bytes);
	memset(page, 0, SAVED_PAGE_BYTES);
	memcpy(page, bytes->data, bytes->len);
	g_byte_array_set_size(bytes, 0);
	saved_put_u64(bytes, saved_sum(page, SAVED_PAGE_BYTES - SUM_BYTES));
	memcpy(page + SAVED_PAGE_BYTES - SUM_BYTES, bytes->data, SUM_BYTES);
}

/* What came before the sum was thought of must be found by everybody, for ever: magic and version. */
static bool read_start(struct saved_cursor *from, const char *path, GError **error)
{
	char magic[MAGIC_BYTES], version[VERSION_TEXT_BYTES + 1] = "";

	saved_get_bytes(from, magic, sizeof(magic));
	if (memcmp(magic, MAGIC, MAGIC_BYTES) != 0)
		return saved_refuse(error, path, "not a saved domain");
	uint32_t format = saved_get_u32(from);
	saved_get_bytes(from, version, VERSION_TEXT_BYTES);
	g_strcanon(version, "0123456789.abcdefghijklmnopqrstuvwxyz~+-", '?');
	if (format != SAVED_FORMAT_VERSION)
		return saved_refuse(error, path, "a saved domain of format %u, by dom1 %s; this dom1 reads format %u: restore it with that one",
				    format, version, SAVED_FORMAT_VERSION);
	return true;
}

bool saved_header_read(struct saved_header *header, const uint8_t *page, size_t page_bytes, uint64_t file_bytes,
		       const char *path, GError **error)
{
	struct saved_cursor from = { .at = page, .left_bytes = page_bytes };
	struct saved_cursor sum = { .at = page + SAVED_PAGE_BYTES - SUM_BYTES, .left_bytes = SUM_BYTES };

	if (!read_start(&from, path, error))
		return false;
	if (page_bytes < SAVED_PAGE_BYTES || saved_get_u64(&sum) != saved_sum(page, SAVED_PAGE_BYTES - SUM_BYTES))
		return saved_refuse(error, path, "damaged: its header's sum is wrong");
	*header = (struct saved_header){ .sections_bytes = saved_get_u64(&from) };
	header->memory_offset = saved_get_u64(&from);
	header->memory_bytes = saved_get_u64(&from);
	header->disk_bytes = saved_get_u64(&from);
	if (header->sections_bytes > SAVED_SECTIONS_MAX_BYTES || header->memory_offset % SAVED_PAGE_BYTES != 0 ||
	    header->memory_bytes % SAVED_PAGE_BYTES != 0 || header->memory_bytes > LAYOUT_MAX_BYTES ||
	    header->disk_bytes % SAVED_PAGE_BYTES != 0 || header->disk_bytes > LAYOUT_MAX_BYTES ||
	    header->memory_offset < SAVED_PAGE_BYTES + header->sections_bytes ||
	    header->memory_offset > 2 * SAVED_PAGE_BYTES + SAVED_SECTIONS_MAX_BYTES)
		return saved_refuse(error, path, "damaged: its header says what cannot be");
	uint64_t needed_bytes = saved_header_file_bytes(header);
	if (file_bytes < needed_bytes)
		return saved_refuse(error, path, "cut off: it has %" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT " bytes", file_bytes,
				    needed_bytes);
	return true;
}

size_t saved_section_begin(GByteArray *sections, enum saved_kind kind)
{
	size_t begin = sections->len;

	saved_put_u32(sections, kind);
	saved_put_u32(sections, 0);
	saved_put_u64(sections, 0); /* length and sum: when it is there */
	saved_put_u64(sections, 0);
	return begin;
}

void saved_section_end(GByteArray *sections, size_t begin)
{
	const size_t len_bytes = sections->len - begin - SECTION_HEAD_BYTES;
	g_autoptr(GByteArray) head = g_byte_array_new();

	saved_put_u64(head, len_bytes);
	saved_put_u64(head, saved_sum(sections->data + begin + SECTION_HEAD_BYTES, len_bytes));
	memcpy(sections->data + begin + SECTION_HEAD_BYTES - head->len, head->data, head->len);
}

static bool read_section(struct saved_cursor *from, struct saved_section *section, const char *path, GError **error)
{
	uint32_t kind = saved_get_u32(from), reserved = saved_get_u32(from);
	uint64_t len_bytes = saved_get_u64(from), sum = saved_get_u64(from);

	if (from->failed || len_bytes > from->left_bytes)
		return saved_refuse(error, path, "damaged: a section reaches beyond its end");
	if (kind == 0 || kind >= SAVED_N_KINDS || reserved != 0)
		return saved_refuse(error, path, "damaged: it has a section of unknown kind %u", kind);
	if (saved_sum(from->at, len_bytes) != sum)
		return saved_refuse(error, path, "damaged: the sum of its section %s is wrong", SAVED_KIND_NAMES[kind]);
	*section = (struct saved_section){ .kind = kind, .bytes = { .at = from->at, .left_bytes = len_bytes } };
	from->at += len_bytes;
	from->left_bytes -= len_bytes;
	return true;
}

GArray *saved_sections_read(const uint8_t *bytes, size_t len_bytes, const char *path, GError **error)
{
	struct saved_cursor from = { .at = bytes, .left_bytes = len_bytes };
	g_autoptr(GArray) sections = g_array_new(FALSE, FALSE, sizeof(struct saved_section));
	enum saved_kind last = 0;

	while (from.left_bytes > 0) {
		struct saved_section section;

		if (!read_section(&from, &section, path, error))
			return NULL;
		if (section.kind < last || (section.kind == last && section.kind != SAVED_VCPU)) {
			saved_refuse(error, path, "damaged: its section %s is out of place", SAVED_KIND_NAMES[section.kind]);
			return NULL;
		}
		last = section.kind;
		g_array_append_val(sections, section);
	}
	for (enum saved_kind kind = SAVED_DOMAIN; kind < SAVED_N_KINDS; kind++)
		if (!saved_sections_find(sections, kind, 0)) {
			saved_refuse(error, path, "damaged: it has no section %s", SAVED_KIND_NAMES[kind]);
			return NULL;
		}
	return g_steal_pointer(&sections);
}

const struct saved_section *saved_sections_find(const GArray *sections, enum saved_kind kind, unsigned int n)
{
	for (guint i = 0; i < sections->len; i++) {
		const struct saved_section *section = &g_array_index(sections, struct saved_section, i);

		if (section->kind == kind && n-- == 0)
			return section;
	}
	return NULL;
}

static bool read_all(struct saved_file *file, GError **error)
{
	uint8_t page[SAVED_PAGE_BYTES] = { 0 };
	struct stat status;

	if (fstat(file->fd, &status) != 0 || !S_ISREG(status.st_mode))
		return saved_refuse(error, file->path, "not a regular file: memory is mapped from it");
	size_t page_bytes = (size_t)MIN((uint64_t)status.st_size, sizeof(page));
	if (page_bytes > 0 && !read_whole(file->fd, page, page_bytes, 0))
		return saved_refuse(error, file->path, "cannot read: %s", read_whole_reason());
	if (!saved_header_read(&file->header, page, page_bytes, (uint64_t)status.st_size, file->path, error))
		return false;
	file->bytes = g_malloc(file->header.sections_bytes + 1);
	if (!read_whole(file->fd, file->bytes, file->header.sections_bytes, SAVED_PAGE_BYTES))
		return saved_refuse(error, file->path, "cannot read: %s", read_whole_reason());
	file->sections = saved_sections_read(file->bytes, file->header.sections_bytes, file->path, error);
	return file->sections != NULL;
}

bool saved_file_take(struct saved_file *file, int fd, const char *path, GError **error)
{
	*file = (struct saved_file){ .path = g_strdup(path), .fd = fd };
	if (read_all(file, error))
		return true;
	saved_file_close(file);
	return false;
}

bool saved_file_open(struct saved_file *file, const char *path, GError **error)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	*file = (struct saved_file){ .fd = -1 };
	return fd < 0 ? saved_refuse(error, path, "cannot open: %s", g_strerror(errno)) : saved_file_take(file, fd, path, error);
}

void saved_file_close(struct saved_file *file)
{
	if (!file->path)
		return;
	if (file->fd >= 0)
		close(file->fd);
	g_clear_pointer(&file->sections, g_array_unref);
	g_free(file->bytes);
	g_free(file->path);
	*file = (struct saved_file){ .fd = -1 };
}
