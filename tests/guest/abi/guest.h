/* SPDX-License-Identifier: MIT */
/*
 * What the guests that check Xen's ABI are made of: no library, one address space, interrupts off unless a check wants
 * them. Each family of hypercalls is a file test_FAMILY.c; the first word of the command line says which one runs.
 *
 * A check prints one line, "ok" or "FAIL", and goes on. The last line is Xen's test framework's: "Test result: WORD".
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define __XEN_INTERFACE_VERSION__ 0x00040e00
#include <xen/xen.h>
#include <xen/errno.h>

#include "../bytes.h"

#define PAGE_BYTES 4096u
#define NO_DOMAIN  77 /* a domain that there is not */
#define BACKEND    0  /* one that there is, and is not the guest's to change */

/* runtime.c */
extern uint32_t start_info_gpa, loader_magic;
extern uint16_t own_domid;
void print(const char *text);
void print_number(long long number);
void print_hex(unsigned long long number);
void finish(const char *result) __attribute__((noreturn));
/* Until all that was printed has been taken. */
void console_drain(void);
const char *option(void); /* what follows the family on the command line */
unsigned int option_number(void); /* the digits in it; 0 without one */

/* The family's functions, as main.c lists them. */
void test_console(void);
void test_end(void);
void test_say(void);
void test_event_channel_op(void);
void test_event_delivery(void);
void test_grant_table_op(void);
void test_grant_map(void);
void test_grant_v2(void);
void test_hostile(void);
void test_hvm_op(void);
void test_lend(void);
void test_lend_to(void);
void test_memory_op(void);
void test_misc(void);
void test_multicall(void);
void test_paging(void);
void test_pci(void);
void test_reservation(void);
void test_saved(void);
void test_scale(void);
void test_sched_op(void);
void test_smp(void);
void test_soft_reset(void);
void test_stress(void);
void test_timers(void);
void test_vcpu_op(void);
void test_xen_version(void);

/* Results of checks. */
void check_equal(const char *what, long long got, long long expected, int line);
void check_skipped(const char *what, const char *why);
#define CHECK(what, got, expected) check_equal(what, (long long)(got), (long long)(expected), __LINE__)
#define CHECK_TRUE(what, condition) check_equal(what, (condition) ? 1 : 0, 1, __LINE__)

/* start.S: VMCALL or VMMCALL, as the hypercall page has it, and RET. */
extern uint8_t hypercall_instruction[];
extern uint8_t hypercall_page[];
long user_hypercall(unsigned long number, unsigned long a1, unsigned long a2);

#ifdef __x86_64__
static inline long hypercall(unsigned long number, unsigned long a1, unsigned long a2, unsigned long a3,
			     unsigned long a4, unsigned long a5)
{
	register unsigned long r10 __asm__("r10") = a4;
	register unsigned long r8 __asm__("r8") = a5;
	long result;

	__asm__ volatile("call hypercall_instruction"
			 : "=a"(result), "+D"(a1), "+S"(a2), "+d"(a3), "+r"(r10), "+r"(r8)
			 : "0"(number)
			 : "memory", "rcx", "r9", "r11");
	return result;
}
#else
static inline long hypercall(unsigned long number, unsigned long a1, unsigned long a2, unsigned long a3,
			     unsigned long a4, unsigned long a5)
{
	long result;

	__asm__ volatile("call hypercall_instruction"
			 : "=a"(result), "+b"(a1), "+c"(a2), "+d"(a3), "+S"(a4), "+D"(a5)
			 : "0"(number)
			 : "memory");
	return result;
}
#endif

#define ADDRESS(pointer) ((unsigned long)(uintptr_t)(pointer))

