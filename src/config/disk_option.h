// SPDX-License-Identifier: MIT
/* The disks of a domain: those of its file, then those of --disk, with their names settled. */
#pragma once

#include <glib.h>

/* Appends struct disk_config *, one for each of texts (NULL-terminated). DOM1_STATUS_USAGE. */
gboolean disk_options_parse(GPtrArray *disks, char **texts, GPtrArray *warnings, GError **error);

/*
 * Every disk gets a vdev, the next free of xvda, xvdb and so on if it has none; two of one name, and what dom1 does not
 * have yet, are refused: DOM1_STATUS_USAGE for --disk, DOM1_STATUS_FILE for a file.
 */
gboolean disks_settle(GPtrArray *disks, GError **error);
