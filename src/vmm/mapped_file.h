// SPDX-License-Identifier: MIT
/* A file that a person named, open and mapped read-only. */
#pragma once

#include <stdint.h>

#include <glib.h>

struct mapped_file {
	const uint8_t *bytes;
	size_t len_bytes;
	int fd; /* where there are bytes */
};

/* DOM1_STATUS_FILE: missing, unreadable, a folder or device, or empty. what: "initrd", for the message. */
gboolean mapped_file_open(struct mapped_file *file, const char *path, const char *what, GError **error);
void mapped_file_close(struct mapped_file *file);
