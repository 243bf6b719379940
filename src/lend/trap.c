// SPDX-License-Identifier: MIT
/*
 * A vCPU's thread where its guest came upon a page of a window that is not there. How KVM says so:
 *   EFAULT                        nothing is mapped; where, it does not say
 *   EINTR and SIGBUS              a poison marker; si_addr is the page's address in our address space
 *   EFAULT, KVM_EXIT_MEMORY_FAULT kernels to come: with the guest's address
 *   KVM_EXIT_MMIO                 an instruction that KVM emulates; it has the address, and waits for the bytes
 *   internal error of emulation   an instruction that KVM wants to read, by tables that are lent, too
 * Source: arch/x86/kvm/mmu/mmu.c, kvm_handle_error_pfn().
 *
 * SIGBUS is blocked but in KVM_RUN: so it is pending when the thread looks, and never interrupts anything else.
 */
#include "lend/lending_internal.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>

#include <linux/kvm.h>

#include "lend/machine_check.h"
#include "vmm/error.h"
#include "vmm/guest_memory.h"
#include "vmm/skipped_instruction.h"
#include "vmm/vcpu.h"
#include "vmm/vm.h"
#include "vmm/worker.h"

#define KERNEL_SIGSET_BYTES 8u

static bool is_answered(void *opaque)
{
	const struct slot *slot = opaque;

	return atomic_load(&slot->state) == SLOT_ANSWERED;
}

bool lending_report(struct vcpu *vcpu, const struct space_report *report)
{
	struct lending *lending = vcpu->vm->lending;
	struct slot *slot = &lending->slots[vcpu->number];

	slot->report = *report;
	if (!lending_ask(lending, vcpu->number)) {
		atomic_store(&slot->state, SLOT_REPORTED);
		lending_wake(lending);
	}
	if (!vcpu_rest_until(vcpu, is_answered, slot))
		return false;
	atomic_store(&slot->state, SLOT_IDLE);
	return true;
}

/* syscalls(vcpu): ioctl(KVM_SET_SIGNAL_MASK) */
void lending_vcpu_starts(struct vcpu *vcpu)
{
	union {
		struct kvm_signal_mask mask;
		uint8_t bytes[sizeof(struct kvm_signal_mask) + KERNEL_SIGSET_BYTES];
	} in_guest = { .mask.len = KERNEL_SIGSET_BYTES };
	uint64_t blocked;

	if (!vcpu->vm->lending)
		return;
	/* In the thread itself it is blocked. */
	blocked = worker_blocked_signals(vcpu->worker) & ~(UINT64_C(1) << (SIGBUS - 1));
	memcpy(in_guest.mask.sigset, &blocked, KERNEL_SIGSET_BYTES);
	if (ioctl(vcpu->fd, KVM_SET_SIGNAL_MASK, &in_guest) != 0)
		vm_end(vcpu->vm, OUTCOME_HOST_ERROR, DOM1_STATUS_HOST, "KVM_SET_SIGNAL_MASK of vCPU %u: %s", vcpu->number,
		       g_strerror(errno));
}

/* TRUE: a page of a window. syscalls(vcpu): rt_sigtimedwait */
static bool take_signal(struct vcpu *vcpu, struct space_report *report)
{
	const struct timespec now = { 0 };
	siginfo_t info;
	sigset_t bus;

	sigemptyset(&bus);
	sigaddset(&bus, SIGBUS);
	if (sigtimedwait(&bus, &info, &now) != SIGBUS)
		return false;
	if (info.si_code == BUS_MCEERR_AR &&
	    mapper_host_find(vcpu->vm->lending->mapper, (uintptr_t)info.si_addr, &report->window, &report->page)) {
		report->access = SPACE_ACCESS_PAGE;
		return true;
	}
	vm_end(vcpu->vm, OUTCOME_HOST_ERROR, DOM1_STATUS_HOST, "vCPU %u: the host's memory has an error", vcpu->number);
	return false;
}

/* What the window's policy or its lender wants this vCPU to feel; where that would do harm, the report is made again. */
static void wait_for_page(struct vcpu *vcpu, struct space_report *report)
{
	struct lending *lending = vcpu->vm->lending;
	struct slot *slot = &lending->slots[vcpu->number];
	uint64_t gpa = lending->space.windows[report->window].gpa + (uint64_t)report->page * LEND_PAGE_BYTES;

	/* The stack or the code for a machine check lies in a page that is not there: another one would not end either. */
	report->no_fault = slot->had_machine_check && machine_check_in_delivery(vcpu->fd);
	if (!lending_report(vcpu, report) || slot->answer != SPACE_FAULT)
		return;
	slot->had_machine_check = true;
	if (machine_check_inject(vcpu->fd, gpa))
		return;
	report->no_fault = report->fault_undone = true;
	(void)lending_report(vcpu, report);
}

