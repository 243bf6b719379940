// SPDX-License-Identifier: MIT
#include "harness/console_keep.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "vmm/write_whole.h"

void console_keep_init(struct console_keep *keep, int fd, uint64_t limit_bytes)
{
	*keep = (struct console_keep){ .fd = fd, .limit_bytes = limit_bytes, .tail = g_malloc(CONSOLE_KEEP_TAIL_BYTES) };
}

static void put(struct console_keep *keep, const char *bytes, size_t len_bytes)
{
	if (keep->write_errno == 0)
		keep->write_errno = write_whole(keep->fd, bytes, len_bytes);
}

static void add_to_tail(struct console_keep *keep, const char *bytes, size_t len_bytes)
{
	size_t skipped = len_bytes > CONSOLE_KEEP_TAIL_BYTES ? len_bytes - CONSOLE_KEEP_TAIL_BYTES : 0;

	for (size_t i = skipped; i < len_bytes;) {
		size_t at = (size_t)((keep->total_bytes + i) % CONSOLE_KEEP_TAIL_BYTES);
		size_t piece = MIN(len_bytes - i, CONSOLE_KEEP_TAIL_BYTES - at);

		memcpy(keep->tail + at, bytes + i, piece);
		i += piece;
	}
}

void console_keep_add(struct console_keep *keep, const void *bytes, size_t len_bytes)
{
	uint64_t room_bytes = keep->limit_bytes - keep->file_bytes;
	size_t to_file_bytes = (size_t)MIN((uint64_t)len_bytes, room_bytes);

	if (keep->fd >= 0) {
		put(keep, bytes, to_file_bytes);
		keep->file_bytes += to_file_bytes;
	}
	add_to_tail(keep, bytes, len_bytes);
	keep->total_bytes += len_bytes;
}

/* The last bytes, oldest first, at most so many. */
static GString *tail_of(const struct console_keep *keep, uint64_t most_bytes)
{
	uint64_t len_bytes = MIN(MIN(keep->total_bytes, most_bytes), (uint64_t)CONSOLE_KEEP_TAIL_BYTES);
	GString *text = g_string_sized_new((gsize)len_bytes);

	for (uint64_t i = keep->total_bytes - len_bytes; i < keep->total_bytes; i++)
		g_string_append_c(text, keep->tail[i % CONSOLE_KEEP_TAIL_BYTES]);
	return text;
}

static void finish_file(struct console_keep *keep)
{
	uint64_t rest_bytes = keep->total_bytes - keep->file_bytes;
	GString *tail = tail_of(keep, rest_bytes);

	if (rest_bytes > tail->len) {
		g_autofree char *gap = g_strdup_printf("\n[dom1: %" PRIu64 " bytes left out]\n", rest_bytes - tail->len);

		put(keep, gap, strlen(gap));
	}
	put(keep, tail->str, tail->len);
	g_string_free(tail, TRUE);
	if (close(keep->fd) != 0 && keep->write_errno == 0)
		keep->write_errno = errno;
	keep->fd = -1;
}

int console_keep_close(struct console_keep *keep)
{
	if (keep->fd >= 0)
		finish_file(keep);
	g_clear_pointer(&keep->tail, g_free);
	return keep->write_errno;
}

char *console_keep_last_lines(const struct console_keep *keep, unsigned int n)
{
	GString *tail = tail_of(keep, UINT64_MAX);

	while (tail->len > 0 && strchr("\r\n", tail->str[tail->len - 1]))
		g_string_truncate(tail, tail->len - 1);
	gsize begin = tail->len;
	for (; begin > 0 && n > 0; begin--)
		if (tail->str[begin - 1] == '\n' && --n == 0)
			break;
	g_string_erase(tail, 0, (gssize)begin);
	return g_string_free(tail, FALSE);
}
