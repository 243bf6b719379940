// SPDX-License-Identifier: MIT
/*
 * unpack.c, unpack_helper.c, kernel_cache.c: each compression, each way a file is bad, and a cache that is stale,
 * damaged, closed or fought over. Everything happens in a folder of the test's own.
 */
#include "images.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <archive.h>
#include <glib/gstdio.h>

#include "shim/kernel_cache.h"
#include "shim/unpack.h"
#include "shim/unpack_helper.h"
#include "vmm/error.h"

enum { TAIL_BYTES = 300000, NOBODY = 65534 };

struct fixture {
	char *root;
	char *kernel; /* path */
	char *cache;  /* folder of the entries */
	GByteArray *vmlinux;
};

static void setup(struct fixture *f, gconstpointer data)
{
	(void)data;
	f->root = g_dir_make_tmp("dom1-unpack-XXXXXX", NULL);
	g_assert_nonnull(f->root);
	f->kernel = g_build_filename(f->root, "vmlinuz", NULL);
	f->cache = g_build_filename(f->root, "dom1/kernels", NULL);
	f->vmlinux = image_vmlinux(EM_X86_64, TAIL_BYTES, 1);
	g_setenv("XDG_CACHE_HOME", f->root, TRUE);
}

static void remove_tree(const char *path)
{
	g_autoptr(GDir) dir = NULL;
	const char *name;
	struct stat st;

	if (lstat(path, &st) == 0 && S_ISDIR(st.st_mode) && (dir = g_dir_open(path, 0, NULL)) != NULL)
		while ((name = g_dir_read_name(dir)) != NULL) {
			g_autofree char *child = g_build_filename(path, name, NULL);

			remove_tree(child);
		}
	g_assert_cmpint(g_remove(path), ==, 0);
}

static void teardown(struct fixture *f, gconstpointer data)
{
	(void)data;
	remove_tree(f->root);
	g_free(f->root);
	g_free(f->kernel);
	g_free(f->cache);
	g_byte_array_unref(f->vmlinux);
}

/* In place, as cp does: the inode stays. */
static void write_file(const char *path, const GByteArray *bytes)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	g_assert_cmpint(fd, >=, 0);
	g_assert_cmpint(write(fd, bytes->data, bytes->len), ==, bytes->len);
	close(fd);
}

static void write_bzimage(const struct fixture *f, const GByteArray *vmlinux)
{
	g_autoptr(GByteArray) packed = image_packed(vmlinux, ARCHIVE_FILTER_GZIP);
	g_autoptr(GByteArray) bzimage = image_bzimage(packed, FALSE, 0);

	write_file(f->kernel, bzimage);
}

static unsigned int count_files(const char *folder)
{
	g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
	unsigned int n = 0;

	while (dir != NULL && g_dir_read_name(dir) != NULL)
		n++;
	return n;
}

/* The path of the only file in the folder. */
static char *only_entry(const struct fixture *f)
{
	g_autoptr(GDir) dir = g_dir_open(f->cache, 0, NULL);
	const char *name;

	g_assert_nonnull(dir);
	g_assert_cmpuint(count_files(f->cache), ==, 1);
	name = g_dir_read_name(dir);
	return g_build_filename(f->cache, name, NULL);
}

/* g_assert_cmpmem() counts in int. */
static void assert_same(const uint8_t *bytes, size_t len, const GByteArray *expected)
{
	g_assert_cmpuint(len, ==, expected->len);
	g_assert_true(memcmp(bytes, expected->data, len) == 0);
}

/* The file that comes with bytes begins with them, and nobody can change it through this descriptor. */
static void assert_file(int fd, const uint8_t *bytes, size_t len)
{
	g_autofree uint8_t *read_back = g_malloc(len);

	g_assert_cmpint(pread(fd, read_back, len, 0), ==, (gssize)len);
	g_assert_true(memcmp(read_back, bytes, len) == 0);
	g_assert_cmpint(pwrite(fd, "x", 1, 0), ==, -1);
}

static const uint8_t *cache_map(struct kernel_cache *cache, const char *key, size_t *len)
{
	int fd;
	const uint8_t *bytes = kernel_cache_map(cache, key, len, &fd);

	g_assert_true((bytes != NULL) == (fd >= 0));
	if (bytes != NULL) {
		assert_file(fd, bytes, *len);
		close(fd);
	}
	return bytes;
}

