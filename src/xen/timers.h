// SPDX-License-Identifier: MIT
/*
 * Timers that KVM does not have: the periodic one of each vCPU, its singleshot one as long as KVM does not know the port
 * of its VIRQ_TIMER, and the domain's watchdogs. One timerfd on the main loop serves the earliest of them.
 *
 * Thread: any, under the domain's lock; expiry is the main thread's, which takes the lock itself.
 * Source: VCPUOP_*_timer of <xen/vcpu.h>, SCHEDOP_watchdog of <xen/sched.h>.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "xen/evtchn.h"

struct saved_timers;
struct xen_domain;

#define TIMERS_N_WATCHDOGS 2u /* as many as Xen has */

struct timers {
	int fd; /* -1: not there */
	guint source;
	uint64_t singleshot_ns[EVTCHN_MAX_VCPUS]; /* CLOCK_MONOTONIC; 0: not set */
	uint64_t periodic_ns[EVTCHN_MAX_VCPUS];
	uint64_t period_ns[EVTCHN_MAX_VCPUS];
	uint64_t watchdog_ns[TIMERS_N_WATCHDOGS]; /* 0: not in use */
};

/* In the main thread. FALSE and errno. */
bool timers_init(struct xen_domain *xen);
void timers_fini(struct xen_domain *xen);

/* Delays from now on; UINT64_MAX stops the timer. */
void timers_set_singleshot(struct xen_domain *xen, unsigned int vcpu, uint64_t delay_ns);
/* 0 stops it. */
void timers_set_period(struct xen_domain *xen, unsigned int vcpu, uint64_t period_ns);

void timers_stop_all(struct xen_domain *xen);

/* As delays from now on, and to delays from now on. Main thread. */
void timers_save(const struct xen_domain *xen, struct saved_timers *saved);
void timers_restore(struct xen_domain *xen, const struct saved_timers *saved);

/* Xen's answer to SCHEDOP_watchdog: the id of a new one, 0, or a negative errno. */
int timers_watchdog(struct xen_domain *xen, uint32_t id, uint32_t timeout_s);
