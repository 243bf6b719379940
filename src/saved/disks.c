// SPDX-License-Identifier: MIT
#include "saved/disks.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "saved/file.h"
#include "saved/sum.h"
#include "vmm/read_whole.h"
#include "vmm/write_whole.h"
#include "xen/abi.h"
#include <xen/io/xenbus.h>

#define NS_PER_S        UINT64_C(1000000000)
#define DISKS_MAX       1024u
#define WORDS_MAX_BYTES 8192u
#define SECTOR_BYTES    512u
#define SECTORS_MAX     (UINT64_C(1) << 43)
#define RUN_BYTES       16u
/* Copied at a time; a sum is made of the sums of such pieces. */
#define PIECE_BYTES (UINT64_C(1) << 20)

uint64_t saved_disk_changed_ns(const struct stat *status)
{
	return S_ISREG(status->st_mode) ? (uint64_t)status->st_mtim.tv_sec * NS_PER_S + (uint64_t)status->st_mtim.tv_nsec : 0;
}

struct saved_disk *saved_disk_new(void)
{
	struct saved_disk *disk = g_new0(struct saved_disk, 1);

	disk->runs = g_array_new(FALSE, FALSE, sizeof(struct saved_run));
	return disk;
}

void saved_disk_free(void *opaque)
{
	struct saved_disk *disk = opaque;

	g_array_unref(disk->runs);
	g_free(disk->words);
	g_free(disk);
}

static const struct saved_run *run_of(const struct saved_disk *disk, guint i)
{
	return &g_array_index(disk->runs, struct saved_run, i);
}

static void write_disk(GByteArray *to, const struct saved_disk *disk)
{
	saved_put_text(to, disk->words);
	saved_put_u64(to, disk->n_sectors);
	saved_put_u64(to, disk->changed_ns);
	saved_put_u8(to, disk->bus.state);
	saved_put_u8(to, disk->bus.frontend);
	saved_put_u8(to, disk->bus.attached);
	saved_put_u8(to, disk->has_data);
	saved_put_u8(to, disk->is_whole);
	saved_put_u32(to, disk->runs->len);
	for (guint i = 0; i < disk->runs->len; i++) {
		saved_put_u64(to, run_of(disk, i)->sector);
		saved_put_u64(to, run_of(disk, i)->n_sectors);
	}
}

void saved_disks_write(GByteArray *to, const GPtrArray *disks)
{
	saved_put_u32(to, disks->len);
	for (guint i = 0; i < disks->len; i++)
		write_disk(to, disks->pdata[i]);
}

/* One after the other, none beyond the end. */
static bool read_runs(struct saved_disk *disk, struct saved_cursor *from)
{
	const uint32_t n = saved_get_count(from, (uint32_t)MIN(from->left_bytes / RUN_BYTES, UINT32_MAX));
	uint64_t end = 0;

	for (uint32_t i = 0; i < n; i++) {
		struct saved_run run = { .sector = saved_get_u64(from) };

		run.n_sectors = saved_get_u64(from);
		if (run.n_sectors == 0 || run.sector < end || run.sector >= disk->n_sectors || run.n_sectors > disk->n_sectors - run.sector)
			return false;
		end = run.sector + run.n_sectors;
		g_array_append_val(disk->runs, run);
	}
	return true;
}

/* What a back end of ours can be in when nothing is being let go of. */
static bool is_state(const struct xenbus_saved *bus)
{
	if (bus->frontend > XenbusStateReconfigured)
		return false;
	switch (bus->state) {
	case XenbusStateConnected:
		return bus->attached;
	case XenbusStateClosing:
		return true;
	case XenbusStateInitWait:
	case XenbusStateClosed:
		return !bus->attached;
	default:
		return false;
	}
}

