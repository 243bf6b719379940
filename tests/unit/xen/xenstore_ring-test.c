// SPDX-License-Identifier: MIT
/*
 * The guest's ring, and guests that lie in it: they are cut off until they reconnect, and the host's side goes on. Source:
 * <xen/io/xs_wire.h>, docs/misc/xenstore-ring.txt of Xen.
 */
#include "xen/xenstore_ring.h"

#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <glib.h>

#include "xen/abi.h"
#include <xen/io/xs_wire.h>

#include "inject/inject.h"
#include "vmm/guest_memory.h"
#include "vmm/record.h"
#include "vmm/trace.h"
#include "xen/evtchn_kvm.h"
#include "xen/xenstore/xenstore.h"

#define MIB  (UINT64_C(1) << 20)
#define DATA "/local/domain/1/data"

struct fixture {
	struct xenstore *store;
	struct guest_memory *memory;
	struct xenstore_domain_interface *page;
	struct evtchn_backend port;
	struct trace trace;
	struct xenstore_ring *ring;
	unsigned int first_requests;
	bool by_main_thread; /* the next event */
};

static void on_first_request(void *opaque)
{
	((struct fixture *)opaque)->first_requests++;
}

static void set_up(struct fixture *f, gconstpointer unused)
{
	const char *const own[] = { "n1" };
	struct layout layout;

	(void)unused;
	f->store = xenstore_new(NULL);
	g_assert_true(layout_init(&layout, 64 * MIB, 32 * MIB, NULL));
	f->memory = guest_memory_new(&layout, NULL);
	g_assert_true(f->store && f->memory);
	g_assert_cmpint(xenstore_write(f->store, DATA, "", 0), ==, 0);
	g_assert_cmpint(xenstore_set_permissions(f->store, DATA, own, 1), ==, 0);
	f->page = guest_memory_span(f->memory, layout.xenstore_gpa, LAYOUT_PAGE_BYTES);
	f->port.from_guest_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	f->port.to_guest_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	f->ring = xenstore_ring_new(f->store, f->memory, &f->port, record_new(0), &f->trace, on_first_request, f);
	g_assert_nonnull(f->ring);
	f->port.serve = xenstore_ring_serve;
	f->port.opaque = f->ring;
}

static void tear_down(struct fixture *f, gconstpointer unused)
{
	(void)unused;
	xenstore_ring_free(f->ring);
	close(f->port.from_guest_fd);
	close(f->port.to_guest_fd);
	guest_memory_free(f->memory);
	xenstore_free(f->store);
}

/* As a guest's send; the vCPU's way and the main thread's by turns. */
static void send_event(struct fixture *f)
{
	f->by_main_thread = !f->by_main_thread;
	if (f->by_main_thread)
		evtchn_backend_wake(&f->port);
	else
		evtchn_backend_serve(&f->port);
	while (g_main_context_iteration(NULL, FALSE))
		;
}

static void put(struct fixture *f, const void *bytes, size_t len_bytes)
{
	for (size_t i = 0; i < len_bytes; i++)
		f->page->req[MASK_XENSTORE_IDX(f->page->req_prod + i)] = ((const char *)bytes)[i];
	f->page->req_prod += (uint32_t)len_bytes;
}

static void put_request(struct fixture *f, uint32_t type, const char *payload, size_t len_bytes)
{
	const struct xsd_sockmsg header = { .type = type, .req_id = 7, .len = (uint32_t)len_bytes };

	put(f, &header, sizeof(header));
	put(f, payload, len_bytes);
}

/* The next message's type; 0: nothing is there. */
static uint32_t take_answer(struct fixture *f, char payload[XENSTORE_PAYLOAD_MAX])
{
	struct xsd_sockmsg header;
	char bytes[XENSTORE_RING_SIZE];
	uint32_t there = f->page->rsp_prod - f->page->rsp_cons;

	if (there == 0)
		return 0;
	g_assert_cmpuint(there, >=, sizeof(header));
	g_assert_cmpuint(there, <=, sizeof(bytes));
	for (uint32_t i = 0; i < there; i++)
		bytes[i] = f->page->rsp[MASK_XENSTORE_IDX(f->page->rsp_cons + i)];
	memcpy(&header, bytes, sizeof(header));
	g_assert_cmpuint(sizeof(header) + header.len, <=, there);
	memcpy(payload, bytes + sizeof(header), header.len);
	f->page->rsp_cons += (uint32_t)sizeof(header) + header.len;
	return header.type;
}

