// SPDX-License-Identifier: MIT
/* What a domain can do without: layers of the sandbox, lent memory, quick disks. None of it decides the verdict. */
#include <errno.h>
#include <inttypes.h>

#include <linux/kvm.h>

#include "check/finding.h"

const struct flag_name GUEST_MEMFD_FLAGS[] = {
	{ GUEST_MEMFD_FLAG_MMAP, "MMAP" },
	{ GUEST_MEMFD_FLAG_INIT_SHARED, "INIT_SHARED" },
/* Discussed on the kernel's lists; named as soon as the headers have them. */
#ifdef GUEST_MEMFD_FLAG_WRITE
	{ GUEST_MEMFD_FLAG_WRITE, "WRITE" },
#endif
#ifdef GUEST_MEMFD_FLAG_NO_DIRECT_MAP
	{ GUEST_MEMFD_FLAG_NO_DIRECT_MAP, "NO_DIRECT_MAP" },
#endif
};
const size_t N_GUEST_MEMFD_FLAGS = G_N_ELEMENTS(GUEST_MEMFD_FLAGS);

#define REMEDY_SECCOMP "a seccomp profile of this container or service forbids it: allow the call there"

static char *remedy_namespaces(const struct namespace_facts *facts)
{
	if (facts->machine_errno == ENOSYS || facts->machine_errno == EINVAL)
		return g_strdup("boot a kernel with CONFIG_USER_NS, CONFIG_NET_NS, CONFIG_IPC_NS, CONFIG_PID_NS and CONFIG_UTS_NS");
	if (facts->max_user_namespaces == 0)
		return g_strdup("as root: sysctl user.max_user_namespaces=10000");
	if (facts->machine_errno == ENOSPC || facts->machine_errno == EUSERS)
		return g_strdup("there are too many already: raise the limits user.max_*_namespaces");
	if (facts->unprivileged_clone == 0)
		return g_strdup("as root: sysctl kernel.unprivileged_userns_clone=1");
	if (facts->apparmor_restricts == 1)
		return g_strdup("give dom1 an AppArmor profile with the rule userns, or as root: "
				"sysctl kernel.apparmor_restrict_unprivileged_userns=0");
	return g_strdup(REMEDY_SECCOMP);
}

static void add_namespaces(struct findings *findings, const struct namespace_facts *facts)
{
	static const char key[] = "user_namespaces", title[] = "user namespaces";

	if (facts->machine_errno == 0)
		findings_add(findings, key, title, FINDING_OK, g_strdup("can be made: the machine gets its own"), NULL);
	else
		findings_add(findings, key, title, FINDING_WARNING,
			     g_strdup_printf("%s: %s; the sandbox is weaker",
					     facts->user_errno ? "refused" : "refused with network and IPC in them",
					     g_strerror(facts->machine_errno)),
			     remedy_namespaces(facts));
}

static void add_landlock(struct findings *findings, const struct landlock_facts *facts)
{
	static const char key[] = "landlock", title[] = "Landlock";
	const char *remedy = REMEDY_SECCOMP;

	if (facts->abi > 0) {
		findings_add(findings, key, title, FINDING_OK, g_strdup_printf("ABI %d", facts->abi), NULL);
		return;
	}
	if (facts->errnum == EOPNOTSUPP)
		remedy = "it is built in but off: boot with landlock added to the list lsm= "
			 "(/sys/kernel/security/lsm has today's)";
	else if (facts->errnum == ENOSYS)
		remedy = "boot a kernel with CONFIG_SECURITY_LANDLOCK";
	findings_add(findings, key, title, FINDING_WARNING,
		     g_strdup_printf("none: %s; the sandbox is weaker", g_strerror(facts->errnum)), g_strdup(remedy));
}

static void add_seccomp(struct findings *findings, const struct seccomp_facts *facts)
{
	static const char key[] = "seccomp", title[] = "seccomp";

	if (facts->errnum == 0)
		findings_add(findings, key, title, FINDING_OK, g_strdup("a thread can be kept to the system calls that it needs"), NULL);
	else
		findings_add(findings, key, title, FINDING_WARNING,
			     g_strdup_printf("none: %s; the sandbox is weaker", g_strerror(facts->errnum)),
			     g_strdup(facts->errnum == EPERM ? REMEDY_SECCOMP : "boot a kernel with CONFIG_SECCOMP_FILTER"));
}

