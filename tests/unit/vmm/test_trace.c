// SPDX-License-Identifier: MIT
/* The lines of a trace: their keys and values, that nothing of a guest's bytes is more than text, and that one is whole. */
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <xen/io/xs_wire.h>

#include "vmm/error.h"
#include "vmm/json_members.h"
#include "vmm/record.h"
#include "vmm/trace.h"
#include "xen/abi.h"
#include "xen/hypercall.h"

struct fixture {
	struct trace trace;
	struct trace_xenstore stream;
};

static void setup(struct fixture *f, gconstpointer data)
{
	(void)data;
	*f = (struct fixture){ .trace = { .fd = memfd_create("trace", MFD_CLOEXEC), .record = record_new(1) } };
	g_assert_cmpint(f->trace.fd, >=, 0);
	f->stream = (struct trace_xenstore){ .trace = &f->trace, .from_guest = true };
}

static void teardown(struct fixture *f, gconstpointer data)
{
	(void)data;
	close(f->trace.fd);
}

/* What was traced so far; whoever reads it on a terminal must see printable ASCII and nothing else. */
static char *traced(const struct fixture *f)
{
	off_t len_bytes = lseek(f->trace.fd, 0, SEEK_END);
	char *text = g_malloc0((size_t)len_bytes + 1);

	g_assert_cmpint(pread(f->trace.fd, text, (size_t)len_bytes, 0), ==, len_bytes);
	for (off_t i = 0; i < len_bytes; i++)
		g_assert_true(g_ascii_isprint(text[i]) || text[i] == '\n');
	return text;
}

/* The lines as JSON, in an array: each line must be an object by itself. */
static json_t *lines(const struct fixture *f)
{
	g_autofree char *text = traced(f);
	g_auto(GStrv) words = g_strsplit(text, "\n", -1);
	guint n = g_strv_length(words);
	json_t *array = json_array();

	g_assert_true(n == 0 || words[n - 1][0] == '\0');
	for (guint i = 0; i + 1 < n; i++) {
		json_error_t error;
		json_t *line = json_loads(words[i], JSON_REJECT_DUPLICATES, &error);

		if (!json_is_object(line))
			g_error("%s: %s", error.text, words[i]);
		g_assert_cmpint(json_integer_value(json_object_get(line, "t_ns")), >, 0);
		json_array_append_new(array, line);
	}
	return array;
}

static const json_t *line(const json_t *lines, size_t index)
{
	g_assert_cmpuint(index, <, json_array_size(lines));
	return json_array_get(lines, index);
}

static void expect_text(const json_t *object, const char *key, const char *value)
{
	g_assert_cmpstr(json_string_value(json_object_get(object, key)), ==, value);
}

static void expect_number(const json_t *object, const char *key, int64_t value)
{
	g_assert_true(json_is_integer(json_object_get(object, key)));
	g_assert_cmpint(json_integer_value(json_object_get(object, key)), ==, value);
}

static void expect_none(const json_t *object, const char *key)
{
	g_assert_null(json_object_get(object, key));
}

static void test_kinds(void)
{
	static const struct {
		const char *text;
		unsigned int kinds;
	} good[] = {
		{ "hypercall", TRACE_HYPERCALL },
		{ "evtchn", TRACE_EVTCHN },
		{ "xenstore,evtchn", TRACE_XENSTORE | TRACE_EVTCHN },
		{ "grant,xenbus,lend", TRACE_GRANT | TRACE_XENBUS | TRACE_LEND },
		{ "hypercall,evtchn,xenstore,evtchn", TRACE_HYPERCALL | TRACE_EVTCHN | TRACE_XENSTORE },
	};
	static const char *const bad[] = { "", ",", "hypercall,", "Hypercall", "hypercall evtchn", "all", " evtchn" };

	for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
		unsigned int kinds;

		g_assert_true(trace_parse_kinds(good[i].text, &kinds, NULL));
		g_assert_cmpuint(kinds, ==, good[i].kinds);
	}
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autoptr(GError) error = NULL;
		unsigned int kinds;

		g_assert_false(trace_parse_kinds(bad[i], &kinds, &error));
		g_assert_error(error, DOM1_ERROR, DOM1_STATUS_USAGE);
		g_assert_true(g_str_has_prefix(error->message, "--trace="));
		g_assert_nonnull(strstr(error->message, "hypercall, evtchn, grant, xenbus, xenstore, lend"));
	}
}

