// SPDX-License-Identifier: MIT
/*
 * Memory to lend. A guest_memfd belongs to a VM; this one has no vCPU and no memory, and lives as long as the file. It is
 * not bound to anybody's memslot: like any other file it is mapped where it is lent.
 */
#include "dom1/lend.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/kvm.h>

#define FLAGS_NEEDED (GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED)

/* Without these flags it could be mapped, or be used when it is mapped, by nobody. */
static int guest_memfd_new(uint64_t len_bytes)
{
	int kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC), vm_fd = -1, fd = -1;

	if (kvm_fd >= 0)
		vm_fd = ioctl(kvm_fd, KVM_CREATE_VM, 0);
	if (vm_fd >= 0 &&
	    (ioctl(vm_fd, KVM_CHECK_EXTENSION, KVM_CAP_GUEST_MEMFD_FLAGS) & (int)FLAGS_NEEDED) == (int)FLAGS_NEEDED) {
		struct kvm_create_guest_memfd memory = { .size = len_bytes, .flags = FLAGS_NEEDED };

		fd = ioctl(vm_fd, KVM_CREATE_GUEST_MEMFD, &memory);
	}
	if (vm_fd >= 0)
		close(vm_fd);
	if (kvm_fd >= 0)
		close(kvm_fd);
	if (fd >= 0)
		(void)fcntl(fd, F_SETFD, FD_CLOEXEC);
	return fd >= 0 ? fd : -EOPNOTSUPP;
}

static int memfd_new(uint64_t len_bytes)
{
	int fd = memfd_create("dom1-lend", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)len_bytes) != 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) != 0) {
		int error = errno;

		close(fd);
		return -error;
	}
	return fd;
}

int lend_memory_new(enum lend_memory kind, uint64_t len_bytes)
{
	int fd = -EOPNOTSUPP;

	if (len_bytes == 0 || len_bytes % LEND_PAGE_BYTES != 0 || len_bytes > INT64_MAX)
		return -EINVAL;
	if (kind != LEND_MEMORY_MEMFD)
		fd = guest_memfd_new(len_bytes);
	return fd >= 0 || kind == LEND_MEMORY_GUEST_MEMFD ? fd : memfd_new(len_bytes);
}
