// SPDX-License-Identifier: MIT
/*
 * The wire protocol, operation by operation: what each one answers, and each errno. And the host's access beside it.
 */
#include <stdlib.h>

#include "client.h"

struct fixture {
	struct xenstore *store;
	struct client *dom0, *guest;
};

static void set_up(struct fixture *f, gconstpointer quota)
{
	f->store = xenstore_new(quota);
	g_assert_nonnull(f->store);
	f->dom0 = client_new(f->store, 0);
	f->guest = client_new(f->store, 1);
	must_write(f->store, "/local/domain/1", "");
	must_set_perms(f->store, "/local/domain/1", "n0 r1");
	must_write(f->store, "/local/domain/1/data", "");
	must_set_perms(f->store, "/local/domain/1/data", "n1");
}

static void tear_down(struct fixture *f, gconstpointer quota)
{
	(void)quota;
	client_free(f->dom0);
	client_free(f->guest);
	xenstore_free(f->store);
}

static void test_nodes(struct fixture *f, gconstpointer quota)
{
	struct client *c = f->dom0;

	(void)quota;
	/* Values are bytes; parents come up empty. */
	expect_ok(c, XS_WRITE, 0, P("/a/b/c\0x\0y"));
	expect_reply(c, XS_READ, 0, P("/a/b/c\0"), P("x\0y"));
	expect_reply(c, XS_READ, 0, P("/a/b\0"), P(""));
	expect_reply(c, XS_DIRECTORY, 0, P("/a\0"), P("b\0"));
	expect_reply(c, XS_DIRECTORY, 0, P("/a/b/c\0"), P(""));
	expect_ok(c, XS_WRITE, 0, P("/a/b/c\0"));
	expect_reply(c, XS_READ, 0, P("/a/b/c\0"), P(""));
	/* MKDIR leaves what exists. */
	expect_ok(c, XS_WRITE, 0, P("/a/v\0value"));
	expect_ok(c, XS_MKDIR, 0, P("/a/v\0"));
	expect_reply(c, XS_READ, 0, P("/a/v\0"), P("value"));
	expect_ok(c, XS_MKDIR, 0, P("/a/new/deep\0"));
	expect_reply(c, XS_DIRECTORY, 0, P("/a\0"), P("b\0new\0v\0"));
	/* RM takes all below; a missing node is fine below an existing parent. */
	expect_ok(c, XS_RM, 0, P("/a/b\0"));
	expect_error(c, XS_READ, 0, P("/a/b/c\0"), "ENOENT");
	expect_ok(c, XS_RM, 0, P("/a/b\0"));
	expect_error(c, XS_RM, 0, P("/a/b/c\0"), "ENOENT");
	expect_error(c, XS_RM, 0, P("/\0"), "EINVAL");
	expect_error(c, XS_DIRECTORY, 0, P("/none\0"), "ENOENT");
	expect_error(c, XS_GET_PERMS, 0, P("/none\0"), "ENOENT");
	expect_error(c, XS_SET_PERMS, 0, P("/none\0n0\0"), "ENOENT");
	/* Relative paths. */
	expect_ok(f->guest, XS_WRITE, 0, P("data/x\0001"));
	expect_reply(f->guest, XS_READ, 0, P("/local/domain/1/data/x\0"), P("1"));
	expect_ok(c, XS_WRITE, 0, P("rel\0002"));
	expect_reply(c, XS_READ, 0, P("/local/domain/0/rel\0"), P("2"));
}

