// SPDX-License-Identifier: MIT
/*
 * Watches: who hears of what, in which order, and what happens when nobody listens.
 */
#include "client.h"

struct fixture {
	struct xenstore *store;
	struct client *dom0, *guest;
};

static void set_up(struct fixture *f, gconstpointer quota)
{
	f->store = xenstore_new(quota);
	f->dom0 = client_new(f->store, 0);
	f->guest = client_new(f->store, 1);
	must_write(f->store, "/local/domain/1", "");
	must_set_perms(f->store, "/local/domain/1", "n1");
}

static void tear_down(struct fixture *f, gconstpointer quota)
{
	(void)quota;
	client_free(f->dom0);
	client_free(f->guest);
	xenstore_free(f->store);
}

static void test_semantics(struct fixture *f, gconstpointer quota)
{
	struct client *c = f->guest;

	(void)quota;
	/* Fires at once, even where nothing is; relative as registered. */
	expect_ok(c, XS_WATCH, 0, P("dev\0rel\0"));
	expect_event(c, "dev", "rel");
	expect_ok(c, XS_WATCH, 0, P("/local/domain/1/dev\0abs\0"));
	expect_event(c, "/local/domain/1/dev", "abs");
	expect_error(c, XS_WATCH, 0, P("dev\0rel\0"), "EEXIST");
	expect_error(c, XS_WATCH, 0, P("/local/domain/1/dev\0rel\0"), "EEXIST");
	expect_error(c, XS_WATCH, 0, P("dev/\0t\0"), "EINVAL");
	expect_error(c, XS_WATCH, 0, P("dev\0"), "EINVAL");
	expect_error(c, XS_WATCH, 0, P("dev\0token"), "EINVAL");
	expect_error(c, XS_UNWATCH, 0, P("dev\0none\0"), "ENOENT");
	expect_ok(c, XS_WATCH, 0, P("dev/a/b\0exact\0reserved\0"));
	expect_event(c, "dev/a/b", "exact");
	/* One event for a path, however many parents came with it; a longer name is not below. */
	expect_ok(c, XS_WRITE, 0, P("dev/a/b\0v"));
	expect_event(c, "dev/a/b", "rel");
	expect_event(c, "/local/domain/1/dev/a/b", "abs");
	expect_event(c, "dev/a/b", "exact");
	expect_ok(c, XS_WRITE, 0, P("device\0v"));
	expect_no_event(c);
	/* What changes nothing fires nothing; the same value written again does. */
	expect_ok(c, XS_MKDIR, 0, P("dev/a\0"));
	expect_ok(c, XS_RM, 0, P("dev/none\0"));
	expect_no_event(c);
	expect_ok(c, XS_UNWATCH, 0, P("dev\0abs\0"));
	expect_ok(c, XS_WRITE, 0, P("dev/a/b\0v"));
	expect_event(c, "dev/a/b", "rel");
	expect_event(c, "dev/a/b", "exact");
	expect_ok(c, XS_SET_PERMS, 0, P("dev/a\0b1\0"));
	expect_event(c, "dev/a", "rel");
	/* Removal: once for the top, and to those who watch a node below. */
	expect_ok(c, XS_WRITE, 0, P("dev/a/unwatched\0v"));
	client_forget_events(c);
	expect_ok(c, XS_RM, 0, P("dev\0"));
	expect_event(c, "dev", "rel");
	expect_event(c, "dev/a/b", "exact");
	expect_no_event(c);
	expect_ok(c, XS_WATCH, 0, P("/\0root\0"));
	expect_event(c, "/", "root");
	expect_ok(c, XS_WRITE, 0, P("top\0v"));
	expect_event(c, "/local/domain/1/top", "root");
	must_write(f->store, "/", "root");
	expect_no_event(c);
	expect_ok(c, XS_RESET_WATCHES, 0, P("\0"));
	expect_ok(c, XS_WRITE, 0, P("dev\0v"));
	expect_no_event(c);
}

