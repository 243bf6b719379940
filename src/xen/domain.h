// SPDX-License-Identifier: MIT
/*
 * The domain as the hypervisor sees it: what dom1 keeps so that the guest finds a Xen.
 *
 * One lock covers the event-channel table, KVM's copy of it, and the pages the guest may place. It is held for short
 * stretches, never while waiting for a vCPU, a guest or a file.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "xen/evtchn.h"
#include "xen/evtchn_kvm.h"
#include "xen/grant.h"
#include "xen/grant_map.h"
#include "xen/hvm_params.h"
#include "xen/pages.h"
#include "xen/reservation.h"
#include "xen/shim_log.h"
#include "xen/timers.h"

struct inject_plan;
struct vm;
struct vcpu;

#define SHUTDOWN_CODE_NONE (-1)

struct xen_domain_config {
	unsigned int max_grant_frames;
	unsigned int max_event_channels; /* the highest port, as in xl.cfg; 0: as many as the ABI has */
	int shim_log_fd; /* -1: none. Borrowed */
	const char *uuid; /* 36 characters */
	const struct inject_plan *inject; /* NULL: nothing is done to its events. Borrowed */
};

struct xen_domain {
	struct vm *vm;
	pthread_mutex_t lock;
	struct evtchn_table events;  /* under lock */
	struct evtchn_kvm *events_kvm; /* under lock */
	uint32_t max_ports;          /* of the domain; the layout of shared_info may allow fewer */
	struct pages pages;          /* under lock: shared_info and grant frames */
	struct grant_table grants;   /* under lock */
	struct grant_maps maps;      /* under lock */
	struct reservation reservation; /* under lock */
	struct timers timers;        /* under lock */
	struct hvm_params params;    /* under lock */
	uint32_t timer_port[EVTCHN_MAX_VCPUS]; /* under lock: of VIRQ_TIMER, as the kernel knows it; 0: none */

	/* Fixed before the first vCPU runs. */
	uint32_t console_port;
	uint32_t xenstore_port;
	uint8_t uuid[16];

	_Atomic int shutdown_code; /* SHUTDOWN_*, the first that the guest named */
	_Atomic uint64_t unknown_reported_ns; /* when the last hypercall that does not exist was reported */

	struct shim_log shim_log; /* has a lock of its own: it writes to a file */
};

/* The VM must have memory and its descriptor. NULL and DOM1_STATUS_HOST. */
struct xen_domain *xen_domain_new(struct vm *vm, const struct xen_domain_config *config, GError **error);
void xen_domain_free(struct xen_domain *xen); /* no vCPU thread is left */

/* KVM keeps events in it from now on. FALSE and DOM1_STATUS_HOST. */
bool xen_domain_activate_shared_info(const struct xen_domain *xen, GError **error);

/*
 * Whether shared_info has the 64-bit layout. The kernel decides when the guest asks for a hypercall page, we do when it
 * sets HVM_PARAM_CALLBACK_IRQ: both by the mode of the calling vCPU, as Xen.
 */
bool xen_domain_is_64bit(const struct xen_domain *xen);
void xen_domain_latch_mode(struct xen_domain *xen, bool is_64bit);

/*
 * As Xen does for kexec in an HVM domain: the guest's memory and its vCPUs' registers stay, and so do what it has given
 * back and the two ports it finds; everything else is as at its start. No vCPU thread runs, and no back end is connected.
 * FALSE and DOM1_STATUS_HOST.
 */
bool xen_domain_soft_reset(struct xen_domain *xen, GError **error);

/* The domain ends for a SHUTDOWN_* reason, or for the one it has named before. Any thread; as vm_end(). */
void sched_shut_down(struct vcpu *vcpu, unsigned int reason);