static void assert_loads_from(const char *path, gboolean use_cache, const GByteArray *expected, gboolean unpacked,
			      gboolean cached)
{
	g_autoptr(GError) error = NULL;
	struct kernel_bytes kernel;

	kernel_load(path, use_cache, &kernel, &error);
	g_assert_no_error(error);
	assert_same(kernel.bytes, kernel.len_bytes, expected);
	g_assert_cmpint(kernel.unpacked, ==, unpacked);
	g_assert_cmpint(kernel.cached, ==, cached);
	g_assert_true((kernel.fd >= 0) == unpacked);
	if (unpacked)
		assert_file(kernel.fd, kernel.bytes, kernel.len_bytes);
	kernel_bytes_clear(&kernel);
	g_assert_null(kernel.bytes);
}

static void assert_loads(const struct fixture *f, const GByteArray *expected, gboolean cached)
{
	assert_loads_from(f->kernel, TRUE, expected, TRUE, cached);
}

static void assert_refused(const char *path, const char *word)
{
	g_autoptr(GError) error = NULL;
	struct kernel_bytes kernel;

	g_assert_false(kernel_load(path, TRUE, &kernel, &error));
	g_assert_error(error, DOM1_ERROR, DOM1_STATUS_FILE);
	g_assert_null(kernel.bytes);
	g_assert_null(strchr(error->message, '\n'));
	if (strstr(error->message, path) == NULL || strstr(error->message, word) == NULL)
		g_error("\"%s\" lacks \"%s\" or \"%s\"", error->message, path, word);
}

static const int filters[] = {ARCHIVE_FILTER_GZIP, ARCHIVE_FILTER_BZIP2, ARCHIVE_FILTER_LZMA,
			      ARCHIVE_FILTER_XZ,   ARCHIVE_FILTER_LZ4,   ARCHIVE_FILTER_ZSTD};

static void test_each_compression(struct fixture *f, gconstpointer data)
{
	(void)data;
	for (size_t i = 0; i < G_N_ELEMENTS(filters); i++) {
		g_autoptr(GByteArray) packed = image_packed(f->vmlinux, filters[i]);
		g_autoptr(GByteArray) bzimage =
			image_bzimage(packed, filters[i] != ARCHIVE_FILTER_GZIP, f->vmlinux->len);

		write_file(f->kernel, packed);
		assert_loads_from(f->kernel, FALSE, f->vmlinux, TRUE, FALSE);
		write_file(f->kernel, bzimage);
		assert_loads_from(f->kernel, FALSE, f->vmlinux, TRUE, FALSE);
	}
	g_assert_cmpuint(count_files(f->cache), ==, 0);
}

/* The frame that Linux' build uses; libarchive's writer makes only the newer one. Two blocks. */
static void test_lz4_legacy(struct fixture *f, gconstpointer data)
{
	g_autoptr(GByteArray) large = image_vmlinux(EM_X86_64, (8 << 20) + 12345, 3);
	g_autoptr(GByteArray) packed = image_packed_lz4_legacy(large);
	g_autoptr(GByteArray) bzimage = image_bzimage(packed, TRUE, large->len);

	(void)data;
	write_file(f->kernel, bzimage);
	assert_loads_from(f->kernel, FALSE, large, TRUE, FALSE);
}

static void test_handed_on(struct fixture *f, gconstpointer data)
{
	g_autoptr(GByteArray) lzo = g_byte_array_new();
	g_autoptr(GByteArray) bzimage = NULL;

	(void)data;
	write_file(f->kernel, f->vmlinux);
	assert_loads_from(f->kernel, TRUE, f->vmlinux, FALSE, FALSE);
	g_byte_array_append(lzo, (const guint8 *)"\x89LZO\0\r\n\x1a\n and so on", 19);
	bzimage = image_bzimage(lzo, TRUE, 100);
	write_file(f->kernel, bzimage);
	assert_loads_from(f->kernel, TRUE, bzimage, FALSE, FALSE);
	g_assert_cmpuint(count_files(f->cache), ==, 0);
}

static void test_bad_files(struct fixture *f, gconstpointer data)
{
	g_autoptr(GByteArray) empty = g_byte_array_new();
	g_autofree char *fifo = g_build_filename(f->root, "fifo", NULL);

	(void)data;
	assert_refused(f->kernel, "No such file");
	assert_refused(f->root, "directory");
	g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);
	assert_refused(fifo, "regular file");
	write_file(f->kernel, empty);
	assert_refused(f->kernel, "empty");
}

