// SPDX-License-Identifier: MIT
/*
 * Hands for a lender: each vCPU does what its box asks (lend.h). What is right or wrong is the lender's to say, but for
 * TASK_HAMMER, where the vCPU knows what each page must hold.
 */
#include "guest.h"

#ifdef __x86_64__
#include "lend.h"

#include <xen/hvm/hvm_vcpu.h>
#include <xen/sched.h>
#include <xen/vcpu.h>

#define N_VCPUS        8u
#define WALK_SLOT      800u /* of page_directories, and one for each vCPU: an address that nobody uses */
#define HUGE_BYTES     0x200000ul
#define PTE            0x67u
#define CR4_OSFXSR     0x200ul
#define CR4_MCE        0x40ul
#define CR4_OSXSAVE    0x40000ul
#define CPUID_1_ECX    (1u << 26 | 1u << 28) /* XSAVE, AVX */
#define WALK_VALUE     0x77616c6b00000000ul

extern volatile uint64_t page_directories[];
SPARE_PAGE(walked_page);
static uint8_t stacks[N_VCPUS][2 * PAGE_BYTES] __attribute__((aligned(16)));
static uint32_t counted[N_VCPUS][HAMMER_MAX_PAGES];
static volatile unsigned int numbered;
static bool has_avx;

static struct lend_box *box_of(unsigned int vcpu)
{
	return (struct lend_box *)(uintptr_t)(LEND_POST_GPA + vcpu * LEND_BOX_BYTES);
}

static uint64_t add_locked(volatile uint64_t *at, uint64_t value)
{
	__asm__ volatile("lock xaddq %0, %1" : "+r"(value), "+m"(*at) : : "memory", "cc");
	return value;
}

static uint64_t read_wide(const volatile void *at)
{
	uint64_t halves[2] __attribute__((aligned(16)));

	__asm__ volatile("movups (%1), %%xmm0\n\tmovaps %%xmm0, %0" : "=m"(halves) : "r"(at) : "memory");
	return halves[0] ^ halves[1];
}

/* 32 bytes by one instruction: all of them exclusive-or. */
static uint64_t read_wider(const volatile void *at)
{
	uint64_t words[4] __attribute__((aligned(32)));

	__asm__ volatile("vmovups (%1), %%ymm0\n\tvmovaps %%ymm0, %0" : "=m"(words) : "r"(at) : "memory");
	return words[0] ^ words[1] ^ words[2] ^ words[3];
}

static void write_wider(volatile void *at, uint64_t value)
{
	const uint64_t words[4] __attribute__((aligned(32))) = { value, value, value, value };

	__asm__ volatile("vmovaps %0, %%ymm0\n\tvmovups %%ymm0, (%1)" : : "m"(words), "r"(at) : "memory");
}

static uint64_t call(uint64_t address)
{
	return ((uint64_t (*)(void))(uintptr_t)address)();
}

/* The table is one of the window's pages; what it maps is for it to say. */
static uint64_t walk(unsigned int vcpu, uint64_t table, uint64_t index)
{
	unsigned int slot = WALK_SLOT + vcpu;
	volatile uint64_t *at = (volatile uint64_t *)(slot * HUGE_BYTES + index * PAGE_BYTES);

	page_directories[slot] = table | PTE;
	/* Also what the CPU remembers of tables. */
	__asm__ volatile("mov %%cr3, %%rax\n\tmov %%rax, %%cr3" : : : "rax", "memory");
	return *at;
}

static uint64_t push(uint64_t stack, uint64_t value)
{
	uint64_t popped;

	__asm__ volatile("mov %%rsp, %%rbx\n\tmov %1, %%rsp\n\tpush %2\n\tpop %0\n\tmov %%rbx, %%rsp"
			 : "=&r"(popped)
			 : "r"(stack), "r"(value)
			 : "rbx", "memory");
	return popped;
}

static uint64_t interrupt_on(uint64_t stack)
{
	unsigned int before = nmis;

	__asm__ volatile("mov %%rsp, %%rbx\n\tmov %0, %%rsp\n\tint $2\n\tmov %%rbx, %%rsp" : : "r"(stack) : "rbx", "memory");
	return nmis - before;
}

static void remember(struct lend_box *box, uint64_t page, uint64_t kind, uint64_t value)
{
	if (box->result++ > 0)
		return;
	box->bad_page = page;
	box->bad_kind = kind;
	box->bad_value = value;
}

static void expect(struct lend_box *box, uint64_t page, enum lend_kind kind, uint64_t got, uint64_t expected)
{
	box->kinds |= 1u << kind;
	if (got != expected)
		remember(box, page, kind, got);
}

