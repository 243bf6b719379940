// SPDX-License-Identifier: MIT
#include <cpuid.h>
#include <string.h>
#include <sys/ioctl.h>

#include "lend/lent_ram.h"
#include "vmm/guest_memory.h"
#include "vmm/guest_walk.h"
#include "vmm/vcpu.h"
#include "vmm/vm.h"

#define CPUID_XSAVE 0xd
#define XSAVE_PKRU  9

/* KVM's layout of the area is the host CPU's. What cannot be read denies everything. */
/* syscalls(vcpu): ioctl(KVM_GET_XSAVE) */
static uint32_t read_pkru(void *opaque)
{
	const struct vcpu *vcpu = opaque;
	unsigned int len_bytes, offset_bytes, ecx, edx;
	struct kvm_xsave area;
	uint32_t pkru = UINT32_MAX;

	if (__get_cpuid_count(CPUID_XSAVE, XSAVE_PKRU, &len_bytes, &offset_bytes, &ecx, &edx) &&
	    len_bytes >= sizeof(pkru) && offset_bytes <= sizeof(area) - sizeof(pkru) &&
	    ioctl(vcpu->fd, KVM_GET_XSAVE, &area) == 0)
		memcpy(&pkru, (const uint8_t *)&area + offset_bytes, sizeof(pkru));
	return pkru;
}

struct guest_paging vcpu_paging(struct vcpu *vcpu)
{
	/* As the vCPU came out of KVM_RUN: vcpu_init() asks for them. */
	const struct kvm_sregs *sregs = &vcpu->run->s.regs.sregs;

	return (struct guest_paging){
		.cr0 = sregs->cr0,
		.cr3 = sregs->cr3,
		.cr4 = sregs->cr4,
		.efer = sregs->efer,
		.rflags = vcpu->run->s.regs.regs.rflags,
		.read_pkru = read_pkru,
		.opaque = vcpu,
	};
}

bool vcpu_translate(struct vcpu *vcpu, uint64_t gva, enum guest_access access, uint64_t *gpa)
{
	struct guest_paging paging = vcpu_paging(vcpu);

	if (guest_memory_layout(vcpu->vm->memory)->ram_is_lent)
		paging.read_entry = lent_ram_read_entry;
	return guest_walk(vcpu->vm->memory, &paging, gva, access, gpa);
}
