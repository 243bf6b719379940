// SPDX-License-Identifier: MIT
/*
 * What no VMM can save on the way to the first guest instruction: a VM with a guest's memory and one vCPU, whose first
 * instruction ends it. Nothing is loaded, checked, locked, confined or listened to.
 *
 *   boot-floor MIB [FILE]
 *
 * FILE is read into the guest's memory at 2 MiB: what a VMM starts has to be there.
 * Built twice by scripts/bench: static, and linked with the libraries of dom1, which it does not use. Says "floor" when
 * the guest has run.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/kvm.h>

#define XEN_MSR     0x40000000
#define TSS_GPA     0xfffbd000
#define IOAPIC_PINS 24
#define N_CPUID     256
#define FILE_GPA    (UINT64_C(2) << 20)

/* In real mode: out %al, $0. With the LAPIC in the kernel a hlt would wait for ever. */
static const uint8_t code[] = { 0xe6, 0 };

static _Noreturn void fail(const char *what)
{
	perror(what);
	exit(1);
}

static int call(int fd, unsigned long request, const void *argument, const char *what)
{
	int rc = ioctl(fd, request, argument);

	if (rc < 0)
		fail(what);
	return rc;
}

static void read_file(const char *path, uint8_t *to, uint64_t room_bytes)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got;

	if (fd < 0)
		fail(path);
	for (uint64_t done = 0; (got = read(fd, to + done, room_bytes - done)) != 0; done += (uint64_t)got)
		if (got < 0)
			fail(path);
}

static int make_vm(int kvm_fd, uint64_t memory_bytes, const char *path)
{
	const struct kvm_xen_hvm_config config = { .flags = KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL, .msr = XEN_MSR };
	const struct kvm_enable_cap split_irqchip = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { IOAPIC_PINS } };
	uint8_t *ram = mmap(NULL, memory_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (ram == MAP_FAILED)
		fail("mmap");
	(void)madvise(ram, memory_bytes, MADV_HUGEPAGE);
	memcpy(ram, code, sizeof(code));
	if (path)
		read_file(path, ram + FILE_GPA, memory_bytes - FILE_GPA);

	const struct kvm_userspace_memory_region region = { .memory_size = memory_bytes, .userspace_addr = (uintptr_t)ram };
	int vm_fd = call(kvm_fd, KVM_CREATE_VM, NULL, "KVM_CREATE_VM");

	(void)ioctl(vm_fd, KVM_SET_TSS_ADDR, TSS_GPA); /* Intel wants it */
	(void)call(vm_fd, KVM_ENABLE_CAP, &split_irqchip, "KVM_CAP_SPLIT_IRQCHIP");
	(void)call(vm_fd, KVM_XEN_HVM_CONFIG, &config, "KVM_XEN_HVM_CONFIG");
	(void)call(vm_fd, KVM_SET_USER_MEMORY_REGION, &region, "KVM_SET_USER_MEMORY_REGION");
	return vm_fd;
}

static int make_vcpu(int kvm_fd, int vm_fd)
{
	const size_t cpuid_bytes = sizeof(struct kvm_cpuid2) + N_CPUID * sizeof(struct kvm_cpuid_entry2);
	struct kvm_cpuid2 *cpuid = calloc(1, cpuid_bytes);
	const struct kvm_regs regs = { .rflags = 2 };
	struct kvm_sregs sregs;

	if (!cpuid)
		fail("calloc");
	cpuid->nent = N_CPUID;
	(void)call(kvm_fd, KVM_GET_SUPPORTED_CPUID, cpuid, "KVM_GET_SUPPORTED_CPUID");
	int fd = call(vm_fd, KVM_CREATE_VCPU, NULL, "KVM_CREATE_VCPU");

	(void)call(fd, KVM_SET_CPUID2, cpuid, "KVM_SET_CPUID2");
	(void)call(fd, KVM_GET_SREGS, &sregs, "KVM_GET_SREGS");
	sregs.cs.base = sregs.cs.selector = 0;
	(void)call(fd, KVM_SET_SREGS, &sregs, "KVM_SET_SREGS");
	(void)call(fd, KVM_SET_REGS, &regs, "KVM_SET_REGS");
	free(cpuid);
	return fd;
}

int main(int argc, char **argv)
{
	uint64_t memory_mib = argc > 1 ? strtoull(argv[1], NULL, 10) : 0;
	int kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (memory_mib <= FILE_GPA >> 20 || kvm_fd < 0)
		fail("usage: boot-floor MIB [FILE], with /dev/kvm");
	int fd = make_vcpu(kvm_fd, make_vm(kvm_fd, memory_mib << 20, argc > 2 ? argv[2] : NULL));

	struct kvm_run *run = mmap(NULL, (size_t)call(kvm_fd, KVM_GET_VCPU_MMAP_SIZE, NULL, "KVM_GET_VCPU_MMAP_SIZE"),
				   PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (run == MAP_FAILED)
		fail("mmap of a vCPU");
	(void)call(fd, KVM_RUN, NULL, "KVM_RUN");
	printf("floor %u\n", run->exit_reason);
	return 0;
}
