// SPDX-License-Identifier: MIT
/*
 * What all parts of a running machine share. One struct vm is one start of the domain: a restart makes a new one.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmm/record.h"
#include "vmm/trace.h"
#include "vmm/vcpu.h"
#include "vmm/worker.h"

struct guest_memory;
struct lending;
struct peer;
struct pci_host;
struct xen_domain;

#define VM_MAX_VCPUS RECORD_MAX_VCPUS
#define VM_MAX_WINDOWS 8u /* SPACE_MAX_WINDOWS */
#define VM_MAX_VHOSTS  4u /* VHOST_MAX_DEVICES */

/* The machine's threads but main and I/O. They outlive the VM; those that the domain does not need are NULL. */
struct vm_workers {
	struct worker *vcpus[VM_MAX_VCPUS];
	struct worker *mapper; /* changes what is where in guest memory, for whoever asks */
	struct worker *loader;
	struct worker *memory; /* lend windows */
	struct worker *flush[VM_MAX_WINDOWS]; /* virtio-pmem: of these lend windows */
	struct worker *vhost[VM_MAX_VHOSTS];  /* vhost-user: of these devices */
	struct worker *lender, *lender_calls; /* a guest that lends: what comes from the borrower, and what goes there */
};

struct vm {
	int vm_fd;
	const struct vm_workers *workers; /* NULL in tests: who needs one makes it */
	struct guest_memory *memory;
	struct record *record;
	struct trace trace;
	struct xen_domain *xen;
	struct lending *lending; /* NULL: there is no lend window */
	struct peer *peer;       /* NULL: the guest lends to nobody */
	struct pci_host *pci;    /* NULL: there is no PCI */
	struct vcpu vcpus[VM_MAX_VCPUS];
	unsigned int n_vcpus;
	bool has_shim; /* the guest runs in ring 3 of a shim, and not by itself */
	uint32_t tsc_khz;
	uint32_t xen_version;
	size_t vcpu_mmap_bytes;

	_Atomic bool stopping;      /* no vCPU enters the guest any more */
	_Atomic bool soft_reset;    /* stopping, and to go on afterwards */
	_Atomic uint32_t halt_look; /* counts the looks of halt_watch.h */
	int stop_fd;                /* eventfd: wakes the main thread, which then tears down */
	pthread_mutex_t calls_lock; /* of every vCPU's calls, paused, alone; innermost */
	bool paused;
	bool is_alone;              /* under calls_lock: one, or nobody, is; all others rest, or are asked to */
	unsigned int n_busy;        /* under calls_lock: vCPU threads that do not rest */
	unsigned int n_paused;      /* under calls_lock: those that are between two entries of the guest, and stay there */
	pthread_cond_t calls_changed;
};

/*
 * The domain ends, for the reason given; the first reason wins. Any thread; returns at once. A vCPU thread that calls
 * it must go back to its loop, which leaves.
 */
void vm_end(struct vm *vm, enum outcome outcome, uint32_t status, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* The domain stops, is reset but for its memory and the registers of its vCPUs, and goes on. As vm_end(). */
void vm_soft_reset(struct vm *vm);
