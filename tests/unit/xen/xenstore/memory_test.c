// SPDX-License-Identifier: MIT
/*
 * Memory runs out, at every allocation in turn: once, and from then on for good. Nothing crashes or leaks, a refused
 * request changed nothing, and when there is memory again everything works.
 *
 * The sources are part of this file, so that their allocations are ours to refuse: do not link them as well.
 */
#include <stdlib.h>

#include "client.h"

static unsigned int countdown; /* 0: never */
static bool refuse_for_good;
static unsigned int n_refused;

static bool refuse(void)
{
	if (countdown == 0 || --countdown > 0)
		return false;
	countdown = refuse_for_good;
	n_refused++;
	return true;
}

static void *test_malloc(size_t size)
{
	return refuse() ? NULL : malloc(size);
}

static void *test_calloc(size_t n, size_t size)
{
	return refuse() ? NULL : calloc(n, size);
}

static void *test_realloc(void *old, size_t size)
{
	return refuse() ? NULL : realloc(old, size);
}

#define malloc test_malloc
#define calloc test_calloc
#define realloc test_realloc
#include "xen/xenstore/change.c"
#include "xen/xenstore/conn.c"
#include "xen/xenstore/ops.c"
#include "xen/xenstore/out.c"
#include "xen/xenstore/path.c"
#include "xen/xenstore/perms.c"
#include "xen/xenstore/transaction.c"
#include "xen/xenstore/tree.c"
#include "xen/xenstore/watch.c"
#include "xen/xenstore/wire.c"
#include "xen/xenstore/xenstore.c"
#undef malloc
#undef calloc
#undef realloc

/* Repeats until there is memory for it; the outcome must then be the expected one. */
static void insist(struct client *client, uint32_t type, uint32_t tx_id, const void *payload, size_t len,
		   const char *expected)
{
	for (unsigned int attempt = 0; attempt < 3; attempt++) {
		struct message *reply = client_call(client, type, tx_id, payload, len);
		char *outcome = g_strdup(reply->header.type == XS_ERROR ? reply->payload : "OK");

		g_free(reply);
		if (strcmp(outcome, "ENOMEM") != 0) {
			g_assert_cmpstr(outcome, ==, expected);
			g_free(outcome);
			return;
		}
		g_free(outcome);
		if (refuse_for_good)
			countdown = 0;
	}
	g_assert_not_reached();
}

static uint32_t insist_start(struct client *client)
{
	struct message *reply;
	uint32_t tx_id = 0;

	while (tx_id == 0) {
		reply = client_call(client, XS_TRANSACTION_START, 0, P("\0"));
		if (reply->header.type == XS_ERROR) {
			g_assert_cmpstr(reply->payload, ==, "ENOMEM");
			countdown = 0;
		} else {
			tx_id = (uint32_t)atoi(reply->payload);
		}
		g_free(reply);
	}
	return tx_id;
}

static void run_transaction(struct client *client)
{
	const char *outcome;
	uint32_t tx_id;

	do {
		tx_id = insist_start(client);
		insist(client, XS_WRITE, tx_id, P("a/b\0in-tx"), "OK");
		insist(client, XS_WRITE, tx_id, P("new/deep\0in-tx"), "OK");
		insist(client, XS_RM, tx_id, P("gone\0"), "OK");
		insist(client, XS_SET_PERMS, tx_id, P("a\0r1\0"), "OK");
		insist(client, XS_WRITE, 0, P("meanwhile\0v"), "OK");
		outcome = client_end(client, tx_id, true);
		if (strcmp(outcome, "OK") != 0)
			g_assert_cmpstr(outcome, ==, "ENOMEM");
		countdown = 0;
	} while (strcmp(outcome, "OK") != 0);
}

static void on_event(void *opaque, const char *path)
{
	(void)path;
	++*(unsigned int *)opaque;
}

