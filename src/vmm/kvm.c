// SPDX-License-Identifier: MIT
#include "vmm/kvm.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/error.h"

#define KVM_DEVICE "/dev/kvm"
#define MAX_CPUID_ENTRIES 256

const struct kvm_xen_flag KVM_XEN_FLAGS[] = {
	{ KVM_XEN_HVM_CONFIG_HYPERCALL_MSR, "HYPERCALL_MSR", "the kernel writes hypercall pages" },
	{ KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL, "INTERCEPT_HCALL", "hypercalls reach dom1" },
	{ KVM_XEN_HVM_CONFIG_SHARED_INFO, "SHARED_INFO", "clocks and events in shared_info" },
	{ KVM_XEN_HVM_CONFIG_RUNSTATE, "RUNSTATE", "steal time" },
	{ KVM_XEN_HVM_CONFIG_EVTCHN_2LEVEL, "EVTCHN_2LEVEL", "events are routed by the kernel" },
	{ KVM_XEN_HVM_CONFIG_EVTCHN_SEND, "EVTCHN_SEND", "events are sent without leaving the kernel" },
	{ KVM_XEN_HVM_CONFIG_RUNSTATE_UPDATE_FLAG, "RUNSTATE_UPDATE_FLAG", "steal time can be read by other vCPUs" },
	{ KVM_XEN_HVM_CONFIG_PVCLOCK_TSC_UNSTABLE, "PVCLOCK_TSC_UNSTABLE", "clocks on hosts with an unstable TSC" },
	{ KVM_XEN_HVM_CONFIG_SHARED_INFO_HVA, "SHARED_INFO_HVA", "shared_info lies in a page of dom1's own" },
};
const size_t N_KVM_XEN_FLAGS = G_N_ELEMENTS(KVM_XEN_FLAGS);

static void explain_open_failure(int saved_errno, GError **error)
{
	struct stat status;

	if (saved_errno == ENOENT || saved_errno == ENXIO || saved_errno == ENODEV) {
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_HOST,
			    KVM_DEVICE ": no KVM on this host: load kvm-intel or kvm-amd, and turn on virtualization in the "
				       "firmware (on a virtual host: nested virtualization)");
		return;
	}
	if (saved_errno == EACCES && stat(KVM_DEVICE, &status) == 0) {
		const struct group *group = getgrgid(status.st_gid);

		/* The group root is nobody's to join. */
		if (status.st_gid == 0 || (status.st_mode & 060) != 060) {
			g_set_error(error, DOM1_ERROR, DOM1_STATUS_HOST,
				    KVM_DEVICE ": permission denied: its group cannot use it: run as root, or as root: chgrp kvm "
					       KVM_DEVICE "; chmod 660 " KVM_DEVICE);
			return;
		}
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_HOST,
			    KVM_DEVICE ": permission denied: add yourself to the group %s and log in again",
			    group ? group->gr_name : "that owns it");
		return;
	}
	g_set_error(error, DOM1_ERROR, DOM1_STATUS_HOST, KVM_DEVICE ": cannot open: %s", g_strerror(saved_errno));
}

char *kvm_missing_xen_flags(uint32_t xen_flags)
{
	GString *names = g_string_new(NULL);

	for (size_t i = 0; i < N_KVM_XEN_FLAGS; i++)
		if (KVM_XEN_FLAGS_NEEDED & ~xen_flags & KVM_XEN_FLAGS[i].flag)
			g_string_append_printf(names, "%s%s", names->len ? ", " : "", KVM_XEN_FLAGS[i].name);
	return g_string_free(names, FALSE);
}

