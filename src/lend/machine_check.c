// SPDX-License-Identifier: MIT
#include "lend/machine_check.h"

#include <cpuid.h>
#include <string.h>
#include <sys/ioctl.h>

#define CR4_MCE           (UINT64_C(1) << 6)
#define CAP_BANKS         UINT64_C(10)
#define CAP_CONTROL       (UINT64_C(1) << 8)
#define CAP_RECOVERY      (UINT64_C(1) << 24)
#define MSR_STATUS        0x17au
#define MSR_CONTROL       0x17bu
#define MSR_BANK_CONTROL  0x400u
#define STATUS_IN_PROGRESS (UINT64_C(1) << 2)
#define STATUS_RESTARTABLE 7 /* restart address valid, error address valid, in progress */
#define VECTOR            18u
#define ALL_ONES          UINT64_MAX

/* Valid, uncorrected, enabled, with address and what kind of address; a load of data. */
#define BANK_STATUS       UINT64_C(0xbc00000000000134)
/* Intel's: signalled, action required. On AMD these bits mean something else. */
#define BANK_STATUS_INTEL UINT64_C(0x0180000000000000)
#define MISC_PHYSICAL_PAGE UINT64_C(0x8c) /* a physical address, its lowest bit is 12 */

bool machine_check_possible(const struct machine_check_state *state)
{
	const struct kvm_vcpu_events *events = &state->events;

	/* One that nobody handles, or that comes while another is handled, is a triple fault. */
	if (!(state->cr4 & CR4_MCE) || (state->global_status & STATUS_IN_PROGRESS))
		return false;
	/* Without these KVM does nothing, and says that it did. */
	if (state->global_control != ALL_ONES || state->bank_control != ALL_ONES)
		return false;
	/* What was being delivered would be forgotten. */
	return !events->exception.injected && !events->exception.pending && !events->interrupt.injected &&
	       !events->nmi.injected;
}

static bool is_intel(void)
{
	unsigned int eax, name[3] = { 0 };

	return __get_cpuid(0, &eax, &name[0], &name[2], &name[1]) && memcmp(name, "GenuineIntel", sizeof(name)) == 0;
}

/* syscalls(main): ioctl(KVM_X86_SETUP_MCE) */
bool machine_check_set_up(int vcpu_fd)
{
	uint64_t capabilities = CAP_BANKS | CAP_CONTROL | CAP_RECOVERY;

	return ioctl(vcpu_fd, KVM_X86_SETUP_MCE, &capabilities) == 0;
}

/* syscalls(vcpu): ioctl(KVM_GET_SREGS) ioctl(KVM_GET_MSRS) ioctl(KVM_GET_VCPU_EVENTS) */
static bool get_state(int vcpu_fd, struct machine_check_state *state)
{
	static const uint32_t indexes[] = { MSR_STATUS, MSR_CONTROL, MSR_BANK_CONTROL };
	enum { N = sizeof(indexes) / sizeof(indexes[0]) };
	union {
		struct kvm_msrs list;
		uint8_t bytes[sizeof(struct kvm_msrs) + N * sizeof(struct kvm_msr_entry)];
	} msrs = { .bytes = { 0 } };
	struct kvm_sregs sregs;

	msrs.list.nmsrs = N;
	for (unsigned int i = 0; i < N; i++)
		msrs.list.entries[i].index = indexes[i];
	if (ioctl(vcpu_fd, KVM_GET_SREGS, &sregs) != 0 || ioctl(vcpu_fd, KVM_GET_MSRS, &msrs) != N ||
	    ioctl(vcpu_fd, KVM_GET_VCPU_EVENTS, &state->events) != 0)
		return false;
	state->cr4 = sregs.cr4;
	state->global_status = msrs.list.entries[0].data;
	state->global_control = msrs.list.entries[1].data;
	state->bank_control = msrs.list.entries[2].data;
	return true;
}

/* syscalls(vcpu): ioctl(KVM_X86_SET_MCE) */
bool machine_check_inject(int vcpu_fd, uint64_t gpa)
{
	struct machine_check_state state;
	struct kvm_x86_mce check = {
		.status = BANK_STATUS | (is_intel() ? BANK_STATUS_INTEL : 0),
		.addr = gpa,
		.misc = MISC_PHYSICAL_PAGE,
		.mcg_status = STATUS_RESTARTABLE,
	};

	return get_state(vcpu_fd, &state) && machine_check_possible(&state) && ioctl(vcpu_fd, KVM_X86_SET_MCE, &check) == 0;
}

/* syscalls(vcpu): ioctl(KVM_GET_VCPU_EVENTS) */
bool machine_check_in_delivery(int vcpu_fd)
{
	struct kvm_vcpu_events events;

	return ioctl(vcpu_fd, KVM_GET_VCPU_EVENTS, &events) == 0 && (events.exception.injected || events.exception.pending) &&
	       events.exception.nr == VECTOR;
}
