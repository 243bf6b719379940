/* SPDX-License-Identifier: MIT */
/*
 * A PV guest of 64 bits that checks what the shim hands on to dom1: event channels (pv_shim_event_channel_op() of Xen's
 * arch/x86/pv/shim.c) and the grant table's size and frames. What the shim answers by itself is Xen's own.
 *
 * It runs at CPL 3 with the page tables that the shim made. Nothing interrupts it: evtchn_upcall_mask is set at the start.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define __XEN_INTERFACE_VERSION__ 0x00040e00
#include <xen/xen.h>
#include <xen/errno.h>
#include <xen/event_channel.h>
#include <xen/grant_table.h>
#include <xen/io/console.h>
#include <xen/sched.h>

#define PAGE_BYTES   4096
#define PTE_RW       7
#define BAD_VCPU     500
#define BAD_PORT     5000
#define NO_DOMAIN    77
#define NOWHERE      ((void *)0x40000000) /* nothing is mapped so far behind the image */
#define FRAMES_LEAST 32 /* for which Linux asks */

__asm__(".pushsection .note.Xen, \"a\", @note\n"
	".macro note type:req, text:req\n"
	"	.long 4, 2f - 1f, \\type\n	.asciz \"Xen\"\n1:	.asciz \"\\text\"\n2:	.balign 4\n"
	".endm\n"
	".macro note_address type:req, what:req\n"
	"	.long 4, 8, \\type\n	.asciz \"Xen\"\n	.quad \\what\n"
	".endm\n"
	"	note 6, dom1-test\n"       /* XEN_ELFNOTE_GUEST_OS */
	"	note 5, xen-3.0\n"         /* XEN_ELFNOTE_XEN_VERSION */
	"	note 8, generic\n"         /* XEN_ELFNOTE_LOADER */
	"	note_address 1, _start\n"  /* XEN_ELFNOTE_ENTRY */
	"	note_address 2, hypercall_page\n"
	".popsection\n"
	".text\n"
	"	.balign 4096\n"
	"hypercall_page:\n"
	"	.fill 4096, 1, 0xcc\n"
	".globl _start\n"
	"_start:\n"
	"	cld\n"
	"	mov %rsi, %rdi\n"
	"	lea stack_top(%rip), %rsp\n"
	"	call guest_main\n"
	".bss\n"
	"	.balign 16\n"
	"	.skip 16384\n"
	"stack_top:\n"
	".text\n");

extern uint8_t hypercall_page[];
void guest_main(const struct start_info *info) __attribute__((noreturn));

static uint8_t console_page[PAGE_BYTES] __attribute__((aligned(PAGE_BYTES)));
static uint8_t shared_page[PAGE_BYTES] __attribute__((aligned(PAGE_BYTES)));
static volatile struct xencons_interface *const console = (void *)console_page;
static volatile struct shared_info *const shared = (void *)shared_page;
static evtchn_port_t console_port;
static unsigned int passed, failed;

static long hypercall(unsigned long number, unsigned long a1, unsigned long a2, unsigned long a3)
{
	long result;

	__asm__ volatile("call *%[entry]"
			 : "=a"(result), "+D"(a1), "+S"(a2), "+d"(a3)
			 : [entry] "r"(hypercall_page + number * 32)
			 : "memory", "rcx", "r8", "r9", "r10", "r11");
	return result;
}

static long event_channel_op(unsigned int operation, void *argument)
{
	return hypercall(__HYPERVISOR_event_channel_op, operation, (unsigned long)argument, 0);
}

static long sched_op(unsigned int operation, void *argument)
{
	return hypercall(__HYPERVISOR_sched_op, operation, (unsigned long)argument, 0);
}

static void print(const char *text)
{
	struct evtchn_send send = { .port = console_port };
	uint32_t producer = console->out_prod;

	for (; *text; text++)
		console->out[MASK_XENCONS_IDX(producer++, console->out)] = *text;
	__asm__ volatile("" : : : "memory");
	console->out_prod = producer;
	(void)event_channel_op(EVTCHNOP_send, &send);
	while (console->out_cons != producer)
		(void)sched_op(SCHEDOP_yield, NULL);
}

static void print_number(long number)
{
	char digits[24], *at = digits + sizeof(digits) - 1;
	unsigned long rest = number < 0 ? -(unsigned long)number : (unsigned long)number;

	*at = '\0';
	do
		*--at = (char)('0' + rest % 10);
	while ((rest /= 10));
	if (number < 0)
		*--at = '-';
	print(at);
}

static void check(const char *what, long got, long expected)
{
	bool good = got == expected;

	*(good ? &passed : &failed) += 1;
	print(good ? "ok   " : "FAIL ");
	print(what);
	if (!good) {
		print(": got ");
		print_number(got);
		print(", expected ");
		print_number(expected);
	}
	print("\n");
}

static long status_of(evtchn_port_t port)
{
	struct evtchn_status status = { .dom = DOMID_SELF, .port = port };
	long rc = event_channel_op(EVTCHNOP_status, &status);

	return rc == 0 ? (long)status.status : rc;
}

static bool take_pending(evtchn_port_t port)
{
	volatile unsigned long *word = &shared->evtchn_pending[port / 64];
	bool pending = *word >> port % 64 & 1;

	__sync_fetch_and_and(word, ~(1ul << port % 64));
	return pending;
}

static long send_to(evtchn_port_t port)
{
	struct evtchn_send send = { .port = port };

	return event_channel_op(EVTCHNOP_send, &send);
}

static long bind_to_vcpu(evtchn_port_t port, uint32_t vcpu)
{
	struct evtchn_bind_vcpu bind = { .port = port, .vcpu = vcpu };

	return event_channel_op(EVTCHNOP_bind_vcpu, &bind);
}

