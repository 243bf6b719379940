// SPDX-License-Identifier: MIT
/*
 * A guest of borrowed memory: code, stack, descriptor tables, page tables and data are all in a lend window, whose lender
 * takes pages away at random and brings them back when they are used. Its own is one page, for hypercalls: what they are
 * given must lie in memory that nobody takes away.
 *
 * And so must the page tables through which an argument is found. Hence the one page is both: it is the root of the page
 * tables, and its entry OWN_INDEX leads back to itself, on each of the four levels. So that address is the page, and to
 * find it needs nothing else. Between its first entry (all that is borrowed) and that one is room for arguments: entries
 * for addresses that nobody uses.
 */
#include "../bytes.h"
#include "shared.h"

#include <stdbool.h>
#include <stddef.h>

#define __XEN_INTERFACE_VERSION__ 0x00040e00
#include <xen/xen.h>
#include <xen/arch-x86/cpuid.h>
#include <xen/errno.h>
#include <xen/memory.h>
#include <xen/sched.h>
#include <xen/version.h>

#define PAGE_BYTES   4096u
#define ENTRY        0x63u /* present, writable, accessed, dirty */
#define ENTRIES      512u
#define OWN_GPA      0x1000000ul
#define OWN_INDEX    510ul
#define OWN_ADDRESS  (0xffff000000000000ul | OWN_INDEX << 39 | OWN_INDEX << 30 | OWN_INDEX << 21 | OWN_INDEX << 12)
#define ARGUMENT     (OWN_ADDRESS + 64)
#define RAM_PAGES    0x2000u /* --memory 32M */
#define HOLE_PAGE    0xa0u   /* to HOLE_END: not the domain's to give back */
#define HOLE_END     0x100u
#define BATCH        256u
#define N_ROUNDS     2u
#define TIMER_VECTOR 0x41u
#define TIMER_TICKS  20000000u /* of the LAPIC's 1 GHz: far longer than to bring what an interrupt needs */

#define MSR_APIC_BASE    0x1b
#define APIC_BASE_X2     0x400
#define MSR_X2_EOI       0x80b
#define MSR_X2_SPURIOUS  0x80f
#define MSR_X2_TIMER     0x832
#define MSR_X2_COUNT     0x838
#define MSR_X2_DIVIDE    0x83e
#define SPURIOUS_ENABLED 0x1ff
#define TIMER_PERIODIC   0x20000
#define DIVIDE_BY_1      0xb

struct gate {
	uint16_t offset_low, selector, flags, offset_middle;
	uint32_t offset_high, reserved;
};

extern uint8_t _end[];
uint64_t prepare(void);
void borrowed_main(void);
struct interrupt_frame;

static uint8_t hypercall_page[PAGE_BYTES] __attribute__((aligned(PAGE_BYTES)));
static uint64_t pointers[ENTRIES] __attribute__((aligned(PAGE_BYTES)));
static uint64_t directory[ENTRIES] __attribute__((aligned(PAGE_BYTES)));
static uint64_t table[ENTRIES] __attribute__((aligned(PAGE_BYTES)));
static struct gate gates[256];
static volatile uint64_t interrupts;

static void write_msr(uint32_t msr, uint64_t value)
{
	__asm__ volatile("wrmsr" : : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)) : "memory");
}

static uint64_t read_msr(uint32_t msr)
{
	uint32_t low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
	return (uint64_t)high << 32 | low;
}

static long hypercall(unsigned long number, unsigned long a1, unsigned long a2)
{
	long result;

	__asm__ volatile("call *%[page]"
			 : "=a"(result), "+D"(a1), "+S"(a2)
			 : [page] "r"(hypercall_page + number * 32)
			 : "memory", "rcx", "rdx", "r8", "r9", "r10", "r11");
	return result;
}

static void end(unsigned int reason) __attribute__((noreturn));
static void end(unsigned int reason)
{
	struct sched_shutdown *shutdown = (struct sched_shutdown *)ARGUMENT;

	shutdown->reason = reason;
	for (;;)
		(void)hypercall(__HYPERVISOR_sched_op, SCHEDOP_shutdown, ARGUMENT);
}

/* Interrupts and exceptions */

__attribute__((interrupt)) static void on_timer(struct interrupt_frame *frame)
{
	(void)frame;
	interrupts++;
	write_msr(MSR_X2_EOI, 0);
}

/* None is expected. */
__attribute__((interrupt)) static void on_other(struct interrupt_frame *frame)
{
	(void)frame;
	end(SHUTDOWN_crash);
}

static void set_gate(unsigned int vector, void (*handler)(struct interrupt_frame *))
{
	uint64_t address = (uint64_t)(uintptr_t)handler;

	gates[vector] = (struct gate){ (uint16_t)address, 0x08, 0x8e00, (uint16_t)(address >> 16), (uint32_t)(address >> 32), 0 };
}

static void start_timer(void)
{
	const struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) pointer = { sizeof(gates) - 1, (uint64_t)(uintptr_t)gates };

	for (unsigned int i = 0; i < 256; i++)
		set_gate(i, on_other);
	set_gate(TIMER_VECTOR, on_timer);
	__asm__ volatile("lidt %0" : : "m"(pointer));
	write_msr(MSR_APIC_BASE, read_msr(MSR_APIC_BASE) | APIC_BASE_X2);
	write_msr(MSR_X2_SPURIOUS, SPURIOUS_ENABLED);
	write_msr(MSR_X2_DIVIDE, DIVIDE_BY_1);
	write_msr(MSR_X2_TIMER, TIMER_PERIODIC | TIMER_VECTOR);
	write_msr(MSR_X2_COUNT, TIMER_TICKS);
	__asm__ volatile("sti");
}

