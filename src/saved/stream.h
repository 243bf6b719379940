// SPDX-License-Identifier: MIT
/*
 * A saved domain on its way through a pipe: the pieces of its file that are not holes, each after its place and its length (8 bytes
 * each, little endian), in ascending order and without a gap that is none in the file; a piece of length 0 ends the stream. What comes
 * before memory (docs/saved-format.md) is in pieces of its own, so that it can be looked at before all memory has come.
 */
#pragma once

#include <stdbool.h>

#include <glib.h>

/* A whole file of a saved domain to what need not be one. FALSE: DOM1_STATUS_USAGE. System calls: lseek, pread64, write. */
bool saved_stream_write(int file_fd, int to_fd, GError **error);

/* All but memory has come: whether this host can go on with it. */
typedef bool saved_stream_look(void *opaque, GError **error);

/*
 * The other direction, into an empty file, which then is as large as the header says. name: of the stream, for messages. FALSE:
 * DOM1_STATUS_FILE, or what look says. What is in the file is to be checked by whoever reads it.
 */
bool saved_stream_read(int from_fd, int file_fd, const char *name, saved_stream_look *look, void *opaque, GError **error);
