// SPDX-License-Identifier: MIT
/* finding*.c: each way in which a host or a file is wrong gives its state, its remedy and its status. */
#include <errno.h>
#include <string.h>

#include "check/finding.h"
#include "hosts.h"
#include "vmm/error.h"
#include "vmm/kvm.h"

#define TEXT(literal) ((char *)(uintptr_t)(literal))

static void assert_has(const char *text, const char *word)
{
	if (!text || !strstr(text, word))
		g_error("\"%s\" lacks \"%s\"", text ? text : "(null)", word);
}

/* remedy: a part of it, or NULL for none. */
static void expect(const struct host_facts *facts, int status, const char *key, enum finding_state state,
		   const char *meaning, const char *remedy)
{
	struct findings *findings = findings_new(facts);
	const struct finding *finding = findings_find(findings, key);

	g_assert_nonnull(finding);
	g_assert_cmpstr(finding_state_name(finding->state), ==, finding_state_name(state));
	assert_has(finding->meaning, meaning);
	if (remedy)
		assert_has(finding->remedy, remedy);
	else
		g_assert_cmpstr(finding->remedy, ==, NULL);
	g_assert_cmpint(findings->status, ==, status);
	if (finding->status != DOM1_STATUS_OK && finding->title[0] != ' ')
		assert_has(findings->verdict, finding->title);
	findings_free(findings);
}

static void test_good(void)
{
	struct shim_facts shims[2];
	struct host_facts facts = host_good(shims);
	struct findings *findings = findings_new(&facts);

	g_assert_cmpint(findings->status, ==, DOM1_STATUS_OK);
	g_assert_cmpstr(findings->verdict, ==, "this host can run PV domains");
	for (guint i = 0; i < findings->list->len; i++) {
		const struct finding *finding = &g_array_index(findings->list, struct finding, i);

		g_assert_true(finding->state == FINDING_OK || finding->state == FINDING_INFO);
	}
	findings_free(findings);

	host_name_kernel(&facts);
	findings = findings_new(&facts);
	g_assert_cmpstr(findings->verdict, ==, "this host can run PV domains, and this kernel");
	findings_free(findings);
}

static void test_no_kvm(void)
{
	struct shim_facts shims[2];
	struct host_facts facts = host_good(shims);

	host_without_kvm(&facts);
	expect(&facts, 3, "kvm_device", FINDING_MISSING, "No such file", "modprobe kvm_amd");
	facts.system.cpu = CPU_VMX;
	expect(&facts, 3, "kvm_device", FINDING_MISSING, "No such file", "modprobe kvm_intel");
	facts.system.cpu = CPU_NO_VIRTUALIZATION;
	expect(&facts, 3, "kvm_device", FINDING_MISSING, "No such file", "in the firmware");
	facts.system.is_virtual = true;
	expect(&facts, 3, "kvm_device", FINDING_MISSING, "No such file", "nested virtualization");

	/* What cannot be asked is neither good nor bad; an old kernel is told already here. */
	expect(&facts, 3, "kvm_vm", FINDING_UNKNOWN, "cannot", NULL);
	expect(&facts, 3, "kvm_xen", FINDING_UNKNOWN, "cannot", NULL);
	expect(&facts, 3, "guest_memfd", FINDING_UNKNOWN, "cannot", NULL);
	expect(&facts, 3, "kernel_version", FINDING_OK, "Linux 6.12", NULL);
	strcpy(facts.system.kernel_release, "6.1.0-41-amd64");
	expect(&facts, 3, "kernel_version", FINDING_WARNING, "since 6.9", "bookworm-backports");
}

static void test_device(void)
{
	struct shim_facts shims[2];
	struct host_facts facts = host_good(shims);

	expect(&facts, 0, "kvm_device", FINDING_OK, "owner root, group kvm, mode 0660", NULL);
	facts.kvm.group = NULL;
	expect(&facts, 0, "kvm_device", FINDING_OK, "owner root, group 104, mode 0660", NULL);
	facts.kvm.owner = NULL;
	facts.kvm.uid = 7;
	expect(&facts, 0, "kvm_device", FINDING_OK, "owner 7,", NULL);
	facts.kvm.open_errno = ENXIO;
	expect(&facts, 3, "kvm_device", FINDING_MISSING, "no KVM behind it", "modprobe kvm_amd");
	facts.kvm.open_errno = ENODEV;
	expect(&facts, 3, "kvm_device", FINDING_MISSING, "no KVM behind it", "modprobe kvm_amd");
	facts.kvm.open_errno = EMFILE;
	expect(&facts, 3, "kvm_device", FINDING_MISSING, "Too many open files", "dmesg");
	facts.kvm.open_errno = EPERM;
	expect(&facts, 3, "kvm_device", FINDING_MISSING, "not permitted", "--device /dev/kvm");
	facts.kvm.is_device = false;
	expect(&facts, 3, "kvm_device", FINDING_MISSING, "not a device", "remove that file");
	expect(&facts, 3, "kvm_xen", FINDING_UNKNOWN, "cannot", NULL);
}

