// SPDX-License-Identifier: MIT
/* How a domain ends. KVM itself answers yield and poll of the guest's kernel. Source: <xen/sched.h>. */
#include <inttypes.h>
#include <sched.h>

#include "xen/abi.h"
#include <xen/sched.h>

#include "vmm/vm.h"
#include "xen/guest_access.h"
#include "xen/hypercall.h"

/* What SCHEDOP_shutdown returns for a suspend that did not take place. */
#define SUSPEND_CANCELLED 1

static int64_t shut_down(struct vcpu *vcpu, uint64_t argument_gva)
{
	struct sched_shutdown request;
	struct vm *vm = vcpu->vm;

	if (!copy_from_guest(vcpu, &request, argument_gva, sizeof(request)))
		return -XEN_EFAULT;
	if (request.reason == SHUTDOWN_suspend)
		return SUSPEND_CANCELLED;

	record_phase(vm->record, PHASE_SHUTDOWN, NULL);
	/* vm_end() keeps this vCPU from entering the guest again: for the guest the call does not return. */
	switch (request.reason) {
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
		vm_end(vm, OUTCOME_CRASH, 0, "the guest asked for a soft reset (kexec), which dom1 does not offer");
		break;
	default:
		vm_end(vm, OUTCOME_CRASH, 0, "the guest shut down for the unknown reason %u", request.reason);
		break;
	}
	return 0;
}

int64_t hypercall_sched_op(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call)
{
	(void)xen;
	switch (call->arguments[0]) {
	case SCHEDOP_yield:
		sched_yield();
		return 0;
	case SCHEDOP_shutdown:
		return shut_down(vcpu, call->arguments[1]);
	default:
		return -XEN_ENOSYS;
	}
}
