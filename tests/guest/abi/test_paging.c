// SPDX-License-Identifier: MIT
/*
 * Arguments are looked up in the guest's own page tables, with the rights of its kernel: hvm_copy_to_guest_linear() and
 * guest_walk_tables() of Xen.
 */
#include "guest.h"

#include <xen/event_channel.h>
#include <xen/version.h>

#define PTE_PRESENT  0x01u
#define PTE_WRITABLE 0x02u
#define PTE_USER     0x04u
#define PTE_ACCESSED 0x20u
#define PTE_DIRTY    0x40u

static void check_nowhere(void)
{
	CHECK("a result to nowhere", xen_version(XENVER_extraversion, nowhere()), -XEN_EFAULT);
	CHECK("an argument from nowhere", event_channel_op(EVTCHNOP_status, nowhere()), -XEN_EFAULT);
}

#if HAS_PAGING
#define CR0_WP (1ul << 16)

static unsigned long read_cr0(void)
{
	unsigned long value;

	__asm__ volatile("mov %%cr0, %0" : "=r"(value));
	return value;
}

static void write_cr0(unsigned long value)
{
	__asm__ volatile("mov %0, %%cr0" : : "r"(value) : "memory");
}

SPARE_PAGE(page);

static struct evtchn_status *fresh_status(void)
{
	struct evtchn_status *status = (void *)page;

	*status = (struct evtchn_status){ .dom = DOMID_SELF, .port = 1, .vcpu = 0x55 };
	return status;
}

/* With CR0.WP a page that the kernel may not write is no place for a result. */
static void check_read_only(void)
{
	struct evtchn_status *status = fresh_status();

	CHECK("a result into a read-only page", event_channel_op(EVTCHNOP_status, window_map(20, page, false)),
	      -XEN_EFAULT);
	CHECK("is not written", status->vcpu, 0x55);
	CHECK("an argument in a read-only page",
	      hypercall(__HYPERVISOR_console_io, CONSOLEIO_write, 1, ADDRESS(window_map(20, "\n", false)), 0, 0), 0);
	write_cr0(read_cr0() & ~CR0_WP);
	long rc = event_channel_op(EVTCHNOP_status, window_map(20, page, false));
	write_cr0(read_cr0() | CR0_WP);
	CHECK("a result into a read-only page without CR0.WP", rc, 0);
	CHECK("is written", status->vcpu, 0);
}

/* What the guest's memory management finds in its tables is what the CPU would have left there. */
static void check_marks(void)
{
	char *at = window_map_flags(21, page, PTE_PRESENT | PTE_WRITABLE);

	page[0] = '\n';
	CHECK("an argument in a page not yet used",
	      hypercall(__HYPERVISOR_console_io, CONSOLEIO_write, 1, ADDRESS(at), 0, 0), 0);
	CHECK("it is accessed, and not dirty", window_entry(21) & (PTE_ACCESSED | PTE_DIRTY), PTE_ACCESSED);
	(void)fresh_status();
	at = window_map_flags(21, page, PTE_PRESENT | PTE_WRITABLE);
	CHECK("a result into a page not yet used", event_channel_op(EVTCHNOP_status, at), 0);
	CHECK("it is dirty", window_entry(21) & (PTE_ACCESSED | PTE_DIRTY), PTE_ACCESSED | PTE_DIRTY);
	(void)fresh_status();
	at = window_map_flags(21, page, PTE_PRESENT);
	CHECK("a result into a read-only page not yet used", event_channel_op(EVTCHNOP_status, at), -XEN_EFAULT);
	CHECK("it is not dirty", window_entry(21) & PTE_DIRTY, 0);
	at = window_map_flags(21, page, PTE_WRITABLE);
	CHECK("a page that is not present", event_channel_op(EVTCHNOP_status, at), -XEN_EFAULT);
}
#endif

#ifdef __x86_64__
#define CR4_SMAP   (1ul << 21)
#define CR4_PKE    (1ul << 22)
#define HAS_SMAP   (1u << 20) /* leaf 7, EBX */
#define HAS_PKU    (1u << 3)  /* leaf 7, ECX */
#define KEY_SHIFT  59
#define WINDOW_GIB 1
#define N_GIB      4

