// SPDX-License-Identifier: MIT
#include "backend/block_file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <linux/fs.h>
#include <linux/magic.h>

#include "backend/block_host.h"
#include "backend/block_overlay.h"
#include "backend/block_remote.h"
#include "backend/block_request.h"
#include "backend/block_snapshot.h"
#include "backend/nbd_client.h"
#include "backend/share_image.h"
#include "config/guest_config.h"
#include "config/xl_cfg.h"
#include "vmm/error.h"

static gboolean file_error(GError **error, const struct disk_config *disk, const char *reason, const char *remedy)
{
	g_set_error(error, DOM1_ERROR, DOM1_STATUS_FILE, "%s: cannot use it as disk %s: %s: %s", disk->target, disk->vdev, reason,
		    remedy);
	return FALSE;
}

/* The image itself. */
static bool only_reads(const struct disk_config *disk)
{
	return disk->readonly || disk->snapshot;
}

static gboolean open_file(struct block_file *file, const struct disk_config *disk, GError **error)
{
	if (disk->label) {
		file->fd = share_image_open(disk->target, disk->label, error);
		return file->fd >= 0;
	}
	const int access = only_reads(disk) ? O_RDONLY : O_RDWR;
	const int direct = disk->cache == DISK_CACHE_DIRECT ? O_DIRECT : 0;

	/* O_NONBLOCK: opening a FIFO must not wait. It means nothing to what a disk may be. */
	file->fd = open(disk->target, access | direct | O_CLOEXEC | O_NONBLOCK);
	if (file->fd >= 0)
		return TRUE;
	if (errno == EINVAL && direct)
		return file_error(error, disk, "its file system has no direct I/O", "leave out cache=direct");
	if (!only_reads(disk) && (errno == EACCES || errno == EROFS || errno == EPERM))
		return file_error(error, disk, g_strerror(errno), "say ro, or snapshot=on if what the guest writes is not to be kept");
	return file_error(error, disk, g_strerror(errno), "check its path and who may use it");
}

static gboolean lock_file(const struct block_file *file, const struct disk_config *disk, GError **error)
{
	struct flock lock = { .l_type = only_reads(disk) ? F_RDLCK : F_WRLCK, .l_whence = SEEK_SET };

	if (fcntl(file->fd, F_OFD_SETLK, &lock) == 0)
		return TRUE;
	if (errno != EAGAIN && errno != EACCES)
		return file_error(error, disk, g_strerror(errno), "its file system has no locks; copy it to one that has");
	g_autofree char *holder = block_holder_describe(file->fd);
	g_autofree char *reason = g_strdup_printf("it is in use by %s", holder ? holder : "another process");
	return file_error(error, disk, reason, only_reads(disk) ? "who writes to it has it alone; wait for its end" :
								 "a disk that is written has one user; give both ro or snapshot=on, or copy it");
}

/* syscalls(main): fstat newfstatat ioctl(BLKGETSIZE64) ioctl(BLKPBSZGET) */
static gboolean measure(struct block_file *file, const struct disk_config *disk, GError **error)
{
	uint64_t len_bytes = 0;
	unsigned int physical = 0;
	struct stat status;

	if (fstat(file->fd, &status) != 0)
		return file_error(error, disk, g_strerror(errno), "check its path");
	if (S_ISBLK(status.st_mode)) {
		if (ioctl(file->fd, BLKGETSIZE64, &len_bytes) != 0)
			return file_error(error, disk, g_strerror(errno), "give another device");
		if (ioctl(file->fd, BLKPBSZGET, &physical) == 0)
			file->physical_sector_bytes = physical;
	} else if (S_ISREG(status.st_mode)) {
		len_bytes = (uint64_t)status.st_size;
		file->discard_granularity_bytes = (uint32_t)status.st_blksize;
	} else {
		return file_error(error, disk, S_ISDIR(status.st_mode) ? "a directory" : "neither a file nor a block device",
				  "give an image or a block device");
	}
	file->segments_max = BLOCK_SEGMENTS_MAX;
	/*
	 * A direct transfer that is larger than the device takes at a time has to be split, and the kernel does not do that where
	 * the I/O thread submits it (REQ_NOWAIT): it goes to a thread of the kernel's, for half as much CPU time again.
	 */
	if (disk->cache == DISK_CACHE_DIRECT)
		file->segments_max = block_host_segments_max(BLOCK_HOST_DEVICES, S_ISBLK(status.st_mode) ? status.st_rdev : status.st_dev);
	file->n_sectors = len_bytes / BLOCK_SECTOR_BYTES;
	if (file->n_sectors == 0)
		return file_error(error, disk, "it has less than one sector", "make it as large as the disk is to be: truncate -s 1G FILE");
	return TRUE;
}

