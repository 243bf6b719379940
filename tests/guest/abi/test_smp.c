// SPDX-License-Identifier: MIT
/*
 * Other vCPUs: brought up by VCPUOP_initialise and VCPUOP_up (<xen/vcpu.h>, <xen/hvm/hvm_vcpu.h>), or with the word
 * "sipi" by INIT and SIPI. Each counts itself and halts.
 */
#include "guest.h"

#include <xen/hvm/hvm_vcpu.h>
#include <xen/sched.h>
#include <xen/vcpu.h>

#define CR0_PE         1u
#define CODE_ATTRIBUTE 0xc9b /* as in hvm_vcpu.h: present, code, 32 bits, 4 KiB units */
#define DATA_ATTRIBUTE 0xc93
#define TSS_ATTRIBUTE  0x08b
#define TRAMPOLINE     0x8000u
#define SIPI_COUNT     (*(volatile uint16_t *)(uintptr_t)(TRAMPOLINE + 0xffc))
#define LAPIC_SVR      0xfee000f0u
#define LAPIC_ICR      0xfee00300u
#define LAPIC_ICR_HIGH 0xfee00310u
#define SVR_ENABLED    0x1ffu
#define INIT_ALL       0xc4500u /* to all but oneself */
#define SIPI_ALL       (0xc4600u | TRAMPOLINE / PAGE_BYTES)
#define LIMIT_NS       60000000000ull /* 32 vCPUs take their time where the host is emulated */

extern void vcpu_entry_32(void);
extern uint8_t vcpu_entry_16[], vcpu_entry_16_end[];
extern volatile uint32_t vcpus_counted;
volatile uint32_t vcpus_counted;

void context_32(struct vcpu_hvm_context *context, const void *entry, const void *stack)
{
	*context = (struct vcpu_hvm_context){ .mode = VCPU_HVM_MODE_32B };
	struct vcpu_hvm_x86_32 *regs = &context->cpu_regs.x86_32;

	regs->eip = (uint32_t)ADDRESS(entry);
	regs->esp = (uint32_t)ADDRESS(stack);
	regs->cr0 = CR0_PE;
	regs->eflags = 2;
	regs->cs_limit = regs->ds_limit = regs->ss_limit = regs->es_limit = ~0u;
	regs->tr_limit = 0x67;
	regs->cs_ar = CODE_ATTRIBUTE;
	regs->ds_ar = regs->ss_ar = regs->es_ar = DATA_ATTRIBUTE;
	regs->tr_ar = TSS_ATTRIBUTE;
}

#ifdef __x86_64__
extern void vcpu_entry_64(void);
extern uint8_t page_table_root[];

/* Flat segments are the hypervisor's to load: hvm_vcpu.h, "the following values are loaded". */
void context_64(struct vcpu_hvm_context *context, const void *entry, const void *stack)
{
	*context = (struct vcpu_hvm_context){ .mode = VCPU_HVM_MODE_64B };
	struct vcpu_hvm_x86_64 *regs = &context->cpu_regs.x86_64;

	regs->rip = ADDRESS(entry);
	regs->rsp = ADDRESS(stack);
	regs->rflags = 2;
	regs->cr0 = 0x80010001;
	regs->cr3 = ADDRESS(page_table_root);
	regs->cr4 = 0x20;
	regs->efer = 0x500; /* LME, LMA */
}
#endif

static void wait_for_all(unsigned int n_others, bool by_sipi)
{
	uint64_t end_ns = system_time_ns() + LIMIT_NS;

	while ((by_sipi ? SIPI_COUNT : vcpus_counted) < n_others && system_time_ns() < end_ns)
		(void)sched_op(SCHEDOP_yield, NULL);
}

