// SPDX-License-Identifier: MIT
/* Wishes a guest may have about its runstate area; the others are for PV guests. Source: VMASST_* of <xen/xen.h>. */
#include "xen/abi.h"

#include "vmm/kvm.h"
#include "vmm/vm.h"
#include "xen/domain.h"
#include "xen/hypercall.h"

static int64_t vm_assist(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call)
{
	const uint32_t command = (uint32_t)call->arguments[0];
	struct kvm_xen_hvm_attr attr = {
		.type = KVM_XEN_ATTR_TYPE_RUNSTATE_UPDATE_FLAG,
		.u.runstate_update_flag = command == VMASST_CMD_enable,
	};

	(void)xen;
	if ((uint32_t)call->arguments[1] != VMASST_TYPE_runstate_update_flag)
		return -XEN_EINVAL;
	if (command != VMASST_CMD_enable && command != VMASST_CMD_disable)
		return -XEN_ENOSYS;
	/* A host without runstates: the guest goes on without. */
	return kvm_set_xen_attr(vcpu->vm->vm_fd, &attr) == 0 ? 0 : -XEN_EINVAL;
}

const struct hypercall_family HYPERCALL_vm_assist = {
	.self = { "vm_assist", vm_assist, __HYPERVISOR_vm_assist, HYPERCALL_OFFERED, 0,
		  "runstate_update_flag; -EINVAL for the types of PV guests, as Xen" },
};