static void change_cr4(unsigned long clear, unsigned long set)
{
	unsigned long value;

	__asm__ volatile("mov %%cr4, %0" : "=r"(value));
	__asm__ volatile("mov %0, %%cr4" : : "r"((value & ~clear) | set) : "memory");
}

/* All but the window: the guest's own code and stack are not a user's while SMAP is on. */
static void let_users_in(bool in)
{
	unsigned long cr3;

	for (unsigned int i = 0; i < N_GIB; i++)
		if (i != WINDOW_GIB)
			page_directories_pointers[i] = in ? page_directories_pointers[i] | PTE_USER
							  : page_directories_pointers[i] & ~(uint64_t)PTE_USER;
	__asm__ volatile("mov %%cr3, %0; mov %0, %%cr3" : "=r"(cr3) : : "memory");
}

/* Linux sets RFLAGS.AC around hypercalls whose arguments are a program's: privcmd_call(). */
static void check_smap(void)
{
	uint32_t leaf[4];

	cpuid(7, leaf);
	if (!(leaf[1] & HAS_SMAP)) {
		check_skipped("SMAP", "the CPU has none");
		return;
	}
	void *at = window_map(22, fresh_status(), true);
	let_users_in(false);
	change_cr4(0, CR4_SMAP);
	long closed = event_channel_op(EVTCHNOP_status, at);
	__asm__ volatile("stac" : : : "memory", "cc");
	long open = event_channel_op(EVTCHNOP_status, at);
	__asm__ volatile("clac" : : : "memory", "cc");
	change_cr4(CR4_SMAP, 0);
	let_users_in(true);
	CHECK("a user's page with SMAP", closed, -XEN_EFAULT);
	CHECK("and with RFLAGS.AC", open, 0);
}

static void write_pkru(uint32_t value)
{
	__asm__ volatile("wrpkru" : : "a"(value), "c"(0), "d"(0) : "memory");
}

static long status_with_pkru(void *at, uint32_t value)
{
	write_pkru(value);
	long rc = event_channel_op(EVTCHNOP_status, at);
	write_pkru(0);
	return rc;
}

static void check_keys(void)
{
	enum { KEY = 5, NO_ACCESS = 1 << 2 * KEY, NO_WRITE = 2 << 2 * KEY };
	const uint64_t flags = PTE_PRESENT | PTE_WRITABLE | PTE_USER | (uint64_t)KEY << KEY_SHIFT;
	uint32_t leaf[4];

	cpuid(7, leaf);
	if (!(leaf[2] & HAS_PKU)) {
		check_skipped("protection keys", "the CPU has none");
		return;
	}
	(void)fresh_status();
	void *at = window_map_flags(23, page, flags);
	change_cr4(0, CR4_PKE);
	long none = status_with_pkru(at, NO_ACCESS);
	long read_only = status_with_pkru(at, NO_WRITE);
	long other = status_with_pkru(at, ~(uint32_t)(3 << 2 * KEY) & ~3u);
	change_cr4(CR4_PKE, 0);
	CHECK("a page whose key allows nothing", none, -XEN_EFAULT);
	CHECK("a result into a page whose key allows no write", read_only, -XEN_EFAULT);
	CHECK("a page whose key alone allows all", other, 0);
}

/* An address that no page table can have is nowhere, and not the one that is left of it. */
static void check_not_canonical(void)
{
	struct evtchn_status status = { .dom = DOMID_SELF, .port = 1, .vcpu = 0x55 };

	CHECK("an address that is not canonical",
	      event_channel_op(EVTCHNOP_status, (void *)(ADDRESS(&status) | 1ul << 60)), -XEN_EFAULT);
	CHECK("was not looked up without its high bits", status.vcpu, 0x55);
}
#endif

void test_paging(void)
{
	check_nowhere();
#if HAS_PAGING
	check_read_only();
	check_marks();
#endif
#ifdef __x86_64__
	check_smap();
	check_keys();
	check_not_canonical();
#endif
}
