// SPDX-License-Identifier: MIT
/*
 * What a domain needs of the host: a kernel, a /dev/kvm that opens, and Xen in it. Of a chain of causes only the first
 * gets a remedy; what cannot be asked because of it is unknown.
 */
#include <errno.h>

#include "check/finding.h"
#include "vmm/kvm.h"

/* The first with each flag of KVM_XEN_FLAGS_NEEDED: SHARED_INFO_HVA came last. */
#define XEN_KERNEL_MAJOR 6
#define XEN_KERNEL_MINOR 9

#define REMEDY_KERNEL                                                                                                  \
	"boot Linux 6.9 or newer with CONFIG_KVM_XEN; Debian 12's own kernel (6.1) has it off: install "               \
	"linux-image-amd64 or linux-image-cloud-amd64 from bookworm-backports; Debian 13's own has it on"
#define REMEDY_LOG       "look at the kernel's log: dmesg | grep -i kvm"
#define REMEDY_CONTAINER "in a container: have it passed in (--device /dev/kvm)"

static bool kvm_opens(const struct kvm_facts *kvm)
{
	return kvm->stat_errno == 0 && kvm->is_device && kvm->open_errno == 0;
}

static bool xen_is_complete(const struct kvm_facts *kvm)
{
	return (KVM_XEN_FLAGS_NEEDED & ~kvm->xen_flags) == 0;
}

static void add_kernel_version(struct findings *findings, const struct host_facts *facts)
{
	const char *release = facts->system.kernel_release;
	bool asked = kvm_opens(&facts->kvm);

	/* A distribution may have brought the flags to an older kernel: what KVM says counts, if it can be asked. */
	if (system_facts_kernel_is(&facts->system, XEN_KERNEL_MAJOR, XEN_KERNEL_MINOR) ||
	    (asked && xen_is_complete(&facts->kvm)))
		findings_add(findings, "kernel_version", "host kernel", FINDING_OK,
			     g_strdup_printf("Linux %s", release), NULL);
	else
		findings_add(findings, "kernel_version", "host kernel", FINDING_WARNING,
			     g_strdup_printf("Linux %s: KVM has the Xen support that dom1 needs since 6.9", release),
			     asked ? NULL : g_strdup(REMEDY_KERNEL));
}

static char *remedy_no_kvm(const struct system_facts *system)
{
	switch (system->cpu) {
	case CPU_VMX:
		return g_strdup(
			"as root: modprobe kvm_intel; if that fails, turn on VT-x in the firmware; " REMEDY_CONTAINER);
	case CPU_SVM:
		return g_strdup(
			"as root: modprobe kvm_amd; if that fails, turn on SVM in the firmware; " REMEDY_CONTAINER);
	default:
		break;
	}
	if (system->is_virtual)
		return g_strdup(
			"this is a virtual machine whose CPU has no VMX or SVM: turn on nested virtualization in its "
			"host (module parameter nested=1, CPU model host)");
	return g_strdup("the CPU shows neither VMX nor SVM: turn on virtualization in the firmware");
}

static char *describe_owner(const struct kvm_facts *kvm)
{
	g_autofree char *owner = kvm->owner ? g_strdup(kvm->owner) : g_strdup_printf("%u", kvm->uid);
	g_autofree char *group = kvm->group ? g_strdup(kvm->group) : g_strdup_printf("%u", kvm->gid);

	return g_strdup_printf("owner %s, group %s, mode %04o", owner, group, kvm->mode);
}

/* Why does it not open, and who can change that? The order is from the certain to the likely. */
static char *remedy_permission(const struct kvm_facts *kvm)
{
	bool group_may = (kvm->mode & 060) == 060;

	if (!group_may || kvm->gid == 0)
		return g_strdup("its group cannot use it: run as root, or as root give it to the group kvm: chgrp kvm "
				"/dev/kvm; "
				"chmod 660 /dev/kvm (udev does so where that group exists)");
	if (kvm->has_group)
		return g_strdup("you have its group, so something else forbids it: look at the log of AppArmor or "
				"SELinux; " REMEDY_CONTAINER);
	if (kvm->listed_in_group)
		return g_strdup_printf("you were added to the group %s after this session began: log in again",
				       kvm->group ? kvm->group : "that owns it");
	if (!kvm->group)
		return g_strdup_printf("its group %u has no name here: run as its owner, or with that group", kvm->gid);
	return g_strdup_printf("add yourself to the group %s and log in again: sudo usermod -aG %s $USER", kvm->group,
			       kvm->group);
}