static void test_permission_syntax(struct fixture *f, gconstpointer quota)
{
	static const char *const bad[] = { "", "n", "x1", "n-1", "n+1", "n 1", "n65536", "n99999999999999999999",
					   "n1x", "N1" };
	struct client *c = f->dom0;

	(void)quota;
	expect_ok(c, XS_WRITE, 0, P("/p\0"));
	expect_reply(c, XS_GET_PERMS, 0, P("/p\0"), P("n0\0"));
	expect_ok(c, XS_SET_PERMS, 0, P("/p\0b1\0r2\0w3\0n65535\0"));
	expect_reply(c, XS_GET_PERMS, 0, P("/p\0"), P("b1\0r2\0w3\0n65535\0"));
	/* Domain 0 inherits the owner, too. */
	expect_ok(c, XS_MKDIR, 0, P("/p/q\0"));
	expect_reply(c, XS_GET_PERMS, 0, P("/p/q\0"), P("b1\0r2\0w3\0n65535\0"));
	/* A guest owns what it makes. */
	expect_ok(c, XS_SET_PERMS, 0, P("/p\0n0\0b1\0"));
	expect_ok(f->guest, XS_MKDIR, 0, P("/p/mine\0"));
	expect_reply(c, XS_GET_PERMS, 0, P("/p/mine\0"), P("n1\0b1\0"));
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		GByteArray *payload = g_byte_array_new();

		g_byte_array_append(payload, (const guint8 *)P("/p\0"));
		g_byte_array_append(payload, (const guint8 *)bad[i], (guint)strlen(bad[i]) + 1);
		expect_error(c, XS_SET_PERMS, 0, payload->data, payload->len, "EINVAL");
		g_byte_array_unref(payload);
	}
	expect_error(c, XS_SET_PERMS, 0, P("/p\0"), "EINVAL");
	expect_error(c, XS_SET_PERMS, 0, P("/p\0n1"), "EINVAL");
	expect_error(c, XS_SET_PERMS, 0, P("/p"), "EINVAL");
	/* An owner may not give away. */
	expect_error(f->guest, XS_SET_PERMS, 0, P("data\0n2\0"), "EPERM");
	expect_ok(f->guest, XS_SET_PERMS, 0, P("data\0b1\0"));
}

static void test_paths(struct fixture *f, gconstpointer quota)
{
	static const char *const bad[] = { "", "//", "/a/", "/a//b", "a/", "/a b", "/a.b", "/a\xc3\xa4", "/a:b", "/a\n",
					   "@x", "/~" };
	static const uint32_t types[] = { XS_READ, XS_DIRECTORY, XS_MKDIR, XS_RM, XS_WRITE, XS_GET_PERMS };
	char path[XENSTORE_ABS_PATH_MAX + 3];

	(void)quota;
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		for (size_t t = 0; t < G_N_ELEMENTS(types); t++) {
			if (bad[i][0] != '@' || types[t] != XS_GET_PERMS)
				expect_error(f->dom0, types[t], 0, bad[i], strlen(bad[i]) + 1, "EINVAL");
		}
	}
	for (size_t t = 0; t < G_N_ELEMENTS(types); t++) {
		expect_error(f->dom0, types[t], 0, P(""), "EINVAL");
		expect_error(f->dom0, types[t], 0, P("/unterminated"), "EINVAL");
		if (types[t] != XS_WRITE)
			expect_error(f->dom0, types[t], 0, P("/two\0strings\0"), "EINVAL");
	}
	expect_ok(f->dom0, XS_MKDIR, 0, P("/azAZ09-_@\0"));
	memset(path, 'a', sizeof(path));
	path[0] = '/';
	path[XENSTORE_ABS_PATH_MAX] = '\0';
	expect_outcome(f->dom0, XS_MKDIR, 0, path, XENSTORE_ABS_PATH_MAX + 1, "OK");
	path[XENSTORE_ABS_PATH_MAX] = 'a';
	path[XENSTORE_ABS_PATH_MAX + 1] = '\0';
	expect_error(f->dom0, XS_MKDIR, 0, path, XENSTORE_ABS_PATH_MAX + 2, "EINVAL");
	path[0] = 'a';
	path[XENSTORE_REL_PATH_MAX] = '\0';
	expect_outcome(f->dom0, XS_MKDIR, 0, path, XENSTORE_REL_PATH_MAX + 1, "OK");
	path[XENSTORE_REL_PATH_MAX] = 'a';
	path[XENSTORE_REL_PATH_MAX + 1] = '\0';
	expect_error(f->dom0, XS_MKDIR, 0, path, XENSTORE_REL_PATH_MAX + 2, "EINVAL");
}