static void test_permission(void)
{
	struct shim_facts shims[2];
	struct host_facts facts = host_good(shims);

	facts.kvm.open_errno = EACCES;
	expect(&facts, 3, "kvm_device", FINDING_MISSING, "permission denied; owner root, group kvm",
	       "AppArmor or SELinux");
	facts.kvm.has_group = false;
	expect(&facts, 3, "kvm_device", FINDING_MISSING, "permission denied", "after this session began: log in again");
	facts.kvm.listed_in_group = false;
	expect(&facts, 3, "kvm_device", FINDING_MISSING, "permission denied", "sudo usermod -aG kvm $USER");
	facts.kvm.group = NULL;
	expect(&facts, 3, "kvm_device", FINDING_MISSING, "permission denied", "group 104 has no name");
	facts.kvm.mode = 0600;
	expect(&facts, 3, "kvm_device", FINDING_MISSING, "mode 0600", "chgrp kvm /dev/kvm");
	facts.kvm.mode = 0660;
	facts.kvm.gid = 0;
	facts.kvm.group = TEXT("root");
	expect(&facts, 3, "kvm_device", FINDING_MISSING, "group root", "chmod 660 /dev/kvm");
	/* One cause, one verdict. */
	struct findings *findings = findings_new(&facts);
	g_assert_cmpstr(findings->verdict, ==, "this host cannot run PV domains: see /dev/kvm");
	findings_free(findings);
}

static void test_vm(void)
{
	struct shim_facts shims[2];
	struct host_facts facts = host_good(shims);

	facts.kvm.create_vm_errno = EBUSY;
	expect(&facts, 3, "kvm_vm", FINDING_MISSING, "another hypervisor", "VirtualBox");
	facts.kvm.create_vm_errno = ENOMEM;
	expect(&facts, 3, "kvm_vm", FINDING_MISSING, "Cannot allocate", "dmesg");
}

static void test_no_xen(void)
{
	struct shim_facts shims[2];
	struct host_facts facts = host_good(shims);

	facts.kvm.xen_flags = 0;
	facts.kvm.refusal = TEXT("/dev/kvm: whatever");
	expect(&facts, 3, "kvm_xen", FINDING_MISSING, "without CONFIG_KVM_XEN", "linux-image-cloud-amd64");
	expect(&facts, 3, "kvm_xen", FINDING_MISSING, "without CONFIG_KVM_XEN", "linux-image-amd64");
	expect(&facts, 3, "kvm_xen", FINDING_MISSING, "without CONFIG_KVM_XEN",
	       "Debian 12's own kernel (6.1) has it off");
	struct findings *findings = findings_new(&facts);
	g_assert_null(findings_find(findings, "kvm_xen_hypercall_msr"));
	findings_free(findings);

	/* The remedy is said once. */
	strcpy(facts.system.kernel_release, "6.1.0-41-amd64");
	expect(&facts, 3, "kernel_version", FINDING_WARNING, "since 6.9", NULL);
}