static void hammer_page(unsigned int vcpu, struct lend_box *box, uint64_t page, uint32_t how)
{
	uint64_t at = LEND_WINDOW_GPA + page * PAGE_BYTES, line = at + PAGE_COUNTERS * (vcpu + 1), got;
	volatile uint64_t *mine = (volatile uint64_t *)line;

	switch (how % 8) {
	case 0:
		expect(box, page, KIND_WIDE, read_wide((const volatile void *)at), PAGE_TAG(page));
		break;
	case 1:
		expect(box, page, KIND_CODE, call(at + PAGE_CODE), page);
		break;
	case 2:
		expect(box, page, KIND_WALK, walk(vcpu, at, 511), WALK_VALUE);
		break;
	case 3:
		expect(box, page, KIND_STACK, push(line + PAGE_LINE_STACK, how), how);
		break;
	case 4:
		if (has_avx)
			expect(box, page, KIND_WIDER, read_wider((const volatile void *)at), PAGE_TAG(page));
		break;
	case 5:
		if (has_avx) {
			write_wider((volatile void *)(line + PAGE_LINE_WIDER), how);
			/* An even number of the same. */
			expect(box, page, KIND_WRITE_WIDER, read_wider((const volatile void *)(line + PAGE_LINE_WIDER)), 0);
		}
		break;
	default:
		expect(box, page, KIND_TAG, *(volatile uint64_t *)at, PAGE_TAG(page));
	}
	/* Nobody else writes there: what is missing was written to a page that was no longer ours. */
	got = add_locked(mine, 1);
	expect(box, page, KIND_COUNTER, (uint32_t)got, counted[vcpu][page]);
	counted[vcpu][page] = (uint32_t)got + 1;
	/* A plain write, and what it left. */
	mine[1] = got;
	expect(box, page, KIND_WRITE, mine[1], got);
}

static void hammer(unsigned int vcpu, struct lend_box *box, uint64_t n_pages)
{
	uint32_t random = 12345 + vcpu;

	box->result = box->kinds = 0;
	while (!box->stop) {
		random = random * 1664525u + 1013904223u;
		hammer_page(vcpu, box, (random >> 8) % n_pages, random >> 4);
		box->progress++;
	}
}

static void touch(struct lend_box *box, uint64_t from, uint64_t n_pages, bool forever)
{
	volatile uint64_t *times = (volatile uint64_t *)(uintptr_t)(LEND_POST_GPA + LEND_TIMES_OFFSET);
	uint64_t number = box->number;

	do {
		for (uint64_t page = 0; page < n_pages; page++) {
			uint64_t began = read_tsc();

			(void)*(volatile uint64_t *)(from + page * PAGE_BYTES);
			if (page < LEND_TIMES && !forever)
				times[page] = read_tsc() - began;
		}
	} while (forever && box->number == number);
}

static void in_string(uint64_t to, uint64_t len_bytes)
{
	__asm__ volatile("rep insb" : "+D"(to), "+c"(len_bytes) : "d"(LEND_PORT) : "memory");
}

static void out_string(uint64_t from, uint64_t len_bytes)
{
	__asm__ volatile("rep outsb" : "+S"(from), "+c"(len_bytes) : "d"(LEND_PORT) : "memory");
}

static void copy(uint64_t to, uint64_t from, uint64_t len_bytes)
{
	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(len_bytes) : : "memory");
}

#define STRING(instruction, to, from) \
	__asm__ volatile("rep " instruction : "+D"(to), "+S"(from), "+c"(n) : "d"(LEND_PORT) : "memory")

static uint64_t compare(uint64_t address)
{
	uint64_t nothing = LEND_NOTHING_GPA;
	uint8_t equal;

	__asm__ volatile("cmpsq\n\tsete %2" : "+S"(address), "+D"(nothing), "=qm"(equal) : : "memory", "cc");
	return equal;
}

static void push_nothing(uint64_t stack)
{
	__asm__ volatile("mov %%rsp, %%rbx\n\tmov %0, %%rsp\n\tpushq (%1)\n\tmov %%rbx, %%rsp"
			 : : "r"(stack), "r"((uint64_t)LEND_NOTHING_GPA) : "rbx", "memory");
}

static uint64_t pop_to_nothing(uint64_t stack)
{
	uint64_t after;

	__asm__ volatile("mov %%rsp, %%rbx\n\tmov %1, %%rsp\n\tpopq (%2)\n\tmov %%rsp, %0\n\tmov %%rbx, %%rsp"
			 : "=&r"(after) : "r"(stack), "r"((uint64_t)LEND_NOTHING_GPA) : "rbx", "memory");
	return after - stack;
}

static uint64_t emulated(enum lend_emulated what, uint64_t address)
{
	uint64_t nothing = LEND_NOTHING_GPA, n = LEND_STRING;

	switch (what) {
	case EMULATED_IN_8:
		STRING("insb", address, nothing);
		return 0;
	case EMULATED_IN_16:
		STRING("insw", address, nothing);
		return 0;
	case EMULATED_IN_32:
		STRING("insl", address, nothing);
		return 0;
	case EMULATED_OUT_8:
		STRING("outsb", nothing, address);
		return 0;
	case EMULATED_OUT_16:
		STRING("outsw", nothing, address);
		return 0;
	case EMULATED_OUT_32:
		STRING("outsl", nothing, address);
		return 0;
	case EMULATED_MOVS_TO_8:
		STRING("movsb", address, nothing);
		return 0;
	case EMULATED_MOVS_TO_64:
		STRING("movsq", address, nothing);
		return 0;
	case EMULATED_MOVS_FROM_8:
		STRING("movsb", nothing, address);
		return 0;
	case EMULATED_MOVS_FROM_64:
		STRING("movsq", nothing, address);
		return 0;
	case EMULATED_CMPS:
		return compare(address);
	case EMULATED_PUSH:
		push_nothing(address);
		return 0;
	default:
		return pop_to_nothing(address);
	}
}

