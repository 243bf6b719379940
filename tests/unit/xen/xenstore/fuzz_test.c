// SPDX-License-Identifier: MIT
/*
 * Streams of bytes: how they are cut must not matter, and whatever is in them must not harm.
 */
#include <stdlib.h>

#include "client.h"

#define N_MUTATED 10000

/* A random request that is at least formed like one. */
static void append_random_request(GRand *rand, GByteArray *stream, uint32_t req_id)
{
	static const char *const paths[] = { "/", "a", "a/b", "a/b/c", "/local/domain/1", "/local/domain/1/a", "d",
					     "d/e", "@releaseDomain", "bad//path", "" };
	static const char *const tails[] = { "", "value", "t\0", "n1\0", "b1\0r2\0", "0\0", "T\0" };
	static const size_t tail_len[] = { 0, 5, 2, 3, 6, 2, 2 };
	static const uint32_t types[] = { XS_WRITE, XS_WRITE, XS_WRITE, XS_MKDIR, XS_RM, XS_WATCH, XS_SET_PERMS };
	uint32_t type = (uint32_t)g_rand_int_range(rand, 0, XS_TYPE_COUNT + 1);
	uint32_t tx_id = g_rand_int_range(rand, 0, 3) ? 0 : (uint32_t)g_rand_int_range(rand, 1, 6);
	const char *path = paths[g_rand_int_range(rand, 0, G_N_ELEMENTS(paths))];
	int tail = g_rand_int_range(rand, 0, G_N_ELEMENTS(tails));
	GByteArray *payload = g_byte_array_new();

	if (g_rand_boolean(rand))
		type = types[g_rand_int_range(rand, 0, G_N_ELEMENTS(types))];
	if (type == XS_TRANSACTION_START)
		tx_id = 0;
	if (type == XS_TRANSACTION_END)
		g_byte_array_append(payload, (const guint8 *)"T", 2);
	else
		g_byte_array_append(payload, (const guint8 *)path, (guint)strlen(path) + 1);
	if (type == XS_WRITE || type == XS_WATCH || type == XS_UNWATCH || type == XS_SET_PERMS ||
	    type == XS_DIRECTORY_PART)
		g_byte_array_append(payload, (const guint8 *)tails[tail], (guint)tail_len[tail]);
	if (type == XS_WRITE && g_rand_int_range(rand, 0, 10) == 0)
		g_byte_array_set_size(payload, (guint)g_rand_int_range(rand, 10, 1500));
	append_request(stream, type, req_id, tx_id, payload->data, payload->len);
	g_byte_array_unref(payload);
}

static GByteArray *random_stream(GRand *rand, unsigned int requests)
{
	GByteArray *stream = g_byte_array_new();

	for (unsigned int i = 0; i < requests; i++)
		append_random_request(rand, stream, i + 1);
	return stream;
}

static struct xenstore *store_new(const struct xenstore_quota *quota)
{
	struct xenstore *store = xenstore_new(quota);

	must_write(store, "/local/domain/1", "");
	must_set_perms(store, "/local/domain/1", "n1");
	return store;
}

/* Feeds in random pieces and sends in random pieces, or only when all is fed. */
static void feed_in_pieces(GRand *rand, struct client *client, const GByteArray *stream, int max_piece, bool send)
{
	size_t at = 0, offered, taken, pending, sent;

	while (at < stream->len) {
		const void *bytes;

		offered = (size_t)g_rand_int_range(rand, 0, max_piece + 1);
		offered = MIN(offered, stream->len - at);
		taken = xs_conn_feed(client->conn, stream->data + at, offered);
		g_assert_cmpuint(taken, <=, offered);
		at += taken;
		bytes = xs_conn_pending(client->conn, &pending);
		g_assert_true(taken == offered || pending > 0);
		if (send && (taken < offered || g_rand_int_range(rand, 0, 4) == 0)) {
			sent = (size_t)g_rand_int_range(rand, 0, (gint32)pending + 1);
			g_byte_array_append(client->received, bytes, (guint)sent);
			xs_conn_sent(client->conn, sent);
		}
	}
	client_drain(client);
}

