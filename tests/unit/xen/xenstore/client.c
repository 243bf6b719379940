// SPDX-License-Identifier: MIT
#include "client.h"

#include <limits.h>
#include <stdlib.h>

static void on_notify(void *opaque)
{
	((struct client *)opaque)->notified++;
}

struct client *client_new(struct xenstore *store, uint16_t domid)
{
	struct client *client = g_new0(struct client, 1);

	client->transport = transport_new(store, domid);
	if (!client->transport) {
		client->conn = xs_conn_new(store, domid, on_notify, client);
		g_assert_nonnull(client->conn);
	}
	client->next_req_id = 1000u * domid + 1;
	client->received = g_byte_array_new();
	client->events = g_queue_new();
	return client;
}

void client_free(struct client *client)
{
	if (client->transport)
		transport_free(client->transport);
	xs_conn_free(client->conn);
	g_byte_array_unref(client->received);
	g_queue_free_full(client->events, g_free);
	g_free(client);
}

void append_request(GByteArray *bytes, uint32_t type, uint32_t req_id, uint32_t tx_id, const void *payload, size_t len)
{
	struct xsd_sockmsg header = { .type = type, .req_id = req_id, .tx_id = tx_id, .len = (uint32_t)len };

	g_byte_array_append(bytes, (const guint8 *)&header, sizeof(header));
	if (len)
		g_byte_array_append(bytes, payload, (guint)len);
}

void client_drain(struct client *client)
{
	const void *bytes;
	size_t len;

	if (client->transport) {
		transport_receive(client->transport, client->received);
		return;
	}
	for (bytes = xs_conn_pending(client->conn, &len); len > 0; bytes = xs_conn_pending(client->conn, &len)) {
		g_byte_array_append(client->received, bytes, (guint)len);
		xs_conn_sent(client->conn, len);
	}
}

/* The next message of the received bytes, NULL if there is none. */
static struct message *next_message(struct client *client)
{
	struct message *message = g_new0(struct message, 1);
	GByteArray *received = client->received;

	client_drain(client);
	if (received->len == 0) {
		g_free(message);
		return NULL;
	}
	g_assert_cmpuint(received->len, >=, sizeof(message->header));
	memcpy(&message->header, received->data, sizeof(message->header));
	g_assert_cmpuint(message->header.len, <=, XENSTORE_PAYLOAD_MAX);
	g_assert_cmpuint(received->len, >=, sizeof(message->header) + message->header.len);
	memcpy(message->payload, received->data + sizeof(message->header), message->header.len);
	g_byte_array_remove_range(received, 0, (guint)(sizeof(message->header) + message->header.len));
	return message;
}

static void collect_events(struct client *client)
{
	struct message *message;

	while ((message = next_message(client))) {
		g_assert_cmpuint(message->header.type, ==, XS_WATCH_EVENT);
		g_queue_push_tail(client->events, message);
	}
}

struct message *client_call(struct client *client, uint32_t type, uint32_t tx_id, const void *payload, size_t len)
{
	GByteArray *bytes = g_byte_array_new();
	uint32_t req_id = client->next_req_id++;
	struct message *message;

	client_drain(client);
	append_request(bytes, type, req_id, tx_id, payload, len);
	if (client->transport)
		transport_send(client->transport, bytes->data, bytes->len, client->received);
	else
		g_assert_cmpuint(xs_conn_feed(client->conn, bytes->data, bytes->len), ==, bytes->len);
	g_byte_array_unref(bytes);
	while ((message = next_message(client)) && message->header.type == XS_WATCH_EVENT)
		g_queue_push_tail(client->events, message);
	g_assert_nonnull(message);
	g_assert_cmpuint(message->header.req_id, ==, req_id);
	g_assert_cmpuint(message->header.tx_id, ==, tx_id);
	g_assert_true(message->header.type == type || message->header.type == XS_ERROR);
	return message;
}

void expect_bytes(const void *actual, size_t actual_len, const void *expected, size_t expected_len)
{
	g_assert_cmpuint(actual_len, ==, expected_len);
	g_assert_true(actual_len == 0 || memcmp(actual, expected, actual_len) == 0);
}

