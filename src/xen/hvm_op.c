// SPDX-License-Identifier: MIT
/* Parameters of an HVM domain, and the vector by which a vCPU hears of events. Source: <xen/hvm/hvm_op.h>, params.h. */
#include <assert.h>
#include <stddef.h>
#include <sys/ioctl.h>

#include "xen/abi.h"
#include <xen/hvm/hvm_op.h>
#include <xen/hvm/params.h>

#include "vmm/guest_memory.h"
#include "vmm/kvm.h"
#include "vmm/vm.h"
#include "xen/domain.h"
#include "xen/guest_access.h"
#include "xen/hypercall.h"
#include "xen/vcpu_info.h"

#define FIRST_VECTOR        0x10 /* those below are the CPU's own exceptions */
#define CALLBACK_TYPE_SHIFT 56

static_assert(sizeof(struct xen_hvm_param) == 16, "<xen/hvm/hvm_op.h>");
static_assert(sizeof(struct xen_hvm_evtchn_upcall_vector) == 8, "<xen/hvm/hvm_op.h>");

static int64_t get_param(struct xen_domain *xen, struct vcpu *vcpu, uint64_t argument_gva)
{
	const struct layout *layout = guest_memory_layout(vcpu->vm->memory);
	struct xen_hvm_param param;

	if (!copy_from_guest(vcpu, &param, argument_gva, sizeof(param)))
		return -XEN_EFAULT;
	if (!domid_is_self(param.domid))
		return -XEN_ESRCH;
	switch (param.index) {
	case HVM_PARAM_STORE_PFN:
		param.value = layout->xenstore_gpa / LAYOUT_PAGE_BYTES;
		break;
	case HVM_PARAM_STORE_EVTCHN:
		param.value = xen->xenstore_port;
		break;
	case HVM_PARAM_CONSOLE_PFN:
		param.value = layout->console_gpa / LAYOUT_PAGE_BYTES;
		break;
	case HVM_PARAM_CONSOLE_EVTCHN:
		param.value = xen->console_port;
		break;
	case HVM_PARAM_CALLBACK_IRQ:
		param.value = atomic_load(&xen->callback);
		break;
	default:
		return -XEN_EINVAL;
	}
	return copy_to_guest(vcpu, argument_gva, &param, sizeof(param)) ? 0 : -XEN_EFAULT;
}

/*
 * How the guest wants to hear of events: by a vector, the same for all vCPUs. The shim asks for an interrupt pin (which
 * there is not) to learn that the toolstack knows of event channels; events come by its upcall vectors all the same.
 */
static int64_t set_callback(struct vcpu *vcpu, uint64_t value)
{
	struct kvm_xen_hvm_attr attr = { .type = KVM_XEN_ATTR_TYPE_UPCALL_VECTOR, .u.vector = (uint8_t)value };

	switch (value >> CALLBACK_TYPE_SHIFT) {
	case HVM_PARAM_CALLBACK_TYPE_GSI:
		return 0;
	case HVM_PARAM_CALLBACK_TYPE_VECTOR:
		if (attr.u.vector < FIRST_VECTOR)
			return -XEN_EINVAL;
		return kvm_set_xen_attr(vcpu->vm->vm_fd, &attr) == 0 ? 0 : -XEN_EINVAL;
	default:
		return -XEN_EINVAL;
	}
}

static int64_t set_param(struct xen_domain *xen, struct vcpu *vcpu, uint64_t argument_gva)
{
	struct xen_hvm_param param;

	if (!copy_from_guest(vcpu, &param, argument_gva, sizeof(param)))
		return -XEN_EFAULT;
	if (!domid_is_self(param.domid))
		return -XEN_ESRCH;
	/* The rest is the toolstack's to set. */
	if (param.index != HVM_PARAM_CALLBACK_IRQ)
		return -XEN_EINVAL;
	int64_t rc = set_callback(vcpu, param.value);
	if (rc == 0)
		atomic_store(&xen->callback, param.value);
	return rc;
}

static int64_t set_upcall_vector(struct vcpu *target, void *argument)
{
	const uint8_t *vector = argument;
	struct kvm_xen_vcpu_attr attr = { .type = KVM_XEN_VCPU_ATTR_TYPE_UPCALL_VECTOR, .u.vector = *vector };

	if (kvm_set_xen_vcpu_attr(target->fd, &attr) != 0)
		return -XEN_EINVAL;
	target->upcall_vector = *vector;
	/* KVM raises the vector when an event arrives, not for one that was there before. */
	vcpu_info_raise_if_pending(target);
	return 0;
}

static int64_t set_evtchn_upcall_vector(struct vcpu *vcpu, uint64_t argument_gva)
{
	struct xen_hvm_evtchn_upcall_vector request;

	if (!copy_from_guest(vcpu, &request, argument_gva, sizeof(request)))
		return -XEN_EFAULT;
	if (request.vector < FIRST_VECTOR)
		return -XEN_EINVAL;
	if (request.vcpu >= vcpu->vm->n_vcpus)
		return -XEN_ENOENT;
	return vcpu_call(&vcpu->vm->vcpus[request.vcpu], vcpu, set_upcall_vector, &request.vector, -XEN_EAGAIN);
}

int64_t hypercall_hvm_op(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call)
{
	switch (call->arguments[0]) {
	case HVMOP_get_param:
		return get_param(xen, vcpu, call->arguments[1]);
	case HVMOP_set_param:
		return set_param(xen, vcpu, call->arguments[1]);
	case HVMOP_set_evtchn_upcall_vector:
		return set_evtchn_upcall_vector(vcpu, call->arguments[1]);
	default:
		/*
		 * HVMOP_flush_tlbs is here on purpose: KVM cannot flush the TLBs of all vCPUs for us, and 0 would tell the
		 * shim that it was done. With an error it sends its own IPIs.
		 */
		return -XEN_ENOSYS;
	}
}