static void test_old_flags(void)
{
	struct shim_facts shims[2];
	struct host_facts facts = host_good(shims);

	facts.kvm.xen_flags = 0xff; /* Linux 6.8 */
	expect(&facts, 3, "kvm_xen", FINDING_MISSING, "lacks SHARED_INFO_HVA", "6.9 or newer");
	expect(&facts, 3, "kvm_xen_shared_info_hva", FINDING_MISSING, "(needed)", NULL);
	expect(&facts, 3, "kvm_xen_evtchn_send", FINDING_OK, "(needed)", NULL);
	facts.kvm.xen_flags = 0x7;
	expect(&facts, 3, "kvm_xen", FINDING_MISSING, "lacks EVTCHN_2LEVEL, EVTCHN_SEND, SHARED_INFO_HVA", "6.9");
	facts.kvm.xen_flags = KVM_XEN_FLAGS_NEEDED;
	expect(&facts, 0, "kvm_xen", FINDING_OK, "complete", NULL);
	expect(&facts, 0, "kvm_xen_runstate", FINDING_WARNING, "without: steal time (not needed)", NULL);

	/* Flags that a distribution took back to an old kernel are as good. */
	strcpy(facts.system.kernel_release, "5.14.0-503.el9");
	expect(&facts, 0, "kernel_version", FINDING_OK, "5.14", NULL);
	/* kvm_open() has the last word. */
	facts.kvm.refusal = TEXT("/dev/kvm: this KVM lacks KVM_CAP_IRQFD: boot a newer kernel");
	expect(&facts, 3, "kvm_xen", FINDING_MISSING, "KVM_CAP_IRQFD: boot a newer kernel", NULL);
}

/* The order in which a person reads: what is needed comes first. */
static void test_order(void)
{
	static const char *const keys[] = {
		"kernel_version",   "kvm_device",  "kvm_vm",      "kvm_xen", "kvm_xen_shared_info_hva",
		"kvm_xen_runstate", "shim",        "shim_other",  "kernel",  "user_namespaces",
		"landlock",         "seccomp",     "guest_memfd", "userfaultfd", "io_uring"
	};
	struct shim_facts shims[2];
	struct host_facts facts = host_good(shims);
	const struct finding *last = NULL;

	host_name_kernel(&facts);
	struct findings *findings = findings_new(&facts);
	for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
		const struct finding *finding = findings_find(findings, keys[i]);

		g_assert_nonnull(finding);
		g_assert_true(!last || finding > last);
		last = finding;
	}
	findings_free(findings);
}

static void test_no_shim(void)
{
	struct shim_facts shims[2];
	struct host_facts facts = host_good(shims);

	facts.n_shims = 0;
	expect(&facts, 3, "shim", FINDING_MISSING, "/usr/lib/xen-*/boot/xen-shim", "xen-utils-4.17 on Debian 12");
	/* One that is there, but not readable, is shown. */
	facts.n_shims = 1;
	shims[0].selected = false;
	shims[0].error = TEXT("/usr/lib/xen-4.20/boot/xen-shim: cannot use it as the shim: Permission denied");
	expect(&facts, 3, "shim", FINDING_MISSING, "none", "--shim or $DOM1_SHIM");
	expect(&facts, 3, "shim_other", FINDING_INFO, "Permission denied", NULL);
}

static void test_shims(void)
{
	struct shim_facts shims[2];
	struct host_facts facts = host_good(shims);

	expect(&facts, 0, "shim", FINDING_OK, "xen-4.20/boot/xen-shim (installed; PV shim, entries: multiboot and pvh)",
	       NULL);
	expect(&facts, 0, "shim_other", FINDING_INFO, "xen-4.17/boot/xen-shim", NULL);
	shims[0].has_pvh = false;
	expect(&facts, 0, "shim", FINDING_OK, "entries: multiboot)", NULL);
	shims[0].has_pvh = true;
	shims[0].has_multiboot = false;
	expect(&facts, 0, "shim", FINDING_WARNING, "entries: pvh)", "--shim-entry pvh");
	shims[0].has_pvh = false;
	expect(&facts, 3, "shim", FINDING_MISSING, "entries: none)", "xen-utils");
	shims[0].kind = SHIM_KIND_XEN;
	expect(&facts, 3, "shim", FINDING_MISSING, "a Xen built without PV_SHIM (installed)", "xen-utils");
}