static void test_domains_and_control(struct fixture *f, gconstpointer quota)
{
	static const uint32_t privileged[] = { XS_CONTROL, XS_INTRODUCE, XS_RELEASE, XS_RESUME, XS_SET_TARGET };
	static const uint32_t unknown[] = { XS_WATCH_EVENT, XS_ERROR, 20 /* XS_RESTRICT */, XS_TYPE_COUNT, 24, 0xffff,
					    0xffffffff };

	(void)quota;
	for (size_t i = 0; i < G_N_ELEMENTS(privileged); i++) {
		expect_error(f->guest, privileged[i], 0, P("help\0"), "EACCES");
		expect_error(f->dom0, privileged[i], 0, P("help\0"), "ENOSYS");
	}
	for (size_t i = 0; i < G_N_ELEMENTS(unknown); i++) {
		struct message *reply = client_call(f->guest, unknown[i], 7, P("x\0"));

		g_assert_cmpuint(reply->header.type, ==, XS_ERROR);
		g_assert_cmpstr(reply->payload, ==, "ENOSYS");
		g_free(reply);
	}
	expect_reply(f->guest, XS_GET_DOMAIN_PATH, 0, P("0001\0"), P("/local/domain/1\0"));
	expect_reply(f->guest, XS_GET_DOMAIN_PATH, 99, P("65535\0"), P("/local/domain/65535\0"));
	expect_error(f->guest, XS_GET_DOMAIN_PATH, 0, P("65536\0"), "EINVAL");
	expect_error(f->guest, XS_GET_DOMAIN_PATH, 0, P("\0"), "EINVAL");
	expect_error(f->guest, XS_GET_DOMAIN_PATH, 0, P("1"), "EINVAL");
	expect_error(f->guest, XS_GET_DOMAIN_PATH, 0, P("-1\0"), "EINVAL");
	expect_reply(f->guest, XS_IS_DOMAIN_INTRODUCED, 0, P("1\0"), P("T\0"));
	expect_reply(f->guest, XS_IS_DOMAIN_INTRODUCED, 0, P("0\0"), P("T\0"));
	expect_reply(f->guest, XS_IS_DOMAIN_INTRODUCED, 0, P("2\0"), P("F\0"));
	expect_reply(f->guest, XS_IS_DOMAIN_INTRODUCED, 0, P("32752\0"), P("T\0"));
	expect_error(f->guest, XS_IS_DOMAIN_INTRODUCED, 0, P("x\0"), "EINVAL");
}

/* DIRECTORY of more than 4096 bytes is E2BIG; the parts, put together, are the list, if the generation stays. */
static void test_directory_parts(struct fixture *f, gconstpointer quota)
{
	GString *expected = g_string_new(NULL), *actual = g_string_new(NULL);
	char generation[32] = "";
	bool complete = false;

	(void)quota;
	for (unsigned int i = 0; i < 1000; i++) {
		char path[64];

		g_snprintf(path, sizeof(path), "/big/child-number-%04u", i);
		must_write(f->store, path, "");
		g_string_append_len(expected, path + 5, (gssize)strlen(path + 5) + 1);
	}
	expect_error(f->dom0, XS_DIRECTORY, 0, P("/big\0"), "E2BIG");
	while (!complete) {
		char request[64];
		size_t len = (size_t)g_snprintf(request, sizeof(request), "/big%c%zu", 0, actual->len) + 1;
		struct message *reply = client_call(f->dom0, XS_DIRECTORY_PART, 0, request, len);
		size_t start = strlen(reply->payload) + 1, end = reply->header.len;

		g_assert_cmpuint(reply->header.type, ==, XS_DIRECTORY_PART);
		g_assert_true(!*generation || strcmp(generation, reply->payload) == 0);
		g_strlcpy(generation, reply->payload, sizeof(generation));
		complete = end == start + 1 || (reply->payload[end - 1] == '\0' && reply->payload[end - 2] == '\0');
		g_string_append_len(actual, reply->payload + start, (gssize)(end - start - complete));
		g_free(reply);
	}
	expect_bytes(actual->str, actual->len, expected->str, expected->len);
	/* Whatever changes the node changes its generation; what happens below a child does not. */
	must_write(f->store, "/big/child-number-0000/below", "");
	for (unsigned int i = 0; i < 4; i++) {
		struct message *reply = client_call(f->dom0, XS_DIRECTORY_PART, 0, P("/big\0000\0"));

		if (i == 0)
			g_assert_cmpstr(reply->payload, ==, generation);
		else
			g_assert_cmpstr(reply->payload, !=, generation);
		g_strlcpy(generation, reply->payload, sizeof(generation));
		g_free(reply);
		if (i == 0)
			must_write(f->store, "/big", "value");
		else if (i == 1)
			must_set_perms(f->store, "/big", "r0");
		else
			g_assert_cmpint(xenstore_remove(f->store, "/big/child-number-0001"), ==, 0);
	}
	expect_error(f->dom0, XS_DIRECTORY_PART, 0, P("/big\0"), "EINVAL");
	expect_error(f->dom0, XS_DIRECTORY_PART, 0, P("/big\0-1\0"), "EINVAL");
	expect_error(f->dom0, XS_DIRECTORY_PART, 0, P("/big\0001x\0"), "EINVAL");
	expect_error(f->dom0, XS_DIRECTORY_PART, 0, P("/none\0000\0"), "ENOENT");
	g_string_free(expected, TRUE);
	g_string_free(actual, TRUE);
}

