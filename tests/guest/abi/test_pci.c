// SPDX-License-Identifier: MIT
/*
 * A guest that plays with its PCI devices: device 1 is a lend window (place=pci), device 2 a virtio-pmem. One vCPU moves the
 * window, turns it off and on, while the other writes to all of its places; then one writes anything anywhere, to
 * configuration spaces and to registers. What the window holds must be what was written to the place where it was.
 */
#include "guest.h"

#ifdef __x86_64__
#include <xen/hvm/hvm_vcpu.h>
#include <xen/sched.h>
#include <xen/vcpu.h>

#define ADDRESS_PORT  0xcf8
#define DATA_PORT     0xcfc
#define COMMAND       0x04u
#define BAR           0x10u
#define MEMORY_ON     0x2u
#define WINDOW_BYTES  0x400000ul /* --lend-window 4M,place=pci */
#define N_WORDS       64u
#define GIB_SHIFT     30
#define HUGE_BYTES    0x200000ul
#define HUGE_PAGE     0xe7u
#define N_MOVES       200u
#define N_STORM       4000u

extern volatile uint64_t page_directories_pointers[];
SPARE_PAGE(directory);
static uint8_t stack[2 * PAGE_BYTES] __attribute__((aligned(16)));
static volatile uint64_t *place_a, *place_b;
static volatile uint64_t written;
static volatile bool ended, has_ended;
static uint32_t random_state = 1;

static void write_port(uint16_t port, uint32_t value)
{
	__asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port));
}

static uint32_t read_port(uint16_t port)
{
	uint32_t value;

	__asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static uint32_t config_read(uint32_t device, uint32_t offset)
{
	write_port(ADDRESS_PORT, 0x80000000u | device << 11 | offset);
	return read_port(DATA_PORT);
}

static void config_write(uint32_t device, uint32_t offset, uint32_t value)
{
	write_port(ADDRESS_PORT, 0x80000000u | device << 11 | offset);
	write_port(DATA_PORT, value);
}

/* xorshift: the same each time. */
static uint32_t next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 17;
	random_state ^= random_state << 5;
	return random_state;
}

/* The GiB around gpa, at its own address; not cached is as good. */
static void map_around(uint64_t gpa)
{
	volatile uint64_t *entries = (volatile uint64_t *)(void *)directory;

	for (unsigned int i = 0; i < 512; i++)
		entries[i] = (gpa >> GIB_SHIFT << GIB_SHIFT) + i * HUGE_BYTES + HUGE_PAGE;
	page_directories_pointers[gpa >> GIB_SHIFT] = ADDRESS(directory) | 0x67;
	__asm__ volatile("mov %%cr3, %%rax\n\tmov %%rax, %%cr3" : : : "rax", "memory");
}

static void writer(void)
{
	for (uint64_t n = N_WORDS; !ended; n++) {
		written = n;
		place_a[n % N_WORDS * 512] = n;
		place_b[n % N_WORDS * 512] = n;
	}
	has_ended = true;
	for (;;)
		(void)sched_op(SCHEDOP_yield, NULL);
}

/* Word i holds a number that was written to word i, and never goes back. */
static unsigned int mistakes_at(const volatile uint64_t *place, uint64_t *seen)
{
	unsigned int mistakes = 0;

	for (unsigned int i = 0; i < N_WORDS; i++) {
		uint64_t word = place[i * 512];

		if (word != 0 && (word % N_WORDS != i || word < seen[i] || word > written))
			mistakes++;
		seen[i] = word;
	}
	return mistakes;
}

static void move_about(void)
{
	static uint64_t seen[N_WORDS];
	unsigned int mistakes = 0, not_gone = 0, not_there = 0;
	const volatile uint64_t *here = place_a;

	for (unsigned int i = 0; i < N_MOVES; i++) {
		if (i % 4 == 3) {
			config_write(1, COMMAND, 0);
			not_gone += here[1] != ~0ul;
			config_write(1, COMMAND, MEMORY_ON);
		} else {
			const volatile uint64_t *there = here == place_a ? place_b : place_a;

			config_write(1, BAR, (uint32_t)ADDRESS(there));
			not_gone += here[1] != ~0ul;
			here = there;
		}
		not_there += here[1] != 0;
		mistakes += mistakes_at(here, seen);
	}
	CHECK("numbers in the window that are none of its words'", mistakes, 0);
	CHECK("old places at which there was still something", not_gone, 0);
	CHECK("new places at which there was nothing", not_there, 0);
	uint64_t total = 0;
	for (unsigned int i = 0; i < N_WORDS; i++)
		total += seen[i];
	CHECK_TRUE("the other vCPU has written", total > N_WORDS * N_WORDS);
}

/* Devices 0 to 3, all offsets; and registers of whatever is where the virtio device's were. */
static void storm(uint64_t registers_gpa)
{
	uint32_t id_1 = config_read(1, 0), id_2 = config_read(2, 0);

	for (unsigned int i = 0; i < N_STORM; i++) {
		uint32_t what = next_random(), value = next_random();

		if (what & 1)
			config_write(what >> 1 & 3, what >> 3 & 0xfc, value);
		else
			*(volatile uint32_t *)(uintptr_t)(registers_gpa + (what >> 1 & 0x7ffc)) = value;
		if (i % 64 == 0)
			config_write(2, COMMAND, MEMORY_ON);
		if (i % 64 == 32) {
			config_write(2, BAR, (uint32_t)registers_gpa);
			config_write(2, BAR + 4, (uint32_t)(registers_gpa >> 32));
		}
	}
	CHECK("device 1 is who it was", config_read(1, 0), id_1);
	CHECK("device 2 is who it was", config_read(2, 0), id_2);
}

void test_pci(void)
{
	struct vcpu_hvm_context context;

	CHECK("device 0 is the bridge", config_read(0, 8) >> 16, 0x0600);
	CHECK("device 1 is memory", config_read(1, 8) >> 16, 0x0500);
	CHECK("device 2 is virtio's", config_read(2, 0), 0x105b1af4);
	CHECK("there is no device 3", config_read(3, 0), 0xffffffffu);
	uint64_t gpa = (config_read(1, BAR) & ~0xfu) | (uint64_t)config_read(1, BAR + 4) << 32;
	uint64_t registers_gpa = (config_read(2, BAR) & ~0xfu) | (uint64_t)config_read(2, BAR + 4) << 32;
	map_around(gpa);
	place_a = (volatile uint64_t *)(uintptr_t)gpa;
	/* Free: the bridge's window has as much again. */
	place_b = (volatile uint64_t *)(uintptr_t)(gpa + 4 * WINDOW_BYTES);
	CHECK("off: all ones", place_a[0], ~0ul);
	config_write(1, COMMAND, MEMORY_ON);
	CHECK("on: nobody lends, so zeros", place_a[0], 0);
	CHECK("elsewhere: all ones", place_b[0], ~0ul);

	context_64(&context, writer, stack + sizeof(stack) - 3 * sizeof(long));
	CHECK("a vCPU starts", vcpu_op(VCPUOP_initialise, 1, &context), 0);
	CHECK("and runs", vcpu_op(VCPUOP_up, 1, NULL), 0);
	while (written < 4 * N_WORDS)
		(void)sched_op(SCHEDOP_yield, NULL);
	move_about();
	/* It goes on writing, to wherever that is. */
	storm(registers_gpa);
	ended = true;
	while (!has_ended)
		(void)sched_op(SCHEDOP_yield, NULL);
}
#else
void test_pci(void)
{
	check_skipped("PCI", "it is tested in 64-bit mode");
}
#endif
