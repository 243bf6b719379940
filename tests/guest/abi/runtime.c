// SPDX-License-Identifier: MIT
/*
 * Console and end of the guest. The console ring is Xen's (<xen/io/console.h>); it works as soon as hypercalls do.
 * Where they do not, the guest says nothing and turns itself off, which the test takes for a failure.
 */
#include "guest.h"

#include <xen/event_channel.h>
#include <xen/hvm/hvm_op.h>
#include <xen/hvm/params.h>
#include <xen/io/console.h>
#include <xen/sched.h>

#define SLEEP_CONTROL_PORT 0x600 /* of the FADT; S5 and enable are 0x34 */
#define SLEEP_S5           0x34
#define FLUSH_TRIES        1000000

uint32_t start_info_gpa, loader_magic;
uint16_t own_domid;

static volatile struct xencons_interface *console;
static evtchn_port_t console_port;

uint64_t parameter(uint32_t index)
{
	struct xen_hvm_param param = { .domid = DOMID_SELF, .index = index };

	return hvm_op(HVMOP_get_param, &param) == 0 ? param.value : 0;
}

static void notify_console(void)
{
	struct evtchn_send send = { .port = console_port };

	(void)event_channel_op(EVTCHNOP_send, &send);
}

/* Everything has been taken from the ring, or nobody takes it. */
static void flush_console(uint32_t room_bytes)
{
	for (unsigned int i = 0; i < FLUSH_TRIES; i++) {
		if (console->out_prod - console->out_cons + room_bytes <= sizeof(console->out))
			return;
		notify_console();
		(void)sched_op(SCHEDOP_yield, NULL);
	}
}

void test_console(void)
{
	console_port = (evtchn_port_t)parameter(HVM_PARAM_CONSOLE_EVTCHN);
	console = (struct xencons_interface *)(uintptr_t)(parameter(HVM_PARAM_CONSOLE_PFN) * PAGE_BYTES);
}

void print(const char *text)
{
	if (!console)
		return;
	for (; *text; text++) {
		flush_console(1);
		console->out[MASK_XENCONS_IDX(console->out_prod, console->out)] = *text;
		__asm__ volatile("" : : : "memory");
		console->out_prod++;
		if (*text == '\n')
			notify_console();
	}
}

void console_drain(void)
{
	if (console)
		flush_console(sizeof(console->out));
}

void print_hex(unsigned long long number)
{
	char text[19] = "0x";
	unsigned int n = 2;
	bool begun = false;

	for (int shift = 60; shift >= 0; shift -= 4) {
		unsigned int digit = (unsigned int)(number >> shift) & 15;

		begun |= digit != 0 || shift == 0;
		if (begun)
			text[n++] = "0123456789abcdef"[digit];
	}
	text[n] = '\0';
	print(text);
}

/* Small ones only are decimal: there is no division of 64 bits without a library. */
void print_number(long long number)
{
	char text[12];
	unsigned int n = sizeof(text) - 1;
	uint32_t left = (uint32_t)(number < 0 ? -number : number);

	if (number > 1000000 || number < -1000000) {
		print_hex((unsigned long long)number);
		return;
	}
	text[n] = '\0';
	do {
		text[--n] = (char)('0' + left % 10);
		left /= 10;
	} while (left);
	if (number < 0)
		text[--n] = '-';
	print(text + n);
}

void finish(const char *result)
{
	struct sched_shutdown off = { .reason = SHUTDOWN_poweroff };

	print("Test result: ");
	print(result);
	print("\n");
	console_drain();
	(void)sched_op(SCHEDOP_shutdown, &off);
	__asm__ volatile("outb %%al, %%dx" : : "a"(SLEEP_S5), "d"(SLEEP_CONTROL_PORT));
	for (;;)
		__asm__ volatile("hlt");
}
