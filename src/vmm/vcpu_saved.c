// SPDX-License-Identifier: MIT
/*
 * The order is that in which KVM's parts depend on one another (Linux: Documentation/virt/kvm/api.rst, and arch/x86/kvm/xen.c for
 * Xen's attributes): KVM_GET_MP_STATE may change registers, so it is read first; the LAPIC needs its base, which is in sregs; the
 * TSC deadline needs LAPIC and TSC; the vCPU's place of events comes before its vector, and its timer, which may be due, last.
 */
#include "vmm/vcpu_saved.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "xen/abi.h"
#include <xen/vcpu.h>

#include "vmm/guest_memory.h"
#include "vmm/kvm.h"
#include "vmm/vm.h"
#include "xen/domain.h"
#include "xen/vcpu_timer.h"

#define MSR_TSC           0x10u
#define MSR_TSC_DEADLINE  0x6e0u
#define MSR_APIC_BASE     0x1bu
#define MSR_MTRR_FIRST    0x200u
#define MSR_MTRR_LAST     0x20fu
#define MSR_MCE_FIRST     0x400u
#define MSR_MCE_LAST      (MSR_MCE_FIRST + 4 * 32 - 1)
#define MSR_HYPERCALL     KVM_XEN_HYPERCALL_MSR
/* KVM's own clock: a guest of ours never sees its leaves. */
#define MSR_KVM_FIRST     0x4b564d00u
#define MSR_KVM_LAST      0x4b564dffu

static void add_msr(struct vcpu_msr_list *list, uint32_t index)
{
	/* These are elsewhere in what is saved, or are a page that KVM would write. */
	if (index == MSR_TSC || index == MSR_APIC_BASE || index == MSR_HYPERCALL || index == 0x11 || index == 0x12 ||
	    (index >= MSR_KVM_FIRST && index <= MSR_KVM_LAST))
		return;
	for (uint32_t i = 0; i < list->n; i++)
		if (list->index[i] == index)
			return;
	if (list->n < SAVED_MAX_MSRS)
		list->index[list->n++] = index;
}

/* syscalls(main): ioctl(KVM_GET_MSR_INDEX_LIST) */
bool vcpu_msr_list_read(struct vcpu_msr_list *list, int kvm_fd)
{
	static const uint32_t unlisted[] = { 0x250, 0x258, 0x259, 0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d, 0x26e, 0x26f, 0x2ff };
	g_autofree struct kvm_msr_list *known = g_malloc0(sizeof(*known) + SAVED_MAX_MSRS * sizeof(known->indices[0]));

	known->nmsrs = SAVED_MAX_MSRS;
	if (ioctl(kvm_fd, KVM_GET_MSR_INDEX_LIST, known) != 0)
		return false;
	list->n = 0;
	for (uint32_t i = 0; i < known->nmsrs; i++)
		add_msr(list, known->indices[i]);
	/* MTRRs and machine check banks, which KVM has and does not list. */
	for (size_t i = 0; i < G_N_ELEMENTS(unlisted); i++)
		add_msr(list, unlisted[i]);
	for (uint32_t index = MSR_MTRR_FIRST; index <= MSR_MTRR_LAST; index++)
		add_msr(list, index);
	for (uint32_t index = MSR_MCE_FIRST; index <= MSR_MCE_LAST; index++)
		add_msr(list, index);
	return true;
}

struct one_msr {
	struct kvm_msrs head;
	struct kvm_msr_entry entry;
};

/* One after the other: KVM stops at the first that this vCPU has not. syscalls(vcpu): ioctl(KVM_GET_MSRS) */
static bool get_msr(const struct vcpu *vcpu, uint32_t index, uint64_t *value)
{
	struct one_msr one = { .head.nmsrs = 1, .entry.index = index };

	if (ioctl(vcpu->fd, KVM_GET_MSRS, &one) != 1)
		return false;
	*value = one.entry.data;
	return true;
}

/* syscalls(vcpu): ioctl(KVM_SET_MSRS) */
static bool set_msr(const struct vcpu *vcpu, uint32_t index, uint64_t value)
{
	struct one_msr one = { .head.nmsrs = 1, .entry = { .index = index, .data = value } };
	uint64_t now;

	/* What cannot be set, because it says what the CPU is, may be as it was anyway. */
	return ioctl(vcpu->fd, KVM_SET_MSRS, &one) == 1 || (get_msr(vcpu, index, &now) && now == value);
}

/* syscalls(vcpu): ioctl(KVM_GET_DEVICE_ATTR) ioctl(KVM_SET_DEVICE_ATTR) */
static bool tsc_offset(const struct vcpu *vcpu, uint64_t *offset, unsigned long request)
{
	struct kvm_device_attr attr = {
		.group = KVM_VCPU_TSC_CTRL, .attr = KVM_VCPU_TSC_OFFSET, .addr = (uint64_t)(uintptr_t)offset,
	};

	return ioctl(vcpu->fd, request, &attr) == 0;
}

