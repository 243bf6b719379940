// SPDX-License-Identifier: MIT
/* Folders of the host that a guest may read: disks whose image dom1 makes at the start. */
#pragma once

#include <glib.h>

/*
 * Appends struct disk_config *, one for each of texts (NULL-terminated), "DIR[,label=LABEL]": read-only, with a label and
 * a vdev: share and xvdz, then share2 and xvdy, and so on down. DOM1_STATUS_USAGE.
 */
gboolean share_options_parse(GPtrArray *disks, char **texts, GError **error);