/* A transaction tells once for each path it changed, when it is committed. */
static void test_transaction(struct fixture *f, gconstpointer quota)
{
	uint32_t tx_id;

	(void)quota;
	expect_ok(f->dom0, XS_WATCH, 0, P("/t\0w\0"));
	client_forget_events(f->dom0);
	must_write(f->store, "/t/gone/below", "");
	expect_event(f->dom0, "/t/gone/below", "w");
	tx_id = client_start(f->guest);
	g_assert_cmpstr(client_end(f->guest, tx_id, true), ==, "OK");
	tx_id = client_start(f->dom0);
	expect_ok(f->dom0, XS_WRITE, tx_id, P("/t/b\0001"));
	expect_ok(f->dom0, XS_WRITE, tx_id, P("/t/b\0002"));
	expect_ok(f->dom0, XS_WRITE, tx_id, P("/t/a/deep\0001"));
	expect_ok(f->dom0, XS_WRITE, tx_id, P("/t/brief\0001"));
	expect_ok(f->dom0, XS_RM, tx_id, P("/t/brief\0"));
	expect_ok(f->dom0, XS_RM, tx_id, P("/t/gone\0"));
	expect_ok(f->dom0, XS_SET_PERMS, tx_id, P("/t\0r0\0"));
	expect_no_event(f->dom0);
	g_assert_cmpstr(client_end(f->dom0, tx_id, true), ==, "OK");
	expect_event(f->dom0, "/t", "w");
	expect_event(f->dom0, "/t/a/deep", "w");
	expect_event(f->dom0, "/t/b", "w");
	expect_event(f->dom0, "/t/gone", "w");
	expect_no_event(f->dom0);
}

/* A guest hears of a node that it may read, or whose parent it may read, or that it could read before. */
static void test_permissions(struct fixture *f, gconstpointer quota)
{
	static const struct {
		const char *parent, *node;
		bool heard;
	} rows[] = {
		{ "n0", "n0", false }, { "n0", "r0", true },  { "r0", "n0", true },     { "n0", "w0", false },
		{ "n0", "n1", true },  { "n1", "n0", true },  { "n0", "n0 r1", true },  { "n0", "n0 w1", false },
		{ "w0", "n0", false }, { "n0 r2", "n0 r2", false },
	};

	(void)quota;
	expect_ok(f->guest, XS_WATCH, 0, P("/p\0w\0"));
	expect_event(f->guest, "/p", "w");
	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		must_write(f->store, "/p/x", "");
		must_set_perms(f->store, "/p", rows[i].parent);
		must_set_perms(f->store, "/p/x", rows[i].node);
		client_forget_events(f->guest);
		must_write(f->store, "/p/x", "secret");
		if (rows[i].heard)
			expect_event(f->guest, "/p/x", "w");
		expect_no_event(f->guest);
		g_assert_cmpint(xenstore_remove(f->store, "/p/x"), ==, 0);
		if (rows[i].heard)
			expect_event(f->guest, "/p/x", "w");
		expect_no_event(f->guest);
		must_set_perms(f->store, "/p", "n0");
		client_forget_events(f->guest);
	}
	must_write(f->store, "/p/x", "");
	must_set_perms(f->store, "/p/x", "r0");
	client_forget_events(f->guest);
	must_set_perms(f->store, "/p/x", "n0"); /* could read before */
	expect_event(f->guest, "/p/x", "w");
	must_set_perms(f->store, "/p/x", "w0");
	expect_no_event(f->guest);
}

/* A node whose changes no client but domain 0 hears of, whatever it may read; with the host's watch that still does. */
static void test_quiet(struct fixture *f, gconstpointer quota)
{
	(void)quota;
	must_write(f->store, "/p", "");
	must_set_perms(f->store, "/p", "n1");
	must_write(f->store, "/p/quiet", "");
	must_write(f->store, "/p/loud", "");
	expect_ok(f->guest, XS_WATCH, 0, P("/p\0g\0"));
	expect_ok(f->dom0, XS_WATCH, 0, P("/p\0h\0"));
	g_assert_cmpint(xenstore_set_quiet(f->store, "/p/none"), ==, ENOENT);
	g_assert_cmpint(xenstore_set_quiet(f->store, "/p/quiet"), ==, 0);
	expect_reply(f->guest, XS_GET_PERMS, 0, P("/p/quiet\0"), P("n1\0"));
	client_forget_events(f->guest);
	client_forget_events(f->dom0);
	/* Within a transaction and without one. */
	for (int round = 0; round < 4; round++) {
		uint32_t tx_id = round % 2 ? client_start(f->guest) : 0;

		expect_ok(f->guest, XS_WRITE, tx_id, P("/p/loud\0value"));
		expect_ok(f->guest, XS_WRITE, tx_id, P("/p/quiet\0value"));
		if (tx_id)
			g_assert_cmpstr(client_end(f->guest, tx_id, true), ==, "OK");
		expect_event(f->guest, "/p/loud", "g");
		expect_no_event(f->guest);
		expect_event(f->dom0, "/p/loud", "h");
		expect_event(f->dom0, "/p/quiet", "h");
	}
	expect_ok(f->guest, XS_SET_PERMS, 0, P("/p/quiet\0n1\0"));
	client_forget_events(f->guest);
	expect_ok(f->guest, XS_WRITE, 0, P("/p/quiet\0value"));
	expect_event(f->guest, "/p/quiet", "g");
}

