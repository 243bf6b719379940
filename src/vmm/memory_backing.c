// SPDX-License-Identifier: MIT
#include "vmm/memory_backing.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include <linux/kvm.h>

#include "vmm/error.h"

#define PAGE_BYTES   4096u
#define FLAGS_NEEDED (GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED)
/* Discussed on the kernel's lists; asked for as soon as the headers have it. */
#ifdef GUEST_MEMFD_FLAG_NO_DIRECT_MAP
#define FLAGS_WISHED GUEST_MEMFD_FLAG_NO_DIRECT_MAP
#else
#define FLAGS_WISHED UINT64_C(0)
#endif

const char *const MEMORY_BACKING_NAMES[N_MEMORY_BACKINGS] = {
	[MEMORY_ANONYMOUS] = "anonymous",
	[MEMORY_MEMFD] = "memfd",
	[MEMORY_GUEST_MEMFD] = "guest_memfd",
};

/* syscalls(mapper): ioctl(KVM_CHECK_EXTENSION) */
static uint64_t offered_flags(int kvm_fd)
{
	int flags = ioctl(kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_GUEST_MEMFD_FLAGS);

	return flags > 0 ? (uint64_t)flags : 0;
}

bool memory_backing_check(enum memory_backing_kind kind, int kvm_fd, GError **error)
{
	if (kind != MEMORY_GUEST_MEMFD || (FLAGS_NEEDED & ~offered_flags(kvm_fd)) == 0)
		return true;
	g_set_error_literal(error, DOM1_ERROR, DOM1_STATUS_HOST,
			    "--memory-backing=guest_memfd: this KVM has no guest_memfd that can be mapped: boot Linux 6.18 or newer "
			    "with CONFIG_KVM_GUEST_MEMFD, or use memfd");
	return false;
}

static bool fail(enum memory_backing_kind kind, const char *what, uint64_t len_bytes, GError **error)
{
	g_set_error(error, DOM1_ERROR, DOM1_STATUS_HOST, "cannot make a %s of %" G_GUINT64_FORMAT " MiB for the guest's memory: %s: %s",
		    MEMORY_BACKING_NAMES[kind], len_bytes >> 20, what, g_strerror(errno));
	return false;
}

/* Whoever is given the file cannot make it shorter, which would end us when we use what is gone. */
/* syscalls(mapper): memfd_create ftruncate fcntl(F_ADD_SEALS) */
static int open_memfd(uint64_t len_bytes)
{
	int fd = memfd_create("dom1-guest-memory", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd >= 0 && ftruncate(fd, (off_t)len_bytes) == 0 &&
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
		return fd;
	int error = errno;
	if (fd >= 0)
		close(fd);
	errno = error;
	return -1;
}

/*
 * Whether the kernel gets at pages of it by their mapping, as KVM and other processes' kernels do. What is not in the
 * direct map may be out of reach for them: then that is of no use here, where memslots are mappings.
 */
/* syscalls(mapper): process_vm_readv getpid mmap(~PROT_EXEC) munmap */
static bool is_reachable(int fd)
{
	uint8_t byte;
	void *page = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (page == MAP_FAILED)
		return false;
	const struct iovec to = { &byte, 1 }, from = { page, 1 };
	bool reachable = process_vm_readv(getpid(), &to, 1, &from, 1, 0) == 1;

	munmap(page, PAGE_BYTES);
	return reachable;
}

/* syscalls(mapper): ioctl(KVM_CREATE_GUEST_MEMFD) close */
static int create(int vm_fd, uint64_t len_bytes, uint64_t flags)
{
	struct kvm_create_guest_memfd memory = { .size = len_bytes, .flags = flags };
	int fd = ioctl(vm_fd, KVM_CREATE_GUEST_MEMFD, &memory);

	if (fd < 0 || is_reachable(fd))
		return fd;
	close(fd);
	errno = EOPNOTSUPP;
	return -1;
}

/* syscalls(mapper): ioctl(KVM_CREATE_VM) */
static bool open_guest_memfd(struct memory_backing *backing, int kvm_fd, uint64_t len_bytes, GError **error)
{
	uint64_t wished = FLAGS_WISHED & offered_flags(kvm_fd);
	int vm_fd;

	do
		vm_fd = ioctl(kvm_fd, KVM_CREATE_VM, 0);
	while (vm_fd < 0 && errno == EINTR);
	if (vm_fd < 0)
		return fail(MEMORY_GUEST_MEMFD, "KVM_CREATE_VM", len_bytes, error);
	backing->fd = wished ? create(vm_fd, len_bytes, FLAGS_NEEDED | wished) : -1;
	backing->direct_map_removed = backing->fd >= 0;
	if (backing->fd < 0)
		backing->fd = create(vm_fd, len_bytes, FLAGS_NEEDED);
	bool made = backing->fd >= 0 || fail(MEMORY_GUEST_MEMFD, "KVM_CREATE_GUEST_MEMFD", len_bytes, error);
	/* The file keeps the VM. */
	close(vm_fd);
	return made;
}

bool memory_backing_open(struct memory_backing *backing, enum memory_backing_kind kind, int kvm_fd, uint64_t len_bytes,
			 GError **error)
{
	*backing = (struct memory_backing){ .fd = -1, .has_huge_pages = kind != MEMORY_GUEST_MEMFD };
	if (kind == MEMORY_GUEST_MEMFD)
		return open_guest_memfd(backing, kvm_fd, len_bytes, error);
	if (kind == MEMORY_MEMFD && (backing->fd = open_memfd(len_bytes)) < 0)
		return fail(kind, "memfd_create", len_bytes, error);
	return true;
}
