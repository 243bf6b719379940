// SPDX-License-Identifier: MIT
/* Exceptions end the test with ERROR; upcalls and NMIs are counted; INT 0x80 is the way back from CPL 3. */
#include "guest.h"

#define N_VECTORS    65 /* as start.S has entries */
#define USER_VECTOR  0x80
#define NMI_VECTOR   2
#define FAULT_VECTOR 13
#define CHECK_VECTOR 18
#define CHECK_STATUS_MSR 0x17a
#define BANK_ADDRESS_MSR 0x402
#define GATE         0x8e /* present, interrupt gate */
#define GATE_USER    0xee
#define LAPIC_EOI    0xfee000b0u
#define TSS_SELECTOR 0x30
#define TSS_TYPE     0x89

struct gate {
	uint16_t low;
	uint16_t selector;
	uint8_t ist;
	uint8_t flags;
	uint16_t middle;
#ifdef __x86_64__
	uint32_t high;
	uint32_t reserved;
#endif
};

struct task_state {
#ifdef __x86_64__
	uint32_t reserved;
	uint64_t sp0;
	uint32_t unused[23];
#else
	uint32_t link;
	uint32_t sp0, ss0;
	uint32_t unused[23];
#endif
} __attribute__((packed));

struct trap_frame {
	unsigned long vector, error, ip, cs, flags;
};

extern const unsigned long trap_addresses[N_VECTORS];
extern uint64_t gdt[];
extern void user_return(void);
void trap_handle(struct trap_frame *frame);

volatile unsigned int upcalls, nmis, machine_checks;
volatile uint64_t machine_check_address;
volatile unsigned int traps_skip_bytes;

static struct gate idt[256] __attribute__((aligned(16)));
static struct task_state task_state __attribute__((aligned(16)));
static uint8_t trap_stack[PAGE_BYTES * 2] __attribute__((aligned(16)));

void trap_handle(struct trap_frame *frame)
{
	unsigned long address;

	if (frame->vector == NMI_VECTOR) {
		nmis++;
		return;
	}
	if (frame->vector == FAULT_VECTOR && traps_skip_bytes != 0) {
		frame->ip += traps_skip_bytes;
		return;
	}
	if (frame->vector == CHECK_VECTOR) {
		machine_checks++;
		machine_check_address = read_msr(BANK_ADDRESS_MSR);
		write_msr(CHECK_STATUS_MSR, 0);
		return;
	}
	if (frame->vector == UPCALL_VECTOR) {
		upcalls++;
		*(volatile uint32_t *)LAPIC_EOI = 0;
		return;
	}
	__asm__ volatile("mov %%cr2, %0" : "=r"(address));
	print("exception ");
	print_number((long long)frame->vector);
	print(", error ");
	print_hex(frame->error);
	print(", at ");
	print_hex(frame->ip);
	print(", CR2 ");
	print_hex(address);
	print("\n");
	finish("ERROR");
}

static void set_gate(unsigned int vector, unsigned long address, uint8_t flags)
{
	idt[vector] = (struct gate){
		.low = (uint16_t)address,
		.middle = (uint16_t)(address >> 16),
		.flags = flags,
#ifdef __x86_64__
		.selector = 0x18,
		.high = (uint32_t)(address >> 32),
#else
		.selector = 0x08,
#endif
	};
}

static void set_task_state(void)
{
	unsigned long at = ADDRESS(&task_state);

	task_state.sp0 = ADDRESS(trap_stack + sizeof(trap_stack));
#ifndef __x86_64__
	task_state.ss0 = 0x10;
#endif
	gdt[TSS_SELECTOR / 8] = (sizeof(task_state) - 1) | (uint64_t)(at & 0xffffff) << 16 | (uint64_t)TSS_TYPE << 40 |
				(uint64_t)(at >> 24 & 0xff) << 56;
	__asm__ volatile("ltr %w0" : : "r"(TSS_SELECTOR));
}

void traps_init(void)
{
	struct {
		uint16_t limit;
		unsigned long base;
	} __attribute__((packed)) pointer = { sizeof(idt) - 1, ADDRESS(idt) };

	for (unsigned int i = 0; i < N_VECTORS; i++)
		set_gate(i, trap_addresses[i], GATE);
	set_gate(USER_VECTOR, ADDRESS(user_return), GATE_USER);
	__asm__ volatile("lidt %0" : : "m"(pointer));
	set_task_state();
}
