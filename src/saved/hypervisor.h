// SPDX-License-Identifier: MIT
/* What the hypervisor keeps of a saved domain beside its vCPUs: struct xen_domain and KVM's side of it. Pure. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "saved/bytes.h"
#include "saved/domain.h"
#include "xen/evtchn.h"
#include "xen/hvm_params.h"
#include "xen/pages.h"
#include "xen/timers.h"

/* Delays from the moment it was saved; UINT64_MAX: not set. */
struct saved_timers {
	uint64_t singleshot_ns[EVTCHN_MAX_VCPUS];
	uint64_t periodic_ns[EVTCHN_MAX_VCPUS];
	uint64_t period_ns[EVTCHN_MAX_VCPUS]; /* 0: not set */
	uint64_t watchdog_ns[TIMERS_N_WATCHDOGS];
};

struct saved_hypervisor {
	bool is_64bit; /* of shared_info */
	uint8_t upcall_vector; /* of the domain; 0: none */
	bool has_runstate_flag;
	uint32_t xenstore_port, console_port;
	uint64_t shim_pages;
	struct evtchn_table events;
	uint32_t n_grant_frames, grant_version;
	uint64_t page_gfns[PAGES_MAX]; /* PAGES_NOWHERE: not shown */
	uint64_t params[HVM_NR_PARAMS];
	struct saved_timers timers;
	/* In the order of struct pages, n_pages of them; and a bit for each page that the guest has given back, NULL: it has all. */
	const uint8_t *pages;
	const uint8_t *absent;
	size_t absent_bytes;
};

void saved_hypervisor_write(GByteArray *to, const struct saved_hypervisor *hypervisor, unsigned int n_pages);
/* FALSE: it is damaged, or not of a domain of this kind. What it points to is the section's. */
bool saved_hypervisor_read(struct saved_hypervisor *hypervisor, struct saved_cursor from, const struct saved_domain *domain);
