// SPDX-License-Identifier: MIT
/*
 * What a guest does to its vCPUs; their timers are in vcpu_timer.c. Source: <xen/vcpu.h>. Areas are registered by
 * guest-virtual address, which is looked up once; KVM then writes to the guest-physical one.
 */
#include <assert.h>
#include <errno.h>
#include <sys/ioctl.h>

#include "xen/abi.h"
#include <xen/hvm/hvm_vcpu.h>
#include <xen/sched.h>
#include <xen/vcpu.h>

#include "vmm/guest_memory.h"
#include "vmm/kvm.h"
#include "vmm/vcpu_state.h"
#include "vmm/vm.h"
#include "xen/domain.h"
#include "xen/guest_access.h"
#include "xen/hypercall.h"
#include "xen/vcpu_context.h"
#include "xen/vcpu_info.h"
#include "xen/vcpu_timer.h"

/* The second argument of all of them is a vCPU. */
static int64_t check_target(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call)
{
	(void)xen;
	return (uint32_t)call->arguments[1] < vcpu->vm->n_vcpus ? 0 : -XEN_ENOENT;
}

static struct vcpu *find_target(struct vcpu *vcpu, const struct hypercall *call)
{
	return &vcpu->vm->vcpus[(uint32_t)call->arguments[1]];
}

static int64_t get_is_up(struct vcpu *target, void *argument)
{
	(void)argument;
	return vcpu_is_up(target);
}

static int64_t is_up(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call)
{
	struct vcpu *target = find_target(vcpu, call);

	(void)xen;
	return vcpu_call(target, vcpu, get_is_up, NULL, 0);
}

static int64_t register_info_offline(struct vcpu *target, void *argument)
{
	const struct vcpu_register_vcpu_info *request = argument;

	/* One that runs is using its vcpu_info right now. */
	return vcpu_is_up(target) ? -XEN_EINVAL : vcpu_info_register(target, request->mfn, request->offset);
}

static int64_t register_info(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call)
{
	struct vcpu *target = find_target(vcpu, call);
	struct vcpu_register_vcpu_info request;

	(void)xen;
	if (!copy_from_guest(vcpu, &request, call->arguments[2], sizeof(request)))
		return -XEN_EFAULT;
	if (target == vcpu)
		return vcpu_info_register(vcpu, request.mfn, request.offset);
	return vcpu_call(target, vcpu, register_info_offline, &request, -XEN_EAGAIN);
}

static int64_t set_time_area(struct vcpu *target, void *argument)
{
	struct kvm_xen_vcpu_attr attr = { .type = KVM_XEN_VCPU_ATTR_TYPE_VCPU_TIME_INFO, .u.gpa = *(uint64_t *)argument };

	return kvm_set_xen_vcpu_attr(target->fd, &attr) == 0 ? 0 : -XEN_EINVAL;
}

static int64_t set_runstate_area(struct vcpu *target, void *argument)
{
	struct kvm_xen_vcpu_attr attr = { .type = KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADDR, .u.gpa = *(uint64_t *)argument };
	int rc = kvm_set_xen_vcpu_attr(target->fd, &attr);

	/* A host without schedstats keeps no runstates; guests take a refusal for a defect of the hypervisor and stop.
	 */
	return rc == 0 || rc == EOPNOTSUPP ? 0 : -XEN_EINVAL;
}

/*
 * The argument of an area's registration is an address: where the guest wants the area. One that crosses a page is
 * refused, unless the next page happens to follow in guest-physical memory too. A null address takes the area away.
 */
static int64_t register_area(struct vcpu *self, const struct hypercall *call, size_t len_bytes,
			     int64_t (*fn)(struct vcpu *target, void *argument))
{
	struct vcpu *target = find_target(self, call);
	uint64_t gva, gpa, last_gpa;

	if (!read_guest_word(self, call, call->arguments[2], 0, &gva))
		return -XEN_EFAULT;
	if (gva == 0) {
		gpa = KVM_XEN_INVALID_GPA;
		return vcpu_call(target, self, fn, &gpa, -XEN_EAGAIN);
	}
	if (!vcpu_translate(self, gva, GUEST_READ, &gpa) ||
	    !vcpu_translate(self, gva + len_bytes - 1, GUEST_READ, &last_gpa) || last_gpa - gpa != len_bytes - 1 ||
	    !guest_memory_span(self->vm->memory, gpa, len_bytes))
		return -XEN_EFAULT;
	return vcpu_call(target, self, fn, &gpa, -XEN_EAGAIN);
}