/* A raw disk may hold anything; but who says nothing of the format and gives an image of another one has forgotten it. */
static gboolean check_format(const struct block_file *file, const struct disk_config *disk, GError **error)
{
	static const struct {
		const char *magic, *name;
	} formats[] = { { "QFI\xfb", "qcow2" }, { "KDMV", "VMDK" }, { "conectix", "VHD" }, { "vhdxfile", "VHDX" } };
	void *buffer;

	if (disk->format == DISK_FORMAT_RAW || posix_memalign(&buffer, 4096, 4096) != 0)
		return TRUE;
	memset(buffer, 0, 4096);
	/* A page, aligned: cache=direct may want that. What cannot be read fails in the guest, with its own error. */
	ssize_t got = pread(file->fd, buffer, 4096, 0);
	gboolean ok = TRUE;
	for (size_t i = 0; ok && got > 0 && i < G_N_ELEMENTS(formats); i++)
		if (memcmp(buffer, formats[i].magic, strlen(formats[i].magic)) == 0) {
			g_autofree char *reason = g_strdup_printf("it begins like a %s image", formats[i].name);

			ok = file_error(error, disk, reason, i == 0 ? "say format=qcow2, or format=raw if its bytes are the disk" :
				"convert it with qemu-img, or say format=raw if its bytes are the disk");
		}
	free(buffer);
	return ok;
}

/* Guests address 512-byte sectors and give memory aligned to 512 bytes: direct I/O must take both. */
/* syscalls(main): pread64 */
static gboolean check_direct(const struct block_file *file, const struct disk_config *disk, GError **error)
{
	void *buffer;

	if (disk->cache != DISK_CACHE_DIRECT || posix_memalign(&buffer, 4096, 4096) != 0)
		return TRUE;
	uint8_t *odd = (uint8_t *)buffer + BLOCK_SECTOR_BYTES;
	off_t offset = file->n_sectors > 1 ? BLOCK_SECTOR_BYTES : 0;
	bool refused = pread(file->fd, odd, BLOCK_SECTOR_BYTES, offset) < 0 && errno == EINVAL;

	free(buffer);
	return !refused || file_error(error, disk, "direct I/O wants more than 512-byte sectors there", "leave out cache=direct");
}

/*
 * Memory: io_uring would give it to a worker thread, as it has no way to say that it would not block. The node of a device lies
 * in such a file system too (devtmpfs), and says nothing of the device.
 */
/* syscalls(main): fstat newfstatat fstatfs */
static bool is_memory(int fd)
{
	struct statfs fs;
	struct stat status;

	return fd >= 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && fstatfs(fd, &fs) == 0 && fs.f_type == TMPFS_MAGIC;
}

static void init(struct block_file *file, const struct disk_config *disk)
{
	*file = (struct block_file){
		.fd = -1,
		.helper_pidfd = -1,
		.overlay_fd = -1,
		.path = g_strdup(disk->target),
		.vdev = g_strdup(disk->vdev),
		.physical_sector_bytes = BLOCK_SECTOR_BYTES,
		.discard_granularity_bytes = 4096,
		.read_only = disk->readonly,
		.discard = !disk->readonly && disk->discard != DISK_DISCARD_OFF,
		.ignore_flush = disk->cache == DISK_CACHE_UNSAFE,
		.stop_on_error = disk->on_error == DISK_ON_ERROR_STOP,
		.pause_without_room = disk->on_error == DISK_ON_ERROR_ENOSPC_PAUSE,
		.cdrom = disk->cdrom,
		.snapshot = disk->snapshot && !disk->readonly,
	};
}