static bool check_capabilities(int kvm_fd, uint32_t *xen_flags, GError **error)
{
	static const struct {
		int capability;
		const char *name;
	} needed[] = {
		{ KVM_CAP_SPLIT_IRQCHIP, "KVM_CAP_SPLIT_IRQCHIP" },
		{ KVM_CAP_IRQFD, "KVM_CAP_IRQFD" },
		{ KVM_CAP_SIGNAL_MSI, "KVM_CAP_SIGNAL_MSI" },
		{ KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT" },
	};

	if (ioctl(kvm_fd, KVM_GET_API_VERSION, 0) != KVM_API_VERSION) {
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_HOST, KVM_DEVICE ": not a KVM of API version %d", KVM_API_VERSION);
		return false;
	}
	int flags = ioctl(kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_XEN_HVM);
	*xen_flags = flags > 0 ? (uint32_t)flags : 0;
	if (*xen_flags == 0) {
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_HOST,
			    KVM_DEVICE ": this KVM has no Xen support: boot a kernel built with CONFIG_KVM_XEN, 6.9 or newer "
				       "(Debian 13's own, or Debian 12's from backports)");
		return false;
	}
	if (KVM_XEN_FLAGS_NEEDED & ~*xen_flags) {
		g_autofree char *names = kvm_missing_xen_flags(*xen_flags);

		g_set_error(error, DOM1_ERROR, DOM1_STATUS_HOST,
			    KVM_DEVICE ": this KVM's Xen support lacks %s: boot kernel 6.9 or newer", names);
		return false;
	}
	for (size_t i = 0; i < G_N_ELEMENTS(needed); i++) {
		if (ioctl(kvm_fd, KVM_CHECK_EXTENSION, needed[i].capability) > 0)
			continue;
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_HOST, KVM_DEVICE ": this KVM lacks %s: boot a newer kernel",
			    needed[i].name);
		return false;
	}
	return true;
}

int kvm_open(uint32_t *xen_flags, GError **error)
{
	uint32_t flags = 0;
	int kvm_fd = open(KVM_DEVICE, O_RDWR | O_CLOEXEC);

	if (kvm_fd < 0)
		explain_open_failure(errno, error);
	else if (!check_capabilities(kvm_fd, &flags, error)) {
		close(kvm_fd);
		kvm_fd = -1;
	}
	if (xen_flags)
		*xen_flags = flags;
	return kvm_fd;
}

/* syscalls(main): ioctl(KVM_GET_SUPPORTED_CPUID) */
struct kvm_cpuid2 *kvm_supported_cpuid(int kvm_fd, GError **error)
{
	struct kvm_cpuid2 *cpuid = g_malloc0(sizeof(*cpuid) + MAX_CPUID_ENTRIES * sizeof(cpuid->entries[0]));

	cpuid->nent = MAX_CPUID_ENTRIES;
	if (ioctl(kvm_fd, KVM_GET_SUPPORTED_CPUID, cpuid) == 0)
		return cpuid;
	g_set_error(error, DOM1_ERROR, DOM1_STATUS_HOST, "KVM_GET_SUPPORTED_CPUID: %s", g_strerror(errno));
	g_free(cpuid);
	return NULL;
}

/* syscalls(main, vcpu): ioctl(KVM_XEN_HVM_SET_ATTR) */
int kvm_set_xen_attr(int vm_fd, const struct kvm_xen_hvm_attr *attr)
{
	return ioctl(vm_fd, KVM_XEN_HVM_SET_ATTR, attr) == 0 ? 0 : errno;
}

/* syscalls(main, vcpu): ioctl(KVM_XEN_VCPU_SET_ATTR) */
int kvm_set_xen_vcpu_attr(int vcpu_fd, const struct kvm_xen_vcpu_attr *attr)
{
	return ioctl(vcpu_fd, KVM_XEN_VCPU_SET_ATTR, attr) == 0 ? 0 : errno;
}

