// SPDX-License-Identifier: MIT
/*
 * Several hypercalls in one. Source: struct multicall_entry of <xen/xen.h>. Calls that KVM would have answered come to
 * us when they are in a list: their handlers here do the same.
 */
#include "xen/abi.h"

#include "vmm/vm.h"
#include "xen/domain.h"
#include "xen/guest_access.h"
#include "xen/hypercall.h"

/* Xen goes on with a long list after it has let others run; there is no going on here, so a list has an end. */
#define CALLS_MAX 1024u

static int64_t multicall(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call)
{
	const uint32_t n = (uint32_t)call->arguments[1];
	uint64_t gva = call->arguments[0];

	(void)xen;
	if (call->in_multicall || n > CALLS_MAX)
		return -XEN_EINVAL;
	for (uint32_t i = 0; i < n && !atomic_load(&vcpu->vm->stopping); i++) {
		struct multicall_entry entry;
		struct hypercall one = { .cpl = call->cpl, .is_64bit = call->is_64bit, .in_multicall = true };

		if (!read_guest_struct(vcpu, call, ABI_multicall_entry, gva, &entry))
			return -XEN_EFAULT;
		one.number = entry.op;
		for (unsigned int j = 0; j < 6; j++)
			one.arguments[j] = entry.args[j];
		entry.result = (unsigned long)hypercall_run(vcpu, &one);
		if (trace_wants(&vcpu->vm->trace, TRACE_HYPERCALL))
			trace_hypercall(&vcpu->vm->trace, vcpu->number, &one, (int64_t)entry.result);
		/* Only the result: a call may have changed the list itself. */
		if (!write_guest_word(vcpu, call, gva, 1, entry.result))
			return -XEN_EFAULT;
		gva += abi_layout_bytes(ABI_multicall_entry, call->is_64bit);
	}
	return 0;
}

const struct hypercall_family HYPERCALL_multicall = {
	.self = { "multicall", multicall, __HYPERVISOR_multicall, HYPERCALL_OFFERED, 0, "lists of at most 1024 calls" },
};