static void find_memory(struct block_file *file)
{
	file->at_once = is_memory(file->fd);
	file->overlay_at_once = is_memory(file->overlay_fd);
}

/* Who else has the image is found out here, where it can be named; qemu-nbd locks it again. */
static gboolean check_image(const struct block_file *file, const struct disk_config *disk, GError **error)
{
	struct block_file image = *file;
	struct disk_config words = *disk;

	words.cache = DISK_CACHE_DEFAULT;
	image.fd = -1;
	gboolean ok = open_file(&image, &words, error) && lock_file(&image, &words, error);
	if (image.fd >= 0)
		close(image.fd);
	return ok;
}

static gboolean open_remote(struct block_file *file, const struct disk_config *disk, GError **error)
{
	return xl_disk_vdev_number(disk->vdev, &file->number) &&
	       (disk->format != DISK_FORMAT_QCOW2 || check_image(file, disk, error)) &&
	       (!file->snapshot || block_snapshot_make_overlay(file, disk, error)) && block_remote_connect(file, disk, error);
}

static gboolean open_local(struct block_file *file, const struct disk_config *disk, GError **error)
{
	return open_file(file, disk, error) && xl_disk_vdev_number(disk->vdev, &file->number) && measure(file, disk, error) &&
	       lock_file(file, disk, error) && check_format(file, disk, error) && check_direct(file, disk, error) &&
	       (!file->snapshot || block_snapshot_open(file, disk, error));
}

static void take_words(struct block_file *file, const struct disk_config *disk, const char *path)
{
	struct disk_config words = *disk;

	if (disk->label || block_remote_is(disk))
		return;
	words.target = (char *)(uintptr_t)path;
	file->words = xl_disk_to_text(&words);
}

gboolean block_file_open(struct block_file *file, const struct disk_config *disk, GError **error)
{
	g_autofree char *path = g_canonicalize_filename(disk->target, NULL);

	init(file, disk);
	take_words(file, disk, path);
	if (block_remote_is(disk) ? open_remote(file, disk, error) : open_local(file, disk, error)) {
		find_memory(file);
		return TRUE;
	}
	block_file_close(file);
	return FALSE;
}

gboolean block_file_begin(struct block_file *file, const struct disk_config *disk, GError **error)
{
	return !block_remote_is(disk) || block_remote_begin(file, disk, error);
}

static gboolean adopt_error(GError **error, const char *what)
{
	g_set_error(error, DOM1_ERROR, DOM1_STATUS_USAGE, "the descriptor that came with the disk %s", what);
	return FALSE;
}

static int take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

/* syscalls(main): fcntl(F_GETFL) */
gboolean block_file_adopt(struct block_file *file, const struct disk_config *disk, int *fds, unsigned int n_fds,
			  GError **error)
{
	init(file, disk);
	/* Who opened it says where it is; what is relative to where somebody else was says nothing. */
	if (g_path_is_absolute(disk->target))
		take_words(file, disk, disk->target);
	file->fd = n_fds > 0 ? take_fd(&fds[0]) : -1;
	file->overlay_fd = n_fds > 1 && file->snapshot ? take_fd(&fds[1]) : -1;
	const int flags = fcntl(file->fd, F_GETFL);
	gboolean ok = (flags >= 0 || adopt_error(error, "is missing")) && xl_disk_vdev_number(disk->vdev, &file->number);

	if (ok && block_remote_is(disk)) {
		ok = (!file->snapshot || file->overlay_fd >= 0 || adopt_error(error, "has no overlay with it")) &&
		     block_remote_begin(file, disk, error);
	} else if (ok && !measure(file, disk, error)) {
		ok = FALSE;
	} else if (ok && file->overlay_fd >= 0) {
		file->ignore_flush = true;
		file->overlay = block_overlay_new(file->n_sectors);
		ok = file->overlay || adopt_error(error, "is too large");
	} else if (ok && !file->read_only) {
		/* A snapshot without an overlay is a clone. */
		ok = (flags & O_ACCMODE) == O_RDWR || adopt_error(error, "is not open for writing");
		file->ignore_flush |= file->snapshot;
	}
	if (ok)
		find_memory(file);
	else
		block_file_close(file);
	return ok;
}

