// SPDX-License-Identifier: MIT
/*
 * What grows, for scripts/bench scale. The option's first letter: i, to be idle until somebody ends the domain; p and a number of
 * ports, each of which is bound and sent to; n and a number of nodes in the xenstore, each written and read; else nothing. With
 * them it ends well, so what the whole run takes can be compared with a run that has fewer.
 */
#include "guest.h"

#include <xen/event_channel.h>

#include "xenstore.h"

#define NAME_BYTES sizeof("data/0000")
/* Of a PC's two interrupt controllers, the registers of their masks. */
#define PIC_MASK        0x21
#define PIC_MASK_SECOND 0xa1

static char answer[XENSTORE_PAYLOAD_MAX + 1];

static __attribute__((noreturn)) void be_idle(void)
{
	print("ready\n");
	console_drain();
	/* Nothing is pending any more, and all is masked; on a PC, its interrupt controller too. */
	__asm__ volatile("outb %%al, %%dx" : : "a"(0xff), "d"(PIC_MASK));
	__asm__ volatile("outb %%al, %%dx" : : "a"(0xff), "d"(PIC_MASK_SECOND));
	shared_info_map();
	shared->vcpu_info[0].evtchn_upcall_pending = 0;
	for (;;)
		__asm__ volatile("sti\n\thlt");
}

/* Two ports each: an end here and there. */
static bool use_ports(unsigned int n)
{
	bool ok = true;

	shared_info_map();
	for (unsigned int i = 0; i + 1 < n; i += 2) {
		struct evtchn_alloc_unbound alloc = { .dom = DOMID_SELF, .remote_dom = DOMID_SELF };
		struct evtchn_bind_interdomain bind = { .remote_dom = DOMID_SELF };

		ok &= event_channel_op(EVTCHNOP_alloc_unbound, &alloc) == 0;
		bind.remote_port = alloc.port;
		ok &= event_channel_op(EVTCHNOP_bind_interdomain, &bind) == 0;

		struct evtchn_send send = { .port = bind.local_port };
		ok &= event_channel_op(EVTCHNOP_send, &send) == 0 && port_pending(alloc.port);
	}
	return ok;
}

static bool use_nodes(unsigned int n)
{
	char name[NAME_BYTES + 1] = "data/0000";
	bool ok = true;

	xenstore_init();
	for (unsigned int i = 0; i < n; i++) {
		for (unsigned int digit = 0, rest = i; digit < 4; digit++, rest /= 10)
			name[NAME_BYTES - 2 - digit] = (char)('0' + rest % 10);
		/* The value is its last digit. */
		name[NAME_BYTES] = name[NAME_BYTES - 2];
		ok &= xenstore_call(XS_WRITE, 0, name, sizeof(name), answer);
		ok &= xenstore_call(XS_READ, 0, name, NAME_BYTES, answer) && answer[0] == name[NAME_BYTES];
	}
	return ok;
}

void test_scale(void)
{
	switch (option()[0]) {
	case 'i':
		be_idle();
	case 'p':
		CHECK_TRUE("ports", use_ports(option_number()));
		break;
	case 'n':
		CHECK_TRUE("nodes", use_nodes(option_number()));
		break;
	default:
		CHECK_TRUE("nothing", true);
		break;
	}
}