/* In memory of its own, which is left soon. */

static void find_hypercalls(void)
{
	uint32_t eax = XEN_CPUID_LEAF(2), ebx, ecx = 0, edx;

	__asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
	write_msr(ebx, (uint64_t)(uintptr_t)hypercall_page);
}

static uint64_t borrowed(const void *address)
{
	return BORROWED_GPA + (uint64_t)(uintptr_t)address;
}

/* Returns the new root's gpa: the one page of its own. */
uint64_t prepare(void)
{
	volatile struct borrowed_says *says = (struct borrowed_says *)(BORROWED_GPA + BORROWED_SAYS_PAGE * (uintptr_t)PAGE_BYTES);
	uint64_t *root = (uint64_t *)OWN_GPA;

	find_hypercalls();
	while (says->go != BORROWED_GO)
		__asm__ volatile("pause");
	for (unsigned int i = 0; i < ENTRIES; i++)
		table[i] = BORROWED_GPA + (uint64_t)i * PAGE_BYTES + ENTRY;
	directory[0] = borrowed(table) + ENTRY;
	pointers[0] = borrowed(directory) + ENTRY;
	memset(root, 0, PAGE_BYTES);
	root[0] = borrowed(pointers) + ENTRY;
	root[OWN_INDEX] = OWN_GPA + ENTRY;
	return OWN_GPA;
}

/* In borrowed memory. */

static struct borrowed_says *says_page(void)
{
	return (struct borrowed_says *)(BORROWED_SAYS_PAGE * (uintptr_t)PAGE_BYTES);
}

/* Everything goes back to the hypervisor but the one page. */
static void give_ram_back(void)
{
	struct xen_memory_reservation *reservation = (struct xen_memory_reservation *)ARGUMENT;
	xen_pfn_t *gfns = (xen_pfn_t *)(ARGUMENT + sizeof(*reservation));
	unsigned long gfn = 0;

	while (gfn < RAM_PAGES) {
		unsigned int n = 0;

		for (; gfn < RAM_PAGES && n < BATCH; gfn++)
			if (gfn != OWN_GPA / PAGE_BYTES && (gfn < HOLE_PAGE || gfn >= HOLE_END))
				gfns[n++] = gfn;
		*reservation = (struct xen_memory_reservation){ .nr_extents = n, .domid = DOMID_SELF };
		set_xen_guest_handle(reservation->extent_start, gfns);
		says_page()->mistakes += hypercall(__HYPERVISOR_memory_op, XENMEM_decrease_reservation, ARGUMENT) != (long)n;
	}
	domid_t *self = (domid_t *)ARGUMENT;

	*self = DOMID_SELF;
	says_page()->own_pages = (uint64_t)hypercall(__HYPERVISOR_memory_op, XENMEM_current_reservation, ARGUMENT);
}

static void call_hypervisor(void)
{
	static xen_extraversion_t lent;
	struct borrowed_says *says = says_page();

	says->hypercalls += hypercall(__HYPERVISOR_xen_version, XENVER_extraversion, ARGUMENT) == 0;
	says->lent_arguments += hypercall(__HYPERVISOR_xen_version, XENVER_extraversion, (unsigned long)&lent) == -XEN_EFAULT;
}

static uint64_t *data_page(uint64_t page)
{
	return (uint64_t *)(uintptr_t)(page * PAGE_BYTES);
}

static void fill(uint64_t round)
{
	for (uint64_t page = BORROWED_DATA_PAGE; page < BORROWED_PAGES; page++)
		for (uint64_t word = 0; word < PAGE_BYTES / 8; word++)
			data_page(page)[word] = borrowed_word(round, page, word);
}

/* In another order than it was written: by a step that has no factor in common with the number of pages. */
static void check(uint64_t round)
{
	const uint64_t n = BORROWED_PAGES - BORROWED_DATA_PAGE;
	struct borrowed_says *says = says_page();
	uint64_t mistakes = 0, sum = 0;

	for (uint64_t i = 0; i < n; i++) {
		uint64_t page = BORROWED_DATA_PAGE + i * 277 % n;

		for (uint64_t word = 0; word < PAGE_BYTES / 8; word++) {
			mistakes += data_page(page)[word] != borrowed_word(round, page, word);
			sum = borrowed_sum(sum, data_page(page)[word]);
		}
		if (i % 16 == 0)
			call_hypervisor();
	}
	says->mistakes += mistakes;
	says->checksum = sum;
	says->rounds = round;
}

void borrowed_main(void)
{
	/* What is checked must lie behind what checks. */
	says_page()->mistakes = (uintptr_t)_end > BORROWED_DATA_PAGE * (uintptr_t)PAGE_BYTES;
	start_timer();
	give_ram_back();
	for (uint64_t round = 1; round <= N_ROUNDS; round++) {
		fill(round);
		check(round);
	}
	__asm__ volatile("cli");
	says_page()->interrupts = interrupts;
	end(says_page()->mistakes == 0 ? SHUTDOWN_poweroff : SHUTDOWN_crash);
}
