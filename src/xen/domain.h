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
#include "xen/pages.h"
#include "xen/shim_log.h"

struct vm;

struct xen_domain_config {
	unsigned int max_grant_frames;
	int shim_log_fd; /* -1: none. Borrowed */
	const char *uuid; /* 36 characters */
};

struct xen_domain {
	struct vm *vm;
	pthread_mutex_t lock;
	struct evtchn_table events;  /* under lock */
	struct evtchn_kvm *events_kvm; /* under lock */
	struct pages pages;          /* under lock: shared_info and grant frames */
	uint32_t timer_port[EVTCHN_MAX_VCPUS]; /* under lock: of VIRQ_TIMER, as the kernel knows it; 0: none */

	/* Fixed before the first vCPU runs. */
	uint32_t console_port;
	uint32_t xenstore_port;
	uint8_t uuid[16];

	_Atomic uint64_t callback; /* HVM_PARAM_CALLBACK_IRQ as the guest set it */

	struct shim_log shim_log; /* has a lock of its own: it writes to a file */
};

/* The VM must have memory and its descriptor. NULL and DOM1_STATUS_HOST. */
struct xen_domain *xen_domain_new(struct vm *vm, const struct xen_domain_config *config, GError **error);
void xen_domain_free(struct xen_domain *xen); /* no vCPU thread is left */
