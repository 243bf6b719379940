// SPDX-License-Identifier: MIT
#include "lend/mapper_host.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <linux/magic.h>
#include <linux/userfaultfd.h>

#include "lend/broken.h"
#include "lend/space.h"
#include "vmm/error.h"

/* KVM maps huge pages only where both addresses are aligned to one. */
#define ALIGNMENT_BYTES (UINT64_C(2) << 20)
#define ANONYMOUS       (MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE)

struct range {
	uint8_t *reservation;
	size_t reservation_bytes;
	uint8_t *hva;
	size_t n_pages;
};

struct mapper_host {
	int uffd;
	int pipe_fds[2];
	bool no_in_place; /* the kernel has no userfaultfd for a file of the kind */
	struct range windows[SPACE_MAX_WINDOWS];
	unsigned int n_windows;
	uint64_t kernel_ns;
};

/* syscalls(memory): userfaultfd ioctl(UFFDIO_API) pipe2 */
struct mapper_host *mapper_host_new(GError **error)
{
	struct uffdio_api api = { .api = UFFD_API, .features = UFFD_FEATURE_POISON };
	/* Faults of the kernel's own accesses are none of its business: so nobody needs a privilege. */
	int uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);

	if (uffd < 0 || ioctl(uffd, UFFDIO_API, &api) != 0) {
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_HOST,
			    "userfaultfd: %s: lend windows need kernel 6.6 or newer with CONFIG_USERFAULTFD", g_strerror(errno));
		if (uffd >= 0)
			close(uffd);
		return NULL;
	}
	struct mapper_host *mapper = g_new0(struct mapper_host, 1);
	mapper->uffd = uffd;
	if (pipe2(mapper->pipe_fds, O_CLOEXEC | O_NONBLOCK) == 0)
		return mapper;
	g_set_error(error, DOM1_ERROR, DOM1_STATUS_HOST, "pipe for lend windows: %s", g_strerror(errno));
	close(uffd);
	g_free(mapper);
	return NULL;
}

void mapper_host_free(struct mapper_host *mapper)
{
	if (!mapper)
		return;
	for (unsigned int i = 0; i < mapper->n_windows; i++)
		munmap(mapper->windows[i].reservation, mapper->windows[i].reservation_bytes);
	close(mapper->uffd);
	close(mapper->pipe_fds[0]);
	close(mapper->pipe_fds[1]);
	g_free(mapper);
}

/* syscalls(main): mmap(~PROT_EXEC) */
bool mapper_host_add_window(struct mapper_host *mapper, size_t n_pages, uintptr_t *hva, GError **error)
{
	struct range *range = &mapper->windows[mapper->n_windows];

	g_assert(mapper->n_windows < SPACE_MAX_WINDOWS);
	/* On both sides something is left that nothing merges with. */
	range->reservation_bytes = n_pages * LEND_PAGE_BYTES + 2 * ALIGNMENT_BYTES;
	void *at = mmap(NULL, range->reservation_bytes, PROT_NONE, ANONYMOUS, -1, 0);
	if (at == MAP_FAILED) {
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_HOST, "no address space for a lend window of %zu MiB: %s",
			    n_pages / 256, g_strerror(errno));
		return false;
	}
	range->reservation = at;
	range->hva = (uint8_t *)(((uintptr_t)at + ALIGNMENT_BYTES) & ~(ALIGNMENT_BYTES - 1));
	range->n_pages = n_pages;
	*hva = (uintptr_t)range->hva;
	mapper->n_windows++;
	return true;
}

bool mapper_host_find(const struct mapper_host *mapper, uintptr_t hva, unsigned int *window, size_t *page)
{
	for (unsigned int i = 0; i < mapper->n_windows; i++) {
		const struct range *range = &mapper->windows[i];
		uintptr_t start = (uintptr_t)range->hva;

		if (hva < start || (hva - start) / LEND_PAGE_BYTES >= range->n_pages)
			continue;
		*window = i;
		*page = (hva - start) / LEND_PAGE_BYTES;
		return true;
	}
	return false;
}

static uint8_t *place(const struct mapper_host *mapper, unsigned int window, size_t page, size_t n_pages)
{
	const struct range *range = &mapper->windows[window];

	g_assert(window < mapper->n_windows && page < range->n_pages && n_pages <= range->n_pages - page);
	return range->hva + page * LEND_PAGE_BYTES;
}

/* The kernel keeps each file while it waits for it, and not our address space. syscalls(flush): msync */
int mapper_host_sync(const struct mapper_host *mapper, unsigned int window)
{
	size_t n_pages = mapper->windows[window].n_pages;

	return msync(place(mapper, window, 0, n_pages), n_pages * LEND_PAGE_BYTES, MS_SYNC) == 0 ? 0 : errno;
}