/* Each right against each operation: domain 1 and a node that grants it (or everybody) that right. */
static void test_permission_matrix(struct fixture *f, gconstpointer quota)
{
	static const struct {
		const char *perms;
		bool read, write, owner;
	} rows[] = {
		{ "n0", false, false, false }, { "r0", true, false, false },     { "w0", false, true, false },
		{ "b0", true, true, false },   { "n0 r1", true, false, false },  { "n0 w1", false, true, false },
		{ "n0 b1", true, true, false }, { "b0 n1", false, false, false }, { "b0 r1", true, false, false },
		{ "n1", true, true, true },    { "n1 r0", true, true, true },    { "n2 r0 b1", true, true, false },
		{ "n0 r2", false, false, false }, { "n0 n1 b1", false, false, false },
	};

	(void)quota;
	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		const char *read = rows[i].read ? "OK" : "EACCES", *write = rows[i].write ? "OK" : "EACCES";
		const char *missing_read = rows[i].read ? "ENOENT" : "EACCES";
		char own_perms[16];

		must_write(f->store, "/m", "");
		must_write(f->store, "/m/x", "");
		must_set_perms(f->store, "/m/x", rows[i].perms);
		expect_outcome(f->guest, XS_READ, 0, P("/m/x\0"), read);
		expect_outcome(f->guest, XS_DIRECTORY, 0, P("/m/x\0"), read);
		expect_outcome(f->guest, XS_DIRECTORY_PART, 0, P("/m/x\0000\0"), read);
		expect_outcome(f->guest, XS_GET_PERMS, 0, P("/m/x\0"), read);
		expect_outcome(f->guest, XS_READ, 0, P("/m/x/none/at/all\0"), missing_read);
		expect_outcome(f->guest, XS_WRITE, 0, P("/m/x\0v"), write);
		expect_outcome(f->guest, XS_MKDIR, 0, P("/m/x\0"), write);
		expect_outcome(f->guest, XS_RM, 0, P("/m/x/none\0"), write);
		expect_outcome(f->guest, XS_WRITE, 0, P("/m/x/new/y\0v"), write);
		expect_outcome(f->guest, XS_MKDIR, 0, P("/m/x/dir\0"), write);
		g_snprintf(own_perms, sizeof(own_perms), "/m/x%cn%c%c", 0, rows[i].perms[1], 0);
		expect_outcome(f->guest, XS_SET_PERMS, 0, own_perms, 8, rows[i].owner ? "OK" : "EACCES");
		if (!rows[i].owner)
			expect_outcome(f->guest, XS_RM, 0, P("/m/x\0"), write);
		g_assert_cmpint(xenstore_remove(f->store, "/m"), ==, 0);
	}
}

static void test_transaction_errors(struct fixture *f, gconstpointer quota)
{
	uint32_t tx = client_start(f->guest);

	(void)quota;
	expect_error(f->guest, XS_TRANSACTION_START, tx, P("\0"), "EBUSY");
	expect_error(f->guest, XS_TRANSACTION_END, 0, P("T\0"), "ENOENT");
	expect_error(f->guest, XS_TRANSACTION_END, tx + 1, P("T\0"), "ENOENT");
	expect_error(f->guest, XS_READ, tx + 1, P("data\0"), "ENOENT");
	/* Transactions belong to their connection. */
	expect_error(f->dom0, XS_READ, tx, P("/\0"), "ENOENT");
	expect_error(f->guest, XS_TRANSACTION_END, tx, P("X\0"), "EINVAL");
	expect_error(f->guest, XS_TRANSACTION_END, tx, P(""), "EINVAL");
	expect_error(f->guest, XS_TRANSACTION_END, tx, P("TT\0"), "EINVAL");
	/* These ignore the transaction's id. */
	expect_ok(f->guest, XS_WATCH, 4711, P("data\0t\0"));
	expect_ok(f->guest, XS_UNWATCH, 4711, P("data\0t\0"));
	g_assert_cmpstr(client_end(f->guest, tx, true), ==, "OK");
	expect_error(f->guest, XS_TRANSACTION_END, tx, P("T\0"), "ENOENT");
	tx = client_start(f->guest);
	expect_ok(f->guest, XS_RESET_WATCHES, 0, P("\0"));
	expect_error(f->guest, XS_TRANSACTION_END, tx, P("T\0"), "ENOENT");
}

