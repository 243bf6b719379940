// SPDX-License-Identifier: MIT
/*
 *      file --a sample--> key of the cache --> mapped entry
 *        |
 *        +--read--> bytes --parse--> ELF or LZO: handed on as they are
 *                              |
 *                              +----> packed --helper--> memfd --parse--> mapped, and stored in the cache
 *
 * The file is read, not mapped: another process may write to it while we look, and a mapping that shrinks kills its
 * reader by SIGBUS. From here on the bytes are ours and do not change under a check. Of a kernel that is in the cache
 * only the sample is read that the key is made of.
 */
#include "shim/unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shim/kernel_cache.h"
#include "shim/kernel_image.h"
#include "shim/unpack_helper.h"
#include "vmm/error.h"
#include "vmm/read_whole.h"

/* Linux' largest are about 100 MiB with their BSS; xz with -9 wants 65 MiB, zstd with --ultra -22 128 MiB. */
static const struct unpack_limits helper_limits = {
	.output_bytes = UINT64_C(1) << 30,
	.memory_bytes = UINT64_C(512) << 20,
	.cpu_seconds = 120,
};

/* A vmlinux with its debug information is the largest that makes sense. */
static const off_t max_file_bytes = (off_t)4 << 30;

enum {
	HEAD_BYTES = 4096, /* of a bzImage: its setup header is in it */
	EDGE_BYTES = 8,    /* of its payload: magic number and size */
};

struct file {
	int fd;
	uint8_t *bytes; /* a mapping of len_bytes: zeros where nothing was read */
	size_t len_bytes;
	struct stat st;
};

static gboolean file_failed(const char *path, const char *reason, const char *remedy, GError **error)
{
	g_set_error(error, DOM1_ERROR, DOM1_STATUS_FILE, "%s: %s: %s", path, reason, remedy);
	return FALSE;
}

static gboolean check_stat(const char *path, const struct stat *st, GError **error)
{
	if (S_ISDIR(st->st_mode))
		return file_failed(path, "is a directory", "give the kernel's file", error);
	if (!S_ISREG(st->st_mode))
		return file_failed(path, "is not a regular file", "copy the kernel to a file and give that", error);
	if (st->st_size == 0)
		return file_failed(path, "the file is empty", "get the file again", error);
	if (st->st_size > max_file_bytes)
		return file_failed(path, "is larger than 4 GiB", "give a kernel", error);
	return TRUE;
}

/* Reads [offset, offset + len_bytes) into its place. FALSE: as read_whole(). */
static gboolean read_range(const struct file *file, size_t offset, size_t len_bytes)
{
	return read_whole(file->fd, file->bytes + offset, len_bytes, offset);
}

/* The file is open, and there is room for its bytes. System calls: openat, fstat, mmap, madvise, close. */
static gboolean file_open(const char *path, struct file *file, GError **error)
{
	void *bytes;

	/* O_NONBLOCK: a fifo must not hang us before fstat can tell what it is. */
	file->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (file->fd < 0)
		return file_failed(path, g_strerror(errno),
				   errno == ENOENT ? "check the kernel's path"
						   : "check the kernel's path and its permissions",
				   error);
	if (fstat(file->fd, &file->st) != 0)
		return file_failed(path, g_strerror(errno), "check the file system", error);
	if (!check_stat(path, &file->st, error))
		return FALSE;
	file->len_bytes = (size_t)file->st.st_size;
	bytes = mmap(NULL, file->len_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (bytes == MAP_FAILED)
		return file_failed(path, "no memory to read it", "free memory, or give a smaller kernel", error);
	file->bytes = bytes;
	/* A page here and there is read first: not a huge one for each. */
	(void)madvise(bytes, file->len_bytes, MADV_NOHUGEPAGE);
	return TRUE;
}

/* System calls: pread64, madvise, mprotect. */
static gboolean file_read(const char *path, struct file *file, GError **error)
{
	(void)madvise(file->bytes, file->len_bytes, MADV_HUGEPAGE);
	if (!read_range(file, 0, file->len_bytes))
		return file_failed(path, read_whole_reason(), "try again", error);
	mprotect(file->bytes, file->len_bytes, PROT_READ);
	return TRUE;
}

static void file_close(struct file *file)
{
	if (file->bytes != NULL)
		munmap(file->bytes, file->len_bytes);
	if (file->fd >= 0)
		close(file->fd);
}

/* Is what came out a whole ELF for x86, and as long as the bzImage says? */
static gboolean check_unpacked(const uint8_t *bytes, size_t len_bytes, const struct kernel_image *image,
			       const char *path, GError **error)
{
	struct kernel_elf elf;

	if (image->unpacked_bytes != 0 && image->unpacked_bytes != len_bytes) {
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_FILE,
			    "%s: it unpacks to %zu bytes instead of the %u that it announces: the file is damaged, get "
			    "it again",
			    path, len_bytes, image->unpacked_bytes);
		return FALSE;
	}
	if (kernel_elf_parse(bytes, len_bytes, path, &elf, error))
		return TRUE;
	g_prefix_error(error, "inside the packed kernel: ");
	return FALSE;
}

/* System calls: memfd_create, fstat, fcntl, mmap, close, and those of unpack_in_helper(). */
static gboolean unpack(const struct file *file, const struct kernel_image *image, const char *path,
		       struct kernel_bytes *kernel, GError **error)
{
	void *bytes = MAP_FAILED;
	struct stat st = {.st_size = 0};

