// SPDX-License-Identifier: MIT
/*
 * What belongs to no family: the hypercall page, numbers that an HVM domain does not have (Xen 4.17's
 * include/hypercall-defs.c), CPL 3, console_io, vm_assist, physdev_op.
 */
#include "guest.h"

#include <xen/event_channel.h>
#include <xen/physdev.h>
#include <xen/version.h>

#define STUB_BYTES  32
#define MOV_EAX     0xb8
#define ASSIST_BAD  63
#define CMD_UNKNOWN 9
#define OP_UNKNOWN  99

static void check_hypercall_page(void)
{
	bool good = true;

	for (unsigned int i = 0; i < PAGE_BYTES / STUB_BYTES; i++)
		good &= hypercall_page[i * STUB_BYTES] == MOV_EAX && hypercall_page[i * STUB_BYTES + 1] == i;
	CHECK_TRUE("each stub has its number", good);
}

/* hvm_hypercall(): a number without a function is -ENOSYS. Those of PV guests are among them. */
static void check_unknown(void)
{
	static const uint8_t PV_ONLY[] = {
		__HYPERVISOR_set_trap_table, __HYPERVISOR_mmu_update, __HYPERVISOR_set_gdt, __HYPERVISOR_stack_switch,
		__HYPERVISOR_set_callbacks, __HYPERVISOR_update_descriptor, __HYPERVISOR_update_va_mapping,
		__HYPERVISOR_iret, __HYPERVISOR_set_segment_base, __HYPERVISOR_nmi_op, __HYPERVISOR_callback_op,
	};
	long worst = -XEN_ENOSYS;

	for (size_t i = 0; i < sizeof(PV_ONLY); i++)
		if (hypercall(PV_ONLY[i], 0, 0, 0, 0, 0) != -XEN_ENOSYS)
			worst = PV_ONLY[i];
	CHECK("what is a PV guest's alone", worst, -XEN_ENOSYS);
	CHECK("number 47", hypercall(47, 0, 0, 0, 0, 0), -XEN_ENOSYS);
	CHECK("number 63", hypercall(63, 0, 0, 0, 0, 0), -XEN_ENOSYS);
	CHECK("number 64", hypercall(64, 0, 0, 0, 0, 0), -XEN_ENOSYS);
	CHECK("number 1000", hypercall(1000, 0, 0, 0, 0, 0), -XEN_ENOSYS);
	CHECK("the highest number of 32 bits", hypercall(0x7fffffff, 0, 0, 0, 0, 0), -XEN_ENOSYS);
#ifdef __x86_64__
	CHECK("a number of 64 bits", hypercall(1ul << 32 | __HYPERVISOR_xen_version, 0, 0, 0, 0, 0), -XEN_ENOSYS);
#endif
	CHECK_TRUE("sysctl is refused", hypercall(__HYPERVISOR_sysctl, ADDRESS(nowhere()), 0, 0, 0, 0) < 0);
	CHECK_TRUE("domctl is refused", hypercall(__HYPERVISOR_domctl, ADDRESS(nowhere()), 0, 0, 0, 0) < 0);
	CHECK_TRUE("platform_op is refused", hypercall(__HYPERVISOR_platform_op, ADDRESS(nowhere()), 0, 0, 0, 0) < 0);
}

/* hvm_hypercall(): whatever it is, from CPL 3 it is -EPERM. */
static void check_user(void)
{
	struct evtchn_status status = { .dom = DOMID_SELF, .port = 1, .vcpu = 0x55 };

	CHECK("xen_version from CPL 3", user_hypercall(__HYPERVISOR_xen_version, XENVER_version, 0), -XEN_EPERM);
	CHECK("event_channel_op from CPL 3",
	      user_hypercall(__HYPERVISOR_event_channel_op, EVTCHNOP_status, ADDRESS(&status)), -XEN_EPERM);
	CHECK("nothing was written", status.vcpu, 0x55);
	CHECK("a number that there is not, from CPL 3", user_hypercall(63, 0, 0), -XEN_EPERM);
	CHECK("CPL 0 goes on", xen_version(XENVER_pagesize, NULL), PAGE_BYTES);
}

