// SPDX-License-Identifier: MIT
/*
 * A client of the store for tests: sends whole requests, takes the stream apart, keeps watch events aside.
 */
#pragma once

#include <errno.h>
#include <glib.h>
#include <stdint.h>
#include <string.h>

#include <xen/io/xs_wire.h>

#include "transport.h"
#include "xen/xenstore/xenstore.h"

/* A payload with NULs inside: P("path\0value"). The literal's own last NUL does not count. */
#define P(literal) literal, sizeof(literal) - 1

struct client {
	struct transport *transport; /* NULL: none, but conn */
	struct xs_conn *conn;
	uint32_t next_req_id;
	GByteArray *received; /* not yet taken apart */
	GQueue *events;       /* of struct message */
	unsigned int notified;
};

struct message {
	struct xsd_sockmsg header;
	char payload[XENSTORE_PAYLOAD_MAX + 1]; /* with a NUL behind */
};

struct client *client_new(struct xenstore *store, uint16_t domid);
void client_free(struct client *client);

/* One request as bytes. */
void append_request(GByteArray *bytes, uint32_t type, uint32_t req_id, uint32_t tx_id, const void *payload, size_t len);

/* Takes everything pending into client->received. */
void client_drain(struct client *client);

/* Sends a request and returns its reply (g_free); checks req_id and tx_id, puts events aside. */
struct message *client_call(struct client *client, uint32_t type, uint32_t tx_id, const void *payload, size_t len);

void expect_reply(struct client *client, uint32_t type, uint32_t tx_id, const void *payload, size_t len,
		  const void *reply, size_t reply_len);
void expect_error(struct client *client, uint32_t type, uint32_t tx_id, const void *payload, size_t len,
		  const char *error);
#define expect_ok(client, type, tx_id, payload) expect_reply(client, type, tx_id, payload, P("OK\0"))

/* Instead of g_assert_cmpmem(), whose lengths are int. */
void expect_bytes(const void *actual, size_t actual_len, const void *expected, size_t expected_len);

/* For tables: expected is "OK" or the name of an error. */
void expect_outcome(struct client *client, uint32_t type, uint32_t tx_id, const void *payload, size_t len,
		    const char *expected);

uint32_t client_start(struct client *client);
/* Returns "OK" or the name of the error. */
const char *client_end(struct client *client, uint32_t tx_id, bool commit);

/* The next event that arrived is this one. */
void expect_event(struct client *client, const char *path, const char *token);
void expect_no_event(struct client *client);
void client_forget_events(struct client *client);

/* A quota that nothing reaches. */
struct xenstore_quota ample_quota(void);

void must_write(struct xenstore *store, const char *path, const char *value);
void must_set_perms(struct xenstore *store, const char *path, const char *perms); /* separated by blanks */