/* All is fed before anything is sent: an UNWATCH takes back what was not sent, so sending does make a difference. */
static void test_splitting(void)
{
	for (unsigned int i = 0; i < 100; i++) {
		guint32 seed = (guint32)g_test_rand_int();
		GRand *rand = g_rand_new_with_seed(seed);
		GByteArray *stream = random_stream(rand, 150);
		struct xenstore_quota quota = ample_quota();
		struct xenstore *one = store_new(&quota), *other = store_new(&quota);
		struct client *whole = client_new(one, 1), *pieces = client_new(other, 1);

		if (i % 10 == 0)
			g_test_message("seed %u", seed);
		g_assert_cmpuint(xs_conn_feed(whole->conn, stream->data, stream->len), ==, stream->len);
		client_drain(whole);
		feed_in_pieces(rand, pieces, stream, i % 2 ? 7 : 3000, false);
		expect_bytes(pieces->received->data, pieces->received->len, whole->received->data,
			     whole->received->len);
		client_free(whole);
		client_free(pieces);
		xenstore_free(one);
		xenstore_free(other);
		g_byte_array_unref(stream);
		g_rand_free(rand);
	}
}

static void mutate(GRand *rand, GByteArray *stream)
{
	for (int n = g_rand_int_range(rand, 1, 9); n > 0 && stream->len > 8; n--) {
		guint at = (guint)g_rand_int_range(rand, 0, (gint32)stream->len);
		guint8 byte = (guint8)g_rand_int(rand);

		switch (g_rand_int_range(rand, 0, 5)) {
		case 0: stream->data[at] = byte; break;
		case 1: stream->data[at] ^= (guint8)(1u << (byte % 8)); break;
		case 2: stream->data[at] = 0; break;
		case 3: g_byte_array_remove_index(stream, at); break;
		default: stream->data[at] = (guint8)"/@TnF\xff 0"[byte % 8]; break;
		}
	}
}

/* What a simple reader makes of the stream: the req_ids of whole requests; *broken if a header is malformed. */
static GArray *expected_replies(const GByteArray *stream, bool *broken)
{
	GArray *ids = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	struct xsd_sockmsg header;

	*broken = false;
	for (size_t at = 0; stream->len - at >= sizeof(header); at += sizeof(header) + header.len) {
		memcpy(&header, stream->data + at, sizeof(header));
		*broken = header.len > XENSTORE_PAYLOAD_MAX;
		if (*broken || stream->len - at < sizeof(header) + header.len)
			break;
		g_array_append_val(ids, header.req_id);
	}
	return ids;
}

/* One reply for each whole request, in order, and nothing else but events; every message well-formed. */
static void check_output(const GByteArray *output, const GArray *ids)
{
	struct xsd_sockmsg header;
	guint replies = 0;

	for (size_t at = 0; at < output->len; at += sizeof(header) + header.len) {
		g_assert_cmpuint(output->len - at, >=, sizeof(header));
		memcpy(&header, output->data + at, sizeof(header));
		g_assert_cmpuint(header.len, <=, XENSTORE_PAYLOAD_MAX);
		g_assert_cmpuint(output->len - at, >=, sizeof(header) + header.len);
		if (header.type == XS_WATCH_EVENT)
			continue;
		g_assert_cmpuint(replies, <, ids->len);
		g_assert_cmpuint(header.req_id, ==, g_array_index(ids, uint32_t, replies));
		replies++;
	}
	g_assert_cmpuint(replies, ==, ids->len);
}

static void test_mutated(void)
{
	struct xenstore_quota quota = XENSTORE_QUOTA_DEFAULT;
	guint32 seed = (guint32)g_test_rand_int();
	GRand *rand = g_rand_new_with_seed(seed);
	struct xenstore *store = NULL;
	struct client *guest = NULL, *tool = NULL;
	unsigned int n_broken = 0;

	g_test_message("seed %u", seed);
	quota.nodes = 50;
	quota.pending_bytes = 2000;
	quota.pending_events = 20;
	quota.transaction_nodes = 30;
	for (unsigned int i = 0; i < N_MUTATED; i++) {
		GByteArray *stream = random_stream(rand, 12);
		GArray *ids;
		bool broken;

		if (!store) {
			store = store_new(&quota);
			guest = client_new(store, 1);
			tool = client_new(store, 0);
			expect_ok(tool, XS_WATCH, 0, P("/\0stalled\0"));
		}
		mutate(rand, stream);
		ids = expected_replies(stream, &broken);
		feed_in_pieces(rand, guest, stream, 300, true);
		g_assert_true(xs_conn_broken(guest->conn) == broken);
		n_broken += broken;
		check_output(guest->received, ids);
		g_byte_array_set_size(guest->received, 0);
		/* Back in step: as good as new. */
		xs_conn_reset(guest->conn);
		expect_reply(guest, XS_GET_DOMAIN_PATH, 0, P("1\0"), P("/local/domain/1\0"));
		g_array_unref(ids);
		g_byte_array_unref(stream);
		if (i % 200 == 199 || i + 1 == N_MUTATED) {
			size_t pending;

			/* The tool that did not read cost no more than its quota. */
			xs_conn_pending(tool->conn, &pending);
			g_assert_cmpuint(pending, <=, quota.pending_bytes);
			client_free(tool);
			client_free(guest);
			xenstore_free(store);
			store = NULL;
		}
	}
	g_assert_cmpuint(n_broken, >, N_MUTATED / 100);
	g_rand_free(rand);
}