static void check_loopback(void)
{
	struct evtchn_alloc_unbound unbound = { .dom = DOMID_SELF, .remote_dom = DOMID_SELF };
	struct evtchn_bind_interdomain bind = { .remote_dom = DOMID_SELF };

	check("alloc_unbound for oneself", event_channel_op(EVTCHNOP_alloc_unbound, &unbound), 0);
	check("it is unbound", status_of(unbound.port), EVTCHNSTAT_unbound);
	bind.remote_port = unbound.port;
	check("bind_interdomain to it", event_channel_op(EVTCHNOP_bind_interdomain, &bind), 0);
	check("it is bound", status_of(unbound.port), EVTCHNSTAT_interdomain);
	check("bind_interdomain again", event_channel_op(EVTCHNOP_bind_interdomain, &bind), -XEN_EINVAL);
	(void)take_pending(unbound.port);
	check("send from the one end", send_to(bind.local_port), 0);
	check("arrives at the other", take_pending(unbound.port), true);
	struct evtchn_close close = { .port = bind.local_port };
	check("close of the one end", event_channel_op(EVTCHNOP_close, &close), 0);
	check("it is closed", status_of(bind.local_port), EVTCHNSTAT_closed);
	check("send to it", send_to(bind.local_port), -XEN_EINVAL);
	close.port = unbound.port;
	check("close of the other", event_channel_op(EVTCHNOP_close, &close), 0);
	/* No second close of it: the shim then keeps the port to itself for ever, and finds it taken whenever dom1 offers it. */
}

static void check_ipi(void)
{
	struct evtchn_bind_ipi ipi = { .vcpu = 0 }, nobody = { .vcpu = BAD_VCPU };

	check("bind_ipi", event_channel_op(EVTCHNOP_bind_ipi, &ipi), 0);
	check("it is an IPI", status_of(ipi.port), EVTCHNSTAT_ipi);
	(void)take_pending(ipi.port);
	check("send to oneself", send_to(ipi.port), 0);
	check("arrives", take_pending(ipi.port), true);
	check("bind_vcpu of an IPI", bind_to_vcpu(ipi.port, 0), -XEN_EINVAL);
	check("bind_ipi to no vCPU", event_channel_op(EVTCHNOP_bind_ipi, &nobody), -XEN_ENOENT);
}

static void check_backend(void)
{
	struct evtchn_alloc_unbound unbound = { .dom = DOMID_SELF, .remote_dom = 0 };
	struct evtchn_alloc_unbound other = { .dom = NO_DOMAIN, .remote_dom = 0 };

	check("alloc_unbound for the back ends' domain", event_channel_op(EVTCHNOP_alloc_unbound, &unbound), 0);
	check("bind_vcpu", bind_to_vcpu(unbound.port, 0), 0);
	check("bind_vcpu to no vCPU", bind_to_vcpu(unbound.port, BAD_VCPU), -XEN_ENOENT);
	check("alloc_unbound in another domain", event_channel_op(EVTCHNOP_alloc_unbound, &other) < 0, true);
	check("status of a port that cannot be", status_of(BAD_PORT), -XEN_EINVAL);
	check("status from nowhere", event_channel_op(EVTCHNOP_status, NOWHERE), -XEN_EFAULT);
	check("alloc_unbound from nowhere", event_channel_op(EVTCHNOP_alloc_unbound, NOWHERE), -XEN_EFAULT);
}

static void check_grants(void)
{
	struct gnttab_query_size size = { .dom = DOMID_SELF };
	xen_pfn_t frame = 0;
	struct gnttab_setup_table setup = { .dom = DOMID_SELF, .nr_frames = 1 };

	check("query_size", hypercall(__HYPERVISOR_grant_table_op, GNTTABOP_query_size, (unsigned long)&size, 1), 0);
	check("its status", size.status, GNTST_okay);
	check("enough frames", size.max_nr_frames >= FRAMES_LEAST, true);
	set_xen_guest_handle(setup.frame_list, &frame);
	check("setup_table", hypercall(__HYPERVISOR_grant_table_op, GNTTABOP_setup_table, (unsigned long)&setup, 1), 0);
	check("its status", setup.status, GNTST_okay);
	check("there is a frame", frame != 0, true);
}

/* dom1 cancels a suspend, and the shim hands that on: nothing of the guest's may have changed. */
static void check_suspend(void)
{
	struct sched_shutdown suspend = { .reason = SHUTDOWN_suspend };

	check("suspend is cancelled", sched_op(SCHEDOP_shutdown, &suspend), 1);
	check("the console's port is as before", status_of(console_port), EVTCHNSTAT_interdomain);
}

static void map(void *page, uint64_t machine_address)
{
	(void)hypercall(__HYPERVISOR_update_va_mapping, (unsigned long)page, machine_address | PTE_RW, UVMF_INVLPG);
}

void guest_main(const struct start_info *info)
{
	struct sched_shutdown off = { .reason = SHUTDOWN_poweroff };

	map(console_page, info->console.domU.mfn * PAGE_BYTES);
	map(shared_page, info->shared_info);
	console_port = info->console.domU.evtchn;
	print("\n--- pv\n");
	check_loopback();
	check_ipi();
	check_backend();
	check_grants();
	check_suspend();
	print_number(passed);
	print(" passed, ");
	print_number(failed);
	print(failed ? " failed, 0 skipped\nTest result: FAILURE\n" : " failed, 0 skipped\nTest result: SUCCESS\n");
	for (;;)
		(void)sched_op(SCHEDOP_shutdown, &off);
}
