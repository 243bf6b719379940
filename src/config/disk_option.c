// SPDX-License-Identifier: MIT
#include "config/disk_option.h"

#include <string.h>

#include "config/xl_cfg.h"
#include "vmm/error.h"

static const struct config_origin OPTION = { "--disk", 0, 0 };

static gboolean refuse(const struct disk_config *disk, GError **error, const char *what, const char *remedy)
{
	return config_fail(error, &disk->origin, "disk: %.60s: %s: %s", disk->target, what, remedy);
}

gboolean disk_options_parse(GPtrArray *disks, char **texts, GPtrArray *warnings, GError **error)
{
	for (; texts && *texts; texts++) {
		struct disk_config *disk = xl_disk_parse(*texts, &OPTION, warnings, error);

		if (!disk)
			return FALSE;
		g_ptr_array_add(disks, disk);
	}
	return TRUE;
}

/* What is understood and cannot be. */
static gboolean check_offered(const struct disk_config *disk, GError **error)
{
	/* The block protocol has no place for it, and Linux looks nowhere else. */
	if (disk->serial)
		return refuse(disk, error, "a PV disk has no serial number that a guest could see", "leave it out, and find the disk by "
			      "its vdev, or its file system by label or UUID");
	return TRUE;
}

/* Which number a name has, so that d0 and xvda are known to be one. */
static gboolean is_taken(const GPtrArray *disks, const struct disk_config *self, uint32_t number)
{
	for (guint i = 0; i < disks->len; i++) {
		const struct disk_config *disk = disks->pdata[i];
		uint32_t other;

		if (disk != self && disk->vdev && xl_disk_vdev_number(disk->vdev, &other) && other == number)
			return TRUE;
	}
	return FALSE;
}

static char *vdev_name(guint index)
{
	return index < 26 ? g_strdup_printf("xvd%c", 'a' + (int)index) :
			    g_strdup_printf("xvd%c%c", 'a' + (int)(index / 26 - 1), 'a' + (int)(index % 26));
}

static gboolean name_disk(const GPtrArray *disks, struct disk_config *disk, GError **error)
{
	uint32_t number;

	for (guint i = 0; i < 26 * 27; i++) {
		g_autofree char *name = vdev_name(i);

		if (xl_disk_vdev_number(name, &number) && !is_taken(disks, NULL, number)) {
			disk->vdev = g_steal_pointer(&name);
			return TRUE;
		}
	}
	return refuse(disk, error, "there are too many disks", "702 can be named; leave some out");
}

gboolean disks_settle(GPtrArray *disks, GError **error)
{
	for (guint i = 0; i < disks->len; i++) {
		struct disk_config *disk = disks->pdata[i];
		uint32_t number;

		if (!check_offered(disk, error))
			return FALSE;
		if (disk->vdev && xl_disk_vdev_number(disk->vdev, &number) && is_taken(disks, disk, number))
			return refuse(disk, error, "another disk has this vdev", "give each its own, or none");
	}
	for (guint i = 0; i < disks->len; i++) {
		struct disk_config *disk = disks->pdata[i];

		if (!disk->vdev && !name_disk(disks, disk, error))
			return FALSE;
	}
	return TRUE;
}
