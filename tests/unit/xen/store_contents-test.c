// SPDX-License-Identifier: MIT
/*
 * store_contents.c in the real store, seen from the guest: over the wire, as domain 1. What a booting Linux and its
 * tools read is there; and of all nodes, the guest may write the ones listed here and no others.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <glib.h>

#include "xen/abi.h"
#include <xen/io/xs_wire.h>

#include "xen/store_contents.h"
#include "xen/xenstore/xenstore.h"

#define HOME "/local/domain/1"
#define UUID "6f1b1a52-7f5c-4d0a-8f2e-0123456789ab"

static const struct store_contents CONTENTS = {
	.name = "a-domain",
	.uuid = UUID,
	.generation_id = { 1, UINT64_MAX },
	.memory_kib = 262144,
	.n_vcpus = 3,
	.console_gfn = 0x10000,
	.xenstore_gfn = 0x10001,
	.console_port = 2,
	.xenstore_port = 1,
};

struct fixture {
	struct xenstore *store;
	struct xs_conn *host, *guest, *stranger;
};

static struct fixture set_up(const struct store_contents *contents)
{
	struct fixture f = {.store = xenstore_new(NULL)};

	g_assert_nonnull(f.store);
	g_assert_cmpint(store_contents_write(f.store, contents), ==, 0);
	f.host = xs_conn_new(f.store, 0, NULL, NULL);
	f.guest = xs_conn_new(f.store, 1, NULL, NULL);
	f.stranger = xs_conn_new(f.store, 2, NULL, NULL);
	return f;
}

static void tear_down(struct fixture *f)
{
	xs_conn_free(f->host);
	xs_conn_free(f->guest);
	xs_conn_free(f->stranger);
	xenstore_free(f->store);
}

struct reply {
	uint32_t type, len_bytes;
	char payload[XENSTORE_PAYLOAD_MAX + 1]; /* with a NUL behind */
};

/* One request and its reply; there are no watches, so nothing else comes. */
static struct reply *call(struct xs_conn *conn, uint32_t type, const void *payload, size_t len_bytes)
{
	const struct xsd_sockmsg request = {.type = type, .req_id = 7, .len = (uint32_t)len_bytes};
	struct reply *reply = g_new0(struct reply, 1);
	struct xsd_sockmsg header;
	size_t pending_bytes;

	g_assert_cmpuint(xs_conn_feed(conn, &request, sizeof(request)), ==, sizeof(request));
	g_assert_cmpuint(xs_conn_feed(conn, payload, len_bytes), ==, len_bytes);
	const char *bytes = xs_conn_pending(conn, &pending_bytes);
	g_assert_cmpuint(pending_bytes, >=, sizeof(header));
	memcpy(&header, bytes, sizeof(header));
	g_assert_cmpuint(header.req_id, ==, 7);
	g_assert_cmpuint(header.len, ==, pending_bytes - sizeof(header));
	reply->type = header.type;
	reply->len_bytes = header.len;
	memcpy(reply->payload, bytes + sizeof(header), header.len);
	xs_conn_sent(conn, pending_bytes);
	return reply;
}

/* "" when it was done, else the name of the error. */
static char *try(struct xs_conn *conn, uint32_t type, const void *payload, size_t len_bytes)
{
	g_autofree struct reply *reply = call(conn, type, payload, len_bytes);

	return g_strdup(reply->type == XS_ERROR ? reply->payload : "");
}

static char *try_path(struct xs_conn *conn, uint32_t type, const char *path)
{
	return try(conn, type, path, strlen(path) + 1);
}

static char *try_write(struct xs_conn *conn, const char *path, const char *value)
{
	g_autoptr(GString) payload = g_string_new(path);

	g_string_append_c(payload, '\0');
	g_string_append(payload, value);
	return try(conn, XS_WRITE, payload->str, payload->len);
}

static void expect_value(struct xs_conn *conn, const char *path, const char *expected)
{
	g_autofree struct reply *reply = call(conn, XS_READ, path, strlen(path) + 1);

	if (reply->type != XS_READ)
		g_error("reading %s: %s", path, reply->payload);
	g_assert_cmpuint(reply->len_bytes, ==, strlen(expected)); /* no NUL is part of a value */
	g_assert_cmpstr(reply->payload, ==, expected);
}

