// SPDX-License-Identifier: MIT
/* The families, and how they are counted. */
#include "guest.h"

#include <xen/arch-x86/cpuid.h>
#include <xen/arch-x86/hvm/start_info.h>

#define WORD_MAX        32
#define MULTIBOOT_MAGIC 0x2badb002u

uint8_t hypercall_page[PAGE_BYTES] __attribute__((aligned(4096)));
/* Executable, as all memory here is: there is no NX bit in any page table of ours. */
uint8_t hypercall_instruction[4];

void guest_main(void);

static unsigned int passed, failed, skipped;
static const char *family_option = "";

static void fail_on_purpose(void)
{
	CHECK("a check that fails on purpose", 1, 2);
}

static const struct {
	const char *name;
	void (*run)(void);
} FAMILIES[] = {
	{ "memory_op", test_memory_op },
	{ "reservation", test_reservation },
	{ "evtchn", test_event_channel_op },
	{ "delivery", test_event_delivery },
	{ "grant", test_grant_table_op },
	{ "grant_map", test_grant_map },
	{ "grant_v2", test_grant_v2 },
	{ "vcpu_op", test_vcpu_op },
	{ "timers", test_timers },
	{ "sched_op", test_sched_op },
	{ "hostile", test_hostile },
	{ "hvm_op", test_hvm_op },
	{ "xen_version", test_xen_version },
	{ "multicall", test_multicall },
	{ "misc", test_misc },
	{ "paging", test_paging },
	{ "smp", test_smp },
	{ "soft_reset", test_soft_reset },
	{ "lend", test_lend },
	{ "lend_to", test_lend_to },
	{ "pci", test_pci },
	{ "stress", test_stress },
	{ "saved", test_saved },
	{ "scale", test_scale },
	{ "end", test_end },
	{ "say", test_say },
	{ "fail", fail_on_purpose },
};
#define N_FAMILIES (sizeof(FAMILIES) / sizeof(FAMILIES[0]))

const char *option(void)
{
	return family_option;
}

unsigned int option_number(void)
{
	unsigned int number = 0;

	for (const char *text = family_option; *text; text++)
		if (*text >= '0' && *text <= '9')
			number = number * 10 + (unsigned int)(*text - '0');
	return number;
}

void check_equal(const char *what, long long got, long long expected, int line)
{
	if (got == expected) {
		passed++;
		print("ok   ");
		print(what);
		print("\n");
		return;
	}
	failed++;
	print("FAIL ");
	print(what);
	print(": got ");
	print_number(got);
	print(", expected ");
	print_number(expected);
	print(" (line ");
	print_number(line);
	print(")\n");
}

void check_skipped(const char *what, const char *why)
{
	skipped++;
	print("SKIP ");
	print(what);
	print(": ");
	print(why);
	print("\n");
}

/*
 * The hypercall page is the only one who knows the instruction: <xen/arch-x86/cpuid.h>, leaf 3 (index 2). A stub is
 * MOV $number, %EAX and then VMCALL or VMMCALL.
 */
static void find_hypercalls(void)
{
	uint32_t leaf[4];
	enum { INSTRUCTION_BYTES = 3, AFTER_MOV = 5, RET = 0xc3 };

	cpuid(XEN_CPUID_LEAF(2), leaf);
	write_msr(leaf[1], ADDRESS(hypercall_page));
	memcpy(hypercall_instruction, hypercall_page + AFTER_MOV, INSTRUCTION_BYTES);
	hypercall_instruction[INSTRUCTION_BYTES] = RET;
	cpuid(XEN_CPUID_LEAF(4), leaf);
	own_domid = leaf[0] & XEN_HVM_CPUID_DOMID_PRESENT ? (uint16_t)leaf[2] : 1;
}

static bool word_is(const char *text, const char *word)
{
	size_t i = 0;

	while (word[i] && text[i] == word[i])
		i++;
	return !word[i] && (!text[i] || text[i] == ' ');
}

/* Its first word names the file. Source: Multiboot specification 0.6.96, 3.3. */
static const char *multiboot_command_line(const uint32_t *info)
{
	enum { FLAGS = 0, COMMAND_LINE = 4, HAS_COMMAND_LINE = 1 << 2 };
	const char *text = info[FLAGS] & HAS_COMMAND_LINE ? (const char *)(uintptr_t)info[COMMAND_LINE] : "";

	while (*text && *text != ' ')
		text++;
	return *text ? text + 1 : text;
}

static const char *command_line(void)
{
	if (loader_magic == MULTIBOOT_MAGIC)
		return multiboot_command_line((const uint32_t *)(uintptr_t)start_info_gpa);
	const struct hvm_start_info *info = (const void *)(uintptr_t)start_info_gpa;

	return info->magic == XEN_HVM_START_MAGIC_VALUE && info->cmdline_paddr ?
		       (const char *)(uintptr_t)info->cmdline_paddr :
		       "";
}

static void summary(void)
{
	print_number(passed);
	print(" passed, ");
	print_number(failed);
	print(" failed, ");
	print_number(skipped);
	print(" skipped\n");
	finish(failed ? "FAILURE" : passed ? "SUCCESS" : "SKIP");
}

void guest_main(void)
{
	const char *words = command_line();
	unsigned int ran = 0;

	find_hypercalls();
	traps_init();
	test_console();
	print("\n");
	for (size_t i = 0; i < N_FAMILIES; i++) {
		if (!word_is(words, FAMILIES[i].name))
			continue;
		for (family_option = words; *family_option && *family_option != ' ';)
			family_option++;
		if (*family_option)
			family_option++;
		print("--- ");
		print(FAMILIES[i].name);
		print("\n");
		FAMILIES[i].run();
		ran++;
	}
	if (!ran) {
		print("no family has the name on the command line\n");
		finish("ERROR");
	}
	summary();
}