/* syscalls(vcpu): ioctl(KVM_GET_CPUID2) */
static bool get_cpuid(const struct vcpu *vcpu, struct saved_vcpu *saved)
{
	g_autofree struct kvm_cpuid2 *cpuid = g_malloc0(sizeof(*cpuid) + sizeof(saved->cpuid));

	cpuid->nent = CPUID_MAX_ENTRIES;
	if (ioctl(vcpu->fd, KVM_GET_CPUID2, cpuid) != 0)
		return false;
	saved->n_cpuid = MIN(cpuid->nent, CPUID_MAX_ENTRIES);
	memcpy(saved->cpuid, cpuid->entries, saved->n_cpuid * sizeof(saved->cpuid[0]));
	return true;
}

/* syscalls(vcpu): ioctl(KVM_XEN_VCPU_GET_ATTR) */
static bool get_xen_attr(const struct vcpu *vcpu, uint16_t type, struct kvm_xen_vcpu_attr *attr)
{
	*attr = (struct kvm_xen_vcpu_attr){ .type = type };
	return ioctl(vcpu->fd, KVM_XEN_VCPU_GET_ATTR, attr) == 0;
}

/* What is not set is an error to KVM. */
static uint64_t get_xen_gpa(const struct vcpu *vcpu, uint16_t type)
{
	struct kvm_xen_vcpu_attr attr;

	return get_xen_attr(vcpu, type, &attr) ? attr.u.gpa : KVM_XEN_INVALID_GPA;
}

static const char *save_xen(const struct vcpu *vcpu, struct saved_vcpu *saved)
{
	struct kvm_xen_vcpu_attr attr;

	saved->has_own_vcpu_info = vcpu->vcpu_info_registered;
	saved->is_initialised = vcpu->initialised;
	saved->upcall_vector = vcpu->upcall_vector;
	saved->vcpu_info_gpa = vcpu->vcpu_info_registered ? get_xen_gpa(vcpu, KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO) : KVM_XEN_INVALID_GPA;
	if (vcpu->vcpu_info_registered && saved->vcpu_info_gpa == KVM_XEN_INVALID_GPA)
		return "KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO";
	saved->time_gpa = get_xen_gpa(vcpu, KVM_XEN_VCPU_ATTR_TYPE_VCPU_TIME_INFO);
	saved->runstate_gpa = get_xen_gpa(vcpu, KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADDR);
	saved->has_runstate = get_xen_attr(vcpu, KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_DATA, &attr);
	if (saved->has_runstate) {
		const uint64_t runstate[] = { attr.u.runstate.state, attr.u.runstate.state_entry_time, attr.u.runstate.time_running,
					      attr.u.runstate.time_runnable, attr.u.runstate.time_blocked, attr.u.runstate.time_offline };

		memcpy(saved->runstate, runstate, sizeof(runstate));
	}
	if (!get_xen_attr(vcpu, KVM_XEN_VCPU_ATTR_TYPE_TIMER, &attr))
		return "KVM_XEN_VCPU_ATTR_TYPE_TIMER";
	saved->timer_port = attr.u.timer.port;
	saved->timer_expires_ns = attr.u.timer.expires_ns;
	return NULL;
}

/*
 * syscalls(vcpu): ioctl(KVM_GET_MP_STATE) ioctl(KVM_GET_REGS) ioctl(KVM_GET_SREGS2) ioctl(KVM_GET_XCRS) ioctl(KVM_GET_XSAVE)
 *                 ioctl(KVM_GET_DEBUGREGS) ioctl(KVM_GET_VCPU_EVENTS) ioctl(KVM_GET_LAPIC)
 */