/* All nodes below path, path included. */
static void list_nodes(struct xs_conn *conn, const char *path, GPtrArray *nodes)
{
	g_autofree struct reply *reply = call(conn, XS_DIRECTORY, path, strlen(path) + 1);

	g_assert_cmpuint(reply->type, ==, XS_DIRECTORY);
	g_ptr_array_add(nodes, g_strdup(path));
	for (uint32_t at = 0; at < reply->len_bytes; at += (uint32_t)strlen(reply->payload + at) + 1) {
		g_autofree char *child =
			g_strconcat(strcmp(path, "/") == 0 ? "" : path, "/", reply->payload + at, NULL);

		list_nodes(conn, child, nodes);
	}
}

static GPtrArray *all_nodes(struct fixture *f)
{
	GPtrArray *nodes = g_ptr_array_new_with_free_func(g_free);

	list_nodes(f->host, "/", nodes);
	return nodes;
}

/* By relative path, as a guest reads that does not know its number; and by the absolute one. */
static void test_what_a_guest_reads(void)
{
	static const struct {
		const char *path, *value;
	} expected[] = {
		{"domid", "1"},
		{"name", "a-domain"},
		{"vm", "/vm/" UUID},
		{"memory/target", "262144"},
		{"memory/static-max", "262144"},
		{"memory/videoram", "0"},
		{"console/ring-ref", "65536"},
		{"console/port", "2"},
		{"console/type", "xenconsoled"},
		{"console/limit", "1048576"},
		{"store/ring-ref", "65537"},
		{"store/port", "1"},
		{"cpu/0/availability", "online"},
		{"cpu/2/availability", "online"},
		{"control/shutdown", ""},
		{"control/sysrq", ""},
		{"control/platform-feature-multiprocessor-suspend", "1"},
		{"control/platform-feature-xs_reset_watches", "1"},
		{"device", ""},
		{"data", ""},
	};
	struct fixture f = set_up(&CONTENTS);

	for (size_t i = 0; i < G_N_ELEMENTS(expected); i++) {
		g_autofree char *path = g_strconcat(HOME "/", expected[i].path, NULL);

		expect_value(f.guest, expected[i].path, expected[i].value);
		expect_value(f.guest, path, expected[i].value);
		expect_value(f.host, path, expected[i].value);
	}
	expect_value(f.host, "/vm/" UUID "/name", "a-domain");
	expect_value(f.host, "/vm/" UUID "/uuid", UUID);
	expect_value(f.host, "/local/domain/0/domid", "0");
	expect_value(f.host, "/local/domain/0/name", "Domain-0");
	tear_down(&f);
}

/* Large numbers are written out, not cut. */
static void test_numbers(void)
{
	struct store_contents contents = CONTENTS;

	contents.memory_kib = UINT64_C(1) << 33;
	contents.console_gfn = UINT64_MAX;
	contents.console_port = UINT32_MAX;
	struct fixture f = set_up(&contents);
	expect_value(f.guest, "memory/target", "8589934592");
	expect_value(f.guest, "console/ring-ref", "18446744073709551615");
	expect_value(f.guest, "console/port", "4294967295");
	tear_down(&f);
}

/* The guest's drivers look at cpu/ to learn which vCPUs may be brought up. */
static void test_vcpus(void)
{
	for (unsigned int n = 1; n <= 32; n++) {
		struct store_contents contents = CONTENTS;
		unsigned int n_found = 0;

		contents.n_vcpus = n;
		struct fixture f = set_up(&contents);
		g_autofree struct reply *reply = call(f.guest, XS_DIRECTORY, "cpu", 4);
		g_assert_cmpuint(reply->type, ==, XS_DIRECTORY);
		for (uint32_t at = 0; at < reply->len_bytes; at += (uint32_t)strlen(reply->payload + at) + 1)
			n_found++;
		g_assert_cmpuint(n_found, ==, n);
		for (unsigned int i = 0; i < n; i++) {
			g_autofree char *path = g_strdup_printf("cpu/%u/availability", i);

			expect_value(f.guest, path, "online");
		}
		tear_down(&f);
	}
}

static gboolean is_one_of(const char *path, const char *const *list)
{
	for (; *list; list++)
		if (strcmp(path, *list) == 0)
			return TRUE;
	return FALSE;
}

