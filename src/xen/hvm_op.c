// SPDX-License-Identifier: MIT
/* Parameters of an HVM domain, and the vector by which a vCPU hears of events. Source: <xen/hvm/hvm_op.h>, params.h. */
#include <sys/ioctl.h>

#include "xen/abi.h"
#include <xen/hvm/hvm_op.h>
#include <xen/hvm/params.h>

#include "lend/lent_ram.h"
#include "vmm/guest_memory.h"
#include "vmm/kvm.h"
#include "vmm/vm.h"
#include "xen/domain.h"
#include "xen/guest_access.h"
#include "xen/hypercall.h"
#include "xen/vcpu_info.h"
#include "xen/vcpu_timer.h"

#define FIRST_VECTOR        0x10 /* those below are the CPU's own exceptions */
#define CALLBACK_TYPE_SHIFT 56

static int64_t get_param(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call)
{
	struct xen_hvm_param param;

	if (!copy_from_guest(vcpu, &param, call->arguments[1], sizeof(param)))
		return -XEN_EFAULT;
	if (param.index >= HVM_NR_PARAMS)
		return -XEN_EINVAL;

	int64_t rc = domid_check(param.domid);
	if (rc != 0)
		return rc;
	pthread_mutex_lock(&xen->lock);
	rc = hvm_params_get(&xen->params, param.index, &param.value);
	pthread_mutex_unlock(&xen->lock);
	if (rc != 0)
		return rc;
	return copy_to_guest(vcpu, call->arguments[1], &param, sizeof(param)) ? 0 : -XEN_EFAULT;
}

/*
 * How the guest wants to hear of events: by a vector, the same for all vCPUs. The shim asks for an interrupt pin (which
 * there is not) to learn that the toolstack knows of event channels; events come by its upcall vectors all the same.
 */
static int64_t set_callback(struct xen_domain *xen, const struct hypercall *call, uint64_t value)
{
	struct kvm_xen_hvm_attr attr = { .type = KVM_XEN_ATTR_TYPE_UPCALL_VECTOR, .u.vector = (uint8_t)value };

	if (value >> CALLBACK_TYPE_SHIFT == HVM_PARAM_CALLBACK_TYPE_VECTOR &&
	    (attr.u.vector < FIRST_VECTOR || kvm_set_xen_attr(xen->vm->vm_fd, &attr) != 0))
		return -XEN_EINVAL;
	/* Among the first things that PV drivers do: the mode of the guest is clear by now. */
	xen_domain_latch_mode(xen, call->is_64bit);
	return 0;
}

static int64_t set_param(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call)
{
	struct xen_hvm_param param;

	if (!copy_from_guest(vcpu, &param, call->arguments[1], sizeof(param)))
		return -XEN_EFAULT;
	if (param.index >= HVM_NR_PARAMS)
		return -XEN_EINVAL;

	int64_t rc = domid_check(param.domid);
	if (rc == 0 && param.index == HVM_PARAM_CALLBACK_IRQ)
		rc = set_callback(xen, call, param.value);
	if (rc != 0)
		return rc;
	pthread_mutex_lock(&xen->lock);
	rc = hvm_params_set(&xen->params, param.index, param.value);
	pthread_mutex_unlock(&xen->lock);
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

static int64_t set_evtchn_upcall_vector(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call)
{
	struct xen_hvm_evtchn_upcall_vector request;

	(void)xen;
	if (!copy_from_guest(vcpu, &request, call->arguments[1], sizeof(request)))
		return -XEN_EFAULT;
	if (request.vector < FIRST_VECTOR)
		return -XEN_EINVAL;
	if (request.vcpu >= vcpu->vm->n_vcpus)
		return -XEN_ENOENT;
	return vcpu_call(&vcpu->vm->vcpus[request.vcpu], vcpu, set_upcall_vector, &request.vector, -XEN_EAGAIN);
}

static int64_t get_time(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call)
{
	const struct xen_hvm_get_time answer = { .now = vcpu_timer_system_time_ns(vcpu) };

	(void)xen;
	return copy_to_guest(vcpu, call->arguments[1], &answer, sizeof(answer)) ? 0 : -XEN_EFAULT;
}

/* What is not RAM is to the guest like the registers of a device. */
static int64_t get_mem_type(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call)
{
	struct xen_hvm_get_mem_type request;

	(void)xen;
	if (!copy_from_guest(vcpu, &request, call->arguments[1], sizeof(request)))
		return -XEN_EFAULT;

	int64_t rc = domid_check(request.domid);
	if (rc != 0)
		return rc;
	bool is_ram = request.pfn <= UINT64_MAX / LAYOUT_PAGE_BYTES - 1 &&
		      (guest_memory_span(vcpu->vm->memory, request.pfn * LAYOUT_PAGE_BYTES, LAYOUT_PAGE_BYTES) ||
		       lent_ram_has(vcpu->vm, request.pfn * LAYOUT_PAGE_BYTES));
	request.mem_type = is_ram ? HVMMEM_ram_rw : HVMMEM_mmio_dm;
	return copy_to_guest(vcpu, call->arguments[1], &request, sizeof(request)) ? 0 : -XEN_EFAULT;
}

/* Nobody watches the domain. */
static int64_t guest_request_vm_event(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call)
{
	(void)xen, (void)vcpu;
	return call->arguments[1] == 0 ? 0 : -XEN_EINVAL;
}

static const struct hypercall_op OPS[] = {
	HYPERCALL_OP(HVMOP_, set_param, set_param, "what Xen lets a guest set; `-EPERM` for the rest"),
	HYPERCALL_OP(HVMOP_, get_param, get_param, "what Xen lets a guest read; `-EPERM` for the rest"),
	/*
	 * On purpose: KVM cannot flush the TLBs of all vCPUs for us, and 0 would tell the shim that it was done. With an
	 * error it sends its own IPIs.
	 */
	HYPERCALL_NOT_HERE(HVMOP_, flush_tlbs, XEN_ENOSYS, "the guest sends IPIs, as the shim does"),
	HYPERCALL_REFUSE(HVMOP_, pagetable_dying, XEN_EINVAL, "as with hardware-assisted paging"),
	HYPERCALL_OP(HVMOP_, get_time, get_time, NULL),
	HYPERCALL_NOT_HERE(HVMOP_, xentrace, XEN_ENOSYS, NULL),
	HYPERCALL_OP(HVMOP_, get_mem_type, get_mem_type, NULL),
	HYPERCALL_OP(HVMOP_, set_evtchn_upcall_vector, set_evtchn_upcall_vector, NULL),
	HYPERCALL_OP(HVMOP_, guest_request_vm_event, guest_request_vm_event, "nobody listens"),
	HYPERCALL_REFUSE(HVMOP_, altp2m, XEN_EOPNOTSUPP, "as for a domain without altp2m"),
};

HYPERCALL_FAMILY(hvm_op, OPS);