static void test_special(struct fixture *f, gconstpointer quota)
{
	(void)quota;
	expect_ok(f->guest, XS_WATCH, 0, P("@releaseDomain\0r\0"));
	expect_event(f->guest, "@releaseDomain", "r");
	expect_ok(f->dom0, XS_WATCH, 0, P("@introduceDomain\0i\0"));
	expect_ok(f->dom0, XS_WATCH, 0, P("/\0root\0"));
	client_forget_events(f->dom0);
	xenstore_fire_special(f->store, "@introduceDomain");
	xenstore_fire_special(f->store, "@releaseDomain");
	xenstore_fire_special(f->store, "not special");
	expect_event(f->dom0, "@introduceDomain", "i");
	expect_no_event(f->dom0);
	expect_no_event(f->guest);
	expect_error(f->guest, XS_SET_PERMS, 0, P("@releaseDomain\0r1\0"), "EACCES");
	expect_error(f->guest, XS_GET_PERMS, 0, P("@releaseDomain\0"), "EACCES");
	expect_error(f->dom0, XS_SET_PERMS, 0, P("@unknown\0r1\0"), "ENOENT");
	must_set_perms(f->store, "@releaseDomain", "n0 r1");
	expect_reply(f->guest, XS_GET_PERMS, 0, P("@releaseDomain\0"), P("n0\0r1\0"));
	xenstore_fire_special(f->store, "@releaseDomain");
	xenstore_fire_special(f->store, "@releaseDomain/1");
	expect_event(f->guest, "@releaseDomain", "r");
	expect_event(f->guest, "@releaseDomain/1", "r");
	expect_no_event(f->guest);
	expect_error(f->dom0, XS_READ, 0, P("@releaseDomain\0"), "EINVAL");
	expect_error(f->dom0, XS_WRITE, 0, P("@releaseDomain\0v"), "EINVAL");
	expect_error(f->dom0, XS_RM, 0, P("@releaseDomain\0"), "EINVAL");
}

static unsigned int pending_messages(struct client *client)
{
	size_t len, at = 0;
	const uint8_t *bytes = xs_conn_pending(client->conn, &len);
	unsigned int n = 0;

	for (; at < len; n++) {
		struct xsd_sockmsg header;

		memcpy(&header, bytes + at, sizeof(header));
		at += sizeof(header) + header.len;
	}
	g_assert_cmpuint(at, ==, len);
	return n;
}

/* Nobody reads: the same news waits once. With a reply in between, it is news again. */
static void test_repetition(struct fixture *f, gconstpointer quota)
{
	GByteArray *request = g_byte_array_new();

	(void)quota;
	expect_ok(f->guest, XS_WATCH, 0, P("x\0t\0"));
	client_forget_events(f->guest);
	for (unsigned int i = 0; i < 100; i++)
		g_assert_cmpint(xenstore_printf(f->store, "/local/domain/1/x", "%u", i), ==, 0);
	g_assert_cmpuint(pending_messages(f->guest), ==, 1);
	append_request(request, XS_READ, 1, 0, P("x\0"));
	g_assert_cmpuint(xs_conn_feed(f->guest->conn, request->data, request->len), ==, request->len);
	for (unsigned int i = 0; i < 100; i++)
		g_assert_cmpint(xenstore_printf(f->store, "/local/domain/1/x", "%u", i), ==, 0);
	g_assert_cmpuint(pending_messages(f->guest), ==, 3);
	g_assert_cmpuint(xs_conn_counters(f->guest->conn).events_repeated, ==, 198);
	/* One byte of the first event is out: it may not be taken back, and the rest of it stays whole. */
	client_drain(f->guest);
	g_byte_array_set_size(f->guest->received, 0);
	must_write(f->store, "/local/domain/1/x", "1");
	xs_conn_sent(f->guest->conn, 1);
	must_write(f->store, "/local/domain/1/x", "2");
	must_write(f->store, "/local/domain/1/x/y", "2");
	g_byte_array_set_size(request, 0);
	append_request(request, XS_UNWATCH, 2, 0, P("x\0t\0"));
	g_assert_cmpuint(xs_conn_feed(f->guest->conn, request->data, request->len), ==, request->len);
	client_drain(f->guest);
	g_assert_cmpuint(f->guest->received->len, ==, 16 + 4 - 1 + 16 + 3);
	g_byte_array_set_size(f->guest->received, 0);
	g_byte_array_unref(request);
}

