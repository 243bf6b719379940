// SPDX-License-Identifier: MIT
/*
 * What no VMM can save. floor: a guest that makes one hypercall after the other, and a VMM that does nothing but let it go
 * on. floor_wake: two threads that wake each other by eventfds, there and back, as a guest and its back end do.
 * Prints "bench NAME MEDIAN MIN N" as the guest of main.c does.
 */
#include <cpuid.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <linux/kvm.h>

#define N_BATCHES 20
#define BATCH_NS  20000000
#define MSR       0x40000000
#define PAGE      4096
#define RESULT    ((uint64_t)-38)

struct caller {
	int fd; /* a vCPU's */
	struct kvm_run *run;
};

struct wakers {
	int there_fd, back_fd;
};

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

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	const uint64_t *left = a, *right = b;

	return (*left > *right) - (*left < *right);
}

/* In real mode at 0: mov $54, %eax; vmcall or vmmcall; jmp back to the mov. */
static void write_code(uint8_t *page)
{
	static const uint8_t code[] = { 0x66, 0xb8, 54, 0, 0, 0, 0x0f, 0x01, 0xc1, 0xeb, 0xf5 };
	enum { LAST_OF_VMCALL = 8, VMMCALL = 0xd9 };
	unsigned int eax, ebx, ecx, edx;

	memcpy(page, code, sizeof(code));
	__cpuid(0, eax, ebx, ecx, edx);
	if (ebx != signature_INTEL_ebx)
		page[LAST_OF_VMCALL] = VMMCALL;
}

static int make_vcpu(int kvm_fd, struct kvm_run **run)
{
	const struct kvm_xen_hvm_config config = { .flags = KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL, .msr = MSR };
	struct kvm_userspace_memory_region region = { .memory_size = PAGE };
	struct kvm_regs regs = { .rflags = 2 };
	struct kvm_sregs sregs;
	uint8_t *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		fail("mmap");
	write_code(page);
	region.userspace_addr = (uintptr_t)page;
	int vm_fd = call(kvm_fd, KVM_CREATE_VM, NULL, "KVM_CREATE_VM");
	(void)call(vm_fd, KVM_XEN_HVM_CONFIG, &config, "KVM_XEN_HVM_CONFIG");
	(void)call(vm_fd, KVM_SET_USER_MEMORY_REGION, &region, "KVM_SET_USER_MEMORY_REGION");
	int fd = call(vm_fd, KVM_CREATE_VCPU, NULL, "KVM_CREATE_VCPU");
	(void)call(fd, KVM_GET_SREGS, &sregs, "KVM_GET_SREGS");
	sregs.cs.base = sregs.cs.selector = 0;
	(void)call(fd, KVM_SET_SREGS, &sregs, "KVM_SET_SREGS");
	(void)call(fd, KVM_SET_REGS, &regs, "KVM_SET_REGS");
	*run = mmap(NULL, (size_t)call(kvm_fd, KVM_GET_VCPU_MMAP_SIZE, NULL, "KVM_GET_VCPU_MMAP_SIZE"),
		    PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (*run == MAP_FAILED)
		fail("mmap");
	return fd;
}

static void calls(void *opaque, unsigned int n)
{
	const struct caller *caller = opaque;
	struct kvm_run *run = caller->run;

	for (unsigned int i = 0; i < n; i++) {
		if (ioctl(caller->fd, KVM_RUN, 0) != 0)
			fail("KVM_RUN");
		if (run->exit_reason != KVM_EXIT_XEN) {
			fprintf(stderr, "floor: exit %u\n", run->exit_reason);
			exit(1);
		}
		run->xen.u.hcall.result = RESULT;
	}
}

static void pass_on(int from_fd, int to_fd)
{
	uint64_t count = 1;

	if (read(from_fd, &count, sizeof(count)) != sizeof(count) || write(to_fd, &count, sizeof(count)) != sizeof(count))
		fail("eventfd");
}

static void *back_end(void *opaque)
{
	const struct wakers *wakers = opaque;

	for (;;)
		pass_on(wakers->there_fd, wakers->back_fd);
	return NULL;
}

/* Each takes up the count that the one before has left, so the last one leaves it too. */
static void wakes(void *opaque, unsigned int n)
{
	const struct wakers *wakers = opaque;

	for (unsigned int i = 0; i < n; i++)
		pass_on(wakers->back_fd, wakers->there_fd);
}

static uint64_t batch_ns(void (*run)(void *opaque, unsigned int n), void *opaque, unsigned int n)
{
	uint64_t start_ns = now_ns();

	run(opaque, n);
	return now_ns() - start_ns;
}

static void measure(const char *name, void (*run)(void *opaque, unsigned int n), void *opaque)
{
	uint64_t results_ns[N_BATCHES];
	unsigned int n = 1;

	while (batch_ns(run, opaque, n) < BATCH_NS)
		n *= 2;
	for (unsigned int i = 0; i < N_BATCHES; i++)
		results_ns[i] = batch_ns(run, opaque, n) / n;
	qsort(results_ns, N_BATCHES, sizeof(results_ns[0]), compare);
	uint64_t median_ns = (results_ns[N_BATCHES / 2 - 1] + results_ns[N_BATCHES / 2]) / 2;
	printf("bench %s %" PRIu64 " %" PRIu64 " %u\n", name, median_ns, results_ns[0], n);
}

int main(void)
{
	struct caller caller;
	struct wakers wakers = { .there_fd = eventfd(0, EFD_CLOEXEC), .back_fd = eventfd(1, EFD_CLOEXEC) };
	pthread_t thread;
	int kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (kvm_fd < 0)
		fail("/dev/kvm");
	caller.fd = make_vcpu(kvm_fd, &caller.run);
	measure("floor", calls, &caller);
	if (wakers.there_fd < 0 || wakers.back_fd < 0 || pthread_create(&thread, NULL, back_end, &wakers) != 0)
		fail("eventfd");
	measure("floor_wake", wakes, &wakers);
	return 0;
}
