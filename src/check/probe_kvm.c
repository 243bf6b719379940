// SPDX-License-Identifier: MIT
/*
 * /dev/kvm: whose it is, whether it opens, and what KVM says of itself.
 *
 * Names come from /etc/passwd and /etc/group, never from getgrgid(): a directory service that is down would make it
 * wait. Devices belong to system users, which are in these files.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check/probe.h"
#include "vmm/kvm.h"

#define KVM_DEVICE "/dev/kvm"

static char *user_name(uid_t uid)
{
	FILE *file = fopen("/etc/passwd", "re");
	const struct passwd *user;
	char *name = NULL;

	while (file && !name && (user = fgetpwent(file)) != NULL)
		if (user->pw_uid == uid)
			name = g_strdup(user->pw_name);
	if (file)
		fclose(file);
	return name;
}

/* *lists: is member in the group's list? */
static char *group_name(gid_t gid, const char *member, bool *lists)
{
	FILE *file = fopen("/etc/group", "re");
	const struct group *group;
	char *name = NULL;

	*lists = false;
	while (file && !name && (group = fgetgrent(file)) != NULL) {
		if (group->gr_gid != gid)
			continue;
		name = g_strdup(group->gr_name);
		for (char **listed = group->gr_mem; member && *listed; listed++)
			*lists |= g_str_equal(*listed, member);
	}
	if (file)
		fclose(file);
	return name;
}

static bool process_has_group(gid_t gid)
{
	int n = getgroups(0, NULL);
	g_autofree gid_t *groups = n > 0 ? g_new(gid_t, (gsize)n) : NULL;

	if (n > 0)
		n = getgroups(n, groups);
	for (int i = 0; i < n; i++)
		if (groups[i] == gid)
			return true;
	return getegid() == gid;
}

static bool ask_who_may(struct kvm_facts *facts)
{
	struct stat status;
	g_autofree char *me = user_name(getuid());

	facts->stat_errno = stat(KVM_DEVICE, &status) == 0 ? 0 : errno;
	if (facts->stat_errno)
		return false;
	facts->is_device = S_ISCHR(status.st_mode);
	facts->mode = status.st_mode & 07777;
	facts->uid = status.st_uid;
	facts->gid = status.st_gid;
	facts->owner = user_name(status.st_uid);
	facts->group = group_name(status.st_gid, me, &facts->listed_in_group);
	facts->has_group = process_has_group(status.st_gid);
	return facts->is_device;
}

/* An empty VM, gone with its descriptor. EBUSY is the usual reason why there is none: another hypervisor. */
static int try_vm(int kvm_fd)
{
	int vm_fd;

	do
		vm_fd = ioctl(kvm_fd, KVM_CREATE_VM, 0);
	while (vm_fd < 0 && errno == EINTR);
	if (vm_fd < 0)
		return errno;
	close(vm_fd);
	return 0;
}

void probe_kvm(struct kvm_facts *facts)
{
	g_autoptr(GError) error = NULL;

	*facts = (struct kvm_facts){ .open_errno = ENODEV };
	if (!ask_who_may(facts))
		return;
	int fd = open(KVM_DEVICE, O_RDWR | O_CLOEXEC | O_NONBLOCK);

	facts->open_errno = fd < 0 ? errno : 0;
	if (fd < 0)
		return;
	/* These two describe the kernel also where a flag is missing; -1 is an old kernel's answer. */
	int memfd_flags = ioctl(fd, KVM_CHECK_EXTENSION, KVM_CAP_GUEST_MEMFD_FLAGS);
	facts->has_guest_memfd = ioctl(fd, KVM_CHECK_EXTENSION, KVM_CAP_GUEST_MEMFD) > 0;
	facts->guest_memfd_flags = memfd_flags > 0 ? (uint64_t)memfd_flags : 0;
	facts->create_vm_errno = try_vm(fd);
	close(fd);

	/* dom1 run asks in this way; so the two cannot disagree. */
	fd = kvm_open(&facts->xen_flags, &error);
	if (fd >= 0)
		close(fd);
	else
		facts->refusal = g_strdup(error->message);
}