static void test_others(struct fixture *f, gconstpointer data)
{
	(void)data;
	trace_grant(&f->trace, 1, "setup_table", -1, 1, 0);
	trace_grant(&f->trace, -1, "use", 8, 1, -3);
	trace_xenbus(&f->trace, "device/vbd/51712", "frontend", 3);
	trace_xenbus(&f->trace, "device/vbd/51712", "backend", 99);
	trace_lend(&f->trace, "show", 1, 512, 64);
	g_autoptr(json_t) all = lines(f);
	const json_t *grant = line(all, 0);

	expect_text(grant, "trace", "grant");
	expect_text(grant, "operation", "setup_table");
	expect_number(grant, "vcpu", 1);
	expect_none(grant, "ref");
	expect_number(line(all, 1), "ref", 8);
	expect_number(line(all, 1), "result", -3);
	expect_none(line(all, 1), "vcpu");
	expect_text(line(all, 2), "state", "Initialised");
	expect_text(line(all, 2), "side", "frontend");
	expect_text(line(all, 3), "state", "unknown");
	expect_text(line(all, 4), "event", "show");
	expect_number(line(all, 4), "page", 512);
	expect_number(line(all, 4), "n_pages", 64);
}

static void test_hypercall(struct fixture *f, gconstpointer data)
{
	const struct hypercall known = { .number = __HYPERVISOR_sched_op, .arguments = { 2, 0xffffc90000013e4c, 0, 0, 0, UINT64_MAX },
					 .cpl = 3 };
	const struct hypercall unknown = { .number = 63 }, absurd = { .number = UINT64_MAX };

	(void)data;
	trace_hypercall(&f->trace, 31, &known, -14);
	trace_hypercall(&f->trace, 0, &unknown, 0);
	trace_hypercall(&f->trace, 0, &absurd, INT64_MIN);
	g_autoptr(json_t) all = lines(f);
	const json_t *object = line(all, 0);
	const json_t *arguments = json_object_get(object, "arguments");

	expect_text(object, "trace", "hypercall");
	expect_text(object, "name", "sched_op");
	expect_number(object, "vcpu", 31);
	expect_number(object, "number", __HYPERVISOR_sched_op);
	expect_number(object, "cpl", 3);
	expect_number(object, "result", -14);
	g_assert_cmpuint(json_array_size(arguments), ==, 6);
	g_assert_cmpstr(json_string_value(json_array_get(arguments, 1)), ==, "0xffffc90000013e4c");
	g_assert_cmpstr(json_string_value(json_array_get(arguments, 5)), ==, "0xffffffffffffffff");
	expect_text(line(all, 1), "name", "unknown");
	expect_text(line(all, 2), "name", "unknown");
	expect_number(line(all, 2), "result", INT64_MIN);
}

static void test_evtchn(struct fixture *f, gconstpointer data)
{
	(void)data;
	trace_evtchn(&f->trace, 1, "alloc_unbound", 7, 0);
	trace_evtchn(&f->trace, 0, "reset", 0, -1);
	g_autoptr(json_t) all = lines(f);

	expect_text(line(all, 0), "trace", "evtchn");
	expect_text(line(all, 0), "operation", "alloc_unbound");
	expect_number(line(all, 0), "port", 7);
	expect_none(line(all, 1), "port");
	expect_number(line(all, 1), "result", -1);
}

static GByteArray *message(uint32_t type, uint32_t transaction, const char *body, size_t len_bytes)
{
	const struct xsd_sockmsg header = { .type = type, .req_id = 9, .tx_id = transaction, .len = (uint32_t)len_bytes };
	GByteArray *bytes = g_byte_array_new();

	g_byte_array_append(bytes, (const guint8 *)&header, sizeof(header));
	g_byte_array_append(bytes, (const guint8 *)body, (guint)len_bytes);
	return bytes;
}

#define MESSAGE(type, transaction, body) message(type, transaction, body, sizeof(body) - 1)

