// SPDX-License-Identifier: MIT
/*
 * What is kept of a console, however much a guest prints: its last bytes in memory, for whoever reads the results; and a
 * file with all of it, or where that is too much, with its beginning and its end.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <glib.h>

#define CONSOLE_KEEP_TAIL_BYTES 16384

struct console_keep {
	int fd; /* -1: no file */
	uint64_t limit_bytes; /* of the file's beginning */
	uint64_t total_bytes; /* that came */
	uint64_t file_bytes;  /* of these in the file */
	int write_errno; /* 0: the file takes all */
	char *tail; /* a ring; apart, so that a guest of few words touches few pages */
};

/* fd: taken over; -1: no file. */
void console_keep_init(struct console_keep *keep, int fd, uint64_t limit_bytes);
void console_keep_add(struct console_keep *keep, const void *bytes, size_t len_bytes);
/* The file gets its end, and all is released. 0, or the errno of a file that did not take all. */
int console_keep_close(struct console_keep *keep);

/* The last lines, as they came; before close(); g_free(). */
char *console_keep_last_lines(const struct console_keep *keep, unsigned int n);
