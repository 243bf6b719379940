// SPDX-License-Identifier: MIT
/* Dispatch. Numbers and the rule that user mode may not call: <xen/xen.h>. */
#include "xen/hypercall.h"

#include <inttypes.h>
#include <stdio.h>

#include "xen/abi.h"

#include "vmm/vm.h"
#include "xen/abi_table.h"
#include "xen/domain.h"

#define REPORT_EVERY_NS UINT64_C(10000000000)

/* A guest that calls what there is not may do so forever: one line in ten seconds. */
static void report_unknown(struct vcpu *vcpu, const struct hypercall *call, const char *name, uint64_t operation)
{
	_Atomic uint64_t *last_ns = &vcpu->vm->xen->unknown_reported_ns;
	uint64_t now_ns = record_now_ns(vcpu->vm->record);
	uint64_t seen_ns = atomic_load(last_ns);

	if ((seen_ns != 0 && now_ns - seen_ns < REPORT_EVERY_NS) || !atomic_compare_exchange_strong(last_ns, &seen_ns, now_ns))
		return;
	if (name)
		fprintf(stderr, "dom1: the guest called %s, operation %" PRIu64 ", which does not exist here\n", name, operation);
	else
		fprintf(stderr, "dom1: the guest made hypercall %" PRIu64 ", which does not exist here\n", call->number);
}

int64_t hypercall_run(struct vcpu *vcpu, const struct hypercall *call)
{
	/* KVM hands us every VMCALL and VMMCALL, those of user programs in the guest too. */
	if (call->cpl != 0)
		return -XEN_EPERM;

	const struct hypercall_family *family = abi_table_family(call->number);
	if (!family) {
		report_unknown(vcpu, call, NULL, 0);
		return -XEN_ENOSYS;
	}
	const struct hypercall_op *op = &family->self;
	if (family->ops) {
		/* Operations are 32-bit numbers to Xen, whatever is in the upper half. */
		uint32_t number = (uint32_t)call->arguments[family->op_argument];

		if (family->op_mask)
			number &= family->op_mask;
		int64_t wrong = family->check ? family->check(vcpu->vm->xen, vcpu, call) : 0;
		if (wrong != 0)
			return wrong;
		op = abi_table_op(family, number);
		if (!op) {
			report_unknown(vcpu, call, family->self.name, number);
			return -(int64_t)family->unknown_error;
		}
	}
	return op->state == HYPERCALL_OFFERED ? op->handler(vcpu->vm->xen, vcpu, call) : -(int64_t)op->error;
}

/* What may never return is evidence as well: noted before it is done. */
static struct evidence_call *note_call(const struct vcpu *vcpu, const struct hypercall *call)
{
	struct evidence_calls *calls = &vcpu->vm->record->evidence.calls[vcpu->number];
	const uint32_t n = atomic_load_explicit(&calls->n, memory_order_relaxed);
	struct evidence_call *note = &calls->calls[n % EVIDENCE_CALLS];

	*note = (struct evidence_call){ .arguments = { call->arguments[0], call->arguments[1], call->arguments[2] },
					.number = (uint32_t)call->number };
	atomic_store_explicit(&calls->n, n + 1, memory_order_release);
	return note;
}

static void trace_grant_operation(const struct vcpu *vcpu, const struct hypercall *call, int64_t result)
{
	const struct hypercall_op *op = abi_table_op(abi_table_family(call->number), (uint32_t)call->arguments[0]);

	trace_grant(&vcpu->vm->trace, (int)vcpu->number, op ? op->name : "unknown", -1, (uint32_t)call->arguments[2], result);
}

int64_t hypercall_dispatch(struct vcpu *vcpu, const struct hypercall *call)
{
	struct vm *vm = vcpu->vm;

	record_phase(vm->record, PHASE_FIRST_HYPERCALL, NULL);
	if (call->number < RECORD_N_HYPERCALLS)
		record_count(&vm->record->hypercalls[call->number]);
	struct evidence_call *note = note_call(vcpu, call);
	int64_t result = hypercall_run(vcpu, call);
	note->result = result;
	note->has_returned = 1;
	if (trace_wants(&vm->trace, TRACE_HYPERCALL))
		trace_hypercall(&vm->trace, vcpu->number, call, result);
	if (trace_wants(&vm->trace, TRACE_GRANT) && call->number == __HYPERVISOR_grant_table_op)
		trace_grant_operation(vcpu, call, result);
	return result;
}