/* What guest RAM on it is safe from: --memory-backing=guest_memfd. */
static void add_direct_map(struct findings *findings, uint64_t flags)
{
#ifdef GUEST_MEMFD_FLAG_NO_DIRECT_MAP
	bool offered = flags & GUEST_MEMFD_FLAG_NO_DIRECT_MAP;
#else
	bool offered = false;

	(void)flags;
#endif
	findings_add(findings, "guest_memfd_direct_map", "  direct map", offered ? FINDING_OK : FINDING_INFO,
		     g_strdup(offered ? "guest memory can be taken out of it" :
					"guest memory stays in it: this KVM offers nothing else"), NULL);
}

static void add_guest_memfd(struct findings *findings, const struct kvm_facts *kvm)
{
	static const char key[] = "guest_memfd", title[] = "guest_memfd";
	const uint64_t wanted = GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED;
	uint64_t unnamed = kvm->guest_memfd_flags;

	if (kvm->open_errno != 0 || kvm->stat_errno != 0) {
		findings_add(findings, key, title, FINDING_UNKNOWN, g_strdup("cannot be asked without /dev/kvm"), NULL);
		return;
	}
	if (!kvm->has_guest_memfd)
		findings_add(findings, key, title, FINDING_WARNING, g_strdup("none: no memory of it can be lent"),
			     g_strdup("boot Linux 6.18 or newer with CONFIG_KVM_GUEST_MEMFD"));
	else if (wanted & ~kvm->guest_memfd_flags)
		findings_add(findings, key, title, FINDING_WARNING,
			     g_strdup("without both of its flags: no memory of it can be lent"),
			     g_strdup("boot Linux 6.18 or newer"));
	else
		findings_add(findings, key, title, FINDING_OK, g_strdup("can be mapped: its memory can be lent, or be a guest's"), NULL);
	if (kvm->has_guest_memfd)
		add_direct_map(findings, kvm->guest_memfd_flags);
	for (size_t i = 0; i < N_GUEST_MEMFD_FLAGS; i++) {
		const struct flag_name *flag = &GUEST_MEMFD_FLAGS[i];
		g_autofree char *lower = g_ascii_strdown(flag->name, -1);
		g_autofree char *flag_key = g_strdup_printf("guest_memfd_%s", lower);
		g_autofree char *flag_title = g_strdup_printf("  %s", flag->name);
		bool has = kvm->guest_memfd_flags & flag->flag;

		findings_add(findings, flag_key, flag_title,
			     has                   ? FINDING_OK
			     : wanted & flag->flag ? FINDING_WARNING
						   : FINDING_INFO,
			     g_strdup(has ? "flag of guest_memfd" : "flag of guest_memfd: not offered"), NULL);
		unnamed &= ~flag->flag;
	}
	if (unnamed)
		findings_add(findings, "guest_memfd_unnamed", "  other flags", FINDING_INFO,
			     g_strdup_printf("0x%" PRIx64 ": newer than this dom1", unnamed), NULL);
}

static void add_userfaultfd(struct findings *findings, const struct userfaultfd_facts *facts)
{
	static const char key[] = "userfaultfd", title[] = "userfaultfd";

	if (facts->user_mode_errno == ENOSYS)
		findings_add(findings, key, title, FINDING_WARNING,
			     g_strdup("not in this kernel: no memory can be lent"),
			     g_strdup("boot a kernel with CONFIG_USERFAULTFD"));
	else if (facts->user_mode_errno)
		findings_add(findings, key, title, FINDING_WARNING,
			     g_strdup_printf("refused: %s; no memory can be lent", g_strerror(facts->user_mode_errno)),
			     g_strdup(REMEDY_SECCOMP));
	else if (!facts->has_poison)
		findings_add(findings, key, title, FINDING_WARNING,
			     g_strdup("too old for lent memory: no UFFDIO_POISON"),
			     g_strdup("boot Linux 6.6 or newer"));
	else
		findings_add(findings, key, title, FINDING_OK,
			     g_strdup("allowed for user mode, with POISON: memory can be lent"), NULL);
}

