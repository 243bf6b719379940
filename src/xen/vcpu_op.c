// SPDX-License-Identifier: MIT
/* What a guest does to its vCPUs. Source: <xen/vcpu.h>. */
#include <assert.h>

#include "xen/abi.h"
#include <xen/vcpu.h>

#include "vmm/vm.h"
#include "xen/guest_access.h"
#include "xen/hypercall.h"
#include "xen/vcpu_info.h"

static_assert(sizeof(struct vcpu_register_vcpu_info) == 16, "<xen/vcpu.h>");

static int64_t register_vcpu_info(struct vcpu *target, void *argument)
{
	const struct vcpu_register_vcpu_info *request = argument;

	return vcpu_info_register(target, request->mfn, request->offset);
}

int64_t hypercall_vcpu_op(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call)
{
	struct vcpu_register_vcpu_info request;

	(void)xen;
	if (call->arguments[1] >= vcpu->vm->n_vcpus)
		return -XEN_ENOENT;
	if (call->arguments[0] != VCPUOP_register_vcpu_info)
		return -XEN_ENOSYS;
	if (!copy_from_guest(vcpu, &request, call->arguments[2], sizeof(request)))
		return -XEN_EFAULT;
	return vcpu_call(&vcpu->vm->vcpus[call->arguments[1]], vcpu, register_vcpu_info, &request, -XEN_EAGAIN);
}