void expect_reply(struct client *client, uint32_t type, uint32_t tx_id, const void *payload, size_t len,
		  const void *reply, size_t reply_len)
{
	struct message *message = client_call(client, type, tx_id, payload, len);

	if (message->header.type != type)
		g_error("type %u \"%s\": %s", type, len ? (const char *)payload : "", message->payload);
	expect_bytes(message->payload, message->header.len, reply, reply_len);
	g_free(message);
}

void expect_outcome(struct client *client, uint32_t type, uint32_t tx_id, const void *payload, size_t len,
		    const char *expected)
{
	struct message *message = client_call(client, type, tx_id, payload, len);
	const char *actual = message->header.type == XS_ERROR ? message->payload : "OK";

	if (strcmp(actual, expected) != 0)
		g_error("type %u \"%s\": %s instead of %s", type, len ? (const char *)payload : "", actual, expected);
	if (message->header.type == XS_ERROR)
		g_assert_cmpuint(message->header.len, ==, strlen(expected) + 1);
	g_free(message);
}

void expect_error(struct client *client, uint32_t type, uint32_t tx_id, const void *payload, size_t len,
		  const char *error)
{
	expect_outcome(client, type, tx_id, payload, len, error);
}

uint32_t client_start(struct client *client)
{
	struct message *message = client_call(client, XS_TRANSACTION_START, 0, P("\0"));
	uint32_t tx_id;

	g_assert_cmpuint(message->header.type, ==, XS_TRANSACTION_START);
	tx_id = (uint32_t)strtoul(message->payload, NULL, 10);
	g_assert_cmpuint(tx_id, !=, 0);
	g_free(message);
	return tx_id;
}

const char *client_end(struct client *client, uint32_t tx_id, bool commit)
{
	struct message *message = client_call(client, XS_TRANSACTION_END, tx_id, commit ? "T" : "F", 2);
	const char *outcome = g_intern_string(message->payload);

	g_free(message);
	return outcome;
}

void expect_event(struct client *client, const char *path, const char *token)
{
	struct message *message;

	collect_events(client);
	message = g_queue_pop_head(client->events);
	if (!message)
		g_error("no event, expected %s", path);
	g_assert_cmpuint(message->header.req_id, ==, 0);
	g_assert_cmpuint(message->header.tx_id, ==, 0);
	g_assert_cmpstr(message->payload, ==, path);
	g_assert_cmpstr(message->payload + strlen(path) + 1, ==, token);
	g_assert_cmpuint(message->header.len, ==, strlen(path) + strlen(token) + 2);
	g_free(message);
}

void expect_no_event(struct client *client)
{
	struct message *message;

	collect_events(client);
	message = g_queue_peek_head(client->events);
	if (message)
		g_error("unexpected event %s", message->payload);
}

void client_forget_events(struct client *client)
{
	collect_events(client);
	g_queue_clear_full(client->events, g_free);
}

struct xenstore_quota ample_quota(void)
{
	return (struct xenstore_quota){
		.nodes = UINT_MAX / 2,
		.watches = UINT_MAX,
		.transactions = UINT_MAX,
		.transaction_nodes = UINT_MAX,
		.transaction_bytes = SIZE_MAX,
		.node_bytes = UINT_MAX,
		.permissions = UINT_MAX,
		.path_bytes = UINT_MAX,
		.pending_bytes = SIZE_MAX / 2,
		.pending_events = UINT_MAX / 2,
	};
}

void must_write(struct xenstore *store, const char *path, const char *value)
{
	g_assert_cmpint(xenstore_write(store, path, value, strlen(value)), ==, 0);
}

void must_set_perms(struct xenstore *store, const char *path, const char *perms)
{
	char **list = g_strsplit(perms, " ", -1);

	g_assert_cmpint(xenstore_set_permissions(store, path, (const char *const *)list, g_strv_length(list)), ==, 0);
	g_strfreev(list);
}