static void test_broken_stream(struct fixture *f, gconstpointer quota)
{
	struct xsd_sockmsg header = { .type = XS_READ, .len = XENSTORE_PAYLOAD_MAX + 1 };
	size_t len;

	(void)quota;
	expect_ok(f->guest, XS_WATCH, 0, P("data\0t\0"));
	client_forget_events(f->guest);
	g_assert_false(xs_conn_broken(f->guest->conn));
	g_assert_cmpuint(xs_conn_feed(f->guest->conn, &header, sizeof(header)), ==, sizeof(header));
	g_assert_true(xs_conn_broken(f->guest->conn));
	header.len = 0;
	g_assert_cmpuint(xs_conn_feed(f->guest->conn, &header, sizeof(header)), ==, sizeof(header));
	must_write(f->store, "/local/domain/1/data", "unheard");
	xs_conn_pending(f->guest->conn, &len);
	g_assert_cmpuint(len, ==, 0);
	expect_reply(f->dom0, XS_IS_DOMAIN_INTRODUCED, 0, P("1\0"), P("F\0"));
	xs_conn_reset(f->guest->conn);
	g_assert_false(xs_conn_broken(f->guest->conn));
	expect_reply(f->guest, XS_READ, 0, P("data\0"), P("unheard"));
	/* Half a request is forgotten by a reset. */
	g_assert_cmpuint(xs_conn_feed(f->guest->conn, &header, 5), ==, 5);
	xs_conn_reset(f->guest->conn);
	expect_reply(f->guest, XS_READ, 0, P("data\0"), P("unheard"));
}

/* Every quota is reached at its number, says so by its errno, and does not bind domain 0. */
static void test_node_quota(struct fixture *f, gconstpointer data)
{
	const struct xenstore_quota *quota = data;
	struct client *c = f->guest;
	char request[128];
	uint32_t tx_id;
	size_t len;

	/* "data" is one already */
	for (unsigned int i = 1; i < quota->nodes; i++) {
		len = (size_t)g_snprintf(request, sizeof(request), "data/n%u", i) + 1;
		expect_outcome(c, XS_MKDIR, 0, request, len, "OK");
	}
	expect_error(c, XS_MKDIR, 0, P("data/more\0"), "ENOSPC");
	expect_error(c, XS_WRITE, 0, P("data/more\0v"), "ENOSPC");
	expect_ok(c, XS_WRITE, 0, P("data/n1\0v"));
	expect_ok(f->dom0, XS_WRITE, 0, P("/local/domain/1/data/by-dom0\0v"));
	expect_ok(c, XS_RM, 0, P("data/by-dom0\0"));
	expect_ok(c, XS_RM, 0, P("data/n1\0"));
	expect_error(c, XS_MKDIR, 0, P("data/two/levels\0"), "ENOSPC");
	tx_id = client_start(c);
	expect_ok(c, XS_MKDIR, tx_id, P("data/n1\0"));
	expect_error(c, XS_MKDIR, tx_id, P("data/n9\0"), "ENOSPC");
	/* The room that the transaction saw is gone when it ends. */
	expect_ok(c, XS_MKDIR, 0, P("data/n0\0"));
	g_assert_cmpstr(client_end(c, tx_id, true), ==, "ENOSPC");
	expect_error(c, XS_READ, 0, P("data/n1\0"), "ENOENT");
}

static void test_watch_quota(struct fixture *f, gconstpointer data)
{
	const struct xenstore_quota *quota = data;
	struct client *c = f->guest;
	char request[128];
	size_t len;

	for (unsigned int i = 0; i < quota->watches; i++) {
		len = (size_t)g_snprintf(request, sizeof(request), "data%c%u", 0, i) + 1;
		expect_outcome(c, XS_WATCH, 0, request, len, "OK");
	}
	expect_error(c, XS_WATCH, 0, P("data\0more\0"), "E2BIG");
	expect_ok(c, XS_UNWATCH, 0, P("data\0000\0"));
	expect_ok(c, XS_WATCH, 0, P("data\0more\0"));
}

