// SPDX-License-Identifier: MIT
/*
 * An ext4 image of a folder, made by mke2fs when the domain starts: what the folder holds then is what the guest reads.
 * The image is a nameless file, which goes with the domain.
 *
 * mke2fs (e2fsprogs) reads the folder with the rights of who starts dom1; owners, modes and links are kept. Thread: the
 * launcher's. System calls: those of fts(3); fork and exec.
 */
#pragma once

#include <glib.h>

/* The image, opened for reading; -1 and DOM1_STATUS_FILE: no such folder, or it cannot be read. DOM1_STATUS_HOST: no mke2fs. */
int share_image_open(const char *folder, const char *label, GError **error);
