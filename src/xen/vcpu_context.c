// SPDX-License-Identifier: MIT
#include "xen/vcpu_context.h"

#include <string.h>

#include "xen/abi.h"
#include <xen/hvm/hvm_vcpu.h>

#define CR0_PE (UINT64_C(1) << 0)
#define CR0_PG (UINT64_C(1) << 31)
#define CR4_PAE (UINT64_C(1) << 5)
#define EFER_LME (UINT64_C(1) << 8)
#define EFER_LMA (UINT64_C(1) << 10)
#define EFER_NX  (UINT64_C(1) << 11)
#define RFLAGS_ONE 2u

/* Attributes as VMX has them: type, S, DPL, P in the low byte, then AVL, L, D/B, G from bit 8 on. */
static struct kvm_segment segment(uint32_t base, uint32_t limit, uint16_t attributes)
{
	return (struct kvm_segment){
		.base = base,
		.limit = limit,
		.type = attributes & 0xf,
		.s = attributes >> 4 & 1,
		.dpl = attributes >> 5 & 3,
		.present = attributes >> 7 & 1,
		.avl = attributes >> 8 & 1,
		.l = attributes >> 9 & 1,
		.db = attributes >> 10 & 1,
		.g = attributes >> 11 & 1,
		.unusable = !(attributes >> 7 & 1),
	};
}

static bool segment_is_good(const struct kvm_segment *seg, bool code)
{
	/* An absent data segment is a null selector; code and stack must be there. */
	if (!seg->present)
		return !code;
	if (!seg->s || seg->l)
		return false;
	if (code ? !(seg->type & 8) : (seg->type & 8) && !(seg->type & 2))
		return false;
	/* A limit in pages has its low bits set, one in bytes has no high ones. */
	return seg->g ? (seg->limit & 0xfff) == 0xfff : seg->limit <= 0xfffff;
}

static bool translate_32(const struct vcpu_hvm_x86_32 *from, struct kvm_regs *regs, struct kvm_sregs *sregs)
{
	if (from->pad1 != 0 || from->pad2[0] != 0 || from->pad2[1] != 0 || from->pad2[2] != 0)
		return false;
	sregs->cs = segment(from->cs_base, from->cs_limit, from->cs_ar);
	sregs->ds = segment(from->ds_base, from->ds_limit, from->ds_ar);
	sregs->ss = segment(from->ss_base, from->ss_limit, from->ss_ar);
	sregs->es = segment(from->es_base, from->es_limit, from->es_ar);
	sregs->tr = segment(from->tr_base, from->tr_limit, from->tr_ar);
	if (!segment_is_good(&sregs->cs, true) || !segment_is_good(&sregs->ds, false) ||
	    !segment_is_good(&sregs->ss, false) || !segment_is_good(&sregs->es, false) || !sregs->ss.present ||
	    sregs->ss.dpl != sregs->cs.dpl || sregs->tr.s || !sregs->tr.present)
		return false;
	if (((from->efer & EFER_LME) && !(from->efer & EFER_LMA)) || (from->efer & ~(EFER_LME | EFER_LMA | EFER_NX)) ||
	    ((from->cr0 & CR0_PG) && !(from->cr0 & CR0_PE)))
		return false;
	*regs = (struct kvm_regs){
		.rax = from->eax, .rcx = from->ecx, .rdx = from->edx, .rbx = from->ebx, .rsp = from->esp, .rbp = from->ebp,
		.rsi = from->esi, .rdi = from->edi, .rip = from->eip, .rflags = from->eflags | RFLAGS_ONE,
	};
	sregs->cr0 = from->cr0;
	sregs->cr3 = from->cr3;
	sregs->cr4 = from->cr4;
	sregs->efer = from->efer;
	return true;
}

static bool translate_64(const struct vcpu_hvm_x86_64 *from, struct kvm_regs *regs, struct kvm_sregs *sregs)
{
	const struct kvm_segment data = { .limit = 0xffffffff, .type = 3, .present = 1, .db = 1, .s = 1, .g = 1 };

	/* Straight into long mode: nothing of it may be missing. */
	if (!(from->cr0 & CR0_PE) || !(from->cr0 & CR0_PG) || !(from->cr4 & CR4_PAE) || !(from->efer & EFER_LME) ||
	    !(from->efer & EFER_LMA))
		return false;
	*regs = (struct kvm_regs){
		.rax = from->rax, .rcx = from->rcx, .rdx = from->rdx, .rbx = from->rbx, .rsp = from->rsp, .rbp = from->rbp,
		.rsi = from->rsi, .rdi = from->rdi, .rip = from->rip, .rflags = from->rflags | RFLAGS_ONE,
	};
	sregs->cs = (struct kvm_segment){ .limit = 0xffffffff, .type = 0xb, .present = 1, .l = 1, .s = 1, .g = 1 };
	sregs->ds = sregs->es = sregs->ss = data;
	sregs->tr = (struct kvm_segment){ .limit = 0x67, .type = 0xb, .present = 1 };
	sregs->cr0 = from->cr0;
	sregs->cr3 = from->cr3;
	sregs->cr4 = from->cr4;
	sregs->efer = from->efer;
	return true;
}

bool vcpu_context_translate(const struct vcpu_hvm_context *context, struct kvm_regs *regs, struct kvm_sregs *sregs)
{
	if (context->pad != 0)
		return false;
	sregs->fs = sregs->gs = (struct kvm_segment){ .limit = 0, .unusable = 1, .type = 1 };
	switch (context->mode) {
	case VCPU_HVM_MODE_32B:
		return translate_32(&context->cpu_regs.x86_32, regs, sregs);
	case VCPU_HVM_MODE_64B:
		return translate_64(&context->cpu_regs.x86_64, regs, sregs);
	default:
		return false;
	}
}
