// SPDX-License-Identifier: MIT
/*
 * The checksum guards against accidents (a full disk, a crash before the data was on it, bit rot), not against an
 * enemy: the folder belongs to the person, is closed to others, and who can write there can as well replace dom1.
 * That is why it may be fast, and it has to be: it is on the way of each start. Of what is large, evenly spread pages are
 * looked at, first and last among them; all of 60 MiB took longer than everything else before the guest's first
 * instruction.
 *
 * A writer holds a lock on its temporary file. Whoever tidies up and gets that lock knows that the writer is dead.
 * Should a tidying process come between the making of the file and its lock, the writer's rename fails, which is
 * one of the silent failures.
 */
#include "shim/kernel_cache.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/read_whole.h"
#include "vmm/write_whole.h"

#define ENTRY_SUFFIX     ".elf"
#define TEMPORARY_PREFIX "new-"

#define CHECKED_WHOLE_BYTES ((size_t)4 << 20)
#define CHECKED_PAGE_BYTES  ((size_t)4096)

struct checksum {
	uint64_t lane[4];
};

struct trailer {
	char magic[8];
	uint64_t len_bytes;
	struct checksum checksum;
};
static_assert(sizeof(struct trailer) == 48, "file format");

static const char trailer_magic[8] = {'d', 'o', 'm', '1', 'e', 'l', 'f', '1'};

/* What the name of an entry is the digest of. */
struct identity {
	uint64_t device, inode, size, mtime_s, mtime_ns, ctime_s, ctime_ns;
	struct checksum packed;
};

struct kernel_cache {
	int dir_fd;
};

/*
 * Four lanes, so that the multiplications overlap. Each step maps a lane one to one for a given word and the other way
 * round: a change of a single word always changes the result.
 */
static inline void checksum_mix(struct checksum *sum, const uint64_t word[4])
{
	const uint64_t odd = UINT64_C(0x9e3779b97f4a7c15); /* 2^64 divided by the golden ratio */

	for (size_t i = 0; i < 4; i++) {
		uint64_t mixed = (sum->lane[i] ^ word[i]) * odd;

		sum->lane[i] = mixed << 29 | mixed >> 35;
	}
}

static void checksum_add(struct checksum *sum, const uint8_t *bytes, size_t len_bytes)
{
	uint64_t word[4];

	for (; len_bytes >= sizeof(word); bytes += sizeof(word), len_bytes -= sizeof(word)) {
		memcpy(word, bytes, sizeof(word));
		checksum_mix(sum, word);
	}
	memset(word, 0, sizeof(word));
	memcpy(word, bytes, len_bytes);
	checksum_mix(sum, word);
}

size_t kernel_cache_ranges(size_t packed_len, struct kernel_cache_range ranges[KERNEL_CACHE_MAX_RANGES])
{
	if (packed_len <= CHECKED_WHOLE_BYTES) {
		ranges[0] = (struct kernel_cache_range){0, packed_len};
		return 1;
	}
	/* From 0 to the last page, both included. */
	for (size_t i = 0; i < KERNEL_CACHE_MAX_RANGES - 1; i++)
		ranges[i] = (struct kernel_cache_range){
			(packed_len - CHECKED_PAGE_BYTES) / (KERNEL_CACHE_MAX_RANGES - 1) * i, CHECKED_PAGE_BYTES};
	ranges[KERNEL_CACHE_MAX_RANGES - 1] =
		(struct kernel_cache_range){packed_len - CHECKED_PAGE_BYTES, CHECKED_PAGE_BYTES};
	return KERNEL_CACHE_MAX_RANGES;
}

static struct checksum checksum_begin(size_t len_bytes)
{
	return (struct checksum){{len_bytes, 1, 2, 3}};
}

static struct checksum checksum_of(const uint8_t *bytes, size_t len_bytes)
{
	struct kernel_cache_range ranges[KERNEL_CACHE_MAX_RANGES];
	struct checksum sum = checksum_begin(len_bytes);
	size_t n = kernel_cache_ranges(len_bytes, ranges);

	for (size_t i = 0; i < n; i++)
		checksum_add(&sum, bytes + ranges[i].offset, ranges[i].len_bytes);
	return sum;
}