/* Lending gets by without: this is for those who compare, or lend by other means. */
static void add_full_userfaultfd(struct findings *findings, const struct userfaultfd_facts *facts)
{
	g_autofree char *control = facts->unprivileged == FACT_UNKNOWN ? g_strdup("not there")
								       : g_strdup_printf("%d", facts->unprivileged);

	if (facts->user_mode_errno == 0 && facts->guest_memfd_errno != ENODEV)
		findings_add(findings, "userfaultfd_guest_memfd", "  for guest_memfd",
			     facts->guest_memfd_errno == 0 ? FINDING_OK : FINDING_INFO,
			     facts->guest_memfd_errno == 0 ?
				     g_strdup("lent pages of guest RAM can come and go within one mapping") :
				     g_strdup_printf("not offered (%s): lent guest RAM takes a mapping per page",
						     g_strerror(facts->guest_memfd_errno)),
			     NULL);
	findings_add(
		findings, "userfaultfd_kernel", "  for the kernel", FINDING_INFO,
		g_strdup_printf("%s (vm.unprivileged_userfaultfd is %s); not needed",
				facts->full_errno ? "not allowed" : "allowed", control),
		facts->full_errno == EPERM && facts->unprivileged == 0 && facts->device_errno
			? g_strdup("as root: sysctl vm.unprivileged_userfaultfd=1, or give this user /dev/userfaultfd")
			: NULL);
	findings_add(findings, "userfaultfd_device", "  /dev/userfaultfd", FINDING_INFO,
		     g_strdup_printf("%s; not needed", facts->device_errno ? g_strerror(facts->device_errno) : "opens"),
		     NULL);
}

static char *remedy_io_uring(const struct io_uring_facts *facts)
{
	if (facts->setup_errno == ENOSYS)
		return g_strdup("boot a kernel with CONFIG_IO_URING");
	if (facts->setup_errno == ENOMEM)
		return g_strdup("raise the limit on locked memory: ulimit -l");
	if (facts->setup_errno == EMFILE || facts->setup_errno == ENFILE)
		return g_strdup("raise the limit on open files: ulimit -n");
	if (facts->disabled == 2)
		return g_strdup("as root: sysctl kernel.io_uring_disabled=0");
	if (facts->disabled == 1 && facts->group > 0)
		return g_strdup_printf(
			"have this user added to the group %d, which kernel.io_uring_group names; or as root: "
			"sysctl kernel.io_uring_disabled=0",
			facts->group);
	if (facts->disabled == 1)
		return g_strdup(
			"as root: sysctl kernel.io_uring_disabled=0, or set kernel.io_uring_group to a group of yours");
	return g_strdup(REMEDY_SECCOMP);
}

static void add_io_uring(struct findings *findings, const struct io_uring_facts *facts)
{
	static const char key[] = "io_uring", title[] = "io_uring";
	g_autofree char *control =
		facts->disabled == FACT_UNKNOWN ? g_strdup("not there") : g_strdup_printf("%d", facts->disabled);

	if (facts->setup_errno == 0)
		findings_add(findings, key, title, FINDING_OK,
			     g_strdup_printf("allowed (kernel.io_uring_disabled is %s)", control), NULL);
	else
		findings_add(findings, key, title, FINDING_WARNING,
			     g_strdup_printf("%s (kernel.io_uring_disabled is %s); disks do without",
					     g_strerror(facts->setup_errno), control),
			     remedy_io_uring(facts));
}

void findings_add_optional(struct findings *findings, const struct host_facts *facts)
{
	add_namespaces(findings, &facts->namespaces);
	add_landlock(findings, &facts->landlock);
	add_seccomp(findings, &facts->seccomp);
	add_guest_memfd(findings, &facts->kvm);
	add_userfaultfd(findings, &facts->userfaultfd);
	add_full_userfaultfd(findings, &facts->userfaultfd);
	add_io_uring(findings, &facts->io_uring);
}