static bool is_answered(struct fixture *f)
{
	char payload[XENSTORE_PAYLOAD_MAX];

	put_request(f, XS_READ, "data", 5);
	send_event(f);
	return take_answer(f, payload) == XS_READ;
}

/* The host's side of the same store. */
static void check_host(struct fixture *f)
{
	g_assert_cmpint(xenstore_write(f->store, DATA "/host", "1", 1), ==, 0);
}

static void reconnect(struct fixture *f)
{
	f->page->connection = XENSTORE_RECONNECT;
	send_event(f);
	g_assert_cmpuint(f->page->connection, ==, XENSTORE_CONNECTED);
	g_assert_cmpuint(f->page->error, ==, XENSTORE_ERROR_NONE);
	g_assert_cmpuint(f->page->req_prod | f->page->req_cons | f->page->rsp_prod | f->page->rsp_cons, ==, 0);
	g_assert_true(is_answered(f));
}

static void test_indexes(struct fixture *f, gconstpointer unused)
{
	(void)unused;
	g_assert_true(is_answered(f));
	g_assert_cmpuint(f->first_requests, ==, 1);
	for (int i = 0; i < 4; i++) {
		uint32_t *index = i < 2 ? &f->page->req_prod : &f->page->rsp_cons;

		*index += i % 2 ? XENSTORE_RING_SIZE + 1 : 0x80000000u;
		send_event(f);
		g_assert_cmpuint(f->page->error, ==, XENSTORE_ERROR_RINGIDX);
		/* Mended indexes do not help, only to reconnect does. */
		f->page->req_prod = f->page->req_cons;
		f->page->rsp_cons = f->page->rsp_prod;
		g_assert_false(is_answered(f));
		check_host(f);
		reconnect(f);
	}
	g_assert_cmpuint(f->first_requests, ==, 1);
}

static void test_protocol(struct fixture *f, gconstpointer unused)
{
	const struct xsd_sockmsg too_long = { .type = XS_WRITE, .len = XENSTORE_PAYLOAD_MAX + 1 };
	char payload[XENSTORE_PAYLOAD_MAX];

	(void)unused;
	g_assert_true(is_answered(f));
	put_request(f, XS_WATCH, "data\0token", 11);
	send_event(f);
	g_assert_cmpuint(take_answer(f, payload), ==, XS_WATCH);
	g_assert_cmpuint(take_answer(f, payload), ==, XS_WATCH_EVENT);
	put(f, &too_long, sizeof(too_long));
	send_event(f);
	g_assert_cmpuint(f->page->error, ==, XENSTORE_ERROR_PROTO);
	/* Its watch is gone. */
	check_host(f);
	send_event(f);
	g_assert_cmpuint(take_answer(f, payload), ==, 0);
	g_assert_false(is_answered(f));
	reconnect(f);
	check_host(f);
	send_event(f);
	g_assert_cmpuint(take_answer(f, payload), ==, 0);
}

/* Who does not read its answers is not served any more, and nobody else waits for that. */
static void test_reader(struct fixture *f, gconstpointer unused)
{
	char payload[XENSTORE_PAYLOAD_MAX];
	unsigned int asked = 0, answered = 0;

	(void)unused;
	/* Until the requests stay where they are. */
	for (int still = 0; still < 3; asked++) {
		uint32_t consumer = f->page->req_cons;

		if (f->page->req_prod - consumer > XENSTORE_RING_SIZE - 64)
			break;
		put_request(f, XS_READ, "data", 5);
		send_event(f);
		still = f->page->req_cons == consumer ? still + 1 : 0;
		check_host(f);
		g_assert_cmpuint(asked, <, 100000);
	}
	g_assert_cmpuint(f->page->error, ==, XENSTORE_ERROR_NONE);
	for (unsigned int i = 0; i < asked; i++) {
		uint32_t there = f->page->rsp_prod - f->page->rsp_cons;

		if (there < sizeof(struct xsd_sockmsg))
			send_event(f);
		if (take_answer(f, payload) == XS_READ)
			answered++;
	}
	g_assert_cmpuint(answered, ==, asked);
}

/* Whatever is in the page, at whatever moment. */
static void test_storm(struct fixture *f, gconstpointer unused)
{
	uint32_t *const indexes[] = { &f->page->req_cons, &f->page->req_prod, &f->page->rsp_cons, &f->page->rsp_prod,
				      &f->page->connection, &f->page->error };
	unsigned int broken = 0;

	(void)unused;
	for (int i = 0; i < 20000; i++) {
		int n = g_test_rand_int_range(0, 4);

		for (int j = 0; j < n; j++) {
			uint32_t *index = indexes[g_test_rand_int_range(0, G_N_ELEMENTS(indexes))];

			*index += (uint32_t)(g_test_rand_bit() ? g_test_rand_int_range(-20, 20) : g_test_rand_int());
		}
		f->page->req[g_test_rand_int_range(0, XENSTORE_RING_SIZE)] = (char)g_test_rand_int_range(0, 30);
		if (g_test_rand_int_range(0, 10) == 0)
			f->page->connection = XENSTORE_RECONNECT;
		send_event(f);
		broken += f->page->error != XENSTORE_ERROR_NONE;
		check_host(f);
	}
	g_assert_cmpuint(broken, >, 0);
	reconnect(f);
}

