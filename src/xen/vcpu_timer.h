// SPDX-License-Identifier: MIT
/* The timers of a vCPU, as hypercalls. KVM answers set_singleshot and set_timer_op once VIRQ_TIMER is bound. */
#pragma once

#include "xen/hypercall.h"

int64_t vcpu_timer_set_periodic(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call);
int64_t vcpu_timer_stop_periodic(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call);
int64_t vcpu_timer_set_singleshot(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call);
int64_t vcpu_timer_stop_singleshot(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call);

/* Xen's system time: what the guest computes from its vcpu_time_info. 0: the host does not tell. */
uint64_t vcpu_timer_system_time_ns(const struct vcpu *vcpu);
