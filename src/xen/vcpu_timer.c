// SPDX-License-Identifier: MIT
/* Source: <xen/vcpu.h>, HYPERVISOR_set_timer_op of <xen/xen.h>. */
#include "xen/vcpu_timer.h"

#include <sys/ioctl.h>

#include "xen/abi.h"
#include <xen/vcpu.h>

#include "vmm/kvm.h"
#include "vmm/vm.h"
#include "xen/domain.h"
#include "xen/guest_access.h"
#include "xen/timers.h"

#define PERIOD_MIN_NS UINT64_C(1000000)
/* Beyond these a guest has computed something wrong, and Xen ticks soon instead of never. */
#define DELTA_MAX_NS  (UINT64_C(1) << 50)
#define SOON_NS       UINT64_C(100000000)
#define PERIOD_MAX_NS ((UINT64_C(1) << 63) - 1)

/* syscalls(vcpu): ioctl(KVM_GET_CLOCK) */
uint64_t vcpu_timer_system_time_ns(const struct vcpu *vcpu)
{
	struct kvm_clock_data clock = { 0 };

	return ioctl(vcpu->vm->vm_fd, KVM_GET_CLOCK, &clock) == 0 ? clock.clock : 0;
}

static int64_t set(struct xen_domain *xen, struct vcpu *vcpu, uint64_t timeout_abs_ns)
{
	uint64_t now_ns = vcpu_timer_system_time_ns(vcpu);
	uint64_t delay_ns = timeout_abs_ns > now_ns ? timeout_abs_ns - now_ns : 0;

	if ((int64_t)timeout_abs_ns < 0 || delay_ns > DELTA_MAX_NS)
		delay_ns = SOON_NS;
	pthread_mutex_lock(&xen->lock);
	timers_set_singleshot(xen, vcpu->number, delay_ns);
	pthread_mutex_unlock(&xen->lock);
	return 0;
}

static int64_t stop(struct xen_domain *xen, struct vcpu *vcpu)
{
	struct kvm_xen_vcpu_attr attr = { .type = KVM_XEN_VCPU_ATTR_TYPE_TIMER };

	pthread_mutex_lock(&xen->lock);
	timers_set_singleshot(xen, vcpu->number, UINT64_MAX);
	attr.u.timer.port = xen->timer_port[vcpu->number];
	pthread_mutex_unlock(&xen->lock);
	/* Setting KVM's timer anew without a time stops it. Without a port it has none. */
	attr.u.timer.priority = KVM_IRQ_ROUTING_XEN_EVTCHN_PRIO_2LEVEL;
	if (attr.u.timer.port)
		(void)kvm_set_xen_vcpu_attr(vcpu->fd, &attr);
	return 0;
}

int64_t vcpu_timer_set_periodic(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call)
{
	struct vcpu_set_periodic_timer request;

	if (!copy_from_guest(vcpu, &request, call->arguments[2], sizeof(request)))
		return -XEN_EFAULT;
	if (request.period_ns < PERIOD_MIN_NS || request.period_ns > PERIOD_MAX_NS)
		return -XEN_EINVAL;
	pthread_mutex_lock(&xen->lock);
	timers_set_period(xen, (uint32_t)call->arguments[1], request.period_ns);
	pthread_mutex_unlock(&xen->lock);
	return 0;
}

int64_t vcpu_timer_stop_periodic(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call)
{
	(void)vcpu;
	pthread_mutex_lock(&xen->lock);
	timers_set_period(xen, (uint32_t)call->arguments[1], 0);
	pthread_mutex_unlock(&xen->lock);
	return 0;
}

int64_t vcpu_timer_set_singleshot(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call)
{
	struct vcpu_set_singleshot_timer request;

	/* Another vCPU's is not a vCPU's to set. */
	if ((uint32_t)call->arguments[1] != vcpu->number)
		return -XEN_EINVAL;
	if (!read_guest_struct(vcpu, call, ABI_vcpu_set_singleshot_timer, call->arguments[2], &request))
		return -XEN_EFAULT;
	if ((request.flags & VCPU_SSHOTTMR_future) && request.timeout_abs_ns < vcpu_timer_system_time_ns(vcpu))
		return -XEN_ETIME;
	return set(xen, vcpu, request.timeout_abs_ns);
}

int64_t vcpu_timer_stop_singleshot(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call)
{
	return (uint32_t)call->arguments[1] == vcpu->number ? stop(xen, vcpu) : -XEN_EINVAL;
}

/* A 32-bit guest passes the two halves. */
static int64_t set_timer(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call)
{
	uint64_t timeout_ns = call->is_64bit ? call->arguments[0] :
					       (uint32_t)call->arguments[0] | call->arguments[1] << 32;

	return timeout_ns == 0 ? stop(xen, vcpu) : set(xen, vcpu, timeout_ns);
}

const struct hypercall_family HYPERCALL_set_timer_op = {
	.self = { "set_timer_op", set_timer, __HYPERVISOR_set_timer_op, HYPERCALL_OFFERED, 0,
		  "KVM answers it once VIRQ_TIMER is bound" },
};
