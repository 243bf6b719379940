// SPDX-License-Identifier: MIT
/*
 * The memory thread: it owns the windows of a domain, changes what they show, and talks to lenders. It waits for nobody: a
 * lender's request is done in steps, a vCPU's report is a slot that it looks at when it is told to.
 *
 * vCPU threads report and wait, outside KVM_RUN, where they go on serving vcpu_call(), can be paused and can be ended.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <glib.h>

#include "lend/space.h"

struct lending;
struct sandbox;
struct worker;
struct vcpu;
struct vm;

enum lending_place {
	LENDING_AT_ADDRESS, /* always there */
	LENDING_AT_PCI,     /* the BAR of a PCI function: where the guest puts it */
	LENDING_AT_PMEM,    /* the same, and the function is a virtio-pmem */
	LENDING_AT_RAM,     /* it is the guest's RAM: lend/lent_ram.h */
	LENDING_AT_VHOST,   /* the same, and the function is a vhost-user back end's, who lends what it shows */
};

/* As a person asked for it; the gpa is settled by layout_add_window() and layout_add_bridge(). */
struct lending_window {
	uint64_t gpa; /* else of the BAR, at first */
	uint64_t len_bytes; /* a multiple of 2 MiB; of a BAR a power of two */
	enum lend_action on_fail; /* while nobody lends */
	enum lending_place place;
};

struct lending_config {
	const struct lending_window *windows;
	size_t n_windows; /* 1 to SPACE_MAX_WINDOWS */
	int listen_fd;    /* non-blocking; borrowed */
	const int *lender_fds; /* connections that are there from the start, n_lenders of them; taken over, in either case */
	size_t n_lenders;
	size_t max_mappings;
};

/* The memory thread, for vm->workers. DOM1_STATUS_HOST. */
struct worker *lending_worker(const struct sandbox *sandbox, GError **error);

/* Main thread, before the first vCPU runs; KVM gets its memslots here. DOM1_STATUS_HOST. */
struct lending *lending_new(struct vm *vm, const struct lending_config *config, GError **error);
/* Main thread, after the last vCPU: everything is revoked, then lenders are told. */
void lending_free(struct lending *lending);
/* Main thread, while no vCPU runs: the windows are as at the start, their lenders stay. */
void lending_reset(struct lending *lending);

/*
 * A window that is not always there: from now on it is at gpa, where nothing else is, or SPACE_NOWHERE. While no vCPU is in
 * the guest. 0 or a positive errno, and then it is nowhere. What is lent in it stays lent.
 */
int lending_place(struct lending *lending, unsigned int window, uint64_t gpa);

/*
 * What is lent in the window is written to its files' devices. 0 or a positive errno. Any thread that may wait for a disk;
 * nobody waits for it: a revoke meanwhile is as ever.
 */
int lending_sync(const struct lending *lending, unsigned int window);

/* The vCPU's own thread. */
void lending_vcpu_starts(struct vcpu *vcpu);
/* KVM_RUN failed with this errno. FALSE: that was not for a window; else it is to be run again. */
bool lending_on_failed_run(struct vcpu *vcpu, int error);
/* KVM_EXIT_MMIO. FALSE: its address is not in a window. */
bool lending_on_mmio(struct vcpu *vcpu);
/*
 * KVM could not read an instruction at the vCPU's place, whose page, or one of the tables that lead there, is not there: all are
 * waited for. TRUE: it was one that KVM had carried out, and its place is the next one now. FALSE: it may be tried again.
 */
bool lending_on_failed_emulation(struct vcpu *vcpu);