/* The same by a guest-physical address, of Xen 4.18 and later: map_guest_area(). All bits set take the area away. */
static int64_t register_phys_area(struct vcpu *self, const struct hypercall *call, size_t len_bytes,
				  int64_t (*fn)(struct vcpu *target, void *argument))
{
	const size_t align_bytes = xen_domain_is_64bit(self->vm->xen) ? 8 : 4;
	struct vcpu *target = find_target(self, call);
	uint64_t gpa;

	if (!copy_from_guest(self, &gpa, call->arguments[2], sizeof(gpa)))
		return -XEN_EFAULT;
	if (gpa == UINT64_MAX)
		gpa = KVM_XEN_INVALID_GPA;
	else if (gpa % LAYOUT_PAGE_BYTES + len_bytes > LAYOUT_PAGE_BYTES || gpa % align_bytes != 0)
		return -XEN_ENXIO;
	else if (!guest_memory_span(self->vm->memory, gpa, len_bytes))
		return -XEN_EINVAL;
	return vcpu_call(target, self, fn, &gpa, -XEN_EAGAIN);
}

static int64_t register_time_area(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call)
{
	(void)xen;
	return register_area(vcpu, call, sizeof(struct vcpu_time_info), set_time_area);
}

static int64_t register_time_phys_area(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call)
{
	(void)xen;
	return register_phys_area(vcpu, call, sizeof(struct vcpu_time_info), set_time_area);
}

static int64_t register_runstate_area(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call)
{
	/* KVM writes it in the domain's layout, not in that of this call. */
	return register_area(vcpu, call, abi_layout_bytes(ABI_vcpu_runstate_info, xen_domain_is_64bit(xen)),
			     set_runstate_area);
}

static int64_t register_runstate_phys_area(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call)
{
	return register_phys_area(vcpu, call, abi_layout_bytes(ABI_vcpu_runstate_info, xen_domain_is_64bit(xen)),
				  set_runstate_area);
}

/* syscalls(vcpu): ioctl(KVM_XEN_VCPU_GET_ATTR) */
static int64_t read_runstate(struct vcpu *target, void *argument)
{
	struct kvm_xen_vcpu_attr attr = { .type = KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_DATA };
	struct vcpu_runstate_info *info = argument;

	bool down = !vcpu_is_up(target);

	/* KVM does not know that a vCPU is down: to it, that one is blocked. */
	*info = (struct vcpu_runstate_info){ .state = down ? RUNSTATE_offline : RUNSTATE_running };
	if (ioctl(target->fd, KVM_XEN_VCPU_GET_ATTR, &attr) != 0)
		return 0;
	info->state = down ? RUNSTATE_offline : (int)attr.u.runstate.state;
	info->state_entry_time = attr.u.runstate.state_entry_time;
	info->time[RUNSTATE_running] = attr.u.runstate.time_running;
	info->time[RUNSTATE_runnable] = attr.u.runstate.time_runnable;
	info->time[RUNSTATE_blocked] = attr.u.runstate.time_blocked;
	info->time[RUNSTATE_offline] = attr.u.runstate.time_offline;
	return 0;
}

static int64_t get_runstate(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call)
{
	struct vcpu *target = find_target(vcpu, call);
	struct vcpu_runstate_info runstate = { 0 };

	(void)xen;
	vcpu_call(target, vcpu, read_runstate, &runstate, 0);
	/* To KVM, one that was preempted on its way out of the guest is runnable until it enters it again. But it asks. */
	if (target == vcpu)
		runstate.state = RUNSTATE_running;
	return write_guest_struct(vcpu, call, ABI_vcpu_runstate_info, call->arguments[2], &runstate) ? 0 : -XEN_EFAULT;
}

/* syscalls(vcpu): ioctl(KVM_GET_SREGS) ioctl(KVM_SET_SREGS) ioctl(KVM_SET_REGS) */
static int64_t do_initialise(struct vcpu *target, void *argument)
{
	struct kvm_regs regs;
	struct kvm_sregs sregs;

	if (target->initialised || vcpu_is_up(target) || vcpu_is_parked(target))
		return -XEN_EEXIST;
	if (ioctl(target->fd, KVM_GET_SREGS, &sregs) != 0 || !vcpu_context_translate(argument, &regs, &sregs) ||
	    ioctl(target->fd, KVM_SET_SREGS, &sregs) != 0 || ioctl(target->fd, KVM_SET_REGS, &regs) != 0)
		return -XEN_EINVAL;
	target->initialised = true;
	return 0;
}

static int64_t initialise(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call)
{
	struct vcpu *target = find_target(vcpu, call);
	struct vcpu_hvm_context context;

	(void)xen;
	if (!copy_from_guest(vcpu, &context, call->arguments[2], sizeof(context)))
		return -XEN_EFAULT;
	return vcpu_call(target, vcpu, do_initialise, &context, -XEN_EAGAIN);
}

