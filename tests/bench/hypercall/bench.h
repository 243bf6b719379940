/* SPDX-License-Identifier: MIT */
/* What the guest of scripts/bench hypercall is made of, besides the runtime of tests/guest/abi. */
#pragma once

#include "guest.h"

long send_event(unsigned int port);
/* Sleeps by SCHEDOP_poll, which KVM answers, until the port is pending, and clears it. */
void wait_for_event(unsigned int port);

/* rings.c: each returns 0, or the error by which the case cannot be measured. */
long console_open(void);
void console_byte(void); /* one character written; the back end's answer, that it took it, has come */
long store_open(void);
void store_byte(void); /* the same with one byte of a long request to the xenstore */
void store_end_of_bytes(void);
void store_read(void);
void store_transaction(void);

/* second.S */
extern uint8_t second_entry_16[], second_entry_16_end[];
struct idt_pointer {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));
extern struct idt_pointer second_idt;
void second_main(void) __attribute__((noreturn));
