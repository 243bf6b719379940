// SPDX-License-Identifier: MIT
#include "hosts.h"

#include <errno.h>

#include "vmm/kvm.h"

#define TEXT(literal) ((char *)(uintptr_t)(literal))

struct host_facts host_good(struct shim_facts shims[2])
{
	struct host_facts facts = {
		.system = { .kernel_release = "6.12.95+deb13-amd64", .cpu = CPU_SVM },
		.kvm = {
			.is_device = true,
			.mode = 0660,
			.gid = 104,
			.owner = TEXT("root"),
			.group = TEXT("kvm"),
			.has_group = true,
			.listed_in_group = true,
			.xen_flags = 0x1ff,
			.has_guest_memfd = true,
			.guest_memfd_flags = 3,
		},
		.userfaultfd = { .full_errno = EPERM, .has_poison = true, .device_errno = EACCES, .guest_memfd_errno = EINVAL },
		.io_uring = { .group = FACT_UNKNOWN },
		.namespaces = {
			.max_user_namespaces = 1000,
			.unprivileged_clone = 1,
			.apparmor_restricts = FACT_UNKNOWN,
		},
		.landlock = { .abi = 6 },
		.shims = shims,
		.n_shims = 2,
	};

	shims[0] = (struct shim_facts){
		.path = TEXT("/usr/lib/xen-4.20/boot/xen-shim"),
		.selected = true,
		.kind = SHIM_KIND_PV_SHIM,
		.has_multiboot = true,
		.has_pvh = true,
	};
	shims[1] = shims[0];
	shims[1].path = TEXT("/usr/lib/xen-4.17/boot/xen-shim");
	shims[1].selected = false;
	return facts;
}

void host_name_kernel(struct host_facts *facts)
{
	facts->kernel = (struct kernel_facts){
		.path = TEXT("/boot/vmlinuz"),
		.image = { .container = KERNEL_BZIMAGE, .compression = KERNEL_COMPRESSION_XZ },
		.has_elf = true,
		.elf = { .is_64bit = TRUE,
			 .has_xen_notes = TRUE,
			 .is_pv = TRUE,
			 .has_phys32_entry = TRUE,
			 .guest_os = "linux" },
		.elf_bytes = 40 << 20,
	};
}

void host_without_kvm(struct host_facts *facts)
{
	facts->kvm = (struct kvm_facts){ .stat_errno = ENOENT, .open_errno = ENODEV };
	facts->userfaultfd.guest_memfd_errno = ENODEV;
}