/* Of all nodes in the store. */
static void test_who_may_write(void)
{
	static const char *const writable[] = {
		HOME "/device",
		HOME "/control/shutdown",
		HOME "/control/feature-poweroff",
		HOME "/control/feature-reboot",
		HOME "/control/feature-suspend",
		HOME "/control/sysrq",
		HOME "/data",
		HOME "/drivers",
		HOME "/feature",
		HOME "/attr",
		HOME "/error",
		NULL,
	};
	struct fixture f = set_up(&CONTENTS);
	g_autoptr(GPtrArray) nodes = all_nodes(&f);
	int n_writable = 0;

	for (guint i = 0; i < nodes->len; i++) {
		const char *path = nodes->pdata[i];
		gboolean may = is_one_of(path, writable);
		g_autofree char *error = try_write(f.guest, path, "x");
		g_autofree char *child = g_strconcat(strcmp(path, "/") == 0 ? "" : path, "/child", NULL);
		g_autofree char *child_error = try_path(f.guest, XS_MKDIR, child);
		g_autofree char *stranger_error = try_write(f.stranger, path, "x");
		g_autofree char *perms = g_strconcat(path, "?n1", NULL);

		n_writable += may;
		if (strcmp(error, may ? "" : "EACCES") != 0 || strcmp(child_error, may ? "" : "EACCES") != 0)
			g_error("%s: the guest's write: \"%s\", its child: \"%s\"", path, error, child_error);
		g_assert_cmpstr(stranger_error, ==, "EACCES");
		/* Nor may it help itself. */
		*strchr(perms, '?') = '\0';
		g_autofree char *perms_error = try(f.guest, XS_SET_PERMS, perms, strlen(path) + 4);
		g_assert_cmpstr(perms_error, ==, may ? "" : "EACCES");
	}
	g_assert_cmpint(n_writable, ==, (int)G_N_ELEMENTS(writable) - 1);
	/* What it was denied did not happen. */
	expect_value(f.guest, "domid", "1");
	expect_value(f.guest, "name", "a-domain");
	expect_value(f.guest, "memory/target", "262144");
	tear_down(&f);
}

static void test_who_may_remove(void)
{
	static const char *const kept[] = {HOME,
					   HOME "/domid",
					   HOME "/name",
					   HOME "/vm",
					   HOME "/memory",
					   HOME "/memory/target",
					   HOME "/console",
					   HOME "/store",
					   HOME "/cpu",
					   HOME "/cpu/0/availability",
					   HOME "/control",
					   HOME "/control/platform-feature-xs_reset_watches",
					   "/vm",
					   "/local/domain/0"};
	struct fixture f = set_up(&CONTENTS);

	for (size_t i = 0; i < G_N_ELEMENTS(kept); i++) {
		g_autofree char *error = try_path(f.guest, XS_RM, kept[i]);
		g_autofree char *still = try_path(f.host, XS_READ, kept[i]);

		g_assert_cmpstr(error, ==, "EACCES");
		g_assert_cmpstr(still, ==, "");
	}
	tear_down(&f);
}

/* Its whole home, what it made itself included; a stranger nothing of it. */
static void test_who_may_read(void)
{
	struct fixture f = set_up(&CONTENTS);
	g_autofree char *error = try_write(f.guest, "data/deep/er", "own");
	g_autoptr(GPtrArray) nodes = all_nodes(&f);
	unsigned int n_home = 0;

	g_assert_cmpstr(error, ==, "");
	expect_value(f.guest, "data/deep/er", "own");
	expect_value(f.host, HOME "/data/deep/er", "own");
	for (guint i = 0; i < nodes->len; i++) {
		const char *path = nodes->pdata[i];
		gboolean home = g_str_has_prefix(path, HOME);

		g_autofree char *stranger_error = try_path(f.stranger, XS_READ, path);
		g_assert_cmpstr(stranger_error, ==, "EACCES");
		if (!home)
			continue;
		n_home++;
		g_autofree char *read_error = try_path(f.guest, XS_READ, path);
		g_assert_cmpstr(read_error, ==, "");
		g_autofree char *list_error = try_path(f.guest, XS_DIRECTORY, path);
		g_assert_cmpstr(list_error, ==, "");
	}
	g_assert_cmpuint(n_home, >, 30);
	g_autofree char *zero_error = try_path(f.guest, XS_READ, "/local/domain/0/name");
	g_assert_cmpstr(zero_error, ==, "EACCES");
	tear_down(&f);
}