static gboolean resize_error(const struct block_file *file, GError **error, const char *why)
{
	g_set_error(error, DOM1_ERROR, DOM1_STATUS_USAGE, "%s: %s: %s", file->vdev, file->path, why);
	return FALSE;
}

/* syscalls(main): ftruncate */
gboolean block_file_resize(struct block_file *file, uint64_t bytes, GError **error)
{
	const struct disk_config words = { .target = file->path, .vdev = file->vdev };

	if (file->snapshot)
		return resize_error(file, error, "a snapshot keeps its size");
	if (file->remote)
		return resize_error(file, error, "its server tells the size only at the start of a connection: take it away and attach it "
						 "again");
	if (bytes > 0 && bytes < file->n_sectors * BLOCK_SECTOR_BYTES)
		return resize_error(file, error, "it would lose its end: make the file smaller yourself, and leave out the size");
	if (bytes > INT64_MAX || (bytes > 0 && ftruncate(file->fd, (off_t)bytes) != 0))
		return resize_error(file, error, bytes > INT64_MAX ? "too large" : g_strerror(errno));
	return measure(file, &words, error);
}

void block_file_close(struct block_file *file)
{
	if (file->fd >= 0)
		close(file->fd);
	if (file->overlay_fd >= 0)
		close(file->overlay_fd);
	if (file->helper_pidfd >= 0)
		close(file->helper_pidfd);
	nbd_client_free(file->remote);
	block_overlay_free(file->overlay);
	g_free(file->path);
	g_free(file->vdev);
	g_free(file->words);
	*file = (struct block_file){ .fd = -1, .helper_pidfd = -1, .overlay_fd = -1 };
}

unsigned int block_file_fds(const struct block_file *file, int fds[BLOCK_FILE_FDS_MAX])
{
	static_assert(BLOCK_FILE_FDS_MAX == 2 + NBD_CLIENT_FDS_MAX, "two are the file's own");

	fds[0] = file->fd;
	fds[1] = file->overlay_fd;
	return 2 + (file->remote ? nbd_client_fds(file->remote, fds + 2) : 0);
}

/* syscalls(main): fcntl(F_OFD_SETLK) */
void block_file_let_go(const struct block_file *file)
{
	struct flock unlock = { .l_type = F_UNLCK, .l_whence = SEEK_SET };

	if (file->remote)
		nbd_client_hang_up(file->remote);
	else
		(void)fcntl(file->fd, F_OFD_SETLK, &unlock);
}

gboolean block_files_open(struct block_file **files, size_t *n_files, const GPtrArray *configs, GError **error)
{
	*files = g_new0(struct block_file, configs->len);
	for (*n_files = 0; *n_files < configs->len; ++*n_files) {
		struct block_file *file = &(*files)[*n_files];
		const struct disk_config *disk = configs->pdata[*n_files];

		if (block_file_open(file, disk, error) && block_file_begin(file, disk, error))
			continue;
		/* One that was opened and could not begin; of the other nothing is left. */
		block_file_close(file);
		block_files_close(*files, *n_files);
		*files = NULL;
		*n_files = 0;
		return FALSE;
	}
	return TRUE;
}

void block_files_close(struct block_file *files, size_t n_files)
{
	for (size_t i = 0; i < n_files; i++) {
		const int helper_pidfd = files[i].helper_pidfd;

		files[i].helper_pidfd = -1;
		block_file_close(&files[i]);
		if (helper_pidfd >= 0) {
			block_remote_await_end(helper_pidfd);
			close(helper_pidfd);
		}
	}
	g_free(files);
}