static int map(uint8_t *at, size_t n_pages, int rights, int flags, int fd, uint64_t offset_bytes)
{
	void *mapped = mmap(at, n_pages * LEND_PAGE_BYTES, rights, flags | MAP_FIXED, fd, (off_t)offset_bytes);

	return mapped == MAP_FAILED ? errno : 0;
}

static uint64_t clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t mapper_host_kernel_ns(const struct mapper_host *mapper)
{
	return mapper->kernel_ns;
}

/* syscalls(memory): mprotect(~PROT_EXEC) */
static int host_close(void *opaque, unsigned int window, size_t page, size_t n_pages)
{
	struct mapper_host *mapper = opaque;
	uint64_t began_ns = clock_ns();

	if (LEND_BREAKS(LEND_RULE_REVOKE))
		return 0;
	int error = mprotect(place(mapper, window, page, n_pages), n_pages * LEND_PAGE_BYTES, PROT_NONE) == 0 ? 0 : errno;

	mapper->kernel_ns += clock_ns() - began_ns;
	return error;
}

/* syscalls(memory): mmap(~PROT_EXEC) */
static int host_drop(void *opaque, unsigned int window, size_t page, size_t n_pages)
{
	struct mapper_host *mapper = opaque;
	uint64_t began_ns = clock_ns();

	if (LEND_BREAKS(LEND_RULE_REVOKE))
		return 0;
	int error = map(place(mapper, window, page, n_pages), n_pages, PROT_NONE, ANONYMOUS, -1, 0);

	mapper->kernel_ns += clock_ns() - began_ns;
	return error;
}

static int poison(int uffd, uintptr_t start, size_t len_bytes)
{
	while (len_bytes > 0) {
		struct uffdio_poison poison = { .range = { start, len_bytes } };

		if (ioctl(uffd, UFFDIO_POISON, &poison) == 0)
			return 0;
		if (errno != EAGAIN)
			return errno;
		/* A part of it was done, or none; the change that was in the way is over soon. */
		if (poison.updated > 0) {
			start += (uintptr_t)poison.updated;
			len_bytes -= (size_t)poison.updated;
		}
	}
	return 0;
}

static int try_to_arm(int uffd, uint8_t *at, size_t len_bytes)
{
	struct uffdio_register area = { .range = { (uintptr_t)at, len_bytes }, .mode = UFFDIO_REGISTER_MODE_MISSING };

	if (ioctl(uffd, UFFDIO_REGISTER, &area) != 0)
		return errno;
	int error = poison(uffd, (uintptr_t)at, len_bytes);
	if (error == 0 && mprotect(at, len_bytes, PROT_READ | PROT_WRITE) != 0)
		error = errno;
	return error;
}

/* syscalls(memory): ioctl(UFFDIO_REGISTER) ioctl(UFFDIO_POISON) mprotect(~PROT_EXEC) */
static int host_arm(void *opaque, unsigned int window, size_t page, size_t n_pages)
{
	const struct mapper_host *mapper = opaque;
	uint8_t *at = place(mapper, window, page, n_pages);
	int error = try_to_arm(mapper->uffd, at, n_pages * LEND_PAGE_BYTES);

	if (error == 0)
		return 0;
	/* Neighbours that the kernel has not merged cannot be filled in one go; a fresh mapping is one. */
	error = host_drop(opaque, window, page, n_pages);
	if (error == 0)
		error = try_to_arm(mapper->uffd, at, n_pages * LEND_PAGE_BYTES);
	/* What has no markers yet must not have rights. */
	if (error != 0)
		(void)host_drop(opaque, window, page, n_pages);
	return error;
}

static int host_show(void *opaque, unsigned int window, size_t page, size_t n_pages, int fd, uint64_t fd_offset_bytes,
		     bool writable)
{
	return map(place(opaque, window, page, n_pages), n_pages, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd,
		   fd_offset_bytes);
}

static int host_zero(void *opaque, unsigned int window, size_t page, size_t n_pages)
{
	return map(place(opaque, window, page, n_pages), n_pages, PROT_READ | PROT_WRITE, ANONYMOUS, -1, 0);
}

/* Into an empty pipe and out again: so many bytes fit. syscalls(memory): write read */
static int host_copy(void *opaque, unsigned int window, size_t page, size_t offset_bytes, void *bytes, size_t len_bytes,
		     bool to_guest)
{
	const struct mapper_host *mapper = opaque;
	uint8_t *in_window = place(mapper, window, page, 1) + offset_bytes, rest[LEND_PAGE_BYTES];
	ssize_t done = write(mapper->pipe_fds[1], to_guest ? bytes : in_window, len_bytes);

	if (done == (ssize_t)len_bytes)
		done = read(mapper->pipe_fds[0], to_guest ? in_window : bytes, len_bytes);
	if (done == (ssize_t)len_bytes)
		return 0;
	int error = done < 0 ? errno : EFAULT;
	/* Nothing stays in it for the next one. */
	done = read(mapper->pipe_fds[0], rest, sizeof(rest));
	return error;
}

/* In place */