/* However the bytes are cut in pieces, the messages are the same. */
static void test_xenstore(struct fixture *f, gconstpointer data)
{
	g_autoptr(GByteArray) write_one = MESSAGE(XS_WRITE, 4, "device/vif/0/state\0" "4");
	g_autoptr(GByteArray) empty = MESSAGE(XS_TRANSACTION_START, 0, "");
	g_autoptr(GByteArray) odd = MESSAGE(1234, 0, "x\0\0");
	g_autoptr(GByteArray) bytes = g_byte_array_new();
	guint n = 0;

	(void)data;
	g_byte_array_append(bytes, write_one->data, write_one->len);
	g_byte_array_append(bytes, empty->data, empty->len);
	g_byte_array_append(bytes, odd->data, odd->len);
	for (guint step = 1; step <= bytes->len; step++, n++) {
		f->stream.from_guest = step % 2 == 0;
		for (guint at = 0; at < bytes->len; at += step)
			trace_xenstore_bytes(&f->stream, bytes->data + at, MIN(step, bytes->len - at));
	}
	g_autoptr(json_t) all = lines(f);
	g_assert_cmpuint(json_array_size(all), ==, 3 * n);
	for (guint i = 0; i < n; i++) {
		expect_text(line(all, 3 * i), "from", i % 2 == 0 ? "store" : "guest");
		expect_text(line(all, 3 * i), "type", "WRITE");
		expect_text(line(all, 3 * i), "body", "device/vif/0/state 4");
		expect_number(line(all, 3 * i), "request", 9);
		expect_number(line(all, 3 * i), "transaction", 4);
		expect_text(line(all, 3 * i + 1), "type", "TRANSACTION_START");
		expect_text(line(all, 3 * i + 1), "body", "");
		expect_none(line(all, 3 * i + 1), "transaction");
		expect_text(line(all, 3 * i + 2), "type", "unknown");
	}
}

/* Escape sequences, quotes, a line's end, bytes that are no UTF-8: a line of printable text stays one. */
static void test_hostile_body(struct fixture *f, gconstpointer data)
{
	g_autoptr(GByteArray) hostile = MESSAGE(XS_WRITE, 0, "\x1b]0;owned\x07\n\"},{\xff\xc3\x28\x80\x7f\\");
	char any[XENSTORE_PAYLOAD_MAX];

	(void)data;
	trace_xenstore_bytes(&f->stream, hostile->data, hostile->len);
	for (size_t i = 0; i < sizeof(any); i++)
		any[i] = (char)i;
	g_autoptr(GByteArray) longest = message(XS_WRITE, 0, any, sizeof(any));
	trace_xenstore_bytes(&f->stream, longest->data, longest->len);
	g_autoptr(json_t) all = lines(f);
	g_assert_cmpuint(json_array_size(all), ==, 2);
	expect_text(line(all, 0), "body", "\\x1b]0;owned\\x07\\x0a\"},{\\xff\\xc3(\\x80\\x7f\\");
}

/* The store cuts off who announces too much; the trace follows no further, and writes past nothing. */
static void test_too_long(struct fixture *f, gconstpointer data)
{
	g_autoptr(GByteArray) bytes = MESSAGE(XS_READ, 0, "a");
	struct xsd_sockmsg *header = (struct xsd_sockmsg *)(void *)bytes->data;
	g_autofree uint8_t *more = g_malloc0(100000);
	static const uint32_t absurd[] = { XENSTORE_PAYLOAD_MAX + 1, INT32_MAX, UINT32_MAX - 15, UINT32_MAX };

	(void)data;
	for (size_t i = 0; i < G_N_ELEMENTS(absurd); i++) {
		f->stream.filled_bytes = 0;
		header->len = absurd[i];
		trace_xenstore_bytes(&f->stream, bytes->data, bytes->len);
		trace_xenstore_bytes(&f->stream, more, 100000);
	}
	g_assert_cmpint(lseek(f->trace.fd, 0, SEEK_END), ==, 0);
}

/* A trace that cannot be written stops nobody. */
static void test_full(struct fixture *f, gconstpointer data)
{
	const struct hypercall call = { .number = 1 };
	struct trace full = f->trace;

	(void)data;
	full.fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
	g_assert_cmpint(full.fd, >=, 0);
	trace_hypercall(&full, 0, &call, 0);
	close(full.fd);
	full.fd = -1;
	trace_evtchn(&full, 0, "send", 1, 0);
}

#define ADD(name, function) g_test_add("/trace/" name, struct fixture, NULL, setup, function, teardown)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/trace/kinds", test_kinds);
	ADD("hypercall", test_hypercall);
	ADD("others", test_others);
	ADD("evtchn", test_evtchn);
	ADD("xenstore", test_xenstore);
	ADD("hostile-body", test_hostile_body);
	ADD("too-long", test_too_long);
	ADD("full", test_full);
	return g_test_run();
}