static void test_named_shim(void)
{
	struct shim_facts shims[2];
	struct host_facts facts = host_good(shims);

	shims[0].source = SHIM_OPTION;
	expect(&facts, 0, "shim", FINDING_OK, "(from --shim;", NULL);
	shims[0].kind = SHIM_KIND_XEN;
	expect(&facts, 4, "shim", FINDING_BAD, "a Xen built without PV_SHIM (from --shim)", "name a xen-shim");
	shims[0].kind = SHIM_KIND_COMPRESSED;
	expect(&facts, 4, "shim", FINDING_BAD, "compressed", "gunzip");
	shims[0].kind = SHIM_KIND_FOREIGN;
	shims[0].source = SHIM_ENVIRONMENT;
	expect(&facts, 4, "shim", FINDING_BAD, "not a Xen (from $DOM1_SHIM)", "name a xen-shim");
	shims[0].kind = SHIM_KIND_PV_SHIM;
	shims[0].has_multiboot = shims[0].has_pvh = false;
	expect(&facts, 4, "shim", FINDING_BAD, "entries: none", "name a xen-shim");
	shims[0].kind = SHIM_KIND_NONE;
	shims[0].error = TEXT("/x: cannot use it as the shim: No such file or directory");
	expect(&facts, 4, "shim", FINDING_BAD, "No such file", "name a xen-shim");
	/* What the host lacks counts before the file. */
	host_without_kvm(&facts);
	expect(&facts, 3, "shim", FINDING_BAD, "No such file", "name a xen-shim");
	/* A bad one that is not used hurts nobody. */
	facts = host_good(shims);
	shims[1].source = SHIM_ENVIRONMENT;
	shims[1].kind = SHIM_KIND_FOREIGN;
	expect(&facts, 0, "shim_other", FINDING_INFO, "not a Xen", NULL);
}

static void test_kernel(void)
{
	struct shim_facts shims[2];
	struct host_facts facts = host_good(shims);
	struct kernel_elf *elf = &facts.kernel.elf;

	host_name_kernel(&facts);
	expect(&facts, 0, "kernel", FINDING_OK, "/boot/vmlinuz: PV and PVH, 64 bit, bzImage, xz, guest OS linux", NULL);
	facts.kernel.image.container = KERNEL_ELF;
	facts.kernel.image.compression = KERNEL_COMPRESSION_NONE;
	elf->guest_os[0] = '\0';
	elf->has_phys32_entry = FALSE;
	expect(&facts, 0, "kernel", FINDING_OK, "vmlinuz: PV, 64 bit, ELF, not compressed", NULL);
	elf->is_64bit = FALSE;
	facts.kernel.refusal = TEXT("/boot/vmlinuz: something else");
	expect(&facts, 4, "kernel", FINDING_BAD, "vmlinuz: PV, 32 bit, ELF", "CONFIG_X86_PAE");
	elf->is_64bit = TRUE;
	expect(&facts, 4, "kernel", FINDING_BAD, "vmlinuz: PV, 64 bit, ELF", "something else");
	elf->is_pv = FALSE;
	expect(&facts, 4, "kernel", FINDING_BAD, "neither PV nor PVH", "CONFIG_XEN_PV");
	elf->has_phys32_entry = TRUE;
	expect(&facts, 4, "kernel", FINDING_BAD, "vmlinuz: PVH, 64 bit", "--type pvh");
	elf->has_phys32_entry = elf->has_xen_notes = FALSE;
	expect(&facts, 4, "kernel", FINDING_BAD, "no Xen notes", "CONFIG_XEN_PV");
}

static void test_kernel_unread(void)
{
	struct shim_facts shims[2];
	struct host_facts facts = host_good(shims);

	host_name_kernel(&facts);
	facts.kernel.has_elf = false;
	facts.kernel.image.compression = KERNEL_COMPRESSION_LZO;
	expect(&facts, 0, "kernel", FINDING_UNKNOWN, "lzo: only the shim unpacks that", "give its vmlinux");
	facts.kernel.error = TEXT("/boot/vmlinuz: the file is empty: get the file again");
	facts.kernel.error_status = DOM1_STATUS_FILE;
	expect(&facts, 4, "kernel", FINDING_BAD, "get the file again", NULL);
	facts.kernel.error_status = DOM1_STATUS_HOST;
	expect(&facts, 3, "kernel", FINDING_MISSING, "get the file again", NULL);

	facts.kernel.error_status = DOM1_STATUS_FILE;
	facts.kvm.xen_flags = 0;
	struct findings *findings = findings_new(&facts);
	g_assert_cmpstr(findings->verdict, ==,
			"this host cannot run PV domains: see KVM's Xen support; and see kernel");
	findings_free(findings);
}