static bool read_disk(struct saved_disk *disk, struct saved_cursor *from)
{
	disk->words = saved_get_text(from, WORDS_MAX_BYTES);
	disk->n_sectors = saved_get_u64(from);
	disk->changed_ns = saved_get_u64(from);
	disk->bus.state = saved_get_u8(from);
	disk->bus.frontend = saved_get_u8(from);
	disk->bus.attached = saved_get_flag(from);
	disk->has_data = saved_get_flag(from);
	disk->is_whole = saved_get_flag(from);
	if (from->failed || !disk->words[0] || disk->n_sectors == 0 || disk->n_sectors > SECTORS_MAX || !is_state(&disk->bus))
		return false;
	return read_runs(disk, from) && (disk->has_data || (disk->runs->len == 0 && !disk->is_whole));
}

GPtrArray *saved_disks_read(struct saved_cursor from)
{
	g_autoptr(GPtrArray) disks = g_ptr_array_new_with_free_func(saved_disk_free);
	const uint32_t n = saved_get_count(&from, DISKS_MAX);

	for (uint32_t i = 0; i < n; i++) {
		struct saved_disk *disk = saved_disk_new();

		g_ptr_array_add(disks, disk);
		if (!read_disk(disk, &from))
			return NULL;
	}
	return saved_is_wrong(&from) ? NULL : g_steal_pointer(&disks);
}

unsigned int saved_disks_n_data(const GPtrArray *disks)
{
	unsigned int n = 0;

	for (guint i = 0; i < disks->len; i++)
		n += ((const struct saved_disk *)disks->pdata[i])->has_data;
	return n;
}

static uint64_t data_bytes(const struct saved_disk *disk)
{
	uint64_t n_sectors = 0;

	/* No more than the disk has: runs do not meet. */
	for (guint i = 0; i < disk->runs->len; i++)
		n_sectors += run_of(disk, i)->n_sectors;
	return (n_sectors * SECTOR_BYTES + SAVED_PAGE_BYTES - 1) / SAVED_PAGE_BYTES * SAVED_PAGE_BYTES;
}

uint64_t saved_disks_data_bytes(const GPtrArray *disks, unsigned int n)
{
	uint64_t sum = 0;

	for (guint i = 0; i < n; i++)
		sum += data_bytes(disks->pdata[i]);
	return sum;
}

static int copy_piece(uint8_t *bytes, uint64_t len_bytes, int from_fd, uint64_t from, int to_fd, uint64_t to)
{
	if (!read_whole(from_fd, bytes, len_bytes, from))
		return errno ? errno : ENODATA;
	return to_fd >= 0 ? write_whole_at(to_fd, bytes, len_bytes, to) : 0;
}

static uint64_t add_sum(uint64_t sum, const uint8_t *bytes, uint64_t len_bytes)
{
	const uint64_t both[] = { GUINT64_TO_LE(sum), GUINT64_TO_LE(saved_sum(bytes, len_bytes)) };

	return saved_sum(both, sizeof(both));
}

int saved_disk_copy(const struct saved_disk *disk, int disk_fd, int file_fd, uint64_t offset_bytes, bool to_disk, uint64_t *sum)
{
	void *piece;
	/* The disk may want direct I/O. */
	int rc = posix_memalign(&piece, SAVED_PAGE_BYTES, PIECE_BYTES);

	*sum = 0;
	if (rc != 0)
		return rc;
	for (guint i = 0; rc == 0 && i < disk->runs->len; i++) {
		uint64_t at = run_of(disk, i)->sector * SECTOR_BYTES, left_bytes = run_of(disk, i)->n_sectors * SECTOR_BYTES;

		while (rc == 0 && left_bytes > 0) {
			const uint64_t n = MIN(left_bytes, PIECE_BYTES);

			rc = to_disk ? copy_piece(piece, n, file_fd, offset_bytes, disk_fd, at) :
				       copy_piece(piece, n, disk_fd, at, file_fd, offset_bytes);
			if (rc == 0)
				*sum = add_sum(*sum, piece, n);
			at += n;
			offset_bytes += n;
			left_bytes -= n;
		}
	}
	free(piece);
	return rc;
}