/* syscalls(vcpu): ioctl(KVM_SET_MP_STATE) */
static int64_t set_mp_state(struct vcpu *target, uint32_t state)
{
	struct kvm_mp_state mp_state = { .mp_state = state };

	return ioctl(target->fd, KVM_SET_MP_STATE, &mp_state) == 0 ? 0 : -XEN_EINVAL;
}

static int64_t do_up(struct vcpu *target, void *argument)
{
	(void)argument;
	if (vcpu_is_up(target))
		return 0;
	/* One that never ran has no registers to run with. */
	if (!target->initialised && !vcpu_is_parked(target))
		return -XEN_EINVAL;
	return set_mp_state(target, KVM_MP_STATE_RUNNABLE);
}

static int64_t up(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call)
{
	struct vcpu *target = find_target(vcpu, call);

	(void)xen;
	return vcpu_call(target, vcpu, do_up, NULL, -XEN_EAGAIN);
}

static int64_t do_down(struct vcpu *target, void *argument)
{
	(void)argument;
	if (!vcpu_is_up(target))
		return 0;
	/* Up takes it on where it is now. */
	target->initialised = true;
	return set_mp_state(target, KVM_MP_STATE_UNINITIALIZED);
}

/* The last one that goes down takes the domain with it. */
static int64_t down(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call)
{
	struct vcpu *target = find_target(vcpu, call);
	bool others = false;

	(void)xen;
	for (unsigned int i = 0; i < vcpu->vm->n_vcpus && !others; i++)
		if (&vcpu->vm->vcpus[i] != target)
			others = vcpu_call(&vcpu->vm->vcpus[i], vcpu, get_is_up, NULL, 0) == 1;
	if (!others) {
		sched_shut_down(vcpu, SHUTDOWN_poweroff);
		return 0;
	}
	return vcpu_call(target, vcpu, do_down, NULL, -XEN_EAGAIN);
}

/* syscalls(vcpu): ioctl(KVM_NMI) */
static int64_t do_send_nmi(struct vcpu *target, void *argument)
{
	(void)argument;
	return ioctl(target->fd, KVM_NMI, 0) == 0 ? 0 : -XEN_EINVAL;
}

static int64_t send_nmi(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call)
{
	struct vcpu *target = find_target(vcpu, call);

	(void)xen;
	if (call->arguments[2] != 0)
		return -XEN_EINVAL;
	return vcpu_call(target, vcpu, do_send_nmi, NULL, 0);
}

static const struct hypercall_op OPS[] = {
	HYPERCALL_OP(VCPUOP_, initialise, initialise, "takes a vcpu_hvm_context"),
	HYPERCALL_OP(VCPUOP_, up, up, NULL),
	HYPERCALL_OP(VCPUOP_, down, down, "the last vCPU powers the domain off"),
	HYPERCALL_OP(VCPUOP_, is_up, is_up, NULL),
	HYPERCALL_OP(VCPUOP_, get_runstate_info, get_runstate, NULL),
	HYPERCALL_OP(VCPUOP_, register_runstate_memory_area, register_runstate_area,
		     "`-EFAULT` across pages that do not follow: KVM takes one address"),
	HYPERCALL_OP(VCPUOP_, set_periodic_timer, vcpu_timer_set_periodic, NULL),
	HYPERCALL_OP(VCPUOP_, stop_periodic_timer, vcpu_timer_stop_periodic, NULL),
	HYPERCALL_OP(VCPUOP_, set_singleshot_timer, vcpu_timer_set_singleshot,
		     "KVM answers it once VIRQ_TIMER is bound"),
	HYPERCALL_OP(VCPUOP_, stop_singleshot_timer, vcpu_timer_stop_singleshot,
		     "KVM answers it once VIRQ_TIMER is bound"),
	HYPERCALL_OP(VCPUOP_, register_vcpu_info, register_info, "once; of another vCPU only while that is down"),
	HYPERCALL_OP(VCPUOP_, send_nmi, send_nmi, NULL),
	HYPERCALL_REFUSE(VCPUOP_, get_physid, XEN_EINVAL, "vCPUs are not pinned"),
	HYPERCALL_OP(VCPUOP_, register_vcpu_time_memory_area, register_time_area,
		     "`-EFAULT` across pages that do not follow: KVM takes one address"),
	HYPERCALL_OP(VCPUOP_, register_runstate_phys_area, register_runstate_phys_area,
		     "as Xen 4.18; in the place of the area with a virtual address"),
	HYPERCALL_OP(VCPUOP_, register_vcpu_time_phys_area, register_time_phys_area,
		     "as Xen 4.18; in the place of the area with a virtual address"),
};

const struct hypercall_family HYPERCALL_vcpu_op = {
	.self = { .name = "vcpu_op", .number = __HYPERVISOR_vcpu_op },
	.ops = OPS,
	.n_ops = sizeof(OPS) / sizeof(OPS[0]),
	.unknown_error = XEN_ENOSYS,
	.check = check_target,
};
