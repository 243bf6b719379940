// SPDX-License-Identifier: MIT
#include "sandbox/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sandbox/sandbox_internal.h"
#include "vmm/error.h"
#include "vmm/record.h"

/* Control clients, devices plugged later: more than all of them, and far from what would hurt the host. */
#define FILES_MAX 2048

const char *const SANDBOX_LAYER_NAMES[] = {
	[SANDBOX_UNPRIVILEGED_USER] = "unprivileged_user",
	[SANDBOX_USER_NAMESPACE] = "user_namespace",
	[SANDBOX_NETWORK_NAMESPACE] = "network_namespace",
	[SANDBOX_IPC_NAMESPACE] = "ipc_namespace",
	[SANDBOX_PID_NAMESPACE] = "pid_namespace",
	[SANDBOX_EMPTY_ROOT] = "empty_root",
	[SANDBOX_LANDLOCK] = "landlock",
	[SANDBOX_NO_CAPABILITIES] = "no_capabilities",
	[SANDBOX_LIMITS] = "limits",
	[SANDBOX_SECCOMP] = "seccomp",
};

static void note(const struct sandbox *sandbox, enum sandbox_layer layer, bool holds)
{
	if (holds)
		atomic_fetch_or(&sandbox->record->sandbox_layers, UINT32_C(1) << layer);
}

uid_t sandbox_user(void)
{
	return geteuid() == 0 ? SANDBOX_USER_BASE + (uid_t)getpid() : 0;
}

bool sandbox_is_user(uid_t uid)
{
	return uid >= SANDBOX_USER_BASE && uid - SANDBOX_USER_BASE < SANDBOX_USER_RANGE;
}

/* What root may do is kept: where it may make no user namespace, it makes the others by that. sandbox_lock_down() ends it. */
static bool become_user(uid_t uid)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct capabilities[_LINUX_CAPABILITY_U32S_3];

	return syscall(SYS_capget, &header, capabilities) == 0 && prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0 &&
	       setgroups(0, NULL) == 0 && setresgid(SANDBOX_USER_BASE, SANDBOX_USER_BASE, SANDBOX_USER_BASE) == 0 &&
	       setresuid(uid, uid, uid) == 0 && syscall(SYS_capset, &header, capabilities) == 0;
}

void sandbox_enter_namespaces(const struct sandbox *sandbox)
{
	if (sandbox->mode == SANDBOX_OFF)
		return;
	note(sandbox, SANDBOX_UNPRIVILEGED_USER, geteuid() != 0 || (sandbox->uid != 0 && become_user(sandbox->uid)));
	/* With a user namespace no privilege is needed for the others. Root may be refused that one, and gets by without. */
	bool user = unshare(CLONE_NEWUSER) == 0;

	note(sandbox, SANDBOX_USER_NAMESPACE, user);
	note(sandbox, SANDBOX_NETWORK_NAMESPACE, unshare(CLONE_NEWNET) == 0);
	note(sandbox, SANDBOX_IPC_NAMESPACE, unshare(CLONE_NEWIPC | CLONE_NEWUTS) == 0);
	note(sandbox, SANDBOX_PID_NAMESPACE, unshare(CLONE_NEWPID) == 0);
}

/*
 * Nothing is in the new root, and the old one is not in the namespace any more. What is open stays open. pivot_root(2)
 * has the way to do it without a folder for the old root. Everybody may search it: who we are has no name in the new user namespace,
 * so its capabilities do not count for the folder.
 */
static bool empty_root(void)
{
	return unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mount("none", "/proc", "tmpfs", MS_NODEV | MS_NOEXEC | MS_NOSUID, "nr_inodes=1,mode=555") == 0 &&
	       chdir("/proc") == 0 && syscall(SYS_pivot_root, ".", ".") == 0 && umount2(".", MNT_DETACH) == 0 &&
	       mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NODEV | MS_NOEXEC | MS_NOSUID, NULL) == 0 && chdir("/") == 0;
}

static bool allow_below(int ruleset, int folder_fd, uint64_t access)
{
	const struct landlock_path_beneath_attr rule = { .allowed_access = access, .parent_fd = folder_fd };

	return folder_fd < 0 || syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0;
}

/* Every right that the kernel knows is asked for, and none given but to clean up. */
static bool restrict_files(const struct sandbox_folders *folders)
{
	const long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	struct landlock_ruleset_attr rights = { .handled_access_fs = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1 };

	if (abi < 1)
		return false;
	rights.handled_access_fs |= abi >= 2 ? LANDLOCK_ACCESS_FS_REFER : 0;
	rights.handled_access_fs |= abi >= 3 ? LANDLOCK_ACCESS_FS_TRUNCATE : 0;
	rights.handled_access_net = abi >= 4 ? LANDLOCK_ACCESS_NET_BIND_TCP | LANDLOCK_ACCESS_NET_CONNECT_TCP : 0;
	rights.scoped = abi >= 6 ? LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | LANDLOCK_SCOPE_SIGNAL : 0;

	int ruleset = (int)syscall(SYS_landlock_create_ruleset, &rights, sizeof(rights), 0);
	bool done = ruleset >= 0 && allow_below(ruleset, folders->folder_fd, LANDLOCK_ACCESS_FS_REMOVE_FILE) &&
		    allow_below(ruleset, folders->parent_fd, LANDLOCK_ACCESS_FS_REMOVE_DIR) &&
		    syscall(SYS_landlock_restrict_self, ruleset, 0) == 0;

	if (ruleset >= 0)
		close(ruleset);
	return done;
}

/* Also those of the namespace of its own, with which mounting began. */
static bool drop_capabilities(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	const struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { { 0 } };

	for (int capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; capability++)
		(void)prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	return syscall(SYS_capset, &header, none) == 0;
}

static bool lower_limit(enum __rlimit_resource resource, rlim_t most)
{
	struct rlimit limit;

	if (getrlimit(resource, &limit) != 0)
		return false;
	limit.rlim_max = MIN(limit.rlim_max, most);
	limit.rlim_cur = limit.rlim_max;
	return setrlimit(resource, &limit) == 0;
}

static bool check_strict(const struct sandbox *sandbox, GError **error)
{
	const uint32_t layers = atomic_load(&sandbox->record->sandbox_layers);

	for (unsigned int layer = 0; sandbox->mode == SANDBOX_STRICT && layer < SANDBOX_N_LAYERS; layer++)
		if (!(layers & UINT32_C(1) << layer)) {
			g_set_error(error, DOM1_ERROR, DOM1_STATUS_HOST,
				    "--sandbox=strict: this host does not give the machine its layer %s: dom1 check says more",
				    SANDBOX_LAYER_NAMES[layer]);
			return false;
		}
	return true;
}

bool sandbox_lock_down(const struct sandbox *sandbox, const struct sandbox_folders *folders, GError **error)
{
	if (sandbox->mode == SANDBOX_OFF)
		return true;
	note(sandbox, SANDBOX_EMPTY_ROOT, empty_root());
	/* Landlock wants this, and so does seccomp. It cannot fail. */
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	note(sandbox, SANDBOX_LANDLOCK, restrict_files(folders));
	note(sandbox, SANDBOX_NO_CAPABILITIES, drop_capabilities());
	/* No core: the guest's memory would be in it. */
	note(sandbox, SANDBOX_LIMITS, lower_limit(RLIMIT_CORE, 0) && lower_limit(RLIMIT_NOFILE, FILES_MAX));
	/* The filters themselves come when there are threads. */
	note(sandbox, SANDBOX_SECCOMP, sandbox_watch_violations(sandbox));
	return check_strict(sandbox, error);
}
