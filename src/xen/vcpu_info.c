// SPDX-License-Identifier: MIT
/* Source: VCPUOP_register_vcpu_info of <xen/vcpu.h>; the structure has the same size in both word sizes. */
#include "xen/vcpu_info.h"

#include <assert.h>
#include <string.h>
#include <sys/ioctl.h>

#include "xen/abi.h"

#include "vmm/error.h"
#include "vmm/guest_memory.h"
#include "vmm/kvm.h"
#include "vmm/vm.h"
#include "xen/domain.h"
#include "xen/hypercall.h"
#include "xen/shared_info.h"

#define LAPIC_GPA          0xfee00000u
#define MSI_APIC_ID_SHIFT  12

static_assert(sizeof(struct vcpu_info) == 64, "<xen/xen.h>");
static_assert(EVTCHN_MAX_VCPUS == XEN_LEGACY_MAX_VCPUS, "each vCPU has a place in shared_info");

void hypercall_vcpu_starts(struct vcpu *vcpu)
{
	struct shared_info *shared_info = pages_shared_info(&vcpu->vm->xen->pages);
	struct vcpu_info *info = &shared_info->vcpu_info[vcpu->number];
	struct kvm_xen_vcpu_attr attr = {
		.type = KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO_HVA,
		.u.hva = (uint64_t)(uintptr_t)info,
	};
	int rc = kvm_set_xen_vcpu_attr(vcpu->fd, &attr);

	vcpu->vcpu_info = info;
	if (rc != 0)
		vm_end(vcpu->vm, OUTCOME_HOST_ERROR, DOM1_STATUS_HOST, "vcpu_info of vCPU %u: %s", vcpu->number,
		       g_strerror(rc));
}

/* syscalls(main, vcpu): ioctl(KVM_SIGNAL_MSI) */
void vcpu_info_raise_if_pending(struct vcpu *vcpu)
{
	const struct vcpu_info *info = vcpu->vcpu_info;
	struct kvm_msi msi = {
		.address_lo = LAPIC_GPA | vcpu->number << MSI_APIC_ID_SHIFT,
		.data = vcpu->upcall_vector,
	};

	if (vcpu->upcall_vector == 0 || !__atomic_load_n(&info->evtchn_upcall_pending, __ATOMIC_SEQ_CST))
		return;
	/* It fails only while the guest has its LAPIC off; KVM raises the vector when it turns it on. */
	(void)ioctl(vcpu->vm->vm_fd, KVM_SIGNAL_MSI, &msi);
}

int64_t vcpu_info_register(struct vcpu *vcpu, uint64_t gfn, uint32_t offset_bytes)
{
	struct vcpu_info *info;
	const struct vcpu_info *old = vcpu->vcpu_info;

	if (vcpu->vcpu_info_registered || offset_bytes > LAYOUT_PAGE_BYTES - sizeof(*info) ||
	    offset_bytes % sizeof(uint64_t) != 0 || gfn > UINT64_MAX / LAYOUT_PAGE_BYTES)
		return -XEN_EINVAL;
	struct kvm_xen_vcpu_attr attr = {
		.type = KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO,
		.u.gpa = gfn * LAYOUT_PAGE_BYTES + offset_bytes,
	};
	info = guest_memory_span(vcpu->vm->memory, attr.u.gpa, sizeof(*info));
	if (!info)
		return -XEN_EINVAL;

	memcpy(info, old, sizeof(*info));
	if (kvm_set_xen_vcpu_attr(vcpu->fd, &attr) != 0)
		return -XEN_EINVAL;
	vcpu->vcpu_info = info;
	vcpu->vcpu_info_registered = true;
	/* An event may have arrived in the old place after the copy: look at all of them, as Xen does. */
	vcpu_info_mark_all(info, xen_domain_is_64bit(vcpu->vm->xen));
	vcpu_info_raise_if_pending(vcpu);
	return 0;
}
