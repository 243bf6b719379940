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
#define GNTST_BAD_VIRT_ADDR (-5)
#define OWN_DOMID    1u
#define DOMID_SELF   0x7ff0u
#define WINDOW_GFN   (LEND_WINDOW_GPA / LEND_PAGE_BYTES)

#define HERE UINT64_MAX /* in the arguments of a call: the address in lent memory */
#define DONE 0          /* as much of a list as could be read: none of it */

struct lent_call {
	const char *name;
	uint64_t number, arguments[3];
	int64_t expected;
};

/* R20 to R22: an argument in lent memory is nowhere, whether the page is there or not. */
static void one_call(struct check *check, const struct lent_call *lent, const char *where, uint64_t gva)
{
	struct lend_fault fault;
	uint64_t arguments[3];
	char what[160];

	for (unsigned int i = 0; i < 3; i++)
		arguments[i] = lent->arguments[i] == HERE ? gva : lent->arguments[i];
	for (unsigned int present = 0; present < 2; present++) {
		if (present)
			lend_pages(check, 0, 4, 5000);
		memset(PAGE(check, 5000), 0, 4 * LEND_PAGE_BYTES);
		task_begin(check, 0, TASK_HYPERCALL, lent->number, arguments[0], arguments[1], arguments[2]);
		snprintf(what, sizeof(what), "%s%s, page %s", lent->name, where, present ? "there" : "not there");
		check_equal(check, what, task_end(check, 0), (uint64_t)lent->expected, __LINE__);
		snprintf(what, sizeof(what), "%s%s: nobody is asked", lent->name, where);
		check_equal(check, what, (uint64_t)next_fault(check, &fault, 0), (uint64_t)-ETIMEDOUT, __LINE__);
		for (unsigned int i = 0; i < 4 * 512; i++)
			if (PAGE(check, 5000)[i] != 0)
				check_fatal("%s wrote to lent memory", lent->name);
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

/* What is named by the arguments is in RAM, and names lent memory itself. */
static void nested(struct check *check)
{
	static const uint64_t page = LEND_WINDOW_GPA + 0x100;
	/* What lies at RAM_GPA; LIST: an address in RAM where there is something good. */
	static const uint64_t list = RAM_GPA + 0x800;
	static const struct {
		struct lent_call call;
		uint64_t words[7];
	} calls[] = {
		{ { "memory_map's buffer", MEMORY_OP, { 9, RAM_GPA, 0 }, -XEN_EFAULT }, { 8, page } },
		{ { "decrease_reservation's extents", MEMORY_OP, { 1, RAM_GPA, 0 }, DONE }, { page, 1, 0, DOMID_SELF } },
		{ { "populate_physmap's extents", MEMORY_OP, { 6, RAM_GPA, 0 }, DONE }, { page, 1, 0, DOMID_SELF } },
		{ { "add_to_physmap_batch's indices", MEMORY_OP, { 23, RAM_GPA, 0 }, -XEN_EFAULT },
		  { DOMID_SELF | UINT64_C(1) << 16 | UINT64_C(1) << 32, page, list, list } },
		{ { "add_to_physmap_batch's frames", MEMORY_OP, { 23, RAM_GPA, 0 }, -XEN_EFAULT },
		  { DOMID_SELF | UINT64_C(1) << 16 | UINT64_C(1) << 32, list, page, list } },
		{ { "add_to_physmap_batch's errors", MEMORY_OP, { 23, RAM_GPA, 0 }, -XEN_EFAULT },
		  { DOMID_SELF | UINT64_C(1) << 16 | UINT64_C(1) << 32, list, list, page } },
		{ { "a call in a multicall in RAM", MULTICALL, { RAM_GPA, 1, 0 }, 0 }, { XEN_VERSION, 0, 1, page } },
		{ { "a structure in RAM in a multicall in RAM", MULTICALL, { RAM_GPA, 1, 0 }, 0 }, { MEMORY_OP, 0, 9, RAM_GPA + 0xc00 } },
	};

	/* Frames that no RAM is given up for; and a memory_map. */
	poke(check, 0x100, 0);
	poke(check, 0x180, 8);
	poke(check, 0x181, page);
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		for (unsigned int word = 0; word < 7; word++)
			poke(check, word, calls[i].words[word]);
		one_call(check, &calls[i].call, "", page);
		if (calls[i].call.number == MULTICALL)
			EXPECT("what came of it", peek(check, 1), (uint64_t)-XEN_EFAULT);
	}
	/* Of the table's frames one is told. */
	poke(check, 0, DOMID_SELF | UINT64_C(1) << 32);
	poke(check, 1, 0);
	poke(check, 2, page);
	lend_pages(check, 0, 4, 5000);
	EXPECT("setup_table with its list in lent memory", call(check, GRANT_OP, 2, RAM_GPA, 1), 0);
	EXPECT("that it cannot write to", (int64_t)(int16_t)peek(check, 1), (int64_t)GNTST_BAD_VIRT_ADDR);
	EXPECT("and has not", task_do(check, 0, TASK_READ, page, 0, 0), 0);
	revoke_pages(check, 0, 4);
}

/* Each operation that takes an address, of every call that is offered; docs/abi.md has the list. */
static const struct lent_call CALLS[] = {
	{ "memory_op increase_reservation", MEMORY_OP, { 0, HERE, 0 }, DONE },
	{ "memory_op decrease_reservation", MEMORY_OP, { 1, HERE, 0 }, DONE },
	{ "memory_op populate_physmap", MEMORY_OP, { 6, HERE, 0 }, DONE },
	{ "memory_op current_reservation", MEMORY_OP, { 3, HERE, 0 }, -XEN_EFAULT },
	{ "memory_op maximum_reservation", MEMORY_OP, { 4, HERE, 0 }, -XEN_EFAULT },
	{ "memory_op add_to_physmap", MEMORY_OP, { 7, HERE, 0 }, -XEN_EFAULT },
	{ "memory_op memory_map", MEMORY_OP, { 9, HERE, 0 }, -XEN_EFAULT },
	{ "memory_op maximum_gpfn", MEMORY_OP, { 14, HERE, 0 }, -XEN_EFAULT },
	{ "memory_op remove_from_physmap", MEMORY_OP, { 15, HERE, 0 }, -XEN_EFAULT },
	{ "memory_op add_to_physmap_batch", MEMORY_OP, { 23, HERE, 0 }, -XEN_EFAULT },
	{ "event_channel_op bind_interdomain", EVENT_OP, { 0, HERE, 0 }, -XEN_EFAULT },
	{ "event_channel_op bind_virq", EVENT_OP, { 1, HERE, 0 }, -XEN_EFAULT },
	{ "event_channel_op close", EVENT_OP, { 3, HERE, 0 }, -XEN_EFAULT },
	{ "event_channel_op status", EVENT_OP, { 5, HERE, 0 }, -XEN_EFAULT },
	{ "event_channel_op alloc_unbound", EVENT_OP, { 6, HERE, 0 }, -XEN_EFAULT },
	{ "event_channel_op bind_ipi", EVENT_OP, { 7, HERE, 0 }, -XEN_EFAULT },
	{ "event_channel_op bind_vcpu", EVENT_OP, { 8, HERE, 0 }, -XEN_EFAULT },
	{ "event_channel_op unmask", EVENT_OP, { 9, HERE, 0 }, -XEN_EFAULT },
	{ "event_channel_op reset", EVENT_OP, { 10, HERE, 0 }, -XEN_EFAULT },
	{ "hvm_op set_param", HVM_OP, { 0, HERE, 0 }, -XEN_EFAULT },
	{ "hvm_op get_param", HVM_OP, { 1, HERE, 0 }, -XEN_EFAULT },
	{ "hvm_op get_time", HVM_OP, { 10, HERE, 0 }, -XEN_EFAULT },
	{ "hvm_op get_mem_type", HVM_OP, { 15, HERE, 0 }, -XEN_EFAULT },
	{ "hvm_op set_evtchn_upcall_vector", HVM_OP, { 23, HERE, 0 }, -XEN_EFAULT },
	{ "xen_version extraversion", XEN_VERSION, { 1, HERE, 0 }, -XEN_EFAULT },
	{ "xen_version compile_info", XEN_VERSION, { 2, HERE, 0 }, -XEN_EFAULT },
	{ "xen_version capabilities", XEN_VERSION, { 3, HERE, 0 }, -XEN_EFAULT },
	{ "xen_version changeset", XEN_VERSION, { 4, HERE, 0 }, -XEN_EFAULT },
	{ "xen_version platform_parameters", XEN_VERSION, { 5, HERE, 0 }, -XEN_EFAULT },
	{ "xen_version get_features", XEN_VERSION, { 6, HERE, 0 }, -XEN_EFAULT },
	{ "xen_version guest_handle", XEN_VERSION, { 8, HERE, 0 }, -XEN_EFAULT },
	{ "xen_version commandline", XEN_VERSION, { 9, HERE, 0 }, -XEN_EFAULT },
	{ "console_io write", CONSOLE_IO, { 0, 16, HERE }, -XEN_EFAULT },
	{ "multicall's list", MULTICALL, { HERE, 2, 0 }, -XEN_EFAULT },
	{ "grant_table_op map_grant_ref", GRANT_OP, { 0, HERE, 1 }, -XEN_EFAULT },
	{ "grant_table_op unmap_grant_ref", GRANT_OP, { 1, HERE, 1 }, -XEN_EFAULT },
	{ "grant_table_op setup_table", GRANT_OP, { 2, HERE, 1 }, -XEN_EFAULT },
	{ "grant_table_op copy", GRANT_OP, { 5, HERE, 1 }, -XEN_EFAULT },
	{ "grant_table_op query_size", GRANT_OP, { 6, HERE, 1 }, -XEN_EFAULT },
	{ "grant_table_op set_version", GRANT_OP, { 8, HERE, 1 }, -XEN_EFAULT },
	{ "grant_table_op get_version", GRANT_OP, { 10, HERE, 1 }, -XEN_EFAULT },
	{ "grant_table_op swap_grant_ref", GRANT_OP, { 11, HERE, 1 }, -XEN_EFAULT },
	{ "vcpu_op initialise", VCPU_OP, { 0, 1, HERE }, -XEN_EFAULT },
	{ "vcpu_op get_runstate_info", VCPU_OP, { 4, 0, HERE }, -XEN_EFAULT },
	{ "vcpu_op register_runstate_memory_area", VCPU_OP, { 5, 0, HERE }, -XEN_EFAULT },
	{ "vcpu_op set_periodic_timer", VCPU_OP, { 6, 0, HERE }, -XEN_EFAULT },
	{ "vcpu_op set_singleshot_timer", VCPU_OP, { 8, 0, HERE }, -XEN_EFAULT },
	{ "vcpu_op register_vcpu_info", VCPU_OP, { 10, 0, HERE }, -XEN_EFAULT },
	{ "vcpu_op register_vcpu_time_memory_area", VCPU_OP, { 13, 0, HERE }, -XEN_EFAULT },
	{ "vcpu_op register_runstate_phys_area", VCPU_OP, { 14, 0, HERE }, -XEN_EFAULT },
	{ "vcpu_op register_vcpu_time_phys_area", VCPU_OP, { 15, 0, HERE }, -XEN_EFAULT },
	{ "sched_op shutdown", SCHED_OP, { 2, HERE, 0 }, -XEN_EFAULT },
	{ "sched_op remote_shutdown", SCHED_OP, { 4, HERE, 0 }, -XEN_EFAULT },
	{ "sched_op shutdown_code", SCHED_OP, { 5, HERE, 0 }, -XEN_EFAULT },
	{ "sched_op watchdog", SCHED_OP, { 6, HERE, 0 }, -XEN_EFAULT },
};

void check_hypercalls(struct check *check)
{
	for (size_t i = 0; i < sizeof(CALLS) / sizeof(CALLS[0]); i++) {
		one_call(check, &CALLS[i], "", GPA(0, 0x100));
		/* The first byte or two in one page, the rest in the next. */
		one_call(check, &CALLS[i], ", across pages", GPA(0, 0xfff));
	}
	nested(check);
	PAGE(check, 5000)[0] = 424242;
	lend_pages(check, 0, 4, 5000);
	special_pages(check);
	grants(check);
	struct lend_fault fault;
	EXPECT("nobody was asked", next_fault(check, &fault, 0), (uint64_t)-ETIMEDOUT);
	revoke_pages(check, 0, 4);
}
