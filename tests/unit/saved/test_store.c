// SPDX-License-Identifier: MIT
/*
 * A xenstore that is saved and restored goes on as one that was not: both get the same requests afterwards, and what comes back is
 * the same, byte for byte. Watches, events that wait, half a request, transactions that conflict and ones that do not.
 */
#include <stdint.h>
#include <string.h>

#include <xen/io/xs_wire.h>

#include "xen/domid.h"
#include "xen/xenstore/saved.h"

static void send_part(struct xs_conn *conn, uint32_t type, uint32_t transaction, const char *payload, size_t len_bytes, size_t from, size_t to)
{
	uint8_t message[256];
	const struct xsd_sockmsg header = { .type = (__typeof__(header.type))type, .req_id = 7, .tx_id = transaction, .len = (uint32_t)len_bytes };

	memcpy(message, &header, sizeof(header));
	memcpy(message + sizeof(header), payload, len_bytes);
	to = MIN(to, sizeof(header) + len_bytes);
	g_assert_cmpuint(xs_conn_feed(conn, message + from, to - from), ==, to - from);
}

static void send(struct xs_conn *conn, uint32_t type, uint32_t transaction, const char *payload, size_t len_bytes)
{
	send_part(conn, type, transaction, payload, len_bytes, 0, SIZE_MAX);
}
#define SEND(conn, type, transaction, payload) send(conn, type, transaction, payload, sizeof(payload))

static void take_all(struct xs_conn *conn, GByteArray *to)
{
	size_t len_bytes;
	const void *pending;

	while ((pending = xs_conn_pending(conn, &len_bytes)) && len_bytes > 0) {
		g_byte_array_append(to, pending, (guint)len_bytes);
		xs_conn_sent(conn, len_bytes);
	}
}

static void expect_equal(const GByteArray *a, const GByteArray *b)
{
	g_assert_cmpuint(a->len, ==, b->len);
	g_assert_true(memcmp(a->data, b->data, a->len) == 0);
}

static struct xenstore *make_store(struct xs_conn **conn)
{
	const char *const owner[] = { "n1" };
	struct xenstore *store = xenstore_new(NULL);

	*conn = xs_conn_new(store, GUEST_DOMID, NULL, NULL);
	for (unsigned int i = 0; i < 20; i++) {
		g_autofree char *path = g_strdup_printf("/local/domain/1/data/%u/below/%u", i % 5, i);

		g_assert_cmpint(xenstore_write(store, path, path, strlen(path)), ==, 0);
	}
	g_assert_cmpint(xenstore_set_permissions(store, "/local/domain/1/data", owner, 1), ==, 0);
	for (unsigned int i = 0; i < 5; i++) {
		g_autofree char *path = g_strdup_printf("/local/domain/1/data/%u", i);

		g_assert_cmpint(xenstore_set_permissions(store, path, owner, 1), ==, 0);
	}
	return store;
}

/* What a guest has under way when it is saved. */
static void begin(struct xenstore *store, struct xs_conn *conn, GByteArray *taken)
{
	SEND(conn, XS_WATCH, 0, "data\0relative");
	SEND(conn, XS_WATCH, 0, "/local/domain/1/data\0absolute");
	SEND(conn, XS_WATCH, 0, "@releaseDomain\0special");
	SEND(conn, XS_TRANSACTION_START, 0, "");
	SEND(conn, XS_TRANSACTION_START, 0, "");
	SEND(conn, XS_TRANSACTION_START, 0, "");
	take_all(conn, taken);
	/* 1: conflicts; 2: does not; 3: has read only. */
	SEND(conn, XS_READ, 1, "data/1/below/1");
	send(conn, XS_WRITE, 1, "data/1/new\0one", 14);
	send(conn, XS_WRITE, 2, "data/2/new\0two", 14);
	SEND(conn, XS_RM, 2, "data/3");
	SEND(conn, XS_DIRECTORY, 3, "data/4");
	g_assert_cmpint(xenstore_write(store, "/local/domain/1/data/1/below/1", "changed", 7), ==, 0);
	g_assert_cmpint(xenstore_write(store, "/local/domain/1/data/0/x", "y", 1), ==, 0);
	/* A piece of what waits has been sent. */
	size_t len_bytes;
	const uint8_t *pending = xs_conn_pending(conn, &len_bytes);
	g_assert_cmpuint(len_bytes, >, 30);
	g_byte_array_append(taken, pending, 21);
	xs_conn_sent(conn, 21);
	send_part(conn, XS_READ, 0, "data/0/x", 9, 0, 20);
}

