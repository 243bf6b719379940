// SPDX-License-Identifier: MIT
#include "xen/hypercall.h"

#include "xen/abi.h"

#include "vmm/vm.h"
#include "xen/domain.h"

static const hypercall_fn OPERATIONS[] = {
	[__HYPERVISOR_memory_op] = hypercall_memory_op,
	[__HYPERVISOR_xen_version] = hypercall_xen_version,
	[__HYPERVISOR_console_io] = hypercall_console_io,
	[__HYPERVISOR_grant_table_op] = hypercall_grant_table_op,
	[__HYPERVISOR_vcpu_op] = hypercall_vcpu_op,
	[__HYPERVISOR_sched_op] = hypercall_sched_op,
	[__HYPERVISOR_event_channel_op] = hypercall_event_channel_op,
	[__HYPERVISOR_hvm_op] = hypercall_hvm_op,
};
#define N_OPERATIONS (sizeof(OPERATIONS) / sizeof(OPERATIONS[0]))

static int64_t dispatch(struct vcpu *vcpu, const struct hypercall *call)
{
	/* KVM hands us every VMCALL and VMMCALL, those of user programs in the guest too. */
	if (call->cpl != 0)
		return -XEN_EPERM;
	/* Only the shim calls, and it is a 64-bit hypervisor: 32-bit layouts come with guests that use them. */
	if (!call->is_64bit || call->number >= N_OPERATIONS || !OPERATIONS[call->number])
		return -XEN_ENOSYS;
	return OPERATIONS[call->number](vcpu->vm->xen, vcpu, call);
}

int64_t hypercall_dispatch(struct vcpu *vcpu, const struct hypercall *call)
{
	struct vm *vm = vcpu->vm;

	record_phase(vm->record, PHASE_FIRST_HYPERCALL, NULL);
	if (call->number < RECORD_N_HYPERCALLS)
		record_count(&vm->record->hypercalls[call->number]);
	int64_t result = dispatch(vcpu, call);
	if (trace_wants(&vm->trace, TRACE_HYPERCALL))
		trace_hypercall(&vm->trace, vcpu->number, call, result);
	return result;
}