static void test_transaction_quotas(struct fixture *f, gconstpointer data)
{
	const struct xenstore_quota *quota = data;
	struct client *c = f->guest;
	char request[128];
	uint32_t tx[8];
	size_t len;

	for (unsigned int i = 0; i < quota->transactions; i++)
		tx[i] = client_start(c);
	expect_error(c, XS_TRANSACTION_START, 0, P("\0"), "ENOSPC");
	g_assert_cmpstr(client_end(c, tx[1], false), ==, "OK");
	tx[1] = client_start(c);
	/* transaction_nodes: "data" itself is the first */
	for (unsigned int i = 1; i < quota->transaction_nodes; i++) {
		len = (size_t)g_snprintf(request, sizeof(request), "data/none%u", i) + 1;
		expect_outcome(c, XS_READ, tx[0], request, len, "ENOENT");
	}
	expect_error(c, XS_READ, tx[0], P("data/none\0"), "ENOSPC");
	expect_error(c, XS_READ, tx[0], P("data/none1\0"), "ENOENT");
	/* transaction_bytes: shared by all of them, and given back */
	g_assert_cmpstr(client_end(c, tx[0], false), ==, "OK");
	for (unsigned int i = 0;; i++) {
		struct message *reply;
		char big[200];

		g_assert_cmpuint(i, <, 100);
		memset(big, 'v', sizeof(big));
		memcpy(big, P("data/big\0"));
		big[7] = (char)('a' + i % 4);
		reply = client_call(c, XS_WRITE, tx[1 + i % 3], big, sizeof(big));
		if (reply->header.type == XS_ERROR) {
			g_assert_cmpstr(reply->payload, ==, "ENOSPC");
			g_free(reply);
			break;
		}
		g_free(reply);
	}
	expect_ok(c, XS_RESET_WATCHES, 0, P("\0"));
	tx[0] = client_start(c);
	expect_ok(c, XS_WRITE, tx[0], P("data/big\0value"));
}

static void test_size_quotas(struct fixture *f, gconstpointer data)
{
	const struct xenstore_quota *quota = data;
	struct client *c = f->guest;
	char request[128];
	size_t len;

	memset(request, 'v', sizeof(request));
	memcpy(request, P("data/x\0"));
	len = quota->node_bytes - strlen("/local/domain/1/data/x") - 4 + 7;
	g_assert_cmpuint(len, <, sizeof(request));
	expect_outcome(c, XS_WRITE, 0, request, len, "OK");
	expect_outcome(c, XS_WRITE, 0, request, len + 1, "ENOSPC");
	expect_ok(c, XS_RM, 0, P("data/x\0"));
	expect_outcome(c, XS_WRITE, 0, request, len + 1, "ENOSPC");
	expect_ok(c, XS_MKDIR, 0, P("data/x\0"));
	expect_ok(c, XS_SET_PERMS, 0, P("data/x\0n1\0r2\0"));
	expect_error(c, XS_SET_PERMS, 0, P("data/x\0n1\0r2\0r3\0"), "ENOSPC");
	memset(request, 'p', sizeof(request));
	request[0] = '/';
	request[quota->path_bytes] = '\0';
	expect_error(c, XS_READ, 0, request, quota->path_bytes + 1, "EACCES");
	request[quota->path_bytes] = 'p';
	request[quota->path_bytes + 1] = '\0';
	expect_error(c, XS_READ, 0, request, quota->path_bytes + 2, "EINVAL");
	expect_error(f->dom0, XS_READ, 0, request, quota->path_bytes + 2, "ENOENT");
}

static void test_pending_quota(struct fixture *f, gconstpointer quota)
{
	const struct xenstore_quota *limits = quota;
	GByteArray *stream = g_byte_array_new();
	size_t taken, fed = 0, most = 0, replies = 0;

	for (unsigned int i = 0; i < 200; i++)
		append_request(stream, XS_GET_PERMS, i, 0, P("data\0"));
	while (fed < stream->len) {
		size_t pending;

		taken = xs_conn_feed(f->guest->conn, stream->data + fed, stream->len - fed);
		fed += taken;
		xs_conn_pending(f->guest->conn, &pending);
		most = MAX(most, pending);
		replies += pending;
		g_assert_cmpuint(pending, >, 0);
		g_assert_cmpuint(xs_conn_feed(f->guest->conn, stream->data + fed, fed < stream->len), ==, 0);
		xs_conn_sent(f->guest->conn, pending);
	}
	g_assert_cmpuint(replies, ==, 200 * (sizeof(struct xsd_sockmsg) + 3));
	g_assert_cmpuint(most, <, limits->pending_bytes + sizeof(struct xsd_sockmsg) + 3);
	g_byte_array_unref(stream);
}

