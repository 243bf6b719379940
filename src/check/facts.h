// SPDX-License-Identifier: MIT
/*
 * What dom1 check knows of a host: plain data. Probes fill it in, findings judge it, and a test writes down a host that
 * nobody has.
 *
 * An errno of 0 says that the thing was tried and works. FACT_UNKNOWN stands for a number that could not be read.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "shim/kernel_image.h"

enum { FACT_UNKNOWN = -1 };

enum cpu_virtualization { CPU_NO_VIRTUALIZATION, CPU_VMX, CPU_SVM };

struct system_facts {
	char kernel_release[65];
	enum cpu_virtualization cpu;
	bool is_virtual; /* CPUID shows a hypervisor */
};

struct kvm_facts {
	int stat_errno; /* of /dev/kvm; what follows to open_errno is good only if it is 0 */
	bool is_device;
	mode_t mode;
	uid_t uid;
	gid_t gid;
	char *owner, *group;   /* NULL: the numbers have no name in /etc/passwd, /etc/group */
	bool has_group;        /* this process has the device's group */
	bool listed_in_group;  /* /etc/group has this user in it */
	int open_errno;
	char *refusal;         /* kvm_open()'s message, NULL: it takes this KVM */
	int create_vm_errno;
	uint32_t xen_flags;
	bool has_guest_memfd;
	uint64_t guest_memfd_flags;
};

struct userfaultfd_facts {
	int user_mode_errno; /* userfaultfd(UFFD_USER_MODE_ONLY) */
	int full_errno;      /* userfaultfd() for faults of the kernel, too */
	bool has_poison;     /* UFFD_FEATURE_POISON */
	int device_errno;    /* opening /dev/userfaultfd */
	int guest_memfd_errno; /* UFFDIO_REGISTER of a guest_memfd's pages as lent RAM wants them; ENODEV: no such memory */
	int unprivileged;    /* vm.unprivileged_userfaultfd */
};

struct io_uring_facts {
	int setup_errno;
	int disabled; /* kernel.io_uring_disabled */
	int group;    /* kernel.io_uring_group */
};

struct namespace_facts {
	int user_errno;    /* a user namespace alone */
	int machine_errno; /* with those that the machine process enters */
	int max_user_namespaces, unprivileged_clone, apparmor_restricts; /* system controls */
};

struct landlock_facts {
	int abi; /* 0: none, and errnum says why */
	int errnum;
};

struct seccomp_facts {
	int errnum; /* 0: filters that tell of a violation can be installed */
};

enum shim_source { SHIM_INSTALLED, SHIM_ENVIRONMENT, SHIM_OPTION };

/* What is inside; --shim may name any file. */
enum shim_kind { SHIM_KIND_NONE, SHIM_KIND_COMPRESSED, SHIM_KIND_FOREIGN, SHIM_KIND_XEN, SHIM_KIND_PV_SHIM };

struct shim_facts {
	char *path;
	enum shim_source source;
	bool selected; /* dom1 run would take this one */
	char *error;   /* why it cannot be read, or NULL */
	enum shim_kind kind;
	bool is_64bit;
	bool has_multiboot, has_pvh; /* entries that dom1 can use */
};

struct kernel_facts {
	char *path; /* NULL: none was named */
	char *error;
	int error_status;
	struct kernel_image image;
	bool has_elf; /* FALSE: an LZO payload, which is not unpacked here */
	struct kernel_elf elf;
	char *refusal; /* pv_check_kernel()'s message, NULL: it can be a PV guest, or nobody knows */
	uint64_t elf_bytes;
};

struct host_facts {
	struct system_facts system;
	struct kvm_facts kvm;
	struct userfaultfd_facts userfaultfd;
	struct io_uring_facts io_uring;
	struct namespace_facts namespaces;
	struct landlock_facts landlock;
	struct seccomp_facts seccomp;
	struct shim_facts *shims; /* n_shims; the selected one first, then the newest */
	size_t n_shims;
	struct kernel_facts kernel;
};

/* Frees what facts own. */
void host_facts_clear(struct host_facts *facts);

/* Does the release begin with a version of at least major.minor? */
bool system_facts_kernel_is(const struct system_facts *facts, unsigned int major, unsigned int minor);