bool lending_on_failed_run(struct vcpu *vcpu, int error)
{
	const struct kvm_run *run = vcpu->run;
	struct lending *lending = vcpu->vm->lending;
	struct space_report report = { .access = SPACE_ACCESS_UNKNOWN };

	if (!lending)
		return false;
	/* A kick, or a trap; the first is told apart by nothing else. */
	if (error == EINTR)
		return take_signal(vcpu, &report) && (wait_for_page(vcpu, &report), true);
	if (error != EFAULT)
		return false;
	if (run->exit_reason == KVM_EXIT_MEMORY_FAULT) {
		if (!space_find(&lending->space, run->memory_fault.gpa, &report.window, &report.page))
			return false;
		report.access = SPACE_ACCESS_PAGE;
		wait_for_page(vcpu, &report);
		return true;
	}
	if (!lending_report(vcpu, &report))
		return true;
	return lending->slots[vcpu->number].answer != SPACE_NOTHING;
}

bool lending_on_mmio(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	struct lending *lending = vcpu->vm->lending;
	struct space_report report = { .access = run->mmio.is_write ? SPACE_ACCESS_WRITE : SPACE_ACCESS_READ };

	if (!lending || !space_find(&lending->space, run->mmio.phys_addr, &report.window, &report.page))
		return false;
	report.offset_bytes = run->mmio.phys_addr % LEND_PAGE_BYTES;
	report.len_bytes = run->mmio.len;
	/* KVM does not let a piece cross a page. */
	if (report.len_bytes > sizeof(report.bytes) || report.offset_bytes + report.len_bytes > LEND_PAGE_BYTES)
		return false;
	memcpy(report.bytes, run->mmio.data, report.len_bytes);
	if (lending_report(vcpu, &report) && !run->mmio.is_write)
		memcpy(run->mmio.data, lending->slots[vcpu->number].report.bytes, report.len_bytes);
	return true;
}

/* What KVM looked for in vain. In a window: when it is there. FALSE: it is nowhere, or the VM stops first. */
static bool read_awaited(struct vcpu *vcpu, uint64_t gpa, void *bytes, size_t len_bytes)
{
	struct lending *lending = vcpu->vm->lending;
	struct space_report report = { .access = SPACE_ACCESS_READ };

	if (!space_find(&lending->space, gpa, &report.window, &report.page))
		return guest_memory_read(vcpu->vm->memory, gpa, bytes, len_bytes);
	report.offset_bytes = gpa % LEND_PAGE_BYTES;
	report.len_bytes = len_bytes;
	if (report.offset_bytes + len_bytes > LEND_PAGE_BYTES || !lending_report(vcpu, &report))
		return false;
	memcpy(bytes, lending->slots[vcpu->number].report.bytes, len_bytes);
	return true;
}

static bool read_entry(void *opaque, uint64_t gpa, size_t len_bytes, uint64_t *entry)
{
	*entry = 0;
	return read_awaited(opaque, gpa, entry, len_bytes);
}

/* The instruction at the vCPU's place, as much of it as can be had. */
static size_t read_instruction(struct vcpu *vcpu, uint8_t bytes[INSTRUCTION_MAX_BYTES])
{
	const struct kvm_segment *code = &vcpu->run->s.regs.sregs.cs;
	const uint64_t rip = vcpu->run->s.regs.regs.rip, start = code->l ? rip : (uint32_t)(code->base + rip);
	struct guest_paging paging = vcpu_paging(vcpu);
	size_t done = 0;

	paging.read_entry = read_entry;
	while (done < INSTRUCTION_MAX_BYTES) {
		uint64_t gva = start + done, gpa;
		size_t n = MIN(8 - gva % 8, INSTRUCTION_MAX_BYTES - done);

		if (!guest_walk(vcpu->vm->memory, &paging, gva, GUEST_FETCH, &gpa) || !read_awaited(vcpu, gpa, bytes + done, n))
			break;
		done += n;
		/* What is behind it is not waited for: it may be on a page that has never been. */
		if (skipped_instruction_bytes(bytes, done, code->l) > 0)
			break;
	}
	return done;
}

/* As KVM would have: an interrupt that waited for the end of the instruction waits no more. */
/* syscalls(vcpu): ioctl(KVM_GET_VCPU_EVENTS) */
static void step_over(struct vcpu *vcpu, size_t len_bytes)
{
	struct kvm_run *run = vcpu->run;

	run->s.regs.regs.rip += len_bytes;
	run->kvm_dirty_regs |= KVM_SYNC_X86_REGS;
	if (ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &run->s.regs.events) != 0 || run->s.regs.events.interrupt.shadow == 0)
		return;
	run->s.regs.events.interrupt.shadow = 0;
	run->s.regs.events.flags = KVM_VCPUEVENT_VALID_SHADOW;
	run->kvm_dirty_regs |= KVM_SYNC_X86_EVENTS;
}

bool lending_on_failed_emulation(struct vcpu *vcpu)
{
	const struct kvm_run *run = vcpu->run;
	uint8_t bytes[INSTRUCTION_MAX_BYTES];

	/* What it has read it does not know: that has nothing to do with windows. */
	if (!vcpu->vm->lending || (run->emulation_failure.ndata > 0 &&
				   (run->emulation_failure.flags & KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES)))
		return false;
	size_t n_bytes = skipped_instruction_bytes(bytes, read_instruction(vcpu, bytes), run->s.regs.sregs.cs.l);
	if (n_bytes > 0)
		step_over(vcpu, n_bytes);
	return n_bytes > 0;
}
