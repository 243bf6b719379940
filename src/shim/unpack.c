// SPDX-License-Identifier: MIT
/*
 *      file --read--> bytes --parse--> ELF or LZO: handed on as they are
 *                               |
 *                               +----> packed --cache--> mapped entry
 *                                         |
 *                                         +--helper--> memfd --parse--> mapped, and stored in the cache
 *
 * The file is read, not mapped: another process may write to it while we look, and a mapping that shrinks kills its
 * reader by SIGBUS. From here on the bytes are ours and do not change under a check.
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

/* Linux' largest are about 100 MiB with their BSS; xz with -9 wants 65 MiB, zstd with --ultra -22 128 MiB. */
static const struct unpack_limits helper_limits = {
	.output_bytes = UINT64_C(1) << 30,
	.memory_bytes = UINT64_C(512) << 20,
	.cpu_seconds = 120,
};

/* A vmlinux with its debug information is the largest that makes sense. */
static const off_t max_file_bytes = (off_t)4 << 30;

struct file {
	uint8_t *bytes; /* a mapping of len_bytes, read-only */
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

/* Reads the len_bytes that fstat saw. FALSE with errno, 0 for a file that became shorter. */
static gboolean read_all(int fd, uint8_t *bytes, size_t len_bytes)
{
	while (len_bytes != 0) {
		ssize_t n = read(fd, bytes, len_bytes);

		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0)
			errno = 0;
		if (n <= 0)
			return FALSE;
		bytes += n;
		len_bytes -= (size_t)n;
	}
	return TRUE;
}

/* System calls: openat, fstat, mmap, read, mprotect, munmap, close. */
static gboolean file_read(const char *path, struct file *file, GError **error)
{
	void *bytes;
	/* O_NONBLOCK: a fifo must not hang us before fstat can tell what it is. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd < 0)
		return file_failed(path, g_strerror(errno),
				   errno == ENOENT ? "check the kernel's path"
						   : "check the kernel's path and its permissions",
				   error);
	if (fstat(fd, &file->st) != 0 || !check_stat(path, &file->st, error)) {
		if (error != NULL && *error == NULL)
			file_failed(path, g_strerror(errno), "check the file system", error);
		close(fd);
		return FALSE;
	}
	file->len_bytes = (size_t)file->st.st_size;
	bytes = mmap(NULL, file->len_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (bytes == MAP_FAILED) {
		close(fd);
		return file_failed(path, "no memory to read it", "free memory, or give a smaller kernel", error);
	}
	if (!read_all(fd, bytes, file->len_bytes)) {
		file_failed(path, errno != 0 ? g_strerror(errno) : "it became shorter while it was read", "try again",
			    error);
		munmap(bytes, file->len_bytes);
		close(fd);
		return FALSE;
	}
	close(fd);
	mprotect(bytes, file->len_bytes, PROT_READ);
	file->bytes = bytes;
	return TRUE;
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

/* System calls: memfd_create, fstat, mmap, close, and those of unpack_in_helper(). */
static const uint8_t *unpack(const struct file *file, const struct kernel_image *image, const char *path,
			     size_t *len_bytes, GError **error)
{
	void *bytes = MAP_FAILED;
	struct stat st = {.st_size = 0};
	int fd = memfd_create("dom1-kernel", MFD_CLOEXEC);

	if (fd < 0) {
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_HOST, "%s: it cannot be unpacked on this host: memfd: %s",
			    path, g_strerror(errno));
		return NULL;
	}
	if (!unpack_in_helper(file->bytes + image->payload_offset_bytes, image->payload_len_bytes, image->compression,
			      &helper_limits, fd, path, error)) {
		close(fd);
		return NULL;
	}
	if (fstat(fd, &st) == 0 && st.st_size > 0)
		bytes = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
	close(fd);
	if (bytes == MAP_FAILED) {
		file_failed(path, "nothing comes out of it", "the file is damaged, get it again", error);
		return NULL;
	}
	*len_bytes = (size_t)st.st_size;
	if (check_unpacked(bytes, *len_bytes, image, path, error))
		return bytes;
	munmap(bytes, *len_bytes);
	return NULL;
}

static gboolean load_packed(const struct file *file, const struct kernel_image *image, const char *path,
			    gboolean use_cache, struct kernel_bytes *kernel, GError **error)
{
	struct kernel_cache *cache = use_cache ? kernel_cache_open() : NULL;
	g_autofree char *key = NULL;

	kernel->unpacked = TRUE;
	if (cache != NULL) {
		key = kernel_cache_key(&file->st, file->bytes + image->payload_offset_bytes, image->payload_len_bytes);
		kernel->bytes = kernel_cache_map(cache, key, &kernel->len_bytes);
		kernel->cached = kernel->bytes != NULL;
	}
	if (kernel->bytes == NULL) {
		kernel->bytes = unpack(file, image, path, &kernel->len_bytes, error);
		if (kernel->bytes != NULL && cache != NULL)
			kernel_cache_store(cache, key, kernel->bytes, kernel->len_bytes);
	}
	kernel_cache_close(cache);
	return kernel->bytes != NULL;
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

gboolean kernel_load(const char *path, gboolean use_cache, struct kernel_bytes *kernel, GError **error)
{
	struct kernel_image image;
	struct file file = {.bytes = NULL};
	gboolean ok;

	*kernel = (struct kernel_bytes){.bytes = NULL};
	if (!file_read(path, &file, error))
		return FALSE;
	ok = kernel_image_parse(file.bytes, file.len_bytes, path, &image, error);
	if (ok && (image.compression == KERNEL_COMPRESSION_NONE || image.compression == KERNEL_COMPRESSION_LZO))
		ok = hand_on(&file, &image, path, kernel, error);
	else if (ok)
		ok = load_packed(&file, &image, path, use_cache, kernel, error);
	if (file.bytes != NULL)
		munmap(file.bytes, file.len_bytes);
	if (!ok)
		*kernel = (struct kernel_bytes){.bytes = NULL};
	return ok;
}

void kernel_bytes_clear(struct kernel_bytes *kernel)
{
	if (kernel->bytes != NULL)
		munmap((void *)(uintptr_t)kernel->bytes, kernel->len_bytes);
	*kernel = (struct kernel_bytes){.bytes = NULL};
}