static void test_host(struct fixture *f, gconstpointer quota)
{
	static const char *const bad_perms[] = { "n0", "bogus" };
	char *big = g_malloc0(XENSTORE_PAYLOAD_MAX + 1);
	void *value;
	size_t len;

	(void)quota;
	g_assert_cmpint(xenstore_printf(f->store, "/host", "%d-%s", 42, "x"), ==, 0);
	g_assert_cmpint(xenstore_read(f->store, "/host", &value, &len), ==, 0);
	g_assert_cmpstr(value, ==, "42-x");
	g_assert_cmpuint(len, ==, 4);
	free(value);
	g_assert_cmpint(xenstore_write(f->store, "/host", big, XENSTORE_PAYLOAD_MAX), ==, 0);
	g_assert_cmpint(xenstore_write(f->store, "/host", big, XENSTORE_PAYLOAD_MAX + 1), ==, E2BIG);
	g_assert_cmpint(xenstore_printf(f->store, "/host", "%*d", XENSTORE_PAYLOAD_MAX + 1, 1), ==, E2BIG);
	g_assert_cmpint(xenstore_write(f->store, "relative", "", 0), ==, EINVAL);
	g_assert_cmpint(xenstore_read(f->store, "/none", &value, &len), ==, ENOENT);
	g_assert_cmpint(xenstore_read(f->store, "/none/", &value, &len), ==, EINVAL);
	g_assert_cmpint(xenstore_remove(f->store, "/none"), ==, 0);
	g_assert_cmpint(xenstore_remove(f->store, "/none/deeper"), ==, ENOENT);
	g_assert_cmpint(xenstore_remove(f->store, "/"), ==, EINVAL);
	g_assert_cmpint(xenstore_set_permissions(f->store, "/host", bad_perms, 2), ==, EINVAL);
	g_assert_cmpint(xenstore_set_permissions(f->store, "/host", bad_perms, 0), ==, EINVAL);
	g_assert_cmpint(xenstore_set_permissions(f->store, "/none", bad_perms, 1), ==, ENOENT);
	g_free(big);
}

int main(int argc, char **argv)
{
	static struct xenstore_quota small;

	small = ample_quota();
	small.nodes = 5;
	small.watches = 3;
	small.transactions = 4;
	small.transaction_nodes = 6;
	small.transaction_bytes = 2000;
	small.node_bytes = 100;
	small.permissions = 2;
	small.path_bytes = 60;
	small.pending_bytes = 100;
	g_test_init(&argc, &argv, NULL);
#define ADD(path, quota, fn) g_test_add(path, struct fixture, quota, set_up, fn, tear_down)
	ADD("/xenstore/wire/nodes", NULL, test_nodes);
	ADD("/xenstore/wire/permission-syntax", NULL, test_permission_syntax);
	ADD("/xenstore/wire/paths", NULL, test_paths);
	ADD("/xenstore/wire/domains-and-control", NULL, test_domains_and_control);
	ADD("/xenstore/wire/directory-parts", NULL, test_directory_parts);
	ADD("/xenstore/wire/permission-matrix", NULL, test_permission_matrix);
	ADD("/xenstore/wire/transaction-errors", NULL, test_transaction_errors);
	ADD("/xenstore/wire/quota/nodes", &small, test_node_quota);
	ADD("/xenstore/wire/quota/watches", &small, test_watch_quota);
	ADD("/xenstore/wire/quota/transactions", &small, test_transaction_quotas);
	ADD("/xenstore/wire/quota/sizes", &small, test_size_quotas);
	ADD("/xenstore/wire/host", NULL, test_host);
	if (TRANSPORT_IS_DIRECT) {
		/* These look into the connection. */
		ADD("/xenstore/wire/quota/pending", &small, test_pending_quota);
		ADD("/xenstore/wire/broken-stream", NULL, test_broken_stream);
	}
	return g_test_run();
}
