// SPDX-License-Identifier: MIT
/*
 * What a guest cannot do with lent memory (R20 to R23, R25). The lender makes the calls, by the guest's hands: structures are
 * written word by word to a page of the guest's RAM. Numbers are those of Xen's public headers.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lend-check.h"

#define XEN_EFAULT  14
#define MEMORY_OP   12u
#define MULTICALL   13u
#define XEN_VERSION 17u
#define CONSOLE_IO  18u
#define GRANT_OP    20u
#define VCPU_OP     24u
#define SCHED_OP    29u
#define EVENT_OP    32u
#define HVM_OP      34u

#define RAM_GPA      0x3100000u /* nobody's but ours */
#define GRANTS_GPA   0x3200000u
#define MAPPED_GPA   0x3300000u
#define REF          20u
#define OWN_DOMID    1u
#define DOMID_SELF   0x7ff0u
#define WINDOW_GFN   (LEND_WINDOW_GPA / LEND_PAGE_BYTES)

/* R20 to R22: an argument in lent memory is nowhere, whether the page is there or not. */
static void one_call(struct check *check, const char *name, uint64_t number, uint64_t first, uint64_t second)
{
	struct lend_fault fault;
	char what[128];

	for (unsigned int present = 0; present < 2; present++) {
		if (present)
			lend_pages(check, 0, 4, 5000);
		memset(PAGE(check, 5000), 0, 4 * LEND_PAGE_BYTES);
		task_begin(check, 0, TASK_HYPERCALL, number, first, second, 0);
		snprintf(what, sizeof(what), "%s, page %s", name, present ? "there" : "not there");
		/* Those that work on lists say how much of them they have done. */
		bool lists = number == MEMORY_OP && (first == 1 || first == 6);
		check_equal(check, what, task_end(check, 0), lists ? 0 : (uint64_t)-XEN_EFAULT, __LINE__);
		snprintf(what, sizeof(what), "%s: nobody is asked", name);
		check_equal(check, what, (uint64_t)next_fault(check, &fault, 0), (uint64_t)-ETIMEDOUT, __LINE__);
		for (unsigned int i = 0; i < 4 * 512; i++)
			if (PAGE(check, 5000)[i] != 0)
				check_fatal("%s wrote to lent memory", name);
	}
	revoke_pages(check, 0, 4);
}

static void poke(struct check *check, unsigned int word, uint64_t value)
{
	(void)task_do(check, 0, TASK_WRITE, RAM_GPA + word * 8, value, 0);
}

static uint64_t peek(struct check *check, unsigned int word)
{
	return task_do(check, 0, TASK_READ, RAM_GPA + word * 8, 0, 0);
}

static int64_t call(struct check *check, uint64_t number, uint64_t a, uint64_t b, uint64_t c)
{
	task_begin(check, 0, TASK_HYPERCALL, number, a, b, c);
	return (int64_t)task_end(check, 0);
}

/* R22: no page of the hypervisor's comes over a lent one, and the guest cannot give one away. */
static void special_pages(struct check *check)
{
	for (uint64_t space = 0; space < 2; space++) {
		poke(check, 0, DOMID_SELF | space << 32);
		poke(check, 1, 0);
		poke(check, 2, WINDOW_GFN);
		EXPECT("add_to_physmap over a lent page", call(check, MEMORY_OP, 7, RAM_GPA, 0) < 0, true);
	}
	poke(check, 0, DOMID_SELF);
	poke(check, 1, WINDOW_GFN);
	EXPECT("remove_from_physmap of a lent page", call(check, MEMORY_OP, 15, RAM_GPA, 0) < 0, true);
	poke(check, 0, RAM_GPA + 64);
	poke(check, 1, 1);
	poke(check, 2, 0);
	poke(check, 3, DOMID_SELF);
	poke(check, 8, WINDOW_GFN);
	EXPECT("decrease_reservation of a lent page", call(check, MEMORY_OP, 1, RAM_GPA, 0), 0);
	EXPECT("populate_physmap of a lent page", call(check, MEMORY_OP, 6, RAM_GPA, 0), 0);
	poke(check, 0, WINDOW_GFN);
	poke(check, 1, 0);
	EXPECT("vcpu_info in a lent page", call(check, VCPU_OP, 10, 1, RAM_GPA) < 0, true);
	poke(check, 0, LEND_WINDOW_GPA);
	EXPECT("runstate in a lent page", call(check, VCPU_OP, 5, 1, RAM_GPA) < 0, true);
	EXPECT("time in a lent page", call(check, VCPU_OP, 13, 1, RAM_GPA) < 0, true);
	EXPECT("the page is the lender's", task_do(check, 0, TASK_READ, GPA(0, 0), 0, 0), 424242);
}

