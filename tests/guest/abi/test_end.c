// SPDX-License-Identifier: MIT
/*
 * Ways in which a domain ends; the test looks at what becomes of it. A call that returns is a failure. Source:
 * <xen/sched.h>, <xen/vcpu.h>; domain_shutdown(), domain_watchdog_timeout(), VCPUOP_down of Xen 4.17's common/.
 */
#include "guest.h"

#include <xen/sched.h>
#include <xen/vcpu.h>

#define SOON_S 1

static void down(void)
{
	for (unsigned int i = 1; i < count_vcpus(); i++)
		CHECK("down of a vCPU that was never up", vcpu_op(VCPUOP_down, i, NULL), 0);
	/* "Last vcpu going down": domain_shutdown(d, SHUTDOWN_poweroff). */
	(void)vcpu_op(VCPUOP_down, 0, NULL);
}

static void watchdog(void)
{
	struct sched_watchdog request = { .id = 0, .timeout = SOON_S };

	CHECK("a watchdog is set", sched_op(SCHEDOP_watchdog, &request), 1);
	for (;;)
		(void)sched_op(SCHEDOP_yield, NULL);
}

/* hvm_vcpu_down(): "Any other VCPUs online? ... if not, shut down domain." The others have never been up. */
static void halt(void)
{
	for (;;)
		__asm__ volatile("cli; hlt" : : : "memory");
}

/* An exception without a table of handlers, which is one more, and one more. */
static void triple_fault(void)
{
	const struct {
		uint16_t limit;
		unsigned long base;
	} __attribute__((packed)) no_table = { 0, 0 };

	__asm__ volatile("lidt %0; int3" : : "m"(no_table) : "memory");
}

/* The word is "down", "halt", "triple", "watchdog", or a reason of <xen/sched.h> as a number. */
void test_end(void)
{
	struct sched_shutdown request = { .reason = option_number() };

	switch (option()[0]) {
	case 'd':
		down();
		break;
	case 'h':
		halt();
		break;
	case 't':
		triple_fault();
		break;
	case 'w':
		watchdog();
		break;
	default:
		(void)sched_op(SCHEDOP_shutdown, &request);
		break;
	}
	CHECK("the end does not return", 0, 1);
}