static void test_bad_payloads(struct fixture *f, gconstpointer data)
{
	g_autoptr(GByteArray) arm64 = image_vmlinux(EM_AARCH64, 1000, 1);
	g_autoptr(GByteArray) text = g_byte_array_new();
	g_autoptr(GByteArray) zstd = image_packed(f->vmlinux, ARCHIVE_FILTER_ZSTD);
	g_autoptr(GByteArray) wrong_size = image_bzimage(zstd, TRUE, f->vmlinux->len + 1);
	g_autoptr(GByteArray) gzip = NULL;

	(void)data;
	write_file(f->kernel, wrong_size);
	assert_refused(f->kernel, "announces");
	gzip = image_packed(arm64, ARCHIVE_FILTER_GZIP);
	write_file(f->kernel, gzip);
	assert_refused(f->kernel, "arm64");
	g_byte_array_unref(gzip);
	g_byte_array_append(text, (const guint8 *)"just a text", 11);
	gzip = image_packed(text, ARCHIVE_FILTER_GZIP);
	write_file(f->kernel, gzip);
	assert_refused(f->kernel, "not an ELF");
	/* Nothing bad is kept. */
	g_assert_cmpuint(count_files(f->cache), ==, 0);
}

/* No truncated stream passes: by the decompressor's own end mark, or by the ELF that is not whole. */
static void test_truncated(struct fixture *f, gconstpointer data)
{
	g_autoptr(GByteArray) small = image_vmlinux(EM_X86_64, 200, 1);

	(void)data;
	for (size_t i = 0; i < G_N_ELEMENTS(filters); i++) {
		g_autoptr(GByteArray) packed = image_packed(small, filters[i]);

		/* Whole compressed files without a trailer; the last bytes of some formats are only an end mark. */
		for (guint len = packed->len * 3 / 4; len > 8; len = len * 2 / 3) {
			g_byte_array_set_size(packed, len);
			write_file(f->kernel, packed);
			assert_refused(f->kernel, "get it again");
		}
	}
}

/* Ten thousand forks would take minutes; the parsers get them. Here the helper must end and its result be sound. */
static void test_damaged_streams(struct fixture *f, gconstpointer data)
{
	g_autoptr(GByteArray) small = image_vmlinux(EM_X86_64, 2000, 1);
	g_autoptr(GRand) random = g_rand_new_with_seed(11);

	(void)data;
	for (size_t i = 0; i < G_N_ELEMENTS(filters); i++) {
		g_autoptr(GByteArray) packed = image_packed(small, filters[i]);

		for (int n = 0; n < 40; n++) {
			g_autoptr(GByteArray) damaged = g_byte_array_new();
			g_autoptr(GError) error = NULL;
			struct kernel_bytes kernel;
			guint at;

			g_byte_array_append(damaged, packed->data, packed->len);
			at = (guint)g_rand_int_range(random, 4, (gint32)packed->len);
			damaged->data[at] ^= (uint8_t)g_rand_int_range(random, 1, 256);
			write_file(f->kernel, damaged);
			if (kernel_load(f->kernel, FALSE, &kernel, &error)) {
				g_assert_cmpuint(kernel.len_bytes, >=, 64);
				kernel_bytes_clear(&kernel);
			} else {
				g_assert_true(g_error_matches(error, DOM1_ERROR, DOM1_STATUS_FILE) ||
					      g_error_matches(error, DOM1_ERROR, DOM1_STATUS_HOST));
				/* Refused by the decompressor or by a limit, not by a crash (or a sanitizer). */
				g_assert_null(strstr(error->message, "the unpacker died"));
			}
		}
	}
}