/* Events taken back from in front of a reply do not confuse the bookkeeping of what comes behind it. */
static void test_repetition_after_unwatch(struct fixture *f, gconstpointer quota)
{
	GByteArray *request = g_byte_array_new();

	(void)quota;
	expect_ok(f->guest, XS_WATCH, 0, P("x\0t\0"));
	expect_ok(f->guest, XS_WATCH, 0, P("y\0t\0"));
	expect_ok(f->guest, XS_WATCH, 0, P("z\0t\0"));
	client_forget_events(f->guest);
	must_write(f->store, "/local/domain/1/y", "");
	append_request(request, XS_READ, 1, 0, P("y\0"));
	g_assert_cmpuint(xs_conn_feed(f->guest->conn, request->data, request->len), ==, request->len);
	must_write(f->store, "/local/domain/1/z", "");
	must_write(f->store, "/local/domain/1/x", "1");
	g_byte_array_set_size(request, 0);
	append_request(request, XS_UNWATCH, 2, 0, P("y\0t\0"));
	g_assert_cmpuint(xs_conn_feed(f->guest->conn, request->data, request->len), ==, request->len);
	must_write(f->store, "/local/domain/1/x", "2");
	must_write(f->store, "/local/domain/1/x", "3");
	client_drain(f->guest);
	/* READ, event z, event x, UNWATCH, event x */
	g_assert_cmpuint(f->guest->received->len, ==, 16 + (16 + 4) + (16 + 4) + (16 + 3) + (16 + 4));
	g_byte_array_set_size(f->guest->received, 0);
	g_byte_array_unref(request);
}

/* More different events than the quota: bounded, and every watch that missed some gets one for all. */
static void test_overflow(struct fixture *f, gconstpointer data)
{
	const struct xenstore_quota *quota = data;
	struct message *message;
	unsigned int a = 0, b = 0, whole_a = 0, whole_b = 0;
	size_t len;

	expect_ok(f->guest, XS_WATCH, 0, P("a\0A\0"));
	expect_ok(f->guest, XS_WATCH, 0, P("b\0B\0"));
	client_forget_events(f->guest);
	f->guest->notified = 0;
	for (unsigned int i = 0; i < 1000; i++)
		g_assert_cmpint(xenstore_printf(f->store, "/local/domain/1/a/x", "%u", i), ==, 0);
	for (unsigned int i = 0; i < 1000; i++) {
		char path[64];

		g_snprintf(path, sizeof(path), "/local/domain/1/%c/%u", i % 2 ? 'a' : 'b', i);
		must_write(f->store, path, "");
	}
	g_assert_cmpuint(f->guest->notified, ==, 1);
	xs_conn_pending(f->guest->conn, &len);
	g_assert_cmpuint(len, <=, quota->pending_bytes);
	g_assert_cmpuint(pending_messages(f->guest), <=, quota->pending_events);
	g_assert_cmpuint(xs_conn_counters(f->guest->conn).events_coalesced, >, 900);
	message = client_call(f->guest, XS_READ, 0, P("a\0"));
	g_free(message);
	client_drain(f->guest);
	while ((message = g_queue_pop_head(f->guest->events))) {
		a += message->payload[0] == 'a';
		b += message->payload[0] == 'b';
		whole_a += strcmp(message->payload, "a") == 0;
		whole_b += strcmp(message->payload, "b") == 0;
		g_free(message);
	}
	g_assert_cmpuint(a + b, <=, quota->pending_events + 2);
	g_assert_cmpuint(whole_a, ==, 1);
	g_assert_cmpuint(whole_b, ==, 1);
	/* All is as before. */
	must_write(f->store, "/local/domain/1/a/x", "");
	expect_event(f->guest, "a/x", "A");
	expect_no_event(f->guest);
}

/* An event that is too long for a message says less. */
static void test_long_token(struct fixture *f, gconstpointer quota)
{
	char *request = g_malloc(XENSTORE_PAYLOAD_MAX);
	struct message *message;

	(void)quota;
	memset(request, 't', XENSTORE_PAYLOAD_MAX);
	memcpy(request, P("a\0"));
	request[XENSTORE_PAYLOAD_MAX - 1] = '\0';
	expect_outcome(f->guest, XS_WATCH, 0, request, XENSTORE_PAYLOAD_MAX, "OK");
	expect_event(f->guest, "a", request + 2);
	must_write(f->store, "/local/domain/1/a/long", "");
	expect_event(f->guest, "a", request + 2);
	message = client_call(f->guest, XS_UNWATCH, 0, request, XENSTORE_PAYLOAD_MAX);
	g_assert_cmpuint(message->header.type, ==, XS_UNWATCH);
	g_free(message);
	g_free(request);
}

