// SPDX-License-Identifier: MIT
#include "lend/lent_ram.h"

#include <inttypes.h>
#include <poll.h>
#include <string.h>

#include <linux/kvm.h>

#include "lend/lending_internal.h"
#include "vmm/error.h"
#include "vmm/guest_memory.h"
#include "vmm/skipped_instruction.h"
#include "vmm/vcpu.h"
#include "vmm/vm.h"

#define RAM 0u /* its window */

/* How far above the stack pointer a hypercall's argument may lie: past the frames of interrupts that came in between. */
#define STACK_BYTES (2 * LEND_PAGE_BYTES)
/* Of each vCPU: code, on two pages at most, and stack, each by five tables. */
#define MAX_IN_USE (SPACE_MAX_VCPUS * (2 + STACK_BYTES / LEND_PAGE_BYTES + 1) * 6)

#define CLAIM_LIMIT_MS 30000u
#define CLAIM_LOOK_MS  5u

bool lent_ram_has(const struct vm *vm, uint64_t gpa)
{
	return guest_memory_layout(vm->memory)->ram_is_lent && gpa < guest_memory_layout(vm->memory)->low_ram_top_gpa;
}

bool lent_ram_copy(struct vcpu *vcpu, uint64_t gpa, void *bytes, size_t len_bytes, bool to_guest)
{
	/* Who looks at a guest that has ended asks nobody: its last report may have no answer yet. */
	if (!lent_ram_has(vcpu->vm, gpa) || atomic_load(&vcpu->vm->stopping) || gpa % LEND_PAGE_BYTES + len_bytes > LEND_PAGE_BYTES)
		return false;
	struct slot *slot = &vcpu->vm->lending->slots[vcpu->number];
	const struct space_report report = {
		.access = to_guest ? SPACE_ACCESS_WRITE : SPACE_ACCESS_READ,
		.window = RAM,
		.page = gpa / LEND_PAGE_BYTES,
		.offset_bytes = gpa % LEND_PAGE_BYTES,
		.len_bytes = len_bytes,
		/* Not the caller's: the memory thread may come back to it when the VM stops. */
		.page_bytes = slot->page_bytes,
	};

	if (to_guest)
		memcpy(slot->page_bytes, bytes, len_bytes);
	if (!lending_report(vcpu, &report))
		return false;
	if (!to_guest)
		memcpy(bytes, slot->page_bytes, len_bytes);
	return true;
}

bool lent_ram_read_entry(void *opaque, uint64_t gpa, size_t len_bytes, uint64_t *entry)
{
	struct vcpu *vcpu = opaque;

	*entry = 0;
	return guest_memory_read(vcpu->vm->memory, gpa, entry, len_bytes) || lent_ram_copy(vcpu, gpa, entry, len_bytes, false);
}

/* What a vCPU's next instruction needs. */
struct in_use {
	struct lending *lending;
	size_t pages[MAX_IN_USE];
	size_t n;
};

static void keep(struct in_use *in_use, uint64_t gpa)
{
	if (lent_ram_has(in_use->lending->vm, gpa) && in_use->n < MAX_IN_USE)
		in_use->pages[in_use->n++] = gpa / LEND_PAGE_BYTES;
}

/* As it is now: an absent one leads nowhere, and the CPU must ask for it itself. */
static bool read_present_entry(void *opaque, uint64_t gpa, size_t len_bytes, uint64_t *entry)
{
	struct in_use *in_use = opaque;
	struct space *space = &in_use->lending->space;
	const size_t page = gpa / LEND_PAGE_BYTES;

	*entry = 0;
	if (!lent_ram_has(in_use->lending->vm, gpa))
		return guest_memory_read(in_use->lending->vm->memory, gpa, entry, len_bytes);
	keep(in_use, gpa);
	return (LEND_PAGES_PRESENT & 1u << page_map_get(&space->windows[RAM].map, page)) &&
	       space->mapper->copy(space->mapper_opaque, RAM, page, gpa % LEND_PAGE_BYTES, entry, len_bytes, false) == 0;
}

