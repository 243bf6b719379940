// SPDX-License-Identifier: MIT
#include "saved/stream.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "saved/file.h"
#include "vmm/error.h"
#include "vmm/read_whole.h"
#include "vmm/write_whole.h"

#define PIECE_BYTES (64u << 10)
#define HEAD_BYTES  16u

static void put_u64(uint8_t *to, uint64_t number)
{
	number = GUINT64_TO_LE(number);
	memcpy(to, &number, sizeof(number));
}

static uint64_t get_u64(const uint8_t *from)
{
	uint64_t number;

	memcpy(&number, from, sizeof(number));
	return GUINT64_FROM_LE(number);
}

static bool cannot_send(GError **error, const char *why)
{
	g_set_error(error, DOM1_ERROR, DOM1_STATUS_USAGE, "cannot send it: %s", why);
	return false;
}

struct sender {
	int file_fd, to_fd;
	uint8_t *piece; /* HEAD_BYTES and PIECE_BYTES */
};

static bool send_piece(const struct sender *sender, uint64_t at, size_t len_bytes, GError **error)
{
	put_u64(sender->piece, at);
	put_u64(sender->piece + sizeof(uint64_t), len_bytes);
	if (len_bytes > 0 && !read_whole(sender->file_fd, sender->piece + HEAD_BYTES, len_bytes, at))
		return cannot_send(error, read_whole_reason());
	int rc = write_whole(sender->to_fd, sender->piece, HEAD_BYTES + len_bytes);
	return rc == 0 || cannot_send(error, g_strerror(rc));
}

static bool send_range(const struct sender *sender, uint64_t at, uint64_t end, GError **error)
{
	for (; at < end; at += PIECE_BYTES)
		if (!send_piece(sender, at, (size_t)MIN(end - at, PIECE_BYTES), error))
			return false;
	return true;
}

/* What is no hole. */
static bool send_data(const struct sender *sender, uint64_t at, uint64_t end, GError **error)
{
	while (at < end) {
		off_t data = lseek(sender->file_fd, (off_t)at, SEEK_DATA);
		off_t hole = data < 0 ? -1 : lseek(sender->file_fd, data, SEEK_HOLE);

		/* Nothing but a hole is left. */
		if (data < 0 && errno == ENXIO)
			return true;
		if (hole < 0)
			return cannot_send(error, g_strerror(errno));
		if (!send_range(sender, (uint64_t)data, MIN((uint64_t)hole, end), error))
			return false;
		at = (uint64_t)hole;
	}
	return true;
}

bool saved_stream_write(int file_fd, int to_fd, GError **error)
{
	uint8_t page[SAVED_PAGE_BYTES];
	struct saved_header header;
	struct stat status;

	if (fstat(file_fd, &status) != 0 || !read_whole(file_fd, page, sizeof(page), 0))
		return cannot_send(error, read_whole_reason());
	if (!saved_header_read(&header, page, sizeof(page), (uint64_t)status.st_size, "what was saved", error))
		return false;
	g_autofree uint8_t *piece = g_malloc(HEAD_BYTES + PIECE_BYTES);
	const struct sender sender = { file_fd, to_fd, piece };
	return send_piece(&sender, 0, SAVED_PAGE_BYTES, error) && send_range(&sender, SAVED_PAGE_BYTES, header.memory_offset, error) &&
	       send_data(&sender, header.memory_offset, (uint64_t)status.st_size, error) && send_piece(&sender, (uint64_t)status.st_size, 0, error);
}

struct receiver {
	int from_fd, file_fd;
	const char *name;
	uint8_t *piece;
	struct saved_header header;
	uint64_t end; /* of what has come */
};

/* FALSE also at its end. */
static bool receive(const struct receiver *receiver, void *to, size_t len_bytes, GError **error)
{
	uint8_t *at = to;

	while (len_bytes > 0) {
		ssize_t got = read(receiver->from_fd, at, len_bytes);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return saved_refuse(error, receiver->name, "cannot read: %s", g_strerror(errno));
		if (got == 0)
			return saved_refuse(error, receiver->name, "cut off: the saved domain has not come to its end");
		at += got;
		len_bytes -= (size_t)got;
	}
	return true;
}

static bool begin(struct receiver *receiver, GError **error)
{
	uint8_t head[HEAD_BYTES];

	if (!receive(receiver, head, sizeof(head), error))
		return false;
	if (get_u64(head) != 0 || get_u64(head + sizeof(uint64_t)) != SAVED_PAGE_BYTES)
		return saved_refuse(error, receiver->name, "not a saved domain: dom1 save NAME - sends one");
	if (!receive(receiver, receiver->piece, SAVED_PAGE_BYTES, error) ||
	    /* Of a size that any file may have: it will be that large. */
	    !saved_header_read(&receiver->header, receiver->piece, SAVED_PAGE_BYTES, UINT64_MAX, receiver->name, error))
		return false;
	int rc = ftruncate(receiver->file_fd, (off_t)saved_header_file_bytes(&receiver->header)) != 0 ? errno : 0;
	if (rc == 0)
		rc = write_whole_at(receiver->file_fd, receiver->piece, SAVED_PAGE_BYTES, 0);
	receiver->end = SAVED_PAGE_BYTES;
	return rc == 0 || saved_refuse(error, receiver->name, "no room for it: %s", g_strerror(rc));
}

/* *at: where the piece was; *len_bytes 0: there is none any more. */
static bool take_piece(struct receiver *receiver, uint64_t limit, uint64_t *at, uint64_t *len_bytes, GError **error)
{
	uint8_t head[HEAD_BYTES];

	if (!receive(receiver, head, sizeof(head), error))
		return false;
	*at = get_u64(head);
	*len_bytes = get_u64(head + sizeof(uint64_t));
	if (*at < receiver->end || *at > limit || *len_bytes > MIN(limit - *at, PIECE_BYTES))
		return saved_refuse(error, receiver->name, "damaged: a piece of it is where none can be");
	if (!receive(receiver, receiver->piece, *len_bytes, error))
		return false;
	receiver->end = *at + *len_bytes;
	int rc = write_whole_at(receiver->file_fd, receiver->piece, *len_bytes, *at);
	return rc == 0 || saved_refuse(error, receiver->name, "no room for it: %s", g_strerror(rc));
}

static bool take_all(struct receiver *receiver, saved_stream_look *look, void *opaque, GError **error)
{
	const uint64_t memory_at = receiver->header.memory_offset;
	uint64_t at, len_bytes;

	while (receiver->end < memory_at) {
		if (!take_piece(receiver, memory_at, &at, &len_bytes, error))
			return false;
		if (len_bytes == 0)
			return saved_refuse(error, receiver->name, "damaged: it ends before its memory");
	}
	if (!look(opaque, error))
		return false;
	do
		if (!take_piece(receiver, saved_header_file_bytes(&receiver->header), &at, &len_bytes, error))
			return false;
	while (len_bytes > 0);
	return true;
}

bool saved_stream_read(int from_fd, int file_fd, const char *name, saved_stream_look *look, void *opaque, GError **error)
{
	g_autofree uint8_t *piece = g_malloc(PIECE_BYTES);
	struct receiver receiver = { .from_fd = from_fd, .file_fd = file_fd, .name = name, .piece = piece };

	return begin(&receiver, error) && take_all(&receiver, look, opaque, error);
}