static void test_namespaces(void)
{
	struct shim_facts shims[2];
	struct host_facts facts = host_good(shims);
	struct namespace_facts *namespaces = &facts.namespaces;

	namespaces->user_errno = namespaces->machine_errno = EPERM;
	expect(&facts, 0, "user_namespaces", FINDING_WARNING, "refused: Operation not permitted", "seccomp");
	namespaces->apparmor_restricts = 1;
	namespaces->user_errno = 0;
	expect(&facts, 0, "user_namespaces", FINDING_WARNING, "with network and IPC in them", "apparmor_restrict");
	namespaces->unprivileged_clone = 0;
	expect(&facts, 0, "user_namespaces", FINDING_WARNING, "weaker", "kernel.unprivileged_userns_clone=1");
	namespaces->machine_errno = ENOSPC;
	expect(&facts, 0, "user_namespaces", FINDING_WARNING, "No space", "user.max_*_namespaces");
	namespaces->max_user_namespaces = 0;
	expect(&facts, 0, "user_namespaces", FINDING_WARNING, "No space", "sysctl user.max_user_namespaces=10000");
	namespaces->machine_errno = EINVAL;
	expect(&facts, 0, "user_namespaces", FINDING_WARNING, "Invalid", "CONFIG_USER_NS");
}

static void test_seccomp(void)
{
	struct shim_facts shims[2];
	struct host_facts facts = host_good(shims);

	expect(&facts, 0, "seccomp", FINDING_OK, "system calls", NULL);
	facts.seccomp.errnum = EINVAL;
	expect(&facts, 0, "seccomp", FINDING_WARNING, "none", "CONFIG_SECCOMP_FILTER");
	facts.seccomp.errnum = EPERM;
	expect(&facts, 0, "seccomp", FINDING_WARNING, "weaker", "profile");
}

static void test_landlock(void)
{
	struct shim_facts shims[2];
	struct host_facts facts = host_good(shims);

	expect(&facts, 0, "landlock", FINDING_OK, "ABI 6", NULL);
	facts.landlock = (struct landlock_facts){ .errnum = ENOSYS };
	expect(&facts, 0, "landlock", FINDING_WARNING, "not implemented", "CONFIG_SECURITY_LANDLOCK");
	facts.landlock.errnum = EOPNOTSUPP;
	expect(&facts, 0, "landlock", FINDING_WARNING, "none", "lsm=");
	facts.landlock.errnum = EPERM;
	expect(&facts, 0, "landlock", FINDING_WARNING, "none", "seccomp");
}

static void test_guest_memfd(void)
{
	struct shim_facts shims[2];
	struct host_facts facts = host_good(shims);

	expect(&facts, 0, "guest_memfd_mmap", FINDING_OK, "flag", NULL);
	expect(&facts, 0, "guest_memfd_init_shared", FINDING_OK, "flag", NULL);
	expect(&facts, 0, "guest_memfd_direct_map", FINDING_INFO, "stays in it", NULL);
	facts.kvm.guest_memfd_flags = 1u << 30 | 3;
	expect(&facts, 0, "guest_memfd_unnamed", FINDING_INFO, "0x40000000", NULL);
	facts.kvm.guest_memfd_flags = 1;
	expect(&facts, 0, "guest_memfd", FINDING_WARNING, "without both", "6.18");
	expect(&facts, 0, "guest_memfd_init_shared", FINDING_WARNING, "not offered", NULL);
	facts.kvm.guest_memfd_flags = 0;
	facts.kvm.has_guest_memfd = false;
	expect(&facts, 0, "guest_memfd", FINDING_WARNING, "none", "CONFIG_KVM_GUEST_MEMFD");
}