/* The same of the first len_bytes of a file. FALSE: it cannot be read. */
static gboolean checksum_of_file(int fd, size_t len_bytes, struct checksum *sum)
{
	struct kernel_cache_range ranges[KERNEL_CACHE_MAX_RANGES];
	size_t n = kernel_cache_ranges(len_bytes, ranges);
	g_autofree uint8_t *bytes = g_malloc(n == 1 ? ranges[0].len_bytes : CHECKED_PAGE_BYTES);

	*sum = checksum_begin(len_bytes);
	for (size_t i = 0; i < n; i++) {
		if (!read_whole(fd, bytes, ranges[i].len_bytes, ranges[i].offset))
			return FALSE;
		checksum_add(sum, bytes, ranges[i].len_bytes);
	}
	return TRUE;
}

/* Not g_get_user_cache_dir(): that remembers the first answer, which a test cannot change. */
static char *folder_path(void)
{
	const char *xdg = g_getenv("XDG_CACHE_HOME");
	const char *home = g_get_home_dir();

	/* The specification: a path that is not absolute counts as not set. */
	if (xdg != NULL && g_path_is_absolute(xdg))
		return g_build_filename(xdg, "dom1", "kernels", NULL);
	return home != NULL ? g_build_filename(home, ".cache", "dom1", "kernels", NULL) : NULL;
}

struct kernel_cache *kernel_cache_open(void)
{
	g_autofree char *path = folder_path();
	struct kernel_cache *cache;
	struct stat st;
	int fd;

	if (path == NULL)
		return NULL;
	/* Of a read-only folder the entries can still be used. */
	(void)g_mkdir_with_parents(path, 0700);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	/* Others must not be able to plant a kernel. */
	if (fstat(fd, &st) != 0 || st.st_uid != geteuid() || (st.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
		close(fd);
		return NULL;
	}
	cache = g_new0(struct kernel_cache, 1);
	cache->dir_fd = fd;
	return cache;
}

void kernel_cache_close(struct kernel_cache *cache)
{
	if (cache == NULL)
		return;
	close(cache->dir_fd);
	g_free(cache);
}

char *kernel_cache_key(const struct stat *st, const uint8_t *packed, size_t packed_len)
{
	const struct identity identity = {
		.device = st->st_dev,
		.inode = st->st_ino,
		.size = (uint64_t)st->st_size,
		.mtime_s = (uint64_t)st->st_mtim.tv_sec,
		.mtime_ns = (uint64_t)st->st_mtim.tv_nsec,
		.ctime_s = (uint64_t)st->st_ctim.tv_sec,
		.ctime_ns = (uint64_t)st->st_ctim.tv_nsec,
		.packed = checksum_of(packed, packed_len),
	};
	g_autofree char *digest = NULL;

	digest = g_compute_checksum_for_data(G_CHECKSUM_SHA256, (const guchar *)&identity, sizeof(identity));
	return g_strconcat(digest, ENTRY_SUFFIX, NULL);
}

/* Maps the entry if its length and checksum are right. */
static const uint8_t *map_checked(int fd, size_t *len_bytes)
{
	struct checksum checksum;
	struct trailer trailer;
	struct stat st;
	void *bytes;

	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size <= (off_t)sizeof(trailer))
		return NULL;
	*len_bytes = (size_t)st.st_size - sizeof(trailer);
	if (!read_whole(fd, &trailer, sizeof(trailer), *len_bytes) || trailer.len_bytes != *len_bytes ||
	    memcmp(trailer.magic, trailer_magic, sizeof(trailer_magic)) != 0)
		return NULL;
	/* Read and not mapped: with each page of a mapping come its neighbours. */
	if (!checksum_of_file(fd, *len_bytes, &checksum) || memcmp(&checksum, &trailer.checksum, sizeof(checksum)) != 0)
		return NULL;
	/* Entries are never changed in place, and removing one leaves the mapping alone. */
	bytes = mmap(NULL, *len_bytes, PROT_READ, MAP_PRIVATE, fd, 0);
	return bytes != MAP_FAILED ? bytes : NULL;
}