	kernel->fd = memfd_create("dom1-kernel", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (kernel->fd < 0) {
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_HOST, "%s: it cannot be unpacked on this host: memfd: %s",
			    path, g_strerror(errno));
		return FALSE;
	}
	if (!unpack_in_helper(file->bytes + image->payload_offset_bytes, image->payload_len_bytes, image->compression,
			      &helper_limits, kernel->fd, path, error))
		return FALSE;
	/* Guests will have it in their memory, each its own copy of what it writes to. */
	if (fstat(kernel->fd, &st) == 0 && st.st_size > 0 &&
	    fcntl(kernel->fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
		bytes = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, kernel->fd, 0);
	if (bytes == MAP_FAILED)
		return file_failed(path, "nothing comes out of it", "the file is damaged, get it again", error);
	kernel->bytes = bytes;
	kernel->len_bytes = (size_t)st.st_size;
	return check_unpacked(bytes, kernel->len_bytes, image, path, error);
}

static gboolean is_packed(const struct kernel_image *image)
{
	return image->compression != KERNEL_COMPRESSION_NONE && image->compression != KERNEL_COMPRESSION_LZO;
}

/*
 * The key of a packed kernel, from as little of it as possible. NULL when it is none, or cannot be read: what is wrong
 * with it will be found when all of it is read.
 */
static char *find_key(const struct file *file)
{
	struct kernel_cache_range ranges[KERNEL_CACHE_MAX_RANGES];
	size_t head_bytes = MIN(HEAD_BYTES, file->len_bytes), offset, len_bytes, n;
	struct kernel_image image;

	if (!read_range(file, 0, head_bytes))
		return NULL;
	if (kernel_image_peek(file->bytes, head_bytes, file->len_bytes, &offset, &len_bytes) &&
	    (!read_range(file, offset, MIN(len_bytes, EDGE_BYTES)) ||
	     !read_range(file, offset + len_bytes - MIN(len_bytes, EDGE_BYTES), MIN(len_bytes, EDGE_BYTES))))
		return NULL;
	if (!kernel_image_parse(file->bytes, file->len_bytes, "", &image, NULL) || !is_packed(&image))
		return NULL;
	n = kernel_cache_ranges(image.payload_len_bytes, ranges);
	for (size_t i = 0; i < n; i++)
		if (!read_range(file, image.payload_offset_bytes + ranges[i].offset, ranges[i].len_bytes))
			return NULL;
	return kernel_cache_key(&file->st, file->bytes + image.payload_offset_bytes, image.payload_len_bytes);
}

/* As it is: the file's own bytes change hands. */
static gboolean hand_on(struct file *file, const struct kernel_image *image, const char *path,
			struct kernel_bytes *kernel, GError **error)
{
	struct kernel_elf elf;

	if (image->compression == KERNEL_COMPRESSION_NONE &&
	    !kernel_elf_parse(file->bytes, file->len_bytes, path, &elf, error))
		return FALSE;
	kernel->bytes = g_steal_pointer(&file->bytes);
	kernel->len_bytes = file->len_bytes;
	return TRUE;
}

/* The entry's file is as good as the memfd, whose memory would be held for as long as the domain lives. */
static void keep(struct kernel_cache *cache, const char *key, struct kernel_bytes *kernel)
{
	struct kernel_bytes entry = {.unpacked = TRUE, .fd = -1};

	kernel_cache_store(cache, key, kernel->bytes, kernel->len_bytes);
	entry.bytes = kernel_cache_map(cache, key, &entry.len_bytes, &entry.fd);
	if (entry.bytes == NULL)
		return;
	kernel_bytes_clear(kernel);
	*kernel = entry;
}

/* It is not in the cache, or none of its business. */
static gboolean load_whole(struct file *file, const char *path, struct kernel_cache *cache, struct kernel_bytes *kernel,
			   GError **error)
{
	struct kernel_image image;
	g_autofree char *key = NULL;

	if (!file_read(path, file, error) || !kernel_image_parse(file->bytes, file->len_bytes, path, &image, error))
		return FALSE;
	if (!is_packed(&image))
		return hand_on(file, &image, path, kernel, error);
	kernel->unpacked = TRUE;
	if (!unpack(file, &image, path, kernel, error))
		return FALSE;
	if (cache != NULL) {
		key = kernel_cache_key(&file->st, file->bytes + image.payload_offset_bytes, image.payload_len_bytes);
		keep(cache, key, kernel);
	}
	return TRUE;
}

gboolean kernel_load(const char *path, gboolean use_cache, struct kernel_bytes *kernel, GError **error)
{
	struct kernel_cache *cache = use_cache ? kernel_cache_open() : NULL;
	struct file file = {.fd = -1};
	g_autofree char *key = NULL;
	gboolean ok;

	*kernel = (struct kernel_bytes){.fd = -1};
	ok = file_open(path, &file, error);
	if (ok && cache != NULL)
		key = find_key(&file);
	if (key != NULL)
		kernel->bytes = kernel_cache_map(cache, key, &kernel->len_bytes, &kernel->fd);
	kernel->unpacked = kernel->cached = kernel->bytes != NULL;
	if (ok && kernel->bytes == NULL)
		ok = load_whole(&file, path, cache, kernel, error);
	kernel_cache_close(cache);
	file_close(&file);
	if (!ok && kernel->bytes == NULL && kernel->fd >= 0)
		close(kernel->fd);
	if (!ok)
		kernel_bytes_clear(kernel);
	return ok;
}

void kernel_bytes_clear(struct kernel_bytes *kernel)
{
	if (kernel->bytes != NULL) {
		munmap((void *)(uintptr_t)kernel->bytes, kernel->len_bytes);
		if (kernel->fd >= 0)
			close(kernel->fd);
	}
	*kernel = (struct kernel_bytes){.fd = -1};
}