#ifdef LEND_MEMFD_IN_PLACE
/* Of a test: the kernel's memfd can do it. It is not used for it, since its pages may be swapped out, and then a userfaultfd without
 * the kernel's accesses has them missing. */
#define IN_PLACE_MAGIC TMPFS_MAGIC
#else
#define IN_PLACE_MAGIC GUEST_MEMFD_MAGIC
#endif

/* syscalls(memory): fstatfs fstat */
static bool in_place_view(void *opaque, size_t page, int fd, uint64_t fd_offset_bytes, bool writable, struct lend_view *view)
{
	const struct mapper_host *mapper = opaque;
	struct statfs kind;
	struct stat file;

	if (mapper->no_in_place || fstatfs(fd, &kind) != 0 || kind.f_type != IN_PLACE_MAGIC || fstat(fd, &file) != 0)
		return false;
	*view = (struct lend_view){ file.st_dev, file.st_ino, fd_offset_bytes / LEND_PAGE_BYTES - page, writable };
	return true;
}

/* Puts the file's own pages where nothing is. */
static int fill(int uffd, uintptr_t start, size_t len_bytes)
{
	while (len_bytes > 0) {
		struct uffdio_continue pages = { .range = { start, len_bytes } };
		size_t done_bytes;

		if (ioctl(uffd, UFFDIO_CONTINUE, &pages) == 0)
			return 0;
		if (errno != EAGAIN && errno != EEXIST)
			return errno;
		done_bytes = pages.mapped > 0 ? (size_t)pages.mapped : 0;
		/* A vCPU was quicker, before the userfaultfd was there. */
		if (done_bytes == 0 && errno == EEXIST)
			done_bytes = LEND_PAGE_BYTES;
		start += done_bytes;
		len_bytes -= done_bytes;
	}
	return 0;
}

/* syscalls(memory): ioctl(UFFDIO_CONTINUE) */
static int in_place_show(void *opaque, unsigned int window, size_t page, size_t n_pages, int fd, uint64_t fd_offset_bytes,
			 bool writable)
{
	struct mapper_host *mapper = opaque;
	uint8_t *at = place(mapper, window, page, n_pages);
	struct uffdio_register area = {
		.range = { (uintptr_t)at, n_pages * LEND_PAGE_BYTES },
		.mode = UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_MINOR,
	};
	int error = host_show(opaque, window, page, n_pages, fd, fd_offset_bytes, writable);

	if (error != 0)
		return error;
	if (ioctl(mapper->uffd, UFFDIO_REGISTER, &area) != 0) {
		/* A kernel that cannot do it with such a file cannot do it with the next one. */
		mapper->no_in_place |= errno == EINVAL;
		return EOPNOTSUPP;
	}
	/* A hole of the file: it is filled by who comes upon it, in a mapping without a userfaultfd. */
	return fill(mapper->uffd, (uintptr_t)at, n_pages * LEND_PAGE_BYTES) == 0 ? 0 : EOPNOTSUPP;
}

/* Nobody but lenders fills it again: the userfaultfd answers no access of the kernel's. syscalls(memory): madvise */
static int in_place_empty(void *opaque, unsigned int window, size_t page, size_t n_pages)
{
	struct mapper_host *mapper = opaque;
	uint64_t began_ns = clock_ns();

	if (LEND_BREAKS(LEND_RULE_REVOKE))
		return 0;
	int error = madvise(place(mapper, window, page, n_pages), n_pages * LEND_PAGE_BYTES, MADV_DONTNEED) == 0 ? 0 : errno;

	mapper->kernel_ns += clock_ns() - began_ns;
	return error;
}

static int in_place_arm(void *opaque, unsigned int window, size_t page, size_t n_pages)
{
	const struct mapper_host *mapper = opaque;

	return poison(mapper->uffd, (uintptr_t)place(mapper, window, page, n_pages), n_pages * LEND_PAGE_BYTES);
}

static int in_place_refill(void *opaque, unsigned int window, size_t page, size_t n_pages)
{
	const struct mapper_host *mapper = opaque;
	size_t len_bytes = n_pages * LEND_PAGE_BYTES;
	uint8_t *at = place(mapper, window, page, n_pages);

	/* Markers go as pages do. */
	int error = madvise(at, len_bytes, MADV_DONTNEED) == 0 ? fill(mapper->uffd, (uintptr_t)at, len_bytes) : errno;
	if (error != 0)
		(void)madvise(at, len_bytes, MADV_DONTNEED);
	return error;
}

static const struct lend_mapper_in_place IN_PLACE = {
	.view = in_place_view, .show = in_place_show, .empty = in_place_empty, .arm = in_place_arm, .refill = in_place_refill,
};

const struct lend_mapper MAPPER_HOST = {
	.in_place = &IN_PLACE, .close = host_close, .drop = host_drop, .arm = host_arm, .show = host_show, .zero = host_zero, .copy = host_copy,
};