static void test_bomb(struct fixture *f, gconstpointer data)
{
	const struct unpack_limits limits = {.output_bytes = 1 << 20, .memory_bytes = 256 << 20, .cpu_seconds = 30};
	g_autoptr(GByteArray) zeros = g_byte_array_new();
	g_autoptr(GByteArray) packed = NULL;
	g_autoptr(GError) error = NULL;
	struct stat st;
	int fd = memfd_create("test", MFD_CLOEXEC);

	(void)f;
	(void)data;
	g_byte_array_set_size(zeros, 20 << 20);
	memset(zeros->data, 0, zeros->len);
	packed = image_packed(zeros, ARCHIVE_FILTER_GZIP);
	g_assert_false(
		unpack_in_helper(packed->data, packed->len, KERNEL_COMPRESSION_GZIP, &limits, fd, "FILE", &error));
	g_assert_error(error, DOM1_ERROR, DOM1_STATUS_FILE);
	g_assert_nonnull(strstr(error->message, "more than 1 MiB"));
	g_assert_cmpint(fstat(fd, &st), ==, 0);
	g_assert_cmpint(st.st_size, <=, 1 << 20);
	close(fd);
}

/* A dictionary larger than the memory that is granted. (The sanitizer's address space cannot be limited.) */
static void test_memory_limit(struct fixture *f, gconstpointer data)
{
	const struct unpack_limits limits = {.output_bytes = 1 << 30, .memory_bytes = 4 << 20, .cpu_seconds = 30};
	g_autoptr(GByteArray) packed = image_packed(f->vmlinux, ARCHIVE_FILTER_LZMA);
	g_autoptr(GError) error = NULL;
	int fd = memfd_create("test", MFD_CLOEXEC);

	(void)data;
	image_put32(packed, 1, 512 << 20); /* the dictionary's size, in the header of .lzma */
	g_assert_false(
		unpack_in_helper(packed->data, packed->len, KERNEL_COMPRESSION_LZMA, &limits, fd, "FILE", &error));
	g_assert_nonnull(error);
	close(fd);
}

static void test_no_descriptor_leaks(struct fixture *f, gconstpointer data)
{
	unsigned int before = count_files("/proc/self/fd");

	(void)data;
	write_bzimage(f, f->vmlinux);
	assert_loads(f, f->vmlinux, FALSE);
	assert_loads(f, f->vmlinux, TRUE);
	assert_refused(f->root, "directory");
	g_byte_array_set_size(f->vmlinux, 10);
	write_bzimage(f, f->vmlinux);
	assert_refused(f->kernel, "truncated");
	g_assert_cmpuint(count_files("/proc/self/fd"), ==, before);
}

/* What was unpacked and kept is the entry's from then on: no memory of ours holds it. */
static void test_cache_is_used_at_once(struct fixture *f, gconstpointer data)
{
	g_autofree char *entry = NULL;
	struct kernel_bytes kernel;
	struct stat st, of_entry;

	(void)data;
	write_bzimage(f, f->vmlinux);
	for (unsigned int i = 0; i < 2; i++) {
		g_assert_true(kernel_load(f->kernel, TRUE, &kernel, NULL));
		g_free(entry);
		entry = only_entry(f);
		g_assert_cmpint(fstat(kernel.fd, &st), ==, 0);
		g_assert_cmpint(stat(entry, &of_entry), ==, 0);
		g_assert_true(st.st_dev == of_entry.st_dev && st.st_ino == of_entry.st_ino);
		kernel_bytes_clear(&kernel);
	}
}

static void test_cache_hit(struct fixture *f, gconstpointer data)
{
	g_autofree char *entry = NULL;
	struct stat st;

	(void)data;
	write_bzimage(f, f->vmlinux);
	assert_loads(f, f->vmlinux, FALSE);
	assert_loads(f, f->vmlinux, TRUE);
	assert_loads_from(f->kernel, FALSE, f->vmlinux, TRUE, FALSE);
	entry = only_entry(f);
	g_assert_cmpint(stat(entry, &st), ==, 0);
	g_assert_cmpuint(st.st_mode & 07777, ==, 0600);
	g_assert_cmpint(stat(f->cache, &st), ==, 0);
	g_assert_cmpuint(st.st_mode & 07777, ==, 0700);
}

/* Another kernel with the path, inode, size and mtime of the first. */
static void test_cache_stale(struct fixture *f, gconstpointer data)
{
	g_autoptr(GByteArray) other = image_vmlinux(EM_X86_64, TAIL_BYTES, 2);
	g_autoptr(GByteArray) first_lz4 = image_packed_lz4_legacy(f->vmlinux);
	g_autoptr(GByteArray) other_lz4 = image_packed_lz4_legacy(other);
	struct timespec times[2];
	struct stat before, after;

	(void)data;
	g_assert_cmpuint(first_lz4->len, ==, other_lz4->len);
	write_file(f->kernel, first_lz4);
	g_assert_cmpint(stat(f->kernel, &before), ==, 0);
	assert_loads(f, f->vmlinux, FALSE);
	write_file(f->kernel, other_lz4);
	times[0] = before.st_atim;
	times[1] = before.st_mtim;
	g_assert_cmpint(utimensat(AT_FDCWD, f->kernel, times, 0), ==, 0);
	g_assert_cmpint(stat(f->kernel, &after), ==, 0);
	g_assert_true(before.st_ino == after.st_ino && before.st_size == after.st_size &&
		      before.st_mtim.tv_nsec == after.st_mtim.tv_nsec);
	assert_loads(f, other, FALSE);
	assert_loads(f, other, TRUE);
}

