// SPDX-License-Identifier: MIT
/*
 * Waiting, and how a domain ends. KVM itself answers yield and poll of the guest's kernel, unless they come in a
 * multicall. Source: <xen/sched.h>.
 */
#include <inttypes.h>
#include <sched.h>
#include <sys/ioctl.h>

#include "xen/abi.h"
#include <xen/sched.h>

#include "vmm/vm.h"
#include "xen/domain.h"
#include "xen/guest_access.h"
#include "xen/hypercall.h"
#include "xen/timers.h"

/* What SCHEDOP_shutdown returns for a suspend that did not take place. */
#define SUSPEND_CANCELLED 1

/* The first reason named counts, whichever call named it. */
static unsigned int settle_reason(struct xen_domain *xen, unsigned int reason)
{
	int first = SHUTDOWN_CODE_NONE;

	return atomic_compare_exchange_strong(&xen->shutdown_code, &first, (int)reason) ? reason : (unsigned int)first;
}

void sched_shut_down(struct vcpu *vcpu, unsigned int reason)
{
	struct vm *vm = vcpu->vm;

	reason = settle_reason(vm->xen, reason);
	/* To the guest it is a call that returns 0. The shim has no use for it. */
	if (reason == SHUTDOWN_soft_reset && !vm->has_shim) {
		vm_soft_reset(vm);
		return;
	}
	record_phase(vm->record, PHASE_SHUTDOWN, NULL);
	/* vm_end() keeps this vCPU from entering the guest again: for the guest the call does not return. */
	switch (reason) {
	case SHUTDOWN_poweroff:
		vm_end(vm, OUTCOME_POWEROFF, 0, NULL);
		break;
	case SHUTDOWN_reboot:
		vm_end(vm, OUTCOME_REBOOT, 0, NULL);
		break;
	case SHUTDOWN_crash:
		vm_end(vm, OUTCOME_CRASH, 0, "the guest crashed (SHUTDOWN_crash)");
		break;
	case SHUTDOWN_watchdog:
		vm_end(vm, OUTCOME_CRASH, 0, "the guest's watchdog expired");
		break;
	case SHUTDOWN_soft_reset:
		vm_end(vm, OUTCOME_CRASH, 0, "the shim asked for a soft reset, which only a guest without it can have");
		break;
	default:
		vm_end(vm, OUTCOME_CRASH, 0, "the guest shut down for the unknown reason %u", reason);
		break;
	}
}

static int64_t shut_down(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call)
{
	struct sched_shutdown request;

	(void)xen;
	if (!copy_from_guest(vcpu, &request, call->arguments[1], sizeof(request)))
		return -XEN_EFAULT;
	if ((uint8_t)request.reason == SHUTDOWN_suspend)
		return SUSPEND_CANCELLED;
	sched_shut_down(vcpu, (uint8_t)request.reason);
	return 0;
}

static int64_t shutdown_code(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call)
{
	struct sched_shutdown request;

	if (!copy_from_guest(vcpu, &request, call->arguments[1], sizeof(request)))
		return -XEN_EFAULT;
	(void)settle_reason(xen, (uint8_t)request.reason);
	return 0;
}

/* syscalls(vcpu): sched_yield */
static int64_t yield(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call)
{
	(void)xen, (void)vcpu, (void)call;
	sched_yield();
	return 0;
}

/* As HLT: until an interrupt comes. With interrupts off it would never wake up, and returns at once. */
/* syscalls(vcpu): ioctl(KVM_SET_MP_STATE) */
static int64_t block(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call)
{
	const struct vcpu_info *info = vcpu->vcpu_info;
	struct kvm_mp_state halted = { .mp_state = KVM_MP_STATE_HALTED };

	(void)xen, (void)call;
	if (vcpu->run->if_flag && !__atomic_load_n(&info->evtchn_upcall_pending, __ATOMIC_SEQ_CST))
		(void)ioctl(vcpu->fd, KVM_SET_MP_STATE, &halted);
	return 0;
}

static int64_t remote_shutdown(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call)
{
	struct sched_remote_shutdown request;

	(void)xen;
	if (!copy_from_guest(vcpu, &request, call->arguments[1], sizeof(request)))
		return -XEN_EFAULT;
	/* Of itself as little as of others. */
	return request.domain_id == GUEST_DOMID || request.domain_id == BACKEND_DOMID ? -XEN_EPERM : -XEN_ESRCH;
}

static int64_t watchdog(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call)
{
	struct sched_watchdog request;

	if (!copy_from_guest(vcpu, &request, call->arguments[1], sizeof(request)))
		return -XEN_EFAULT;
	pthread_mutex_lock(&xen->lock);
	int64_t rc = timers_watchdog(xen, request.id, request.timeout);
	pthread_mutex_unlock(&xen->lock);
	return rc;
}

static const struct hypercall_op OPS[] = {
	HYPERCALL_OP(SCHEDOP_, yield, yield, "KVM answers it"),
	HYPERCALL_OP(SCHEDOP_, block, block, NULL),
	HYPERCALL_OP(SCHEDOP_, shutdown, shut_down,
		     "suspend returns 1, cancelled; soft_reset returns 0 when it is done (a crash under the shim)"),
	HYPERCALL_OP(SCHEDOP_, poll, yield, "KVM answers it; its timeout counts from now on"),
	HYPERCALL_OP(SCHEDOP_, remote_shutdown, remote_shutdown, "`-EPERM` or `-ESRCH`, as Xen"),
	HYPERCALL_OP(SCHEDOP_, shutdown_code, shutdown_code, NULL),
	HYPERCALL_OP(SCHEDOP_, watchdog, watchdog, NULL),
	HYPERCALL_REFUSE(SCHEDOP_, pin_override, XEN_EPERM, "of the control domain"),
};

HYPERCALL_FAMILY(sched_op, OPS);