static long console_io(unsigned long operation, unsigned long len_bytes, const void *text)
{
	return hypercall(__HYPERVISOR_console_io, operation, len_bytes, ADDRESS(text), 0, 0);
}

/* Xen gives its console to domain 0; dom1 takes what a guest writes as a log of its own: docs/architecture.md. */
static void check_console_io(void)
{
	char *across = across_pages(8);
	char input[8];

	CHECK("console_io write", console_io(CONSOLEIO_write, 6, "hello\n"), 0);
	memcpy(across, "two pgs\n", 8);
	CHECK("console_io write across two pages", console_io(CONSOLEIO_write, 8, across), 0);
	CHECK("console_io write of nothing", console_io(CONSOLEIO_write, 0, nowhere()), 0);
	CHECK("console_io write from nowhere", console_io(CONSOLEIO_write, 1, nowhere()), -XEN_EFAULT);
	CHECK("console_io read finds nothing", console_io(CONSOLEIO_read, sizeof(input), input), 0);
	CHECK("a console operation that there is not", console_io(OP_UNKNOWN, 0, input), -XEN_ENOSYS);
}

static long vm_assist(unsigned long command, unsigned long type)
{
	return hypercall(__HYPERVISOR_vm_assist, command, type, 0, 0, 0);
}

/* vm_assist(): HVM_VM_ASSIST_VALID has one bit; the type is looked at before the command. */
static void check_vm_assist(void)
{
	CHECK("enable runstate_update_flag", vm_assist(VMASST_CMD_enable, VMASST_TYPE_runstate_update_flag), 0);
	CHECK("enable it again", vm_assist(VMASST_CMD_enable, VMASST_TYPE_runstate_update_flag), 0);
	CHECK("disable runstate_update_flag", vm_assist(VMASST_CMD_disable, VMASST_TYPE_runstate_update_flag), 0);
	CHECK("what assists PV guests", vm_assist(VMASST_CMD_enable, VMASST_TYPE_4gb_segments), -XEN_EINVAL);
	CHECK("no assistance", vm_assist(VMASST_CMD_enable, ASSIST_BAD), -XEN_EINVAL);
	CHECK("the highest assistance", vm_assist(VMASST_CMD_enable, ~0ul), -XEN_EINVAL);
	CHECK("no command", vm_assist(CMD_UNKNOWN, VMASST_TYPE_runstate_update_flag), -XEN_ENOSYS);
}

static long physdev_op(unsigned long operation, void *argument)
{
	return hypercall(__HYPERVISOR_physdev_op, operation, ADDRESS(argument), 0, 0, 0);
}

/* hvm_physdev_op(): without emulated PIRQs, which a PVH domain has not. */
static void check_physdev_op(void)
{
	struct physdev_eoi eoi = { .irq = 1 };
	struct physdev_irq_status_query query = { .irq = 1 };
	struct physdev_get_free_pirq pirq = { .type = 0 };

	CHECK("physdev eoi", physdev_op(PHYSDEVOP_eoi, &eoi), -XEN_ENOSYS);
	CHECK("physdev irq_status_query", physdev_op(PHYSDEVOP_irq_status_query, &query), -XEN_ENOSYS);
	CHECK("physdev get_free_pirq", physdev_op(PHYSDEVOP_get_free_pirq, &pirq), -XEN_ENOSYS);
	CHECK("physdev map_pirq", physdev_op(PHYSDEVOP_map_pirq, nowhere()), -XEN_ENOSYS);
	CHECK("physdev unmap_pirq", physdev_op(PHYSDEVOP_unmap_pirq, nowhere()), -XEN_ENOSYS);
	CHECK("physdev setup_gsi", physdev_op(PHYSDEVOP_setup_gsi, nowhere()), -XEN_ENOSYS);
	CHECK("a physdev operation that there is not", physdev_op(OP_UNKNOWN, nowhere()), -XEN_ENOSYS);
}

void test_misc(void)
{
	check_hypercall_page();
	check_unknown();
	check_user();
	check_console_io();
	check_vm_assist();
	check_physdev_op();
}