static struct inject_plan *order(struct fixture *f, const char *text, _Atomic uint64_t *counts)
{
	const char *const texts[] = { text, NULL };
	struct inject_plan *plan;

	g_assert_true(inject_plan_parse((char **)(uintptr_t)texts, 3, &plan, NULL));
	plan->counts = counts;
	xenstore_ring_inject(f->ring, plan);
	return plan;
}

static uint32_t request(struct fixture *f, uint32_t type, uint32_t tx_id, const char *payload, size_t len_bytes, char answer[XENSTORE_PAYLOAD_MAX])
{
	const struct xsd_sockmsg header = { .type = type, .req_id = 7, .tx_id = tx_id, .len = (uint32_t)len_bytes };

	put(f, &header, sizeof(header));
	put(f, payload, len_bytes);
	memset(answer, 0, 32);
	send_event(f);
	return take_answer(f, answer);
}

/* Faults on purpose: what could be committed is refused, and the guest may try again; what it gives up is not. */
static void test_refused_commits(struct fixture *f, gconstpointer unused)
{
	_Atomic uint64_t counts[INJECT_N_EFFECTS] = { 0 };
	struct inject_plan *plan = order(f, "xenstore:eagain=1,skip=1,count=2", counts);
	char answer[XENSTORE_PAYLOAD_MAX];

	(void)unused;
	for (unsigned int i = 0; i < 5; i++) {
		g_assert_cmpuint(request(f, XS_TRANSACTION_START, 0, "", 1, answer), ==, XS_TRANSACTION_START);
		const uint32_t id = (uint32_t)g_ascii_strtoull(answer, NULL, 10);
		g_assert_cmpuint(request(f, XS_WRITE, id, "data/x\0" "1", 8, answer), ==, XS_WRITE);
		const uint32_t type = request(f, XS_TRANSACTION_END, id, i == 4 ? "F" : "T", 2, answer);
		const bool refused = i == 1 || i == 2;
		g_assert_cmpuint(type, ==, refused ? XS_ERROR : XS_TRANSACTION_END);
		g_assert_cmpstr(answer, ==, refused ? "EAGAIN" : "OK");
		/* The transaction is gone either way. */
		g_assert_cmpuint(request(f, XS_TRANSACTION_END, id, "F", 2, answer), ==, XS_ERROR);
		g_assert_cmpstr(answer, ==, "ENOENT");
	}
	g_assert_cmpuint(counts[INJECT_COMMITS_REFUSED], ==, 2);
	g_assert_cmpuint(counts[INJECT_ANSWERS_DELAYED], ==, 0);
	inject_plan_free(plan);
}

static void test_late_answers(struct fixture *f, gconstpointer unused)
{
	_Atomic uint64_t counts[INJECT_N_EFFECTS] = { 0 };
	struct inject_plan *plan = order(f, "xenstore:delay=60ms", counts);
	char answer[XENSTORE_PAYLOAD_MAX];

	(void)unused;
	/* Two at once: the second is late after the first. */
	put_request(f, XS_READ, "data", 5);
	const gint64 start_us = g_get_monotonic_time();
	g_assert_cmpuint(request(f, XS_READ, 0, "data", 5, answer), ==, 0);
	for (unsigned int i = 1; i <= 2; i++) {
		while (take_answer(f, answer) == 0)
			g_main_context_iteration(NULL, TRUE);
		g_assert_cmpint(g_get_monotonic_time() - start_us, >=, i * 60000);
	}
	g_assert_cmpuint(counts[INJECT_ANSWERS_DELAYED], ==, 2);
	inject_plan_free(plan);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define ADD(name, function) g_test_add("/xen/xenstore_ring/" name, struct fixture, NULL, set_up, function, tear_down)
	ADD("indexes", test_indexes);
	ADD("protocol", test_protocol);
	ADD("reader", test_reader);
	ADD("storm", test_storm);
	ADD("refused-commits", test_refused_commits);
	ADD("late-answers", test_late_answers);
	return g_test_run();
}