static void go_on(struct xenstore *store, struct xs_conn *conn, GByteArray *taken)
{
	send_part(conn, XS_READ, 0, "data/0/x", 9, 20, SIZE_MAX);
	SEND(conn, XS_TRANSACTION_END, 1, "T");
	SEND(conn, XS_TRANSACTION_END, 2, "T");
	SEND(conn, XS_DIRECTORY, 0, "data/2");
	SEND(conn, XS_DIRECTORY, 0, "data");
	SEND(conn, XS_READ, 3, "data/3/below/3");
	SEND(conn, XS_UNWATCH, 0, "data\0relative");
	SEND(conn, XS_UNWATCH, 0, "data\0never");
	SEND(conn, XS_TRANSACTION_END, 3, "T");
	SEND(conn, XS_TRANSACTION_START, 0, "");
	g_assert_cmpint(xenstore_write(store, "/local/domain/1/data/0/x", "z", 1), ==, 0);
	send(conn, XS_WRITE, 0, "data/9\0nine", 11);
	SEND(conn, XS_GET_PERMS, 0, "data/9");
	take_all(conn, taken);
}

static struct xenstore *save_and_restore(struct xenstore *store, struct xs_conn *conn, struct xs_conn **restored)
{
	g_autoptr(GByteArray) bytes = g_byte_array_new(), again = g_byte_array_new();
	struct xenstore *copy;

	xenstore_save(store, conn, bytes);
	const struct saved_cursor from = { .at = bytes->data, .left_bytes = bytes->len };
	copy = xenstore_restore(from, NULL, GUEST_DOMID, restored);
	g_assert_nonnull(copy);
	/* Saved again it is the same. */
	xenstore_save(copy, *restored, again);
	expect_equal(bytes, again);
	return copy;
}

static void test_goes_on(void)
{
	g_autoptr(GByteArray) taken = g_byte_array_new(), taken_copy = g_byte_array_new();
	struct xs_conn *conn, *conn_copy;
	struct xenstore *store = make_store(&conn), *copy;

	begin(store, conn, taken);
	copy = save_and_restore(store, conn, &conn_copy);
	g_byte_array_append(taken_copy, taken->data, taken->len);
	go_on(store, conn, taken);
	go_on(copy, conn_copy, taken_copy);
	expect_equal(taken, taken_copy);
	/* That there was something to compare. */
	g_assert_nonnull(memmem(taken->data, taken->len, "EAGAIN", 6));
	xs_conn_free(conn);
	xs_conn_free(conn_copy);
	xenstore_free(store);
	xenstore_free(copy);
}

/* Events that found no room come when there is some, and not before. */
static void test_full(void)
{
	g_autoptr(GByteArray) taken = g_byte_array_new(), taken_copy = g_byte_array_new();
	struct xs_conn *conn, *conn_copy;
	struct xenstore *store = make_store(&conn), *copy;

	SEND(conn, XS_WATCH, 0, "data\0token");
	for (unsigned int i = 0; i < 2 * XENSTORE_QUOTA_DEFAULT.pending_events; i++) {
		g_autofree char *path = g_strdup_printf("/local/domain/1/data/n%u", i);

		g_assert_cmpint(xenstore_write(store, path, "", 0), ==, 0);
	}
	g_assert_cmpuint(xs_conn_counters(conn).events_coalesced, >, 0);
	copy = save_and_restore(store, conn, &conn_copy);
	take_all(conn, taken);
	take_all(conn_copy, taken_copy);
	expect_equal(taken, taken_copy);
	xs_conn_free(conn);
	xs_conn_free(conn_copy);
	xenstore_free(store);
	xenstore_free(copy);
}

/* A byte that is another one: no store, or one that works. */
static void test_damaged(void)
{
	g_autoptr(GByteArray) bytes = g_byte_array_new(), taken = g_byte_array_new();
	struct xs_conn *conn, *other;
	struct xenstore *store = make_store(&conn);
	unsigned int n_refused = 0;

	begin(store, conn, taken);
	xenstore_save(store, conn, bytes);
	for (guint at = 0; at < bytes->len; at++) {
		bytes->data[at] ^= 0x41;
		const struct saved_cursor from = { .at = bytes->data, .left_bytes = bytes->len };
		struct xenstore *read = xenstore_restore(from, NULL, GUEST_DOMID, &other);
		bytes->data[at] ^= 0x41;
		if (!read) {
			n_refused++;
			continue;
		}
		take_all(other, taken);
		(void)xenstore_write(read, "/local/domain/1/data/0/x", "z", 1);
		xs_conn_reset(other);
		xs_conn_free(other);
		xenstore_free(read);
	}
	g_assert_cmpuint(n_refused, >, bytes->len / 4);
	for (guint len = 0; len < bytes->len; len++) {
		const struct saved_cursor from = { .at = bytes->data, .left_bytes = len };

		g_assert_null(xenstore_restore(from, NULL, GUEST_DOMID, &other));
	}
	xs_conn_free(conn);
	xenstore_free(store);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/saved/store/goes-on", test_goes_on);
	g_test_add_func("/saved/store/full", test_full);
	g_test_add_func("/saved/store/damaged", test_damaged);
	return g_test_run();
}
