// SPDX-License-Identifier: MIT
#include "vmm/vcpu_state.h"

#include <sys/ioctl.h>

#include "vmm/vcpu.h"

/* syscalls(vcpu): ioctl(KVM_GET_MP_STATE) */
bool vcpu_is_parked(const struct vcpu *vcpu)
{
	struct kvm_mp_state mp_state = { 0 };

	return ioctl(vcpu->fd, KVM_GET_MP_STATE, &mp_state) == 0 && mp_state.mp_state == KVM_MP_STATE_HALTED &&
	       !vcpu->run->if_flag;
}

bool vcpu_is_up(const struct vcpu *vcpu)
{
	struct kvm_mp_state mp_state = { 0 };

	return ioctl(vcpu->fd, KVM_GET_MP_STATE, &mp_state) == 0 && mp_state.mp_state != KVM_MP_STATE_UNINITIALIZED &&
	       mp_state.mp_state != KVM_MP_STATE_INIT_RECEIVED &&
	       (mp_state.mp_state != KVM_MP_STATE_HALTED || vcpu->run->if_flag);
}