static void add_device(struct findings *findings, const struct host_facts *facts)
{
	const struct kvm_facts *kvm = &facts->kvm;
	enum finding_state state = FINDING_MISSING;
	g_autofree char *who = describe_owner(kvm);
	char *meaning, *remedy = NULL;

	if (kvm->stat_errno != 0) {
		meaning = g_strdup_printf("not there: %s", g_strerror(kvm->stat_errno));
		remedy = remedy_no_kvm(&facts->system);
	} else if (!kvm->is_device) {
		meaning = g_strdup("not a device");
		remedy = g_strdup("as root: remove that file, then load kvm_intel or kvm_amd");
	} else if (kvm->open_errno == 0) {
		state = FINDING_OK;
		meaning = g_strdup_printf("opens; %s", who);
	} else if (kvm->open_errno == EACCES) {
		meaning = g_strdup_printf("permission denied; %s", who);
		remedy = remedy_permission(kvm);
	} else if (kvm->open_errno == EPERM) {
		meaning = g_strdup_printf("not permitted here; %s", who);
		remedy = g_strdup("this container's rules on devices forbid it: have it passed in (--device /dev/kvm)");
	} else if (kvm->open_errno == ENODEV || kvm->open_errno == ENXIO) {
		meaning = g_strdup("no KVM behind it");
		remedy = remedy_no_kvm(&facts->system);
	} else {
		meaning = g_strdup_printf("does not open: %s; %s", g_strerror(kvm->open_errno), who);
		remedy = g_strdup(REMEDY_LOG);
	}
	findings_add(findings, "kvm_device", "/dev/kvm", state, meaning, remedy);
}

static void add_vm(struct findings *findings, const struct kvm_facts *kvm)
{
	static const char key[] = "kvm_vm", title[] = "virtual machine";

	if (!kvm_opens(kvm))
		findings_add(findings, key, title, FINDING_UNKNOWN, g_strdup("cannot be tried"), NULL);
	else if (kvm->create_vm_errno == 0)
		findings_add(findings, key, title, FINDING_OK, g_strdup("can be made"), NULL);
	else if (kvm->create_vm_errno == EBUSY)
		findings_add(findings, key, title, FINDING_MISSING,
			     g_strdup("cannot be made: another hypervisor has the CPU's virtualization"),
			     g_strdup("end the other one (VirtualBox, VMware) and unload its module"));
	else
		findings_add(findings, key, title, FINDING_MISSING,
			     g_strdup_printf("cannot be made: %s", g_strerror(kvm->create_vm_errno)),
			     g_strdup(REMEDY_LOG));
}

static void add_xen(struct findings *findings, const struct kvm_facts *kvm)
{
	static const char key[] = "kvm_xen", title[] = "KVM's Xen support";
	g_autofree char *missing = kvm_missing_xen_flags(kvm->xen_flags);

	if (!kvm_opens(kvm))
		findings_add(findings, key, title, FINDING_UNKNOWN, g_strdup("cannot be asked"), NULL);
	else if (kvm->xen_flags == 0)
		findings_add(findings, key, title, FINDING_MISSING,
			     g_strdup("none: this kernel was built without CONFIG_KVM_XEN"), g_strdup(REMEDY_KERNEL));
	else if (*missing)
		findings_add(findings, key, title, FINDING_MISSING, g_strdup_printf("too old: lacks %s", missing),
			     g_strdup(REMEDY_KERNEL));
	else if (kvm->refusal)
		/* The rest of what kvm_open() wants; its message ends with the remedy. */
		findings_add(findings, key, title, FINDING_MISSING, g_strdup(kvm->refusal), NULL);
	else
		findings_add(findings, key, title, FINDING_OK, g_strdup("complete"), NULL);
}

static void add_flag(struct findings *findings, const struct kvm_xen_flag *flag, uint32_t xen_flags)
{
	bool needed = flag->flag & KVM_XEN_FLAGS_NEEDED;
	enum finding_state state = xen_flags & flag->flag ? FINDING_OK : needed ? FINDING_MISSING : FINDING_WARNING;
	g_autofree char *lower = g_ascii_strdown(flag->name, -1);
	g_autofree char *key = g_strdup_printf("kvm_xen_%s", lower);
	g_autofree char *title = g_strdup_printf("  %s", flag->name);

	findings_add(findings, key, title, state,
		     g_strdup_printf("%s%s (%s)", state == FINDING_OK ? "" : "without: ", flag->meaning,
				     needed ? "needed" : "not needed"),
		     NULL);
}

void findings_add_kvm(struct findings *findings, const struct host_facts *facts)
{
	add_kernel_version(findings, facts);
	add_device(findings, facts);
	add_vm(findings, &facts->kvm);
	add_xen(findings, &facts->kvm);
	/* Nine times "missing" says no more than the line above; JSON has them all. */
	if (!kvm_opens(&facts->kvm) || facts->kvm.xen_flags == 0)
		return;
	for (int needed = 1; needed >= 0; needed--)
		for (size_t i = 0; i < N_KVM_XEN_FLAGS; i++)
			if (!!(KVM_XEN_FLAGS[i].flag & KVM_XEN_FLAGS_NEEDED) == needed)
				add_flag(findings, &KVM_XEN_FLAGS[i], facts->kvm.xen_flags);
}
