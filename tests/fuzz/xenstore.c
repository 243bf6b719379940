// SPDX-License-Identifier: MIT
/*
 * Two clients of the store, a guest and a tool of the host, that send requests of any kind in pieces of any length, and read
 * as they like. What they get must be whole messages; a guest's quotas hold at any time; and everything is freed in the end.
 */
#include <string.h>

#include <glib.h>

#include "bytes.h"
#include "xen/abi.h"
#include <xen/io/xs_wire.h>

#include "xen/xenstore/xenstore.h"

#define N_CLIENTS 3u

static const struct xenstore_quota QUOTA = {
	.nodes = 20, .watches = 5, .transactions = 3, .transaction_nodes = 10, .transaction_bytes = 2000, .node_bytes = 500,
	.permissions = 4, .path_bytes = 100, .pending_bytes = 6000, .pending_events = 8,
};

struct client {
	struct xs_conn *conn;
	uint8_t got[8192];
	size_t got_bytes;
	unsigned int watches;
};

/* Words that mean something now and then. */
static const char *const WORDS[] = {
	"/local/domain/1/a", "a", "/", "/local/domain/1/a/b", "data/c", "@releaseDomain", "n1", "b0", "r2", "token", "T", "F", "",
	"/local/domain/0", "..", "/tool", "0", "1",
};

static void send_request(struct client *client, struct input *input)
{
	struct {
		struct xsd_sockmsg header;
		uint8_t body[512];
	} message = { .header = { .type = next(input) % 24u, .req_id = next(input), .tx_id = next(input) % 5u } };
	uint32_t len_bytes = 0;
	const unsigned int n_words = next(input) % 4;

	for (unsigned int i = 0; i < n_words; i++) {
		const char *word = WORDS[next(input) % G_N_ELEMENTS(WORDS)];

		memcpy(message.body + len_bytes, word, strlen(word) + 1);
		len_bytes += (uint32_t)strlen(word) + 1;
	}
	for (unsigned int n = next(input) % 64; n > 0; n--)
		message.body[len_bytes++] = next(input);
	message.header.len = next(input) == 255 ? next32(input) : len_bytes;
	const size_t all_bytes = sizeof(message.header) + len_bytes, first = next(input) % (all_bytes + 1);

	(void)xs_conn_feed(client->conn, &message, first);
	(void)xs_conn_feed(client->conn, (const uint8_t *)&message + first, all_bytes - first);
}

/* Only whole messages count, and each is as long as it says. */
static void take_messages(struct client *client)
{
	size_t at = 0;

	while (client->got_bytes - at >= sizeof(struct xsd_sockmsg)) {
		struct xsd_sockmsg header;

		memcpy(&header, client->got + at, sizeof(header));
		g_assert_cmpuint(header.len, <=, XENSTORE_PAYLOAD_MAX);
		g_assert_cmpuint(header.type, <, 24);
		if (client->got_bytes - at < sizeof(header) + header.len)
			break;
		at += sizeof(header) + header.len;
	}
	client->got_bytes -= at;
	memmove(client->got, client->got + at, client->got_bytes);
}

static void receive(struct client *client, size_t most_bytes)
{
	size_t len_bytes;
	const void *bytes = xs_conn_pending(client->conn, &len_bytes);

	g_assert_cmpuint(len_bytes, <=, QUOTA.pending_bytes + sizeof(struct xsd_sockmsg) + XENSTORE_PAYLOAD_MAX);
	len_bytes = MIN(len_bytes, MIN(most_bytes, sizeof(client->got) - client->got_bytes));
	if (len_bytes == 0)
		return;
	memcpy(client->got + client->got_bytes, bytes, len_bytes);
	client->got_bytes += len_bytes;
	xs_conn_sent(client->conn, len_bytes);
	take_messages(client);
}

static void do_step(struct xenstore *store, struct client *clients, struct input *input)
{
	const uint8_t what = next(input);
	struct client *client = &clients[what >> 4 & 1 ? 1 : what >> 5 & 1 ? 2 : 0];

	switch (what & 15) {
	case 0:
		xs_conn_reset(client->conn);
		client->got_bytes = 0;
		break;
	case 1:
		xenstore_fire_special(store, "@releaseDomain");
		break;
	case 2:
		(void)xenstore_remove(store, WORDS[next(input) % 4]);
		break;
	case 3:
		(void)xenstore_printf(store, "/local/domain/1/a", "%u", next(input));
		break;
	case 4:
	case 5:
		receive(client, next32(input) % 5000);
		break;
	default:
		send_request(client, input);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len_bytes)
{
	static const char *const owner[] = { "n1" };
	struct input input = { bytes, bytes + len_bytes };
	struct xenstore *store = xenstore_new(&QUOTA);
	struct client *clients = g_new0(struct client, N_CLIENTS);

	g_assert_cmpint(xenstore_write(store, "/local/domain/1", "", 0), ==, 0);
	g_assert_cmpint(xenstore_set_permissions(store, "/local/domain/1", owner, 1), ==, 0);
	for (unsigned int i = 0; i < N_CLIENTS; i++)
		clients[i].conn = xs_conn_new(store, i == 2 ? 0 : (uint16_t)(i + 1), NULL, NULL);
	while (input.at < input.end)
		do_step(store, clients, &input);
	for (unsigned int i = 0; i < N_CLIENTS; i++) {
		const struct xs_conn_counters counters = xs_conn_counters(clients[i].conn);

		g_assert_cmpuint(counters.errors, <=, counters.requests);
		xs_conn_free(clients[i].conn);
	}
	g_free(clients);
	xenstore_free(store);
	return 0;
}
