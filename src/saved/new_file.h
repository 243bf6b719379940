// SPDX-License-Identifier: MIT
/*
 * A file that is to become that of a saved domain. It is ours until it is whole: it has no name before, where the file system can do
 * that, and what was there under its name is replaced by it at once.
 */
#pragma once

#include <stdbool.h>

#include <glib.h>

/* In the folder of the file that it becomes. */
struct new_file {
	int fd;
	char *name; /* NULL: it has none yet */
};

#define NEW_FILE_NONE ((struct new_file){ .fd = -1 })

/* FALSE: DOM1_STATUS_USAGE. new_file_close() in either case. */
bool new_file_open(struct new_file *file, const char *path, GError **error);
/* Whole is what has a header: that is written last. */
bool new_file_is_whole(const struct new_file *file);
/* What it holds is on the disk: the domain has seen to that (machine_save.c). FALSE: DOM1_STATUS_USAGE. */
bool new_file_give_name(struct new_file *file, const char *path, GError **error);
/* One that was not given its name is gone. Also NEW_FILE_NONE. */
void new_file_close(struct new_file *file);
