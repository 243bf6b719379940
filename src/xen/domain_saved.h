// SPDX-License-Identifier: MIT
/* struct xen_domain to and from what is saved of it (saved/hypervisor.h). Main thread, while all vCPUs rest. */
#pragma once

#include <stdbool.h>

#include <glib.h>

struct saved_hypervisor;
struct xen_domain;

/* FALSE and DOM1_STATUS_USAGE: the guest has done what cannot be saved yet. What saved points to is the domain's. */
bool xen_domain_save(struct xen_domain *xen, struct saved_hypervisor *saved, GError **error);

/* Into a domain that is fresh, before a vCPU has run: all but what KVM does for a vCPU. FALSE and DOM1_STATUS_HOST. */
bool xen_domain_restore(struct xen_domain *xen, const struct saved_hypervisor *saved, GError **error);

/* When the vCPUs have their places of events and their vectors: the ports' side of KVM, and timers. FALSE and DOM1_STATUS_HOST. */
bool xen_domain_restore_delivery(struct xen_domain *xen, const struct saved_hypervisor *saved, GError **error);