/* R21, R25 */
static void grants(struct check *check)
{
	poke(check, 0, DOMID_SELF | UINT64_C(1) << 32);
	poke(check, 1, 0);
	poke(check, 2, GRANTS_GPA / LEND_PAGE_BYTES);
	EXPECT("the grant table", call(check, MEMORY_OP, 7, RAM_GPA, 0), 0);
	for (unsigned int good = 0; good < 2; good++) {
		uint64_t gfn = good ? RAM_GPA / LEND_PAGE_BYTES : WINDOW_GFN;

		(void)task_do(check, 0, TASK_WRITE, GRANTS_GPA + REF * 8, 1 | OWN_DOMID << 16 | gfn << 32, 0);
		poke(check, 64, MAPPED_GPA);
		poke(check, 65, 2 | (uint64_t)REF << 32);
		poke(check, 66, OWN_DOMID | 99 << 16);
		poke(check, 67, 0);
		EXPECT("map_grant_ref", call(check, GRANT_OP, 0, RAM_GPA + 64 * 8, 1), 0);
		/* Also that it works where it may: else nothing is shown by its failing. */
		EXPECT(good ? "a grant of RAM" : "a grant of a lent page", (int16_t)(peek(check, 66) >> 16) == 0, good);
	}
	/* By number, from and to; and to RAM, which works. */
	for (unsigned int i = 0; i < 3; i++) {
		uint64_t ram = RAM_GPA / LEND_PAGE_BYTES;

		poke(check, 64, i == 0 ? WINDOW_GFN : ram);
		poke(check, 65, DOMID_SELF);
		poke(check, 66, i == 1 ? WINDOW_GFN : ram + 1);
		poke(check, 67, DOMID_SELF);
		poke(check, 68, 8 | UINT64_C(99) << 32);
		EXPECT("copy", call(check, GRANT_OP, 5, RAM_GPA + 64 * 8, 1), 0);
		EXPECT(i == 2 ? "a copy of RAM" : "a copy with a lent page", (int16_t)(peek(check, 68) >> 32) == 0, i == 2);
	}
	EXPECT("the page is the lender's", task_do(check, 0, TASK_READ, GPA(0, 0), 0, 0), 424242);
}

/* A list of calls in RAM, the argument of one of which is not. */
static void multicall(struct check *check)
{
	poke(check, 0, XEN_VERSION);
	poke(check, 1, 0);
	poke(check, 2, 1);
	poke(check, 3, LEND_WINDOW_GPA);
	EXPECT("multicall", call(check, MULTICALL, RAM_GPA, 1, 0), 0);
	EXPECT("with an argument in lent memory", peek(check, 1), (uint64_t)-XEN_EFAULT);
}

void check_hypercalls(struct check *check)
{
	static const struct {
		const char *name;
		uint64_t number, operation;
	} calls[] = {
		{ "memory_op decrease_reservation", MEMORY_OP, 1 },  { "memory_op populate_physmap", MEMORY_OP, 6 },
		{ "memory_op current_reservation", MEMORY_OP, 3 },   { "memory_op maximum_reservation", MEMORY_OP, 4 },
		{ "memory_op add_to_physmap", MEMORY_OP, 7 },	     { "memory_op memory_map", MEMORY_OP, 9 },
		{ "memory_op maximum_gpfn", MEMORY_OP, 14 },	     { "memory_op remove_from_physmap", MEMORY_OP, 15 },
		{ "event_channel_op bind_interdomain", EVENT_OP, 0 }, { "event_channel_op bind_virq", EVENT_OP, 1 },
		{ "event_channel_op close", EVENT_OP, 3 },	     { "event_channel_op status", EVENT_OP, 5 },
		{ "event_channel_op alloc_unbound", EVENT_OP, 6 },   { "event_channel_op bind_ipi", EVENT_OP, 7 },
		{ "event_channel_op bind_vcpu", EVENT_OP, 8 },	     { "event_channel_op unmask", EVENT_OP, 9 },
		{ "hvm_op set_param", HVM_OP, 0 },		     { "hvm_op get_param", HVM_OP, 1 },
		{ "xen_version extraversion", XEN_VERSION, 1 },	     { "xen_version compile_info", XEN_VERSION, 2 },
		{ "xen_version capabilities", XEN_VERSION, 3 },	     { "xen_version changeset", XEN_VERSION, 4 },
		{ "xen_version platform_parameters", XEN_VERSION, 5 }, { "xen_version get_features", XEN_VERSION, 6 },
		{ "sched_op shutdown", SCHED_OP, 2 },
	};

	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		char across[128];

		one_call(check, calls[i].name, calls[i].number, calls[i].operation, GPA(0, 0x100));
		snprintf(across, sizeof(across), "%s, across pages", calls[i].name);
		one_call(check, across, calls[i].number, calls[i].operation, GPA(0, 0xffe));
	}
	PAGE(check, 5000)[0] = 424242;
	lend_pages(check, 0, 4, 5000);
	special_pages(check);
	grants(check);
	multicall(check);
	struct lend_fault fault;
	EXPECT("nobody was asked", next_fault(check, &fault, 0), (uint64_t)-ETIMEDOUT);
	revoke_pages(check, 0, 4);
}
