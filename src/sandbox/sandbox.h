// SPDX-License-Identifier: MIT
/*
 * The machine process locks itself in, without privileges, in stages that its start-up calls by name:
 *
 *   launcher   everything is open
 *   between    sandbox_enter_namespaces(): another user than root; user, network, IPC, UTS, mount and PID namespaces
 *   machine    sandbox_lock_down(): an empty root, Landlock, no capabilities, no new privileges, limits
 *   threads    sandbox_enter_thread(): a seccomp filter for each kind, with the system calls that stand beside the functions
 *              that make them; the main thread's last, which has none that makes a thread
 *
 * What is missing on a host makes the sandbox weaker, and is told: in the report, by dom1 check. With --sandbox=strict it
 * ends the start. A thread that makes another system call ends the domain, with its name and the call's.
 *
 * The filters are made when dom1 is built: make-filters.c, of what collect-rules.py finds in comments.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <glib.h>

struct record;

enum sandbox_mode {
	SANDBOX_ON,     /* what the host allows */
	SANDBOX_OFF,
	SANDBOX_LOG,    /* as on, but system calls outside the filters happen, and are in the kernel's log */
	SANDBOX_STRICT, /* all of it, or no domain */
};

enum sandbox_layer {
	SANDBOX_UNPRIVILEGED_USER, /* of the host's */
	SANDBOX_USER_NAMESPACE,
	SANDBOX_NETWORK_NAMESPACE,
	SANDBOX_IPC_NAMESPACE,
	SANDBOX_PID_NAMESPACE,
	SANDBOX_EMPTY_ROOT,
	SANDBOX_LANDLOCK,
	SANDBOX_NO_CAPABILITIES,
	SANDBOX_LIMITS,
	SANDBOX_SECCOMP,
	SANDBOX_N_LAYERS,
};

extern const char *const SANDBOX_LAYER_NAMES[SANDBOX_N_LAYERS];

enum sandbox_thread {
	SANDBOX_MAIN,
	SANDBOX_VCPU,
	SANDBOX_IO,
	SANDBOX_IO_SYNC, /* without io_uring */
	SANDBOX_MAPPER,
	SANDBOX_LOADER,
	SANDBOX_MEMORY, /* of lend windows */
	SANDBOX_LENDER, /* of a guest that lends */
	SANDBOX_FLUSH,  /* of virtio-pmem */
	SANDBOX_VHOST,  /* of a vhost-user device */
	SANDBOX_N_THREADS,
	SANDBOX_LATER = SANDBOX_N_THREADS, /* only a name for now */
};

/* What the machine is and has: made before the fork, filled on the way. */
struct sandbox {
	enum sandbox_mode mode;
	uid_t uid;             /* what root becomes; 0: it stays what it is */
	struct record *record; /* its layers are noted there */
};

/*
 * A domain of root's has a number for a user that no other domain has, and nobody else: nobody's files are in its reach, and
 * nobody may send it signals. As Xen's xen-qemuuser-range-base and the domain's number, but without an entry that an
 * administrator has to make: the launcher's PID is the second summand. All of them have the first one as their group.
 */
#define SANDBOX_USER_BASE  1677721600u /* 0x64000000: above what systemd, containers and /etc/subuid give out */
#define SANDBOX_USER_RANGE 4194304u    /* PID_MAX_LIMIT of the kernel */

/* For a domain that this process launches; 0: it is not root. */
uid_t sandbox_user(void);
bool sandbox_is_user(uid_t uid);

/*
 * A process with one thread and nothing to lose: it is the parent of the machine, not the machine, since who makes a PID
 * namespace is not in it.
 */
void sandbox_enter_namespaces(const struct sandbox *sandbox);

/* Folders that stay within reach, for removing what is in them; -1: none. */
struct sandbox_folders {
	int folder_fd; /* its files */
	int parent_fd; /* folders in it */
};

/* The machine, while it has one thread. FALSE and DOM1_STATUS_HOST: with SANDBOX_STRICT, something is missing. */
bool sandbox_lock_down(const struct sandbox *sandbox, const struct sandbox_folders *folders, GError **error);

/*
 * The calling thread, at its start, and main when it has made all others. sandbox: NULL in tests, then it only gets its name.
 * name: in ps, and in what is said of a violation; up to 15 bytes. Where the filter cannot be installed although this kernel
 * has filters, the process ends.
 */
void sandbox_enter_thread(const struct sandbox *sandbox, enum sandbox_thread thread, const char *name);

/* The system calls that a thread may make, by name with blanks between them. */
const char *sandbox_calls(enum sandbox_thread thread);