const uint8_t *kernel_cache_map(struct kernel_cache *cache, const char *key, size_t *len_bytes, int *entry_fd)
{
	const uint8_t *bytes;
	int fd = openat(cache->dir_fd, key, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

	*entry_fd = -1;
	if (fd < 0)
		return NULL;
	bytes = map_checked(fd, len_bytes);
	if (bytes != NULL)
		(void)futimens(fd, NULL); /* "newest" then means: used last */
	else
		(void)unlinkat(cache->dir_fd, key, 0);
	if (bytes == NULL) {
		close(fd);
		fd = -1;
	}
	*entry_fd = fd;
	return bytes;
}

struct entry {
	char *name;
	struct timespec used;
};

static gint compare_entries(gconstpointer left, gconstpointer right)
{
	const struct entry *a = left, *b = right;

	/* Newest first; the name makes it an order when a coarse clock does not. */
	if (a->used.tv_sec != b->used.tv_sec)
		return a->used.tv_sec > b->used.tv_sec ? -1 : 1;
	if (a->used.tv_nsec != b->used.tv_nsec)
		return a->used.tv_nsec > b->used.tv_nsec ? -1 : 1;
	return strcmp(a->name, b->name);
}

static void entry_clear(gpointer entry)
{
	g_free(((struct entry *)entry)->name);
}

static void remove_if_abandoned(struct kernel_cache *cache, const char *name)
{
	int fd = openat(cache->dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

	if (fd < 0)
		return;
	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		(void)unlinkat(cache->dir_fd, name, 0);
	close(fd);
}

/* Bounds the folder: the newest entries stay (keep among them), and no leavings of a writer that died. */
static void tidy(struct kernel_cache *cache, const char *keep)
{
	GArray *entries;
	struct dirent *dirent;
	struct stat st;
	DIR *dir;
	int fd = openat(cache->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return;
	dir = fdopendir(fd);
	if (dir == NULL) {
		close(fd);
		return;
	}
	entries = g_array_new(FALSE, FALSE, sizeof(struct entry));
	g_array_set_clear_func(entries, entry_clear);
	while ((dirent = readdir(dir)) != NULL) {
		if (g_str_has_prefix(dirent->d_name, TEMPORARY_PREFIX)) {
			remove_if_abandoned(cache, dirent->d_name);
		} else if (g_str_has_suffix(dirent->d_name, ENTRY_SUFFIX) && strcmp(dirent->d_name, keep) != 0 &&
			   fstatat(cache->dir_fd, dirent->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
			struct entry entry = {.name = g_strdup(dirent->d_name), .used = st.st_mtim};

			g_array_append_val(entries, entry);
		}
	}
	closedir(dir);
	g_array_sort(entries, compare_entries);
	for (guint i = KERNEL_CACHE_MAX_ENTRIES - 1; i < entries->len; i++)
		(void)unlinkat(cache->dir_fd, g_array_index(entries, struct entry, i).name, 0);
	g_array_free(entries, TRUE);
}

void kernel_cache_store(struct kernel_cache *cache, const char *key, const uint8_t *bytes, size_t len_bytes)
{
	struct trailer trailer = {.len_bytes = len_bytes, .checksum = checksum_of(bytes, len_bytes)};
	g_autofree char *temporary = NULL;
	int fd;

	memcpy(trailer.magic, trailer_magic, sizeof(trailer_magic));
	/* One process, one name: this process has one thread. O_EXCL: one left by an earlier owner of the pid is not
	 * ours. */
	temporary = g_strdup_printf(TEMPORARY_PREFIX "%d-%s", (int)getpid(), key);
	remove_if_abandoned(cache, temporary);
	fd = openat(cache->dir_fd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return;
	if (flock(fd, LOCK_EX | LOCK_NB) != 0 || write_whole(fd, bytes, len_bytes) != 0 ||
	    write_whole(fd, &trailer, sizeof(trailer)) != 0 || renameat(cache->dir_fd, temporary, cache->dir_fd, key) != 0)
		(void)unlinkat(cache->dir_fd, temporary, 0);
	close(fd);
	tidy(cache, key);
}
