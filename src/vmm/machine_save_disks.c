// SPDX-License-Identifier: MIT
/*
 * Disks of a domain that is saved: their back ends come to rest with nothing in flight, so that all that there is of them is in the
 * guest's rings; images stay where they are, and what the guest wrote to snapshots goes into the file.
 */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/block_overlay.h"
#include "saved/disks.h"
#include "vmm/error.h"
#include "vmm/machine_disk.h"
#include "vmm/machine_state.h"

static struct machine_disk *disk_at(const struct machine *machine, guint i)
{
	return machine->disks->pdata[i];
}

bool machine_check_disks(const struct machine *machine, GError **error)
{
	for (guint i = 0; i < machine->disks->len; i++) {
		const struct machine_disk *disk = disk_at(machine, i);
		const char *vdev = disk->file->vdev;

		if (disk->leaving)
			return refuse_usage(error, "cannot save it: its disk %s is being taken away", vdev);
		if (disk->file->remote)
			return refuse_usage(error, "cannot save it: its disk %s is qcow2 or an NBD server's, and these are not saved yet", vdev);
		if (!disk->file->words)
			return refuse_usage(error, "cannot save it: its disk %s is a shared folder, or its image's whole path is not known", vdev);
	}
	return true;
}

bool machine_suspend_disks(struct machine *machine, GError **error)
{
	for (guint i = 0; i < machine->disks->len; i++) {
		if (block_device_suspend(disk_at(machine, i)->device))
			continue;
		machine_resume_disks(machine);
		return refuse_usage(error, "cannot save it: its disk %s waits for room, or is being taken away", disk_at(machine, i)->file->vdev);
	}
	return true;
}

void machine_resume_disks(struct machine *machine)
{
	for (guint i = 0; i < machine->disks->len; i++)
		block_device_resume(disk_at(machine, i)->device);
}

static void add_run(struct saved_disk *saved, uint64_t sector, uint64_t end)
{
	const struct saved_run run = { sector, MIN(end, saved->n_sectors) - sector };

	if (sector < saved->n_sectors && run.n_sectors > 0)
		g_array_append_val(saved->runs, run);
}

static void find_written(const struct block_overlay *overlay, struct saved_disk *saved)
{
	for (uint64_t sector = 0; sector < saved->n_sectors;) {
		bool written;
		const uint64_t n = block_overlay_run(overlay, sector, saved->n_sectors - sector, &written);

		if (written)
			add_run(saved, sector, sector + n);
		sector += n;
	}
}

/*
 * Of a clone nobody knows what was written: it is all there, and the image is not needed any more. 0 or a positive errno.
 *
 * syscalls(main): lseek
 */
static int find_data(int fd, struct saved_disk *saved)
{
	off_t at = 0;

	saved->is_whole = true;
	while ((at = lseek(fd, at, SEEK_DATA)) >= 0) {
		const off_t end = lseek(fd, at, SEEK_HOLE);

		if (end < 0)
			return errno;
		/* File systems have blocks of whole sectors. */
		add_run(saved, (uint64_t)at / BLOCK_SECTOR_BYTES, ((uint64_t)end + BLOCK_SECTOR_BYTES - 1) / BLOCK_SECTOR_BYTES);
		at = end;
	}
	return errno == ENXIO ? 0 : errno;
}

static int data_fd(const struct block_file *file)
{
	return file->overlay ? file->overlay_fd : file->fd;
}

/* syscalls(main): fstat fdatasync */
static int describe(const struct block_file *file, struct saved_disk *saved)
{
	struct stat status;

	saved->words = g_strdup(file->words);
	saved->n_sectors = file->n_sectors;
	saved->has_data = file->snapshot;
	if (file->snapshot && !file->overlay)
		return find_data(file->fd, saved);
	if (file->snapshot)
		find_written(file->overlay, saved);
	else if (!file->read_only && fdatasync(file->fd) != 0)
		return errno;
	if (fstat(file->fd, &status) != 0)
		return errno;
	saved->changed_ns = saved_disk_changed_ns(&status);
	return 0;
}

GPtrArray *machine_describe_saved_disks(const struct machine *machine, GError **error)
{
	g_autoptr(GPtrArray) disks = g_ptr_array_new_with_free_func(saved_disk_free);

	for (guint i = 0; i < machine->disks->len; i++) {
		const struct machine_disk *disk = disk_at(machine, i);
		struct saved_disk *saved = saved_disk_new();
		int rc = describe(disk->file, saved);

		saved->bus = block_device_save(disk->device);
		g_ptr_array_add(disks, saved);
		if (rc == 0)
			continue;
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_HOST, "cannot save it: disk %s: %s: %s", disk->file->vdev, disk->file->path,
			    g_strerror(rc));
		return NULL;
	}
	return g_steal_pointer(&disks);
}

int machine_write_disks(const struct machine *machine, const GPtrArray *disks, int fd, uint64_t offset_bytes, uint64_t *sums,
			uint64_t *stored_bytes)
{
	int rc = 0;

	for (guint i = 0; rc == 0 && i < disks->len; i++) {
		const struct saved_disk *disk = disks->pdata[i];

		if (disk->has_data)
			rc = saved_disk_copy(disk, data_fd(disk_at(machine, i)->file), fd, offset_bytes + saved_disks_data_bytes(disks, i), false,
					     sums++);
	}
	*stored_bytes += saved_disks_data_bytes(disks, disks->len);
	return rc;
}