static uint64_t code_to_copy(void)
{
	static const uint8_t code[] = { 0xb8, 0x2a, 0, 0, 0, 0xc3 }; /* mov $42, %eax; ret */

	return ADDRESS(code);
}

/* Under an emulated SVM, CR4 is read with the host's MCE in it: who asks for no machine checks must say so. */
static void set_cr4(unsigned long bits)
{
	unsigned long cr4;

	__asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
	__asm__ volatile("mov %0, %%cr4" : : "r"((cr4 & ~CR4_MCE) | bits));
}

/* Without the extension its kinds are not done, and the lender is told so. */
static void set_up_avx(void)
{
	uint32_t eax = 1, ebx, ecx = 0, edx;

	__asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
	if ((ecx & CPUID_1_ECX) != CPUID_1_ECX)
		return;
	set_cr4(CR4_OSFXSR | CR4_OSXSAVE);
	__asm__ volatile("xsetbv" : : "a"(7), "d"(0), "c"(0));
	has_avx = true;
}

static uint64_t do_task(unsigned int vcpu, struct lend_box *box)
{
	const volatile uint64_t *arguments = box->arguments;
	uint64_t first = arguments[0], second = arguments[1], third = arguments[2], number = box->number;

	switch (box->task) {
	case TASK_READ:
		return *(volatile uint64_t *)first;
	case TASK_WRITE:
		*(volatile uint64_t *)first = second;
		return 0;
	case TASK_ADD:
		return add_locked((volatile uint64_t *)first, second);
	case TASK_COPY:
		copy(first, second, third);
		return 0;
	case TASK_READ_WIDE:
		return read_wide((const volatile void *)first);
	case TASK_CALL:
		return call(first);
	case TASK_WALK:
		return walk(vcpu, first, second);
	case TASK_PUSH:
		return push(first, second);
	case TASK_IN:
		in_string(first, second);
		return 0;
	case TASK_OUT:
		out_string(first, second);
		return 0;
	case TASK_HYPERCALL:
		return (uint64_t)hypercall(first, second, third, arguments[3], 0, 0);
	case TASK_COUNT:
		while (box->number == number)
			box->progress++;
		return box->progress;
	case TASK_HAMMER:
		hammer(vcpu, box, first);
		return box->result;
	case TASK_INTERRUPT:
		return interrupt_on(first);
	case TASK_CODE:
		return code_to_copy();
	case TASK_EMULATED:
		return emulated((enum lend_emulated)first, second);
	case TASK_TOUCH:
		touch(box, first, second, third != 0);
		return 0;
	case TASK_CHECKS:
		if (first == 0)
			set_cr4(CR4_MCE);
		return first == 2 ? machine_check_address : machine_checks;
	case TASK_END:
		finish("SUCCESS");
	default:
		return ~0ul;
	}
}

static void serve(unsigned int vcpu)
{
	struct lend_box *box = box_of(vcpu);
	uint64_t number;

	for (;;) {
		while ((number = box->number) == box->done)
			(void)sched_op(SCHEDOP_yield, NULL);
		uint64_t result = do_task(vcpu, box);

		if (box->task != TASK_HAMMER)
			box->result = result;
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		box->done = number;
	}
}

static void other_vcpu(void)
{
	set_cr4(CR4_OSFXSR);
	set_up_avx();
	serve(__atomic_add_fetch(&numbered, 1, __ATOMIC_SEQ_CST));
}

void test_lend(void)
{
	unsigned int n_vcpus = count_vcpus();
	struct vcpu_hvm_context context;

	set_cr4(CR4_OSFXSR);
	set_up_avx();
	*(volatile uint64_t *)(void *)walked_page = WALK_VALUE;
	/* Above what this guest needs, at a place that the lender knows. */
	memcpy((void *)(uintptr_t)0x3000000, walked_page, sizeof(walked_page));
	for (unsigned int i = 1; i < n_vcpus && i < N_VCPUS; i++) {
		context_64(&context, other_vcpu, stacks[i] + sizeof(stacks[i]) - 3 * sizeof(long));
		CHECK("a vCPU starts", vcpu_op(VCPUOP_initialise, i, &context), 0);
		CHECK("and runs", vcpu_op(VCPUOP_up, i, NULL), 0);
		while (numbered < i)
			(void)sched_op(SCHEDOP_yield, NULL);
	}
	print("waiting for tasks\n");
	serve(0);
}
#else
void test_lend(void)
{
	check_skipped("lending", "it is tested in 64-bit mode");
}
#endif