static void test_userfaultfd(void)
{
	struct shim_facts shims[2];
	struct host_facts facts = host_good(shims);
	struct userfaultfd_facts *uffd = &facts.userfaultfd;

	expect(&facts, 0, "userfaultfd", FINDING_OK, "POISON", NULL);
	expect(&facts, 0, "userfaultfd_kernel", FINDING_INFO, "not allowed (vm.unprivileged_userfaultfd is 0)",
	       "vm.unprivileged_userfaultfd=1");
	expect(&facts, 0, "userfaultfd_device", FINDING_INFO, "Permission denied", NULL);
	expect(&facts, 0, "userfaultfd_guest_memfd", FINDING_INFO, "not offered (Invalid argument)", NULL);
	uffd->guest_memfd_errno = 0;
	expect(&facts, 0, "userfaultfd_guest_memfd", FINDING_OK, "within one mapping", NULL);
	uffd->device_errno = 0;
	expect(&facts, 0, "userfaultfd_kernel", FINDING_INFO, "not allowed", NULL);
	uffd->full_errno = 0;
	uffd->unprivileged = FACT_UNKNOWN;
	expect(&facts, 0, "userfaultfd_kernel", FINDING_INFO, "allowed (vm.unprivileged_userfaultfd is not there)",
	       NULL);
	uffd->has_poison = false;
	expect(&facts, 0, "userfaultfd", FINDING_WARNING, "too old", "6.6");
	uffd->user_mode_errno = EPERM;
	expect(&facts, 0, "userfaultfd", FINDING_WARNING, "refused", "seccomp");
	uffd->user_mode_errno = ENOSYS;
	expect(&facts, 0, "userfaultfd", FINDING_WARNING, "not in this kernel", "CONFIG_USERFAULTFD");
}

static void test_io_uring(void)
{
	struct shim_facts shims[2];
	struct host_facts facts = host_good(shims);
	struct io_uring_facts *ring = &facts.io_uring;

	expect(&facts, 0, "io_uring", FINDING_OK, "allowed (kernel.io_uring_disabled is 0)", NULL);
	ring->setup_errno = EPERM;
	expect(&facts, 0, "io_uring", FINDING_WARNING, "Operation not permitted", "seccomp");
	ring->disabled = 1;
	expect(&facts, 0, "io_uring", FINDING_WARNING, "io_uring_disabled is 1", "set kernel.io_uring_group");
	ring->group = 990;
	expect(&facts, 0, "io_uring", FINDING_WARNING, "io_uring_disabled is 1", "group 990");
	ring->disabled = 2;
	expect(&facts, 0, "io_uring", FINDING_WARNING, "io_uring_disabled is 2", "sysctl kernel.io_uring_disabled=0");
	ring->setup_errno = ENOMEM;
	expect(&facts, 0, "io_uring", FINDING_WARNING, "Cannot allocate", "ulimit -l");
	ring->setup_errno = EMFILE;
	expect(&facts, 0, "io_uring", FINDING_WARNING, "Too many", "ulimit -n");
	ring->disabled = FACT_UNKNOWN;
	ring->setup_errno = ENOSYS;
	expect(&facts, 0, "io_uring", FINDING_WARNING, "io_uring_disabled is not there", "CONFIG_IO_URING");
}

static void test_kernel_version(void)
{
	static const struct {
		const char *release;
		bool good;
	} rows[] = { { "6.9.0", true },   { "6.8.12", false }, { "7.0-rc1", true }, { "6.10", true },
		     { "5.19.0", false }, { "", false },       { "weird", false },  { "6", false } };

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		struct system_facts facts = { .cpu = CPU_VMX };

		g_strlcpy(facts.kernel_release, rows[i].release, sizeof(facts.kernel_release));
		g_assert_cmpint(system_facts_kernel_is(&facts, 6, 9), ==, rows[i].good);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/check/finding/good", test_good);
	g_test_add_func("/check/finding/no-kvm", test_no_kvm);
	g_test_add_func("/check/finding/device", test_device);
	g_test_add_func("/check/finding/permission", test_permission);
	g_test_add_func("/check/finding/vm", test_vm);
	g_test_add_func("/check/finding/no-xen", test_no_xen);
	g_test_add_func("/check/finding/old-flags", test_old_flags);
	g_test_add_func("/check/finding/order", test_order);
	g_test_add_func("/check/finding/no-shim", test_no_shim);
	g_test_add_func("/check/finding/shims", test_shims);
	g_test_add_func("/check/finding/named-shim", test_named_shim);
	g_test_add_func("/check/finding/kernel", test_kernel);
	g_test_add_func("/check/finding/kernel-unread", test_kernel_unread);
	g_test_add_func("/check/finding/namespaces", test_namespaces);
	g_test_add_func("/check/finding/landlock", test_landlock);
	g_test_add_func("/check/finding/seccomp", test_seccomp);
	g_test_add_func("/check/finding/guest-memfd", test_guest_memfd);
	g_test_add_func("/check/finding/userfaultfd", test_userfaultfd);
	g_test_add_func("/check/finding/io-uring", test_io_uring);
	g_test_add_func("/check/finding/kernel-version", test_kernel_version);
	return g_test_run();
}
