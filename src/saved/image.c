// SPDX-License-Identifier: MIT
#include "saved/image.h"

#include <string.h>

#include "saved/memory.h"
#include "vmm/layout.h"
#include "xen/domid.h"
#include "xen/xenstore/saved.h"

/* The only one of its kind, or the n-th vCPU. */
static struct saved_cursor section(const struct saved_image *image, enum saved_kind kind, unsigned int n)
{
	const struct saved_section *found = saved_sections_find(image->file.sections, kind, n);

	return found ? found->bytes : (struct saved_cursor){ .failed = true };
}

static bool read_vcpus(struct saved_image *image)
{
	const uint32_t n = image->domain.max_vcpus;

	image->vcpus = g_new0(struct saved_vcpu, n);
	for (uint32_t i = 0; i < n; i++)
		if (!saved_vcpu_read(&image->vcpus[i], section(image, SAVED_VCPU, i)))
			return false;
	return !saved_sections_find(image->file.sections, SAVED_VCPU, n);
}

static bool read_sums(struct saved_image *image)
{
	struct saved_cursor from = section(image, SAVED_SUMS, 0);
	const uint64_t n_chunks = SAVED_N_CHUNKS(image->file.header.memory_bytes);
	const uint64_t n = n_chunks + saved_disks_n_data(image->disks);

	if (from.left_bytes != n * sizeof(image->sums[0]))
		return false;
	image->sums = g_new(uint64_t, n + 1);
	for (uint64_t i = 0; i < n; i++)
		image->sums[i] = saved_get_u64(&from);
	image->disk_sums = image->sums + n_chunks;
	return true;
}

static bool read_xenstore(struct saved_image *image)
{
	struct xs_conn *conn;
	struct xenstore *store;

	image->xenstore = section(image, SAVED_XENSTORE, 0);
	store = xenstore_restore(image->xenstore, &XENSTORE_QUOTA_DEFAULT, GUEST_DOMID, &conn);
	xs_conn_free(conn);
	xenstore_free(store);
	return store != NULL;
}

/* That memory is as large as the domain has it, and lies where this dom1 puts it. */
static bool check_layout(const struct saved_image *image, GError **error)
{
	const struct saved_domain *domain = &image->domain;
	struct layout layout;

	if (!layout_init(&layout, domain->memory_bytes, domain->low_memory_bytes, NULL) ||
	    !saved_layout_fits(&domain->layout, &layout) || saved_memory_bytes(&layout) != image->file.header.memory_bytes)
		return saved_refuse(error, image->file.path, "saved by a dom1 that laid out memory in another way: restore it with that one");
	return true;
}

uint64_t saved_image_disk_offset(const struct saved_image *image, unsigned int disk)
{
	return image->file.header.memory_offset + image->file.header.memory_bytes + saved_disks_data_bytes(image->disks, disk);
}

static bool decode(struct saved_image *image, GError **error)
{
	enum saved_kind wrong = 0;

	image->hypervisor = g_new0(struct saved_hypervisor, 1);
	if (!saved_domain_read(&image->domain, section(image, SAVED_DOMAIN, 0)))
		wrong = SAVED_DOMAIN;
	else if (!saved_clock_read(&image->clock, section(image, SAVED_CLOCK, 0)))
		wrong = SAVED_CLOCK;
	else if (!saved_hypervisor_read(image->hypervisor, section(image, SAVED_HYPERVISOR, 0), &image->domain))
		wrong = SAVED_HYPERVISOR;
	else if (!saved_rings_read(&image->rings, section(image, SAVED_RINGS, 0)))
		wrong = SAVED_RINGS;
	else if (!(image->disks = saved_disks_read(section(image, SAVED_DISKS, 0))))
		wrong = SAVED_DISKS;
	else if (saved_disks_data_bytes(image->disks, image->disks->len) != image->file.header.disk_bytes)
		wrong = SAVED_DISKS;
	else if (!read_vcpus(image))
		wrong = SAVED_VCPU;
	else if (!read_xenstore(image))
		wrong = SAVED_XENSTORE;
	else if (!read_sums(image))
		wrong = SAVED_SUMS;
	if (wrong)
		return saved_refuse(error, image->file.path, "damaged: its section %s says what cannot be", SAVED_KIND_NAMES[wrong]);
	return check_layout(image, error);
}

bool saved_image_check_disks(const struct saved_image *image, GError **error)
{
	unsigned int n_data = 0;

	for (guint i = 0; i < image->disks->len; i++) {
		const struct saved_disk *disk = image->disks->pdata[i];
		uint64_t sum;

		if (!disk->has_data)
			continue;
		int rc = saved_disk_copy(disk, -1, image->file.fd, saved_image_disk_offset(image, i), true, &sum);
		if (rc != 0)
			return saved_refuse(error, image->file.path, "cannot read: %s", g_strerror(rc));
		if (sum != image->disk_sums[n_data++])
			return saved_refuse(error, image->file.path, "damaged: the sum of what was written to a disk (%s) is wrong", disk->words);
	}
	return true;
}

bool saved_image_open(struct saved_image *image, const char *path, GError **error)
{
	*image = (struct saved_image){ 0 };
	if (saved_file_open(&image->file, path, error) && decode(image, error))
		return true;
	saved_image_close(image);
	return false;
}

bool saved_image_take(struct saved_image *image, int fd, const char *path, GError **error)
{
	*image = (struct saved_image){ 0 };
	if (saved_file_take(&image->file, fd, path, error) && decode(image, error))
		return true;
	saved_image_close(image);
	return false;
}

bool saved_image_read(struct saved_image *image, const uint8_t *bytes, size_t len_bytes, uint64_t file_bytes, GError **error)
{
	struct saved_file *file = &image->file;
	bool ok;

	*image = (struct saved_image){ .file = { .path = g_strdup("file"), .fd = -1 } };
	uint8_t page[SAVED_PAGE_BYTES] = { 0 };
	if (len_bytes > 0)
		memcpy(page, bytes, MIN(len_bytes, sizeof(page)));
	ok = saved_header_read(&file->header, page, MIN(len_bytes, sizeof(page)), file_bytes, file->path, error);
	if (ok && len_bytes - SAVED_PAGE_BYTES < file->header.sections_bytes)
		ok = saved_refuse(error, file->path, "cut off");
	if (ok) {
		file->bytes = g_memdup2(bytes + SAVED_PAGE_BYTES, file->header.sections_bytes);
		file->sections = saved_sections_read(file->bytes, file->header.sections_bytes, file->path, error);
	}
	ok = ok && file->sections && decode(image, error);
	if (!ok)
		saved_image_close(image);
	return ok;
}

void saved_image_close(struct saved_image *image)
{
	saved_file_close(&image->file);
	saved_domain_clear(&image->domain);
	g_free(image->hypervisor);
	g_free(image->vcpus);
	g_free(image->sums);
	g_clear_pointer(&image->disks, g_ptr_array_unref);
	*image = (struct saved_image){ .file.fd = -1 };
}