struct host_log {
	struct xenstore *store;
	struct xenstore_watch *watch;
	struct client *victim;
	GString *text;
	bool answer, unwatch, reset;
};

static void on_host_event(void *opaque, const char *path)
{
	struct host_log *log = opaque;

	g_string_append_printf(log->text, "%s ", path);
	if (log->answer && g_str_has_suffix(path, "/ask"))
		must_write(log->store, "/local/domain/1/answer", "42");
	if (log->unwatch && log->watch) {
		xenstore_unwatch(log->store, log->watch);
		log->watch = NULL;
	}
	if (log->victim && log->reset)
		xs_conn_reset(log->victim->conn);
	else if (log->victim)
		xs_conn_free(log->victim->conn);
	log->victim = NULL;
}

static void test_host(struct fixture *f, gconstpointer quota)
{
	struct host_log log = { .store = f->store, .text = g_string_new(NULL), .answer = true };
	GByteArray *stream = g_byte_array_new();

	(void)quota;
	g_assert_null(xenstore_watch(f->store, "relative", on_host_event, &log));
	log.watch = xenstore_watch(f->store, "/local/domain/1", on_host_event, &log);
	g_assert_cmpstr(log.text->str, ==, "/local/domain/1 ");
	/* The answer is there when the next request of the same stream runs. */
	append_request(stream, XS_WRITE, 1, 0, P("ask\0x"));
	append_request(stream, XS_READ, 2, 0, P("answer\0"));
	g_assert_cmpuint(xs_conn_feed(f->guest->conn, stream->data, stream->len), ==, stream->len);
	client_drain(f->guest);
	g_assert_cmpuint(f->guest->received->len, ==, 16 + 3 + 16 + 2);
	g_assert_true(memcmp(f->guest->received->data + 35, "42", 2) == 0);
	g_byte_array_set_size(f->guest->received, 0);
	g_assert_cmpstr(log.text->str, ==, "/local/domain/1 /local/domain/1/ask /local/domain/1/answer ");
	/* A callback may end its own watch ... */
	g_string_truncate(log.text, 0);
	log.unwatch = true;
	must_write(f->store, "/local/domain/1/one", "");
	must_write(f->store, "/local/domain/1/two", "");
	g_assert_cmpstr(log.text->str, ==, "/local/domain/1/one ");
	/* ... and reset or free the connection whose request it is. */
	log.unwatch = false;
	log.watch = xenstore_watch(f->store, "/local/domain/1/ask", on_host_event, &log);
	log.answer = false;
	log.victim = f->guest;
	log.reset = true;
	g_assert_cmpuint(xs_conn_feed(f->guest->conn, stream->data, stream->len), ==, stream->len);
	client_drain(f->guest);
	g_assert_cmpuint(f->guest->received->len, ==, 0);
	log.victim = f->guest;
	log.reset = false;
	g_assert_cmpuint(xs_conn_feed(f->guest->conn, stream->data, stream->len), ==, stream->len);
	f->guest->conn = NULL;
	xenstore_unwatch(f->store, log.watch);
	g_string_free(log.text, TRUE);
	g_byte_array_unref(stream);
}

int main(int argc, char **argv)
{
	static struct xenstore_quota tight;

	tight = ample_quota();
	tight.pending_bytes = 4000;
	tight.pending_events = 16;
	g_test_init(&argc, &argv, NULL);
#define ADD(path, quota, fn) g_test_add(path, struct fixture, quota, set_up, fn, tear_down)
	ADD("/xenstore/watch/semantics", NULL, test_semantics);
	ADD("/xenstore/watch/transaction", NULL, test_transaction);
	ADD("/xenstore/watch/permissions", NULL, test_permissions);
	ADD("/xenstore/watch/quiet", NULL, test_quiet);
	ADD("/xenstore/watch/special", NULL, test_special);
	ADD("/xenstore/watch/long-token", NULL, test_long_token);
	if (TRANSPORT_IS_DIRECT) {
		/* These look into the connection, or at what is not sent yet. */
		ADD("/xenstore/watch/repetition", NULL, test_repetition);
		ADD("/xenstore/watch/repetition-after-unwatch", NULL, test_repetition_after_unwatch);
		ADD("/xenstore/watch/overflow", &tight, test_overflow);
		ADD("/xenstore/watch/host", NULL, test_host);
	}
	return g_test_run();
}
