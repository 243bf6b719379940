// SPDX-License-Identifier: MIT
/*
 * Asks the host. Each probe tries the thing itself where that leaves nothing behind, instead of guessing from versions
 * and settings: a container, a security module or a distribution may have the last word. None of them waits for
 * anybody or writes to a file.
 */
#pragma once

#include "check/facts.h"

/* One function for each part of struct host_facts; a test puts its own in their place. */
struct host_probes {
	void (*system)(struct system_facts *facts);
	void (*kvm)(struct kvm_facts *facts);
	void (*userfaultfd)(struct userfaultfd_facts *facts);
	void (*io_uring)(struct io_uring_facts *facts);
	void (*namespaces)(struct namespace_facts *facts);
	void (*landlock)(struct landlock_facts *facts);
	void (*seccomp)(struct seccomp_facts *facts);
	/* named: --shim, or NULL. */
	void (*shims)(struct host_facts *facts, const char *named);
	/* Fills in all but the path. */
	void (*kernel)(struct kernel_facts *facts);
};

/* The real ones. The process has one thread. */
extern const struct host_probes HOST_PROBES;

/* shim_option, kernel_path: what was named, or NULL. facts: to host_facts_clear(). */
void host_facts_gather(struct host_facts *facts, const struct host_probes *probes, const char *shim_option,
		       const char *kernel_path);

/* System calls: newfstatat, openat, read, close, getgroups, ioctl. */
void probe_kvm(struct kvm_facts *facts);

/* System calls: uname. */
void probe_system(struct system_facts *facts);
/* System calls: userfaultfd, ioctl, openat, read, mmap, munmap, fcntl, close. */
void probe_userfaultfd(struct userfaultfd_facts *facts);
/* System calls: io_uring_setup, openat, read, close. */
void probe_io_uring(struct io_uring_facts *facts);
/* System calls: pipe2, clone, wait4, openat, read, close; in the child unshare, alarm, write. */
void probe_namespaces(struct namespace_facts *facts);
/* System calls: landlock_create_ruleset. */
void probe_landlock(struct landlock_facts *facts);
/* System calls: seccomp. */
void probe_seccomp(struct seccomp_facts *facts);

/* System calls: those of shim_find() and mapped_file_open(). */
void probe_shims(struct host_facts *facts, const char *named);
/* The same with all it depends on, as shim_find_in(). */
void probe_shims_in(struct host_facts *facts, const char *root, const char *named, const char *env);
/* System calls: those of kernel_load() without its cache. */
void probe_kernel(struct kernel_facts *facts);
