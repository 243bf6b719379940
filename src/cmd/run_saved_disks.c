// SPDX-License-Identifier: MIT
/*
 * The disks of a domain that goes on: the images must be those that it had, and as they were, for the guest has parts of them in
 * its memory, and knows what it has written.
 */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/block_overlay.h"
#include "backend/block_request.h"
#include "cmd/run.h"
#include "config/guest_config.h"
#include "config/xl_cfg.h"
#include "vmm/error.h"

bool run_name_saved_disks(struct run *run, GError **error)
{
	static const struct config_origin origin = { "disk", 0, 0 };

	for (guint i = 0; i < run->saved.disks->len; i++) {
		const struct saved_disk *saved = run->saved.disks->pdata[i];
		g_autoptr(GError) why = NULL;
		struct disk_config *disk = xl_disk_parse(saved->words, &origin, NULL, &why);
		uint32_t number;

		if (!disk)
			return saved_refuse(error, run->saved.file.path, "damaged: %s", why->message);
		g_ptr_array_add(run->config.disks, disk);
		if (!disk->vdev || !xl_disk_vdev_number(disk->vdev, &number) || (disk->snapshot && !disk->readonly) != saved->has_data)
			return saved_refuse(error, run->saved.file.path, "damaged: its section disks says what cannot be");
	}
	return true;
}

/* What is on its way out of the page cache has its time already. */
static bool check_image(const struct run *run, const struct block_file *file, const struct saved_disk *saved, GError **error)
{
	const char *path = run->saved.file.path;
	struct stat status;

	if (file->n_sectors != saved->n_sectors) {
		return saved_refuse(error, path, "its disk %s, %s, has another size than when it was saved: %" G_GUINT64_FORMAT
				    " sectors, not %" G_GUINT64_FORMAT, file->vdev, file->path, file->n_sectors, saved->n_sectors);
	}
	if (saved->changed_ns == 0)
		return true;
	if (stat(file->path, &status) != 0)
		return saved_refuse(error, path, "its disk %s, %s: %s", file->vdev, file->path, g_strerror(errno));
	if (saved_disk_changed_ns(&status) == saved->changed_ns)
		return true;
	return saved_refuse(error, path, "its disk %s, %s, was written to since it was saved, and the guest would not know: put back a copy "
			    "of then, with its time (cp -p)", file->vdev, file->path);
}

/* 0 or a positive errno. */
static int make_whole(const struct block_file *file)
{
	if (file->overlay) {
		if (!block_overlay_reserve(file->overlay, 0, file->n_sectors, true))
			return ENOMEM;
		block_overlay_mark(file->overlay, 0, file->n_sectors);
		return 0;
	}
	if (ftruncate(file->fd, 0) != 0 || ftruncate(file->fd, (off_t)(file->n_sectors * BLOCK_SECTOR_BYTES)) != 0)
		return errno;
	return 0;
}

static int mark(const struct block_file *file, const struct saved_disk *saved)
{
	for (guint i = 0; file->overlay && i < saved->runs->len; i++) {
		const struct saved_run *written = &g_array_index(saved->runs, struct saved_run, i);

		if (!block_overlay_reserve(file->overlay, written->sector, written->n_sectors, true))
			return ENOMEM;
		block_overlay_mark(file->overlay, written->sector, written->n_sectors);
	}
	return 0;
}

static bool fill(const struct run *run, guint i, uint64_t expected_sum, GError **error)
{
	const struct block_file *file = &run->setup.disks[i];
	const struct saved_disk *saved = run->saved.disks->pdata[i];
	uint64_t sum = 0;
	int rc = saved->is_whole ? make_whole(file) : 0;

	if (rc == 0)
		rc = saved_disk_copy(saved, file->overlay ? file->overlay_fd : file->fd, run->saved.file.fd,
				     saved_image_disk_offset(&run->saved, i), true, &sum);
	if (rc == 0)
		rc = mark(file, saved);
	if (rc != 0) {
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_HOST, "%s: what was written to disk %s cannot be had again: %s", run->saved.file.path,
			    file->vdev, g_strerror(rc));
		return false;
	}
	return sum == expected_sum ||
	       saved_refuse(error, run->saved.file.path, "damaged: the sum of what was written to disk %s is wrong", file->vdev);
}

bool run_fill_saved_disks(struct run *run, GError **error)
{
	const uint64_t *sums = run->saved.disk_sums;

	for (guint i = 0; i < run->saved.disks->len; i++) {
		const struct saved_disk *saved = run->saved.disks->pdata[i];

		if (!check_image(run, &run->setup.disks[i], saved, error) || (saved->has_data && !fill(run, i, *sums++, error)))
			return false;
	}
	return true;
}
