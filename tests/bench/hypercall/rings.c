// SPDX-License-Identifier: MIT
/* The console's ring and the xenstore's. Source: <xen/io/console.h>, <xen/io/xs_wire.h>. */
#include "bench.h"

#include <xen/hvm/params.h>
#include <xen/io/console.h>
#include <xen/io/xs_wire.h>

/* So long a request, sent byte by byte, that its end, which is another matter, is rare. No path may be so long. */
#define LONG_PAYLOAD_BYTES 4000

#define NODE  "data/bench"
#define VALUE "0123456789abcdef"

static volatile struct xencons_interface *console;
static evtchn_port_t console_port;
static volatile struct xenstore_domain_interface *store;
static evtchn_port_t store_port;
static unsigned int bytes_sent;
static uint32_t transaction;

static void barrier(void)
{
	__asm__ volatile("" : : : "memory");
}

static void *page_of(uint32_t index)
{
	return (void *)(uintptr_t)(parameter(index) * PAGE_BYTES);
}

long console_open(void)
{
	console_port = (evtchn_port_t)parameter(HVM_PARAM_CONSOLE_EVTCHN);
	console = page_of(HVM_PARAM_CONSOLE_PFN);
	return console && console_port ? 0 : -XEN_ENOENT;
}

void console_byte(void)
{
	uint32_t producer = console->out_prod;

	console->out[MASK_XENCONS_IDX(producer, console->out)] = '.';
	barrier();
	console->out_prod = producer + 1;
	port_clear(console_port);
	(void)send_event(console_port);
	do
		wait_for_event(console_port);
	while (console->out_cons != producer + 1);
}

static void put(const void *bytes, uint32_t len_bytes)
{
	const char *from = bytes;
	uint32_t producer = store->req_prod;

	/* There is always room: nobody asks twice before he has the answer. */
	for (uint32_t i = 0; i < len_bytes; i++)
		store->req[MASK_XENSTORE_IDX(producer + i)] = from[i];
	barrier();
	store->req_prod = producer + len_bytes;
}

static void get(void *bytes, uint32_t len_bytes)
{
	char *to = bytes;

	while (len_bytes) {
		port_clear(store_port);
		uint32_t consumer = store->rsp_cons;
		uint32_t there_bytes = store->rsp_prod - consumer;

		if (there_bytes > len_bytes)
			there_bytes = len_bytes;
		for (uint32_t i = 0; i < there_bytes; i++)
			to[i] = store->rsp[MASK_XENSTORE_IDX(consumer + i)];
		barrier();
		store->rsp_cons = consumer + there_bytes;
		to += there_bytes;
		len_bytes -= there_bytes;
		if (len_bytes)
			wait_for_event(store_port);
	}
}

/* The answer's type; its payload is text, with a 0 behind it. */
static uint32_t take_answer(char text[64])
{
	struct xsd_sockmsg header;
	char rest;

	get(&header, sizeof(header));
	uint32_t kept_bytes = header.len < 63 ? header.len : 63;
	get(text, kept_bytes);
	text[kept_bytes] = '\0';
	for (uint32_t i = kept_bytes; i < header.len; i++)
		get(&rest, 1);
	return header.type;
}

/* The payload is in two parts, either of which may be empty. */
static void ask(uint32_t type, const char *first, uint32_t first_bytes, const char *second, uint32_t second_bytes,
		char answer[64])
{
	const struct xsd_sockmsg header = { .type = type, .tx_id = transaction, .len = first_bytes + second_bytes };

	put(&header, sizeof(header));
	put(first, first_bytes);
	put(second, second_bytes);
	(void)send_event(store_port);
	uint32_t got = take_answer(answer);
	if (got != type) {
		print("the xenstore refused request ");
		print_number(type);
		print(": ");
		print(answer);
		print("\n");
		finish("ERROR");
	}
}

static void write_node(void)
{
	char answer[64];

	ask(XS_WRITE, NODE, sizeof(NODE), VALUE, sizeof(VALUE) - 1, answer);
}

long store_open(void)
{
	store_port = (evtchn_port_t)parameter(HVM_PARAM_STORE_EVTCHN);
	store = page_of(HVM_PARAM_STORE_PFN);
	if (!store || !store_port)
		return -XEN_ENOENT;
	write_node();
	return 0;
}

void store_byte(void)
{
	static const struct xsd_sockmsg header = { .type = XS_READ, .len = LONG_PAYLOAD_BYTES };
	const char letter = 'a', *byte = bytes_sent < sizeof(header) ? (const char *)&header + bytes_sent : &letter;
	char answer[64];

	port_clear(store_port);
	put(byte, 1);
	(void)send_event(store_port);
	do
		wait_for_event(store_port);
	while (store->req_cons != store->req_prod);
	if (++bytes_sent == sizeof(header) + LONG_PAYLOAD_BYTES) {
		bytes_sent = 0;
		(void)take_answer(answer);
	}
}

void store_end_of_bytes(void)
{
	while (bytes_sent)
		store_byte();
}

void store_read(void)
{
	char answer[64];

	ask(XS_READ, NODE, sizeof(NODE), NULL, 0, answer);
	if (memcmp(answer, VALUE, sizeof(VALUE)) != 0)
		finish("ERROR");
}

void store_transaction(void)
{
	char answer[64];

	ask(XS_TRANSACTION_START, "", 1, NULL, 0, answer);
	for (const char *digit = answer; *digit; digit++)
		transaction = transaction * 10 + (uint32_t)(*digit - '0');
	write_node();
	ask(XS_TRANSACTION_END, "T", 2, NULL, 0, answer);
	transaction = 0;
}
