// SPDX-License-Identifier: MIT
/* System calls: openat, ioctl(FICLONE), memfd_create, ftruncate. */
#include "backend/block_snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/fs.h>

#include "backend/block_file.h"
#include "backend/block_overlay.h"
#include "backend/block_request.h"
#include "config/guest_config.h"
#include "vmm/error.h"

/* A file without a name in the image's folder that shares its blocks; -1: that cannot be had. */
static int clone_image(const struct block_file *file, const struct disk_config *disk)
{
	g_autofree char *folder = g_path_get_dirname(disk->target);
	const int direct = disk->cache == DISK_CACHE_DIRECT ? O_DIRECT : 0;
	int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC | direct, 0600);

	if (fd >= 0 && ioctl(fd, FICLONE, file->fd) != 0) {
		close(fd);
		fd = -1;
	}
	return fd;
}

/* Where large files may lie; memory, when nothing can be written there. */
int block_snapshot_nameless_file(void)
{
	const char *folder = g_getenv("TMPDIR");
	int fd = open(folder && *folder ? folder : "/var/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	return fd >= 0 ? fd : memfd_create("dom1-overlay", MFD_CLOEXEC);
}

static gboolean no_room(const struct disk_config *disk, GError **error)
{
	g_set_error(error, DOM1_ERROR, DOM1_STATUS_HOST,
		    "%s: cannot use it as disk %s: no file for what will be written: %s: say in TMPDIR where there is room",
		    disk->target, disk->vdev, g_strerror(errno));
	return FALSE;
}

gboolean block_snapshot_make_overlay(struct block_file *file, const struct disk_config *disk, GError **error)
{
	file->overlay_fd = block_snapshot_nameless_file();
	return file->overlay_fd >= 0 || no_room(disk, error);
}

gboolean block_snapshot_open(struct block_file *file, const struct disk_config *disk, GError **error)
{
	int fd = clone_image(file, disk);

	/* Flushes keep nothing that will be read again. */
	file->ignore_flush = true;
	if (fd >= 0) {
		/* The image itself is not needed any more, and whoever wants to write to it may. */
		close(file->fd);
		file->fd = fd;
		return TRUE;
	}
	if (!block_snapshot_make_overlay(file, disk, error))
		return FALSE;
	file->overlay = block_overlay_new(file->n_sectors);
	return (file->overlay && ftruncate(file->overlay_fd, (off_t)(file->n_sectors * BLOCK_SECTOR_BYTES)) == 0) ||
	       no_room(disk, error);
}