/* The content alone changes the key, and so does each part of the identity. */
static void test_cache_key(struct fixture *f, gconstpointer data)
{
	struct stat st = {.st_dev = 1, .st_ino = 2, .st_size = 3}, other = st;
	g_autofree char *key = kernel_cache_key(&st, (const uint8_t *)"abcdefgh", 8);
	g_autofree char *content = kernel_cache_key(&st, (const uint8_t *)"abcdefgi", 8);
	g_autofree char *length = kernel_cache_key(&st, (const uint8_t *)"abcdefgh\0", 9);
	g_autofree char *ctime_key = NULL;

	(void)f;
	(void)data;
	g_assert_cmpstr(key, !=, content);
	g_assert_cmpstr(key, !=, length);
	other.st_ctim.tv_nsec = 1;
	ctime_key = kernel_cache_key(&other, (const uint8_t *)"abcdefgh", 8);
	g_assert_cmpstr(key, !=, ctime_key);
}

static void test_cache_corrupt(struct fixture *f, gconstpointer data)
{
	g_autofree char *entry = NULL;

	(void)data;
	write_bzimage(f, f->vmlinux);
	assert_loads(f, f->vmlinux, FALSE);
	entry = only_entry(f);
	for (int way = 0; way < 5; way++) {
		g_autofree char *bytes = NULL;
		gsize len;

		g_assert_true(g_file_get_contents(entry, &bytes, &len, NULL));
		switch (way) {
		case 0:
			bytes[len / 2] ^= 1;
			break;
		case 1:
			len--;
			break;
		case 2:
			len = 0;
			break;
		case 3:
			bytes[len - 1] ^= 1;
			break;
		default:
			len /= 2;
			break;
		}
		g_assert_true(g_file_set_contents(entry, bytes, (gssize)len, NULL));
		assert_loads(f, f->vmlinux, FALSE);
		assert_loads(f, f->vmlinux, TRUE);
	}
}

struct cache_user {
	const struct fixture *fixture;
	const char *path;
	const GByteArray *good;
};