const char *vcpu_save(struct vcpu *vcpu, const struct vcpu_msr_list *msrs, struct saved_vcpu *saved)
{
	const struct {
		unsigned long request;
		void *to;
		const char *name;
	} parts[] = {
		{ KVM_GET_MP_STATE, &saved->mp_state, "KVM_GET_MP_STATE" },
		{ KVM_GET_REGS, &saved->regs, "KVM_GET_REGS" },
		{ KVM_GET_SREGS2, &saved->sregs, "KVM_GET_SREGS2" },
		{ KVM_GET_XCRS, &saved->xcrs, "KVM_GET_XCRS" },
		{ KVM_GET_XSAVE, &saved->xsave, "KVM_GET_XSAVE" },
		{ KVM_GET_DEBUGREGS, &saved->debugregs, "KVM_GET_DEBUGREGS" },
		{ KVM_GET_VCPU_EVENTS, &saved->events, "KVM_GET_VCPU_EVENTS" },
		{ KVM_GET_LAPIC, &saved->lapic, "KVM_GET_LAPIC" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(parts); i++)
		if (ioctl(vcpu->fd, parts[i].request, parts[i].to) != 0)
			return parts[i].name;
	saved->n_msrs = 0;
	for (uint32_t i = 0; i < msrs->n; i++) {
		struct kvm_msr_entry *msr = &saved->msrs[saved->n_msrs];
		uint64_t value;

		*msr = (struct kvm_msr_entry){ .index = msrs->index[i] };
		if (!get_msr(vcpu, msr->index, &value))
			continue;
		msr->data = value;
		saved->n_msrs++;
	}
	if (!tsc_offset(vcpu, &saved->tsc_offset, KVM_GET_DEVICE_ATTR))
		return "KVM_VCPU_TSC_OFFSET";
	if (!get_cpuid(vcpu, saved))
		return "KVM_GET_CPUID2";
	return save_xen(vcpu, saved);
}

const char *vcpu_restore_tsc(struct vcpu *vcpu, const struct saved_vcpu *saved, int64_t tsc_lost)
{
	uint64_t offset = saved->tsc_offset - (uint64_t)tsc_lost;

	return tsc_offset(vcpu, &offset, KVM_SET_DEVICE_ATTR) ? NULL : "KVM_VCPU_TSC_OFFSET";
}

static bool set_xen_attr(const struct vcpu *vcpu, const struct kvm_xen_vcpu_attr *attr)
{
	errno = kvm_set_xen_vcpu_attr(vcpu->fd, attr);
	return errno == 0;
}

/* FALSE: errno. An area that was never registered is left alone. */
static bool set_xen_area(const struct vcpu *vcpu, uint16_t type, uint64_t gpa)
{
	const struct kvm_xen_vcpu_attr attr = { .type = type, .u.gpa = gpa };

	return gpa == KVM_XEN_INVALID_GPA || set_xen_attr(vcpu, &attr);
}

static const char *restore_vcpu_info(struct vcpu *vcpu, const struct saved_vcpu *saved)
{
	struct shared_info *shared_info = pages_shared_info(&vcpu->vm->xen->pages);
	struct kvm_xen_vcpu_attr attr = { .type = KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO, .u.gpa = saved->vcpu_info_gpa };
	void *info = &shared_info->vcpu_info[vcpu->number];

	if (saved->has_own_vcpu_info) {
		info = guest_memory_span(vcpu->vm->memory, saved->vcpu_info_gpa, sizeof(struct vcpu_info));
		errno = EINVAL;
	} else {
		attr = (struct kvm_xen_vcpu_attr){ .type = KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO_HVA, .u.hva = (uint64_t)(uintptr_t)info };
	}
	if (!info || !set_xen_attr(vcpu, &attr))
		return "KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO";
	vcpu->vcpu_info = info;
	vcpu->vcpu_info_registered = saved->has_own_vcpu_info;
	vcpu->initialised = saved->is_initialised;
	vcpu->upcall_vector = saved->upcall_vector;
	return NULL;
}

/*
 * KVM takes runstates whose times add up to the beginning of the state, which must not be in the future (kvm_xen_vcpu_set_attr()). What
 * it gave does not always: what is missing, or too much, becomes that state's.
 */
static bool restore_runstate(const struct vcpu *vcpu, const struct saved_vcpu *saved)
{
	enum { STATE, ENTRY, TIMES, N_STATES = 4 };
	uint64_t runstate[TIMES + N_STATES];

	memcpy(runstate, saved->runstate, sizeof(runstate));
	if (runstate[STATE] >= N_STATES) {
		errno = EINVAL;
		return false;
	}
	runstate[ENTRY] = MIN(runstate[ENTRY], vcpu_timer_system_time_ns(vcpu));
	uint64_t others_ns = 0;
	for (unsigned int i = 0; i < N_STATES; i++) {
		if (i == runstate[STATE])
			continue;
		runstate[TIMES + i] = MIN(runstate[TIMES + i], runstate[ENTRY] - others_ns);
		others_ns += runstate[TIMES + i];
	}
	runstate[TIMES + runstate[STATE]] = runstate[ENTRY] - others_ns;
	const struct kvm_xen_vcpu_attr attr = {
		.type = KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_DATA,
		.u.runstate = { .state = runstate[STATE], .state_entry_time = runstate[ENTRY], .time_running = runstate[TIMES + RUNSTATE_running],
				.time_runnable = runstate[TIMES + RUNSTATE_runnable], .time_blocked = runstate[TIMES + RUNSTATE_blocked],
				.time_offline = runstate[TIMES + RUNSTATE_offline] },
	};
	return set_xen_attr(vcpu, &attr);
}

static const char *restore_xen(struct vcpu *vcpu, const struct saved_vcpu *saved)
{
	const struct kvm_xen_vcpu_attr vector = { .type = KVM_XEN_VCPU_ATTR_TYPE_UPCALL_VECTOR, .u.vector = saved->upcall_vector };
	const char *failed = restore_vcpu_info(vcpu, saved);

	if (failed)
		return failed;
	if (!set_xen_area(vcpu, KVM_XEN_VCPU_ATTR_TYPE_VCPU_TIME_INFO, saved->time_gpa))
		return "KVM_XEN_VCPU_ATTR_TYPE_VCPU_TIME_INFO";
	/* A host without schedstats keeps no runstates: the guest does without, as one that starts there. */
	if (saved->has_runstate && !restore_runstate(vcpu, saved) && errno != EOPNOTSUPP)
		return "KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_DATA";
	if (!set_xen_area(vcpu, KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADDR, saved->runstate_gpa) && errno != EOPNOTSUPP)
		return "KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADDR";
	return saved->upcall_vector && !set_xen_attr(vcpu, &vector) ? "KVM_XEN_VCPU_ATTR_TYPE_UPCALL_VECTOR" : NULL;
}

static const char *restore_timer(const struct vcpu *vcpu, const struct saved_vcpu *saved)
{
	const struct kvm_xen_vcpu_attr timer = {
		.type = KVM_XEN_VCPU_ATTR_TYPE_TIMER,
		.u.timer = { .port = saved->timer_port, .priority = KVM_IRQ_ROUTING_XEN_EVTCHN_PRIO_2LEVEL, .expires_ns = saved->timer_expires_ns },
	};

	return saved->timer_port && !set_xen_attr(vcpu, &timer) ? "KVM_XEN_VCPU_ATTR_TYPE_TIMER" : NULL;
}

static bool restore_msrs(const struct vcpu *vcpu, const struct saved_vcpu *saved, uint32_t *msr)
{
	for (uint32_t i = 0; i < saved->n_msrs; i++) {
		*msr = saved->msrs[i].index;
		if (*msr != MSR_TSC_DEADLINE && !set_msr(vcpu, *msr, saved->msrs[i].data))
			return false;
	}
	return true;
}

static bool restore_deadline(const struct vcpu *vcpu, const struct saved_vcpu *saved, uint32_t *msr)
{
	*msr = MSR_TSC_DEADLINE;
	for (uint32_t i = 0; i < saved->n_msrs; i++)
		if (saved->msrs[i].index == MSR_TSC_DEADLINE && saved->msrs[i].data != 0)
			return set_msr(vcpu, MSR_TSC_DEADLINE, saved->msrs[i].data);
	return true;
}

/* ioctl() does not change what it is given to set. */
static bool set_part(const struct vcpu *vcpu, unsigned long request, const void *from)
{
	return ioctl(vcpu->fd, request, from) == 0;
}

/*
 * syscalls(vcpu): ioctl(KVM_SET_SREGS2) ioctl(KVM_SET_XCRS) ioctl(KVM_SET_XSAVE) ioctl(KVM_SET_LAPIC) ioctl(KVM_SET_REGS)
 *                 ioctl(KVM_SET_DEBUGREGS) ioctl(KVM_SET_VCPU_EVENTS) ioctl(KVM_SET_MP_STATE)
 */
const char *vcpu_restore(struct vcpu *vcpu, const struct saved_vcpu *saved, uint32_t *msr)
{
	const char *failed;

	if (!set_part(vcpu, KVM_SET_SREGS2, &saved->sregs))
		return "KVM_SET_SREGS2";
	if (!set_part(vcpu, KVM_SET_XCRS, &saved->xcrs))
		return "KVM_SET_XCRS";
	if (!set_part(vcpu, KVM_SET_XSAVE, &saved->xsave))
		return "KVM_SET_XSAVE";
	if (!restore_msrs(vcpu, saved, msr))
		return "KVM_SET_MSRS";
	if (!set_part(vcpu, KVM_SET_LAPIC, &saved->lapic))
		return "KVM_SET_LAPIC";
	if (!restore_deadline(vcpu, saved, msr))
		return "KVM_SET_MSRS";
	if (!set_part(vcpu, KVM_SET_REGS, &saved->regs))
		return "KVM_SET_REGS";
	if (!set_part(vcpu, KVM_SET_DEBUGREGS, &saved->debugregs))
		return "KVM_SET_DEBUGREGS";
	if ((failed = restore_xen(vcpu, saved)))
		return failed;
	if (!set_part(vcpu, KVM_SET_VCPU_EVENTS, &saved->events))
		return "KVM_SET_VCPU_EVENTS";
	if (!set_part(vcpu, KVM_SET_MP_STATE, &saved->mp_state))
		return "KVM_SET_MP_STATE";
	return restore_timer(vcpu, saved);
}