static void bring_up(unsigned int n_vcpus)
{
	struct vcpu_hvm_context context;
	long initialised = 0, upped = 0;

	for (unsigned int i = 1; i < n_vcpus; i++) {
		context_32(&context, vcpu_entry_32, NULL);
#ifdef __x86_64__
		/* Half of them in the mode that this guest is in. */
		if (i % 2 == 0)
			context_64(&context, vcpu_entry_64, NULL);
#endif
		long rc = vcpu_op(VCPUOP_initialise, i, &context);

		initialised = initialised ? initialised : rc;
		rc = vcpu_op(VCPUOP_up, i, NULL);
		upped = upped ? upped : rc;
	}
	CHECK("initialise of all other vCPUs", initialised, 0);
	CHECK("up of all other vCPUs", upped, 0);
	if (initialised != 0 || upped != 0)
		return;
	wait_for_all(n_vcpus - 1, false);
	CHECK("each of them counted itself", vcpus_counted, n_vcpus - 1);
	CHECK("the last one is up", vcpu_op(VCPUOP_is_up, n_vcpus - 1, NULL), 1);
	CHECK("initialise twice", vcpu_op(VCPUOP_initialise, n_vcpus - 1, &context), -XEN_EEXIST);
	CHECK("up of one that is up", vcpu_op(VCPUOP_up, n_vcpus - 1, NULL), 0);
	CHECK("down of one that runs", vcpu_op(VCPUOP_down, n_vcpus - 1, NULL), 0);
	CHECK("it is not up", vcpu_op(VCPUOP_is_up, n_vcpus - 1, NULL), 0);
	CHECK("down of one that is down", vcpu_op(VCPUOP_down, n_vcpus - 1, NULL), 0);
	CHECK("up again", vcpu_op(VCPUOP_up, n_vcpus - 1, NULL), 0);
	CHECK("it is up", vcpu_op(VCPUOP_is_up, n_vcpus - 1, NULL), 1);
	CHECK("nobody began anew", vcpus_counted, n_vcpus - 1);
}

static void start_by_sipi(unsigned int n_vcpus)
{
	struct vcpu_hvm_context context;

	context_32(&context, vcpu_entry_32, NULL);
	memcpy((void *)(uintptr_t)TRAMPOLINE, vcpu_entry_16, (size_t)(vcpu_entry_16_end - vcpu_entry_16));
	SIPI_COUNT = 0;
	*(volatile uint32_t *)LAPIC_SVR = SVR_ENABLED;
	*(volatile uint32_t *)LAPIC_ICR_HIGH = 0;
	*(volatile uint32_t *)LAPIC_ICR = INIT_ALL;
	*(volatile uint32_t *)LAPIC_ICR = SIPI_ALL;
	wait_for_all(n_vcpus - 1, true);
	CHECK("vCPUs that INIT and SIPI started", SIPI_COUNT, n_vcpus - 1);
	/* As hvm_hlt() has it: who halts with interrupts off is not coming back by itself. */
	uint64_t end_ns = system_time_ns() + LIMIT_NS;
	while (vcpu_op(VCPUOP_is_up, n_vcpus - 1, NULL) == 1 && system_time_ns() < end_ns)
		(void)sched_op(SCHEDOP_yield, NULL);
	CHECK("the last one halts with interrupts off: it is down", vcpu_op(VCPUOP_is_up, n_vcpus - 1, NULL), 0);
	CHECK("and has its registers", vcpu_op(VCPUOP_initialise, n_vcpus - 1, &context), -XEN_EEXIST);
	CHECK("so it can be woken", vcpu_op(VCPUOP_up, n_vcpus - 1, NULL), 0);
}

void test_smp(void)
{
	unsigned int n_vcpus = count_vcpus();

	shared_info_map();
	if (option_number())
		CHECK("there are as many vCPUs as asked for", n_vcpus, option_number());
	if (n_vcpus < 2)
		print("(one vCPU: nothing to start)\n");
	else if (option()[0] == 's')
		start_by_sipi(n_vcpus);
	else
		bring_up(n_vcpus);
}
