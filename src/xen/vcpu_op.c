// SPDX-License-Identifier: MIT
/*
 * What a guest does to its vCPUs. Source: <xen/vcpu.h>. Areas are registered by guest-virtual address, which is looked
 * up once, as in Xen; KVM then writes to the guest-physical one.
 */
#include <assert.h>
#include <errno.h>
#include <sys/ioctl.h>

#include "xen/abi.h"
#include <xen/vcpu.h>

#include "vmm/guest_memory.h"
#include "vmm/kvm.h"
#include "vmm/vm.h"
#include "xen/guest_access.h"
#include "xen/hypercall.h"
#include "xen/vcpu_info.h"

static_assert(sizeof(struct vcpu_register_vcpu_info) == 16, "<xen/vcpu.h>");
static_assert(sizeof(struct vcpu_runstate_info) == 48, "<xen/vcpu.h>");
static_assert(sizeof(struct vcpu_time_info) == 32, "<xen/xen.h>");

static int64_t register_vcpu_info(struct vcpu *target, void *argument)
{
	const struct vcpu_register_vcpu_info *request = argument;

	return vcpu_info_register(target, request->mfn, request->offset);
}

static int64_t register_time_area(struct vcpu *target, void *argument)
{
	struct kvm_xen_vcpu_attr attr = { .type = KVM_XEN_VCPU_ATTR_TYPE_VCPU_TIME_INFO, .u.gpa = *(uint64_t *)argument };

	return kvm_set_xen_vcpu_attr(target->fd, &attr) == 0 ? 0 : -XEN_EINVAL;
}

static int64_t register_runstate_area(struct vcpu *target, void *argument)
{
	struct kvm_xen_vcpu_attr attr = { .type = KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADDR, .u.gpa = *(uint64_t *)argument };
	int rc = kvm_set_xen_vcpu_attr(target->fd, &attr);

	/* A host without schedstats keeps no runstates; guests take a refusal for a defect of the hypervisor and stop. */
	return rc == 0 || rc == EOPNOTSUPP ? 0 : -XEN_EINVAL;
}

static int64_t send_nmi(struct vcpu *target, void *argument)
{
	(void)argument;
	return ioctl(target->fd, KVM_NMI, 0) == 0 ? 0 : -XEN_EINVAL;
}

static int64_t is_up(struct vcpu *target, void *argument)
{
	struct kvm_mp_state mp_state = { 0 };

	(void)argument;
	if (ioctl(target->fd, KVM_GET_MP_STATE, &mp_state) != 0)
		return -XEN_EINVAL;
	return mp_state.mp_state != KVM_MP_STATE_UNINITIALIZED && mp_state.mp_state != KVM_MP_STATE_INIT_RECEIVED;
}

static int64_t get_runstate(struct vcpu *target, void *argument)
{
	struct kvm_xen_vcpu_attr attr = { .type = KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_DATA };
	struct vcpu_runstate_info *info = argument;

	*info = (struct vcpu_runstate_info){ .state = RUNSTATE_running };
	if (ioctl(target->fd, KVM_XEN_VCPU_GET_ATTR, &attr) != 0)
		return 0;
	info->state = (int)attr.u.runstate.state;
	info->state_entry_time = attr.u.runstate.state_entry_time;
	info->time[RUNSTATE_running] = attr.u.runstate.time_running;
	info->time[RUNSTATE_runnable] = attr.u.runstate.time_runnable;
	info->time[RUNSTATE_blocked] = attr.u.runstate.time_blocked;
	info->time[RUNSTATE_offline] = attr.u.runstate.time_offline;
	return 0;
}

/*
 * The argument of an area's registration is an address: where the guest wants the area. One that crosses a page is
 * refused, unless the next page happens to follow in guest-physical memory too.
 */
static int64_t register_area(struct vcpu *self, struct vcpu *target, uint64_t argument_gva, size_t len_bytes,
			     int64_t (*fn)(struct vcpu *target, void *argument))
{
	uint64_t gva, gpa, last_gpa;

	if (!copy_from_guest(self, &gva, argument_gva, sizeof(gva)) || !vcpu_translate(self, gva, &gpa) ||
	    !vcpu_translate(self, gva + len_bytes - 1, &last_gpa))
		return -XEN_EFAULT;
	if (last_gpa - gpa != len_bytes - 1 || !guest_memory_span(self->vm->memory, gpa, len_bytes))
		return -XEN_EFAULT;
	return vcpu_call(target, self, fn, &gpa, -XEN_EAGAIN);
}

int64_t hypercall_vcpu_op(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call)
{
	struct vcpu_register_vcpu_info info_request;
	struct vcpu_runstate_info runstate;
	const uint64_t gva = call->arguments[2];

	(void)xen;
	if (call->arguments[1] >= vcpu->vm->n_vcpus)
		return -XEN_ENOENT;
	struct vcpu *target = &vcpu->vm->vcpus[call->arguments[1]];

	switch (call->arguments[0]) {
	case VCPUOP_register_vcpu_info:
		if (!copy_from_guest(vcpu, &info_request, gva, sizeof(info_request)))
			return -XEN_EFAULT;
		return vcpu_call(target, vcpu, register_vcpu_info, &info_request, -XEN_EAGAIN);
	case VCPUOP_register_vcpu_time_memory_area:
		return register_area(vcpu, target, gva, sizeof(struct vcpu_time_info), register_time_area);
	case VCPUOP_register_runstate_memory_area:
		return register_area(vcpu, target, gva, sizeof(struct vcpu_runstate_info), register_runstate_area);
	case VCPUOP_get_runstate_info:
		vcpu_call(target, vcpu, get_runstate, &runstate, 0);
		return copy_to_guest(vcpu, gva, &runstate, sizeof(runstate)) ? 0 : -XEN_EFAULT;
	case VCPUOP_is_up:
		return vcpu_call(target, vcpu, is_up, NULL, 0);
	case VCPUOP_send_nmi:
		return vcpu_call(target, vcpu, send_nmi, NULL, 0);
	case VCPUOP_stop_periodic_timer:
		/* There is none to stop. */
		return 0;
	default:
		return -XEN_ENOSYS;
	}
}
