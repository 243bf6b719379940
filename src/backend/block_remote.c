// SPDX-License-Identifier: MIT
#include "backend/block_remote.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "backend/block_file.h"
#include "backend/block_overlay.h"
#include "backend/block_request.h"
#include "backend/nbd_client.h"
#include "backend/nbd_server.h"
#include "config/guest_config.h"
#include "vmm/error.h"

#define END_LIMIT_MS 10000

static gboolean refuse(GError **error, const struct disk_config *disk, int status, const char *why)
{
	g_set_error(error, DOM1_ERROR, status, "%s: cannot use it as disk %s: %s", disk->target, disk->vdev, why);
	return FALSE;
}

bool block_remote_is(const struct disk_config *disk)
{
	return disk->format == DISK_FORMAT_QCOW2 || disk->format == DISK_FORMAT_NBD;
}

gboolean block_remote_connect(struct block_file *file, const struct disk_config *disk, GError **error)
{
	if (disk->format == DISK_FORMAT_NBD && disk->cache == DISK_CACHE_DIRECT)
		return refuse(error, disk, DOM1_STATUS_USAGE, "what its server keeps in memory is the server's matter: leave out cache=direct");
	file->fd = disk->format == DISK_FORMAT_NBD ? nbd_server_connect(disk->target, error) :
						     nbd_server_start(disk, &file->helper_pidfd, error);
	return file->fd >= 0;
}

static gboolean settle(struct block_file *file, const struct disk_config *disk, const struct nbd_facts *facts, GError **error)
{
	file->n_sectors = facts->len_bytes / BLOCK_SECTOR_BYTES;
	file->discard_granularity_bytes = facts->block_bytes;
	file->physical_sector_bytes = facts->block_bytes < 4096 ? BLOCK_SECTOR_BYTES : 4096;
	if (file->n_sectors == 0)
		return refuse(error, disk, DOM1_STATUS_FILE, "it has less than one sector");
	if (facts->read_only && !file->read_only && !file->snapshot)
		return refuse(error, disk, DOM1_STATUS_FILE,
			      "its server lets nobody write: say ro, or snapshot=on if what the guest writes is not to be kept");
	if (!file->snapshot) {
		file->discard = file->discard && facts->can_discard;
		return TRUE;
	}
	file->ignore_flush = true;
	file->overlay = block_overlay_new(file->n_sectors);
	if (file->overlay && ftruncate(file->overlay_fd, (off_t)(file->n_sectors * BLOCK_SECTOR_BYTES)) == 0)
		return TRUE;
	return refuse(error, disk, DOM1_STATUS_HOST, "there is no room for what will be written");
}

gboolean block_remote_begin(struct block_file *file, const struct disk_config *disk, GError **error)
{
	g_autofree char *name = disk->format == DISK_FORMAT_NBD ? nbd_uri_export(disk->target, error) : g_strdup("");
	g_autofree char *why = NULL;
	struct nbd_facts facts;

	if (!name)
		return FALSE;
	file->remote = nbd_client_new(file->fd, name, &facts, &why);
	/* It has taken it. */
	file->fd = -1;
	if (!file->remote)
		return refuse(error, disk, DOM1_STATUS_FILE, why);
	return settle(file, disk, &facts, error);
}

/* syscalls(main): poll */
void block_remote_await_end(int pidfd)
{
	struct pollfd end = { .fd = pidfd, .events = POLLIN };

	while (poll(&end, 1, END_LIMIT_MS) < 0 && errno == EINTR)
		;
}