static void run_script(struct xenstore *store, struct client *client)
{
	unsigned int called = 0;
	struct xenstore_watch *watch = xenstore_watch(store, "/local/domain/1/a", on_event, &called);
	const unsigned int initial = called;

	insist(client, XS_WATCH, 0, P("a\0t\0"), "OK");
	insist(client, XS_WRITE, 0, P("a/b/c\0value"), "OK");
	insist(client, XS_GET_DOMAIN_PATH, 0, P("1\0"), "OK"); /* takes in what came with the other replies */
	/* However little memory there was, whoever watches has heard of it. */
	if (watch) {
		g_assert_cmpuint(initial, ==, 1);
		g_assert_cmpuint(called, >, initial);
	}
	g_assert_cmpuint(g_queue_get_length(client->events), >, 0);
	insist(client, XS_WRITE, 0, P("gone/x\0value"), "OK");
	insist(client, XS_SET_PERMS, 0, P("a/b\0n1\0r2\0"), "OK");
	run_transaction(client);
	insist(client, XS_RM, 0, P("a/b/c\0"), "OK");
	countdown = 0;
	expect_reply(client, XS_DIRECTORY, 0, P("/local/domain/1\0"), P("a\0meanwhile\0new\0"));
	expect_reply(client, XS_READ, 0, P("a/b\0"), P("in-tx"));
	expect_reply(client, XS_DIRECTORY, 0, P("a/b\0"), P(""));
	expect_reply(client, XS_GET_PERMS, 0, P("a\0"), P("r1\0"));
	client_forget_events(client);
	xenstore_unwatch(store, watch);
}

/* client_new() does not stand a refusal, so that happens to a connection before it. */
static struct client *client_after_refusals(struct xenstore *store)
{
	struct xs_conn *conn = xs_conn_new(store, 1, NULL, NULL);
	unsigned int left = conn ? countdown : 0;
	struct client *client;

	xs_conn_free(conn);
	countdown = 0;
	client = client_new(store, 1);
	countdown = left;
	return client;
}

static void host_set_up(struct xenstore *store)
{
	static const char *const perms[] = { "n1" };

	while (xenstore_write(store, "/local/domain/1", "", 0) != 0)
		countdown = 0;
	while (xenstore_set_permissions(store, "/local/domain/1", perms, 1) != 0)
		countdown = 0;
}

static void test_out_of_memory(gconstpointer for_good)
{
	bool refused = true;

	refuse_for_good = for_good != NULL;
	for (unsigned int k = 1; refused; k++) {
		struct xenstore *store;
		struct client *client;

		n_refused = 0;
		countdown = k;
		store = xenstore_new(NULL);
		if (!store) {
			countdown = 0;
			continue;
		}
		host_set_up(store);
		client = client_after_refusals(store);
		run_script(store, client);
		refused = n_refused > 0;
		countdown = 0;
		client_free(client);
		xenstore_free(store);
	}
}

/* Replies pile up and the buffer cannot grow: what cannot be answered stays with the client, nothing is lost. */
static void test_backpressure(void)
{
	struct xenstore_quota quota = ample_quota();
	struct xenstore *store = xenstore_new(&quota);
	struct client *client = client_new(store, 0);
	GByteArray *stream = g_byte_array_new();
	size_t fed = 0, most = 0;

	for (unsigned int i = 0; i < 2000; i++)
		append_request(stream, XS_GET_DOMAIN_PATH, i, 0, P("1\0"));
	refuse_for_good = true;
	while (fed < stream->len) {
		size_t pending;

		countdown = 1;
		fed += xs_conn_feed(client->conn, stream->data + fed, stream->len - fed);
		xs_conn_pending(client->conn, &pending);
		most = MAX(most, pending);
		g_assert_cmpuint(pending, >, 0);
		countdown = 0;
		client_drain(client);
	}
	g_assert_cmpuint(most, <=, 2 * XS_MESSAGE_MAX);
	g_assert_cmpuint(client->received->len, ==, 2000 * (sizeof(struct xsd_sockmsg) + 16));
	g_byte_array_unref(stream);
	client_free(client);
	xenstore_free(store);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_data_func("/xenstore/memory/out-once", NULL, test_out_of_memory);
	g_test_add_data_func("/xenstore/memory/out-for-good", "for good", test_out_of_memory);
	g_test_add_func("/xenstore/memory/backpressure", test_backpressure);
	return g_test_run();
}