/* A damaged entry is never served, except where the damage is none: then the bytes are the good ones. */
static gboolean check_entry(const uint8_t *bytes, size_t len, gconstpointer user)
{
	const struct cache_user *u = user;
	struct kernel_cache *cache = kernel_cache_open();
	const uint8_t *mapped;
	size_t mapped_len;
	int fd = open(u->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	g_assert_cmpint(write(fd, bytes, len), ==, (gssize)len);
	close(fd);
	mapped = cache_map(cache, "key.elf", &mapped_len);
	kernel_cache_close(cache);
	if (mapped == NULL) {
		g_assert_cmpint(access(u->path, F_OK), !=, 0);
		return FALSE;
	}
	assert_same(mapped, mapped_len, u->good);
	munmap((void *)(uintptr_t)mapped, mapped_len);
	return TRUE;
}

static void test_cache_entry_damage(struct fixture *f, gconstpointer data)
{
	g_autoptr(GByteArray) small = image_vmlinux(EM_X86_64, 10, 1);
	g_autoptr(GByteArray) image = g_byte_array_new();
	g_autofree char *path = g_build_filename(f->cache, "key.elf", NULL);
	struct cache_user user = {.fixture = f, .path = path, .good = small};
	struct kernel_cache *cache = kernel_cache_open();
	g_autofree char *bytes = NULL;
	gsize len;

	(void)data;
	kernel_cache_store(cache, "key.elf", small->data, small->len);
	kernel_cache_close(cache);
	g_assert_true(g_file_get_contents(path, &bytes, &len, NULL));
	g_byte_array_append(image, (const guint8 *)bytes, (guint)len);
	image_every_prefix(image, check_entry, &user);
	image_mutations(image, check_entry, &user);
}

static void test_cache_bounded(struct fixture *f, gconstpointer data)
{
	g_autofree char *dead = g_build_filename(f->cache, "new-1-dead.elf", NULL);
	g_autofree char *alive = g_build_filename(f->cache, "new-2-alive.elf", NULL);
	struct kernel_cache *cache = kernel_cache_open();
	size_t len;
	int fd;

	(void)data;
	g_assert_true(g_file_set_contents(dead, "x", 1, NULL));
	fd = open(alive, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	g_assert_cmpint(flock(fd, LOCK_EX), ==, 0);
	for (int i = 0; i < KERNEL_CACHE_MAX_ENTRIES + 5; i++) {
		g_autofree char *key = g_strdup_printf("%d.elf", i);
		const uint8_t *bytes;

		kernel_cache_store(cache, key, f->vmlinux->data, f->vmlinux->len);
		/* The one that was just made is always among those that stay. */
		bytes = cache_map(cache, key, &len);
		g_assert_nonnull(bytes);
		munmap((void *)(uintptr_t)bytes, len);
	}
	kernel_cache_close(cache);
	g_assert_cmpint(access(dead, F_OK), !=, 0);
	g_assert_cmpint(access(alive, F_OK), ==, 0);
	g_assert_cmpuint(count_files(f->cache), ==, KERNEL_CACHE_MAX_ENTRIES + 1);
	close(fd);
}

/* The one that was used last stays, not the one that was made last. */
static void test_cache_keeps_used(struct fixture *f, gconstpointer data)
{
	struct kernel_cache *cache = kernel_cache_open();
	const struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
	const uint8_t *bytes;
	size_t len;

	(void)data;
	for (int i = 0; i < KERNEL_CACHE_MAX_ENTRIES; i++) {
		g_autofree char *key = g_strdup_printf("%d.elf", i);
		g_autofree char *path = g_build_filename(f->cache, key, NULL);

		kernel_cache_store(cache, key, f->vmlinux->data, f->vmlinux->len);
		g_assert_cmpint(utimensat(AT_FDCWD, path, old, 0), ==, 0);
	}
	bytes = cache_map(cache, "0.elf", &len);
	g_assert_nonnull(bytes);
	munmap((void *)(uintptr_t)bytes, len);
	kernel_cache_store(cache, "next.elf", f->vmlinux->data, f->vmlinux->len);
	bytes = cache_map(cache, "0.elf", &len);
	g_assert_nonnull(bytes);
	munmap((void *)(uintptr_t)bytes, len);
	kernel_cache_close(cache);
}

/* Root may write anywhere: the test becomes somebody who may not. */
static void test_cache_read_only(struct fixture *f, gconstpointer data)
{
	g_autofree char *dom1 = g_path_get_dirname(f->cache);
	gboolean is_root = geteuid() == 0;
	g_autofree char *entry = NULL;

	(void)data;
	write_bzimage(f, f->vmlinux);
	if (is_root) {
		g_assert_cmpint(chown(f->root, NOBODY, NOBODY), ==, 0);
		g_assert_cmpint(setegid(NOBODY), ==, 0);
		g_assert_cmpint(seteuid(NOBODY), ==, 0);
	}
	assert_loads(f, f->vmlinux, FALSE);
	entry = only_entry(f);
	g_assert_cmpint(chmod(f->cache, 0500), ==, 0);
	assert_loads(f, f->vmlinux, TRUE);

	/* A damaged one cannot even be removed, and still nothing bad comes of it. */
	g_assert_cmpint(truncate(entry, 100), ==, 0);
	assert_loads(f, f->vmlinux, FALSE);
	assert_loads(f, f->vmlinux, FALSE);
	g_assert_cmpint(chmod(f->cache, 0700), ==, 0);
	assert_loads(f, f->vmlinux, FALSE);
	assert_loads(f, f->vmlinux, TRUE);

	/* No folder at all, and none can be made. */
	remove_tree(dom1);
	g_assert_cmpint(chmod(f->root, 0500), ==, 0);
	assert_loads(f, f->vmlinux, FALSE);
	g_assert_cmpint(chmod(f->root, 0700), ==, 0);
	if (is_root) {
		g_assert_cmpint(seteuid(0), ==, 0);
		g_assert_cmpint(setegid(0), ==, 0);
	}
}

/* Where others may write, they may plant a kernel. */
static void test_cache_open_to_others(struct fixture *f, gconstpointer data)
{
	(void)data;
	write_bzimage(f, f->vmlinux);
	assert_loads(f, f->vmlinux, FALSE);
	g_assert_cmpint(chmod(f->cache, 0770), ==, 0);
	assert_loads(f, f->vmlinux, FALSE);
	g_assert_cmpint(chmod(f->cache, 0700), ==, 0);
	assert_loads(f, f->vmlinux, TRUE);
	/* A path that is not absolute counts as not set: then it is $HOME/.cache, which must not be written here. */
	g_setenv("XDG_CACHE_HOME", "/dev/null/nowhere", TRUE);
	assert_loads(f, f->vmlinux, FALSE);
}

/* One of several processes that load the same kernel while the entry is damaged and removed. Ends with its status. */
static _Noreturn void fight(const struct fixture *f, const char *entry, uint32_t seed)
{
	g_autoptr(GRand) random = g_rand_new_with_seed(seed);

	for (int i = 0; i < 25; i++) {
		struct kernel_bytes kernel;

		switch (g_rand_int_range(random, 0, 4)) {
		case 0:
			(void)unlink(entry);
			break;
		case 1: {
			/* A new file, not the same one shorter: entries are never changed in place. */
			g_autofree char *bad = g_strdup_printf("%s/bad-%u", f->root, seed);

			if (!g_file_set_contents(bad, "damaged", 7, NULL) || rename(bad, entry) != 0)
				_exit(3);
			break;
		}
		default:
			break;
		}
		if (!kernel_load(f->kernel, TRUE, &kernel, NULL))
			_exit(1);
		if (kernel.len_bytes != f->vmlinux->len ||
		    memcmp(kernel.bytes, f->vmlinux->data, kernel.len_bytes) != 0)
			_exit(2);
		kernel_bytes_clear(&kernel);
	}
	_exit(0);
}

static void test_cache_concurrent(struct fixture *f, gconstpointer data)
{
	g_autofree char *entry = NULL;
	pid_t pids[4];

	(void)data;
	write_bzimage(f, f->vmlinux);
	assert_loads(f, f->vmlinux, FALSE);
	entry = only_entry(f);
	for (uint32_t i = 0; i < G_N_ELEMENTS(pids); i++) {
		pids[i] = fork();
		g_assert_cmpint(pids[i], >=, 0);
		if (pids[i] == 0)
			fight(f, entry, i);
	}
	for (size_t i = 0; i < G_N_ELEMENTS(pids); i++) {
		int status;

		g_assert_cmpint(waitpid(pids[i], &status, 0), ==, pids[i]);
		g_assert_true(WIFEXITED(status));
		g_assert_cmpint(WEXITSTATUS(status), ==, 0);
	}
	/* Nothing half-made is left. */
	g_assert_cmpuint(count_files(f->cache), <=, 1);
}

#define ADD(path, function) g_test_add("/shim/unpack/" path, struct fixture, NULL, setup, function, teardown)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("each-compression", test_each_compression);
	ADD("lz4-legacy", test_lz4_legacy);
	ADD("handed-on", test_handed_on);
	ADD("bad-files", test_bad_files);
	ADD("bad-payloads", test_bad_payloads);
	ADD("truncated", test_truncated);
	ADD("damaged-streams", test_damaged_streams);
	ADD("bomb", test_bomb);
#ifndef __SANITIZE_ADDRESS__
	ADD("memory-limit", test_memory_limit);
#else
	(void)test_memory_limit;
#endif
	ADD("no-descriptor-leaks", test_no_descriptor_leaks);
	ADD("cache/hit", test_cache_hit);
	ADD("cache/is-used-at-once", test_cache_is_used_at_once);
	ADD("cache/stale", test_cache_stale);
	ADD("cache/key", test_cache_key);
	ADD("cache/corrupt", test_cache_corrupt);
	ADD("cache/every-prefix-and-mutation", test_cache_entry_damage);
	ADD("cache/bounded", test_cache_bounded);
	ADD("cache/keeps-used", test_cache_keeps_used);
	ADD("cache/read-only", test_cache_read_only);
	ADD("cache/open-to-others", test_cache_open_to_others);
	ADD("cache/concurrent", test_cache_concurrent);
	return g_test_run();
}