/* syscalls(main): ioctl(KVM_SET_TSS_ADDR) ioctl(KVM_SET_IDENTITY_MAP_ADDR) ioctl(KVM_ENABLE_CAP) */
static const char *set_up_irqchip(int vm_fd)
{
	struct kvm_enable_cap split = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { 0 } };
	uint64_t identity_gpa = LAYOUT_IDENTITY_GPA;

	/* Where KVM on Intel keeps pages of its own while the guest is in real mode. */
	if (ioctl(vm_fd, KVM_SET_TSS_ADDR, LAYOUT_TSS_GPA) != 0)
		return "KVM_SET_TSS_ADDR";
	if (ioctl(vm_fd, KVM_SET_IDENTITY_MAP_ADDR, &identity_gpa) != 0)
		return "KVM_SET_IDENTITY_MAP_ADDR";
	if (ioctl(vm_fd, KVM_ENABLE_CAP, &split) != 0)
		return "KVM_CAP_SPLIT_IRQCHIP";
	return NULL;
}

/* syscalls(main): ioctl(KVM_XEN_HVM_CONFIG) ioctl(KVM_XEN_HVM_SET_ATTR) */
static const char *set_up_xen(int vm_fd, uint32_t xen_version)
{
	struct kvm_xen_hvm_config config = {
		.flags = KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL | KVM_XEN_HVM_CONFIG_EVTCHN_SEND,
		.msr = KVM_XEN_HYPERCALL_MSR,
	};
	struct kvm_xen_hvm_attr version = { .type = KVM_XEN_ATTR_TYPE_XEN_VERSION, .u.xen_version = xen_version };
	/* Before shared_info: KVM starts with the 32-bit layout, Xen's HVM guests start with the 64-bit one. */
	struct kvm_xen_hvm_attr long_mode = { .type = KVM_XEN_ATTR_TYPE_LONG_MODE, .u.long_mode = 1 };

	if (ioctl(vm_fd, KVM_XEN_HVM_CONFIG, &config) != 0)
		return "KVM_XEN_HVM_CONFIG";
	if (ioctl(vm_fd, KVM_XEN_HVM_SET_ATTR, &version) != 0)
		return "KVM_XEN_ATTR_TYPE_XEN_VERSION";
	if (ioctl(vm_fd, KVM_XEN_HVM_SET_ATTR, &long_mode) != 0)
		return "KVM_XEN_ATTR_TYPE_LONG_MODE";
	return NULL;
}

/* syscalls(main): ioctl(KVM_SET_USER_MEMORY_REGION) */
int kvm_set_memory_slot(int vm_fd, unsigned int number, const struct guest_memory_slot *slot)
{
	struct kvm_userspace_memory_region region = {
		.slot = number,
		.guest_phys_addr = slot->gpa,
		.memory_size = slot->len_bytes,
		.userspace_addr = (uint64_t)(uintptr_t)slot->hva,
	};

	return ioctl(vm_fd, KVM_SET_USER_MEMORY_REGION, &region);
}

static const char *set_up_memory(int vm_fd, const struct guest_memory *memory)
{
	struct guest_memory_slot slots[GUEST_MEMORY_MAX_SLOTS];
	size_t n = guest_memory_slots(memory, slots);

	for (size_t i = 0; i < n; i++)
		if (kvm_set_memory_slot(vm_fd, (unsigned int)i, &slots[i]) != 0)
			return "KVM_SET_USER_MEMORY_REGION";
	return NULL;
}

/* syscalls(main): ioctl(KVM_CREATE_VM) close */
int kvm_create_vm(int kvm_fd, const struct guest_memory *memory, uint32_t xen_version, GError **error)
{
	int vm_fd;

	/* A signal during KVM_CREATE_VM makes it fail with EINTR; there is nothing to clean up. */
	do
		vm_fd = ioctl(kvm_fd, KVM_CREATE_VM, 0);
	while (vm_fd < 0 && errno == EINTR);

	const char *failed = vm_fd < 0 ? "KVM_CREATE_VM" : set_up_irqchip(vm_fd);
	if (!failed)
		failed = set_up_xen(vm_fd, xen_version);
	if (!failed)
		failed = set_up_memory(vm_fd, memory);
	if (!failed)
		return vm_fd;

	g_set_error(error, DOM1_ERROR, DOM1_STATUS_HOST, "cannot create a VM: %s: %s", failed, g_strerror(errno));
	if (vm_fd >= 0)
		close(vm_fd);
	return -1;
}