/* Nothing that a guest can do in one request takes long or deep: the deepest tree there can be, made and removed. */
static void test_deepest_tree(void)
{
	struct xenstore_quota quota = ample_quota();
	struct xenstore *store = store_new(&quota);
	struct client *dom0 = client_new(store, 0);
	char path[XENSTORE_ABS_PATH_MAX + 1];
	uint32_t tx_id;

	for (size_t i = 0; i < XENSTORE_ABS_PATH_MAX; i += 2)
		memcpy(path + i, "/x", 2);
	path[XENSTORE_ABS_PATH_MAX] = '\0';
	expect_outcome(dom0, XS_MKDIR, 0, path, sizeof(path), "OK");
	expect_outcome(dom0, XS_READ, 0, path, sizeof(path), "OK");
	tx_id = client_start(dom0);
	expect_outcome(dom0, XS_WRITE, tx_id, path, sizeof(path), "OK");
	expect_ok(dom0, XS_RM, tx_id, P("/x\0"));
	expect_outcome(dom0, XS_MKDIR, tx_id, path, sizeof(path), "OK");
	expect_outcome(dom0, XS_WATCH, 0, P("/x/x/x\0t\0"), "OK");
	client_forget_events(dom0);
	g_assert_cmpstr(client_end(dom0, tx_id, true), ==, "OK");
	expect_ok(dom0, XS_RM, 0, P("/x\0"));
	client_free(dom0);
	xenstore_free(store);
}

/* The same from a guest, within its quotas: a transaction that removes every level of a deep tree, one by one. */
static void test_level_by_level(void)
{
	struct xenstore *store = store_new(NULL);
	struct client *guest = client_new(store, 1), *dom0 = client_new(store, 0);
	char path[1501], *full;
	uint32_t tx_id;
	unsigned int removed = 0;

	for (size_t i = 0; i < sizeof(path) - 1; i += 2)
		memcpy(path + i, i ? "/x" : "xx", 2);
	path[sizeof(path) - 1] = '\0';
	expect_outcome(guest, XS_MKDIR, 0, path, sizeof(path), "OK");
	full = g_strdup_printf("/local/domain/1/%s%ct", path, 1);
	full[strlen(full) - 2] = '\0';
	expect_outcome(dom0, XS_WATCH, 0, full, strlen(full) + 3, "OK");
	client_forget_events(dom0);
	tx_id = client_start(guest);
	for (size_t end = sizeof(path) - 1; end > 0; end -= 2) {
		struct message *reply;

		path[end] = '\0';
		reply = client_call(guest, XS_RM, tx_id, path, end + 1);
		if (reply->header.type == XS_ERROR)
			g_assert_cmpstr(reply->payload, ==, "ENOSPC");
		else
			removed++;
		g_free(reply);
	}
	g_assert_cmpuint(removed, >, 300);
	g_assert_cmpstr(client_end(guest, tx_id, true), ==, "OK");
	expect_event(dom0, full, "t");
	expect_no_event(dom0);
	g_free(full);
	client_free(guest);
	client_free(dom0);
	xenstore_free(store);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/xenstore/fuzz/splitting", test_splitting);
	g_test_add_func("/xenstore/fuzz/mutated", test_mutated);
	g_test_add_func("/xenstore/fuzz/deepest-tree", test_deepest_tree);
	g_test_add_func("/xenstore/fuzz/level-by-level", test_level_by_level);
	return g_test_run();
}