/* libxl_create.c gives the guest /vm/UUID to read; Linux finds the uuid of /sys/hypervisor/uuid by "vm". */
static void test_guest_reads_its_vm_path(void)
{
	struct fixture f = set_up(&CONTENTS);

	expect_value(f.guest, "/vm/" UUID "/uuid", UUID);
	expect_value(f.guest, "/vm/" UUID "/name", "a-domain");
	tear_down(&f);
}

/* A restart writes all of it once more, into a store that is new or the old one. */
static void test_twice(void)
{
	struct fixture f = set_up(&CONTENTS);
	g_autofree char *error = try_write(f.guest, "control/shutdown", "poweroff");

	g_assert_cmpstr(error, ==, "");
	g_assert_cmpint(store_contents_write(f.store, &CONTENTS), ==, 0);
	expect_value(f.guest, "control/shutdown", "");
	expect_value(f.guest, "memory/target", "262144");
	tear_down(&f);
}

/* A clone: everything that names it is new, to who watched it too, and nothing else is. */
static void test_rename(void)
{
	struct fixture f = set_up(&CONTENTS);
	struct store_contents other = CONTENTS;
	static const char watch[] = "platform/generation-id\0token";
	const size_t header_bytes = sizeof(struct xsd_sockmsg);
	size_t pending_bytes;

	other.name = "another";
	other.uuid = "00000000-0000-4000-8000-000000000001";
	other.generation_id[0] = 7;
	expect_value(f.guest, "platform/generation-id", "1:18446744073709551615");
	const struct xsd_sockmsg request = {.type = XS_WATCH, .len = sizeof(watch)};
	g_assert_cmpuint(xs_conn_feed(f.guest, &request, sizeof(request)), ==, sizeof(request));
	g_assert_cmpuint(xs_conn_feed(f.guest, watch, sizeof(watch)), ==, sizeof(watch));
	/* The reply, and the event that each new watch has. */
	g_assert_nonnull(xs_conn_pending(f.guest, &pending_bytes));
	xs_conn_sent(f.guest, pending_bytes);
	g_autoptr(GPtrArray) before = all_nodes(&f);
	g_assert_cmpint(store_contents_rename(f.store, UUID, &other), ==, 0);
	const char *event = xs_conn_pending(f.guest, &pending_bytes);
	g_assert_cmpuint(pending_bytes, ==, header_bytes + sizeof(watch));
	g_assert_true(memcmp(event + header_bytes, watch, sizeof(watch)) == 0);
	xs_conn_sent(f.guest, pending_bytes);

	expect_value(f.guest, "platform/generation-id", "7:18446744073709551615");
	expect_value(f.guest, "name", "another");
	expect_value(f.guest, "vm", "/vm/00000000-0000-4000-8000-000000000001");
	expect_value(f.guest, "/vm/00000000-0000-4000-8000-000000000001/name", "another");
	expect_value(f.guest, "/vm/00000000-0000-4000-8000-000000000001/uuid", other.uuid);
	expect_value(f.guest, "domid", "1");
	g_autofree char *gone = try_path(f.host, XS_READ, "/vm/" UUID "/uuid");
	g_assert_cmpstr(gone, ==, "ENOENT");
	g_autofree char *denied = try_write(f.guest, "platform/generation-id", "0:0");
	g_assert_cmpstr(denied, ==, "EACCES");
	g_autoptr(GPtrArray) after = all_nodes(&f);
	g_assert_cmpuint(after->len, ==, before->len);
	/* A second time: there is nothing of the old one to remove. */
	g_assert_cmpint(store_contents_rename(f.store, UUID, &CONTENTS), ==, 0);
	tear_down(&f);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/store_contents/what-a-guest-reads", test_what_a_guest_reads);
	g_test_add_func("/store_contents/numbers", test_numbers);
	g_test_add_func("/store_contents/vcpus", test_vcpus);
	g_test_add_func("/store_contents/who-may-write", test_who_may_write);
	g_test_add_func("/store_contents/who-may-remove", test_who_may_remove);
	g_test_add_func("/store_contents/who-may-read", test_who_may_read);
	g_test_add_func("/store_contents/guest-reads-its-vm-path", test_guest_reads_its_vm_path);
	g_test_add_func("/store_contents/rename", test_rename);
	g_test_add_func("/store_contents/twice", test_twice);
	return g_test_run();
}