static void keep_address(struct in_use *in_use, struct vcpu *vcpu, uint64_t gva)
{
	struct guest_paging paging = vcpu_paging(vcpu);
	uint64_t gpa;

	paging.read_entry = read_present_entry;
	paging.opaque = in_use;
	if (guest_walk(vcpu->vm->memory, &paging, gva, GUEST_FETCH, &gpa))
		keep(in_use, gpa);
}

static void keep_vcpu(struct in_use *in_use, struct vcpu *vcpu)
{
	const struct kvm_sregs *sregs = &vcpu->run->s.regs.sregs;
	const struct kvm_regs *regs = &vcpu->run->s.regs.regs;
	const uint64_t code_base = sregs->cs.l ? 0 : sregs->cs.base, stack_base = sregs->cs.l ? 0 : sregs->ss.base;

	keep_address(in_use, vcpu, code_base + regs->rip);
	keep_address(in_use, vcpu, code_base + regs->rip + INSTRUCTION_MAX_BYTES);
	for (uint64_t offset_bytes = 0; offset_bytes <= STACK_BYTES; offset_bytes += LEND_PAGE_BYTES)
		keep_address(in_use, vcpu, stack_base + regs->rsp + offset_bytes);
}

static bool is_in_use(void *opaque, unsigned int window, size_t page, size_t n_pages)
{
	const struct in_use *in_use = opaque;

	(void)window;
	for (size_t i = 0; i < in_use->n; i++)
		if (in_use->pages[i] >= page && in_use->pages[i] - page < n_pages)
			return true;
	return false;
}

/* KVM writes the guest's hypercall page by itself, and the guest has none before its first hypercall. */
static bool has_begun(const struct vm *vm)
{
	return atomic_load(&vm->record->exits[EXIT_XEN]) > 0;
}

static bool is_everything(void *opaque, unsigned int window, size_t page, size_t n_pages)
{
	(void)opaque, (void)window, (void)page, (void)n_pages;
	return true;
}

bool lent_ram_is_wanted(const struct lending *lending)
{
	for (unsigned int i = 0; i < LENDING_MAX_LENDERS; i++)
		if (lending->lenders[i].session.job == SESSION_WAITS)
			return true;
	return false;
}

void lent_ram_take_back(struct lending *lending, size_t max_pages)
{
	struct vm *vm = lending->vm;

	for (unsigned int i = 0; i < LENDING_MAX_LENDERS; i++) {
		struct session *session = &lending->lenders[i].session;
		/* Anew for each: what one has taken back leads nowhere any more. */
		struct in_use in_use = { .lending = lending };

		if (session->job != SESSION_WAITS)
			continue;
		for (unsigned int n = 0; n < vm->n_vcpus; n++)
			keep_vcpu(&in_use, &vm->vcpus[n]);
		session_go_on(session, max_pages, has_begun(vm) ? is_in_use : is_everything, &in_use);
	}
}

static bool is_claimed(struct lending *lending)
{
	pthread_mutex_lock(&lending->state_lock);
	bool claimed = lending->space.windows[RAM].lender != SPACE_NO_LENDER;
	pthread_mutex_unlock(&lending->state_lock);
	return claimed;
}

/* syscalls(main): poll */
bool lent_ram_load(struct lending *lending, void (*fn)(struct vcpu *vcpu, void *argument), void *argument, GError **error)
{
	for (unsigned int waited_ms = 0; !is_claimed(lending); waited_ms += CLAIM_LOOK_MS) {
		if (waited_ms >= CLAIM_LIMIT_MS || atomic_load(&lending->vm->stopping)) {
			g_set_error(error, DOM1_ERROR, DOM1_STATUS_HOST,
				    "--memory-lent: the lender has not claimed window %u within %u s", RAM, CLAIM_LIMIT_MS / 1000);
			return false;
		}
		(void)poll(NULL, 0, CLAIM_LOOK_MS);
	}
	vcpu_work_as(&lending->vm->vcpus[0], fn, argument);
	if (atomic_load(&lending->vm->stopping)) {
		g_set_error_literal(error, DOM1_ERROR, DOM1_STATUS_HOST, "--memory-lent: the lender ended before the guest had its memory");
		return false;
	}
	return true;
}