static inline long memory_op(unsigned long operation, void *argument)
{
	return hypercall(__HYPERVISOR_memory_op, operation, ADDRESS(argument), 0, 0, 0);
}
static inline long event_channel_op(unsigned long operation, void *argument)
{
	return hypercall(__HYPERVISOR_event_channel_op, operation, ADDRESS(argument), 0, 0, 0);
}
static inline long sched_op(unsigned long operation, void *argument)
{
	return hypercall(__HYPERVISOR_sched_op, operation, ADDRESS(argument), 0, 0, 0);
}
static inline long hvm_op(unsigned long operation, void *argument)
{
	return hypercall(__HYPERVISOR_hvm_op, operation, ADDRESS(argument), 0, 0, 0);
}
static inline long xen_version(unsigned long operation, void *argument)
{
	return hypercall(__HYPERVISOR_xen_version, operation, ADDRESS(argument), 0, 0, 0);
}
static inline long vcpu_op(unsigned long operation, unsigned long vcpu, void *argument)
{
	return hypercall(__HYPERVISOR_vcpu_op, operation, vcpu, ADDRESS(argument), 0, 0);
}
static inline long grant_table_op(unsigned long operation, void *argument, unsigned long count)
{
	return hypercall(__HYPERVISOR_grant_table_op, operation, ADDRESS(argument), count, 0, 0);
}

/* runtime.c: an HVM_PARAM_*; 0 when hvm_op refuses. */
uint64_t parameter(uint32_t index);

/* paging.c: pages of the window at 1 GiB. Without paging there is none, and HAS_PAGING is 0. */
#define HAS_PAGING (GUEST_PAGING != 0)
void *window_map(unsigned int page, const void *memory, bool writable);
void window_unmap(unsigned int page);
/* With these bits besides the address, and what is there now: only with paging. */
void *window_map_flags(unsigned int page, const void *memory, uint64_t flags);
unsigned long window_entry(unsigned int page);
#ifdef __x86_64__
extern volatile uint64_t page_directories_pointers[]; /* start.S: a GiB each */
#endif
/* An address where nothing is mapped; without paging, where no memory is. */
void *nowhere(void);
/* len_bytes of memory: the first half lies at the end of one page, the rest in a page that does not follow it. */
void *across_pages(size_t len_bytes);

/* shared.c: shared_info at a place that tests may use, and times. */
extern struct shared_info *shared;
void shared_info_map(void);
long add_to_physmap(unsigned int space, unsigned long index, const void *at);
bool port_pending(unsigned int port);
void port_clear(unsigned int port);
bool port_masked(unsigned int port);
void port_mask(unsigned int port, bool masked);
uint64_t system_time_ns(void);
/* Until the port is pending or time is over; whether it is. */
bool wait_for_port(unsigned int port, unsigned int limit_ms);
unsigned int count_vcpus(void);
/* Those that wait in the LAPIC do not count: setting a vector may raise it. */
void take_upcalls(void);

/* test_smp.c: what VCPUOP_initialise takes, for code in this guest's memory. */
struct vcpu_hvm_context;
void context_32(struct vcpu_hvm_context *context, const void *entry, const void *stack);
#ifdef __x86_64__
void context_64(struct vcpu_hvm_context *context, const void *entry, const void *stack);
#endif

/* traps.c */
extern volatile unsigned int upcalls, nmis, machine_checks;
extern volatile uint64_t machine_check_address;
/* Not 0: a general protection fault is no end, and the instruction, so long, is left out. */
extern volatile unsigned int traps_skip_bytes;
#define UPCALL_VECTOR 0x40
void traps_init(void);

/* Vendor-neutral CPU things. */
static inline void cpuid(uint32_t leaf, uint32_t out[4])
{
	__asm__ volatile("cpuid" : "=a"(out[0]), "=b"(out[1]), "=c"(out[2]), "=d"(out[3]) : "0"(leaf), "2"(0));
}
static inline void write_msr(uint32_t msr, uint64_t value)
{
	__asm__ volatile("wrmsr" : : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)) : "memory");
}
static inline uint64_t read_msr(uint32_t msr)
{
	uint32_t low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
	return (uint64_t)high << 32 | low;
}
static inline uint64_t read_tsc(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
}

/* A page of RAM that is nobody's. */
#define SPARE_PAGE(name) static uint8_t name[PAGE_BYTES] __attribute__((aligned(4096)))
