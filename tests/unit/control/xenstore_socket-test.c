// SPDX-License-Identifier: MIT
/* xenstore_socket.c: many clients of a real store, those that stall, and Debian's own tools. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "xen/abi.h"
#include <xen/io/xs_wire.h>

#include "control/harness.h"
#include "control/xenstore_socket.h"
#include "xen/xenstore/xenstore.h"

struct fixture {
	char *folder;
	int listen_fd;
	struct xenstore *store;
	struct xenstore_socket *socket;
};

static void set_up(struct fixture *fixture, gconstpointer unused)
{
	(void)unused;
	fixture->folder = harness_make_folder();
	fixture->listen_fd = harness_listen(fixture->folder, "xenstore.sock");
	fixture->store = xenstore_new(NULL);
	fixture->socket = xenstore_socket_new(fixture->listen_fd, fixture->store);
}

static void tear_down(struct fixture *fixture, gconstpointer unused)
{
	(void)unused;
	xenstore_socket_free(fixture->socket);
	xenstore_free(fixture->store);
	close(fixture->listen_fd);
	harness_remove_folder(fixture->folder);
}

static int join(const struct fixture *fixture)
{
	int fd = harness_connect(fixture->folder, "xenstore.sock");

	harness_settle();
	return fd;
}

static void append(GByteArray *bytes, uint32_t type, uint32_t req_id, const char *payload, size_t len_bytes)
{
	const struct xsd_sockmsg header = { .type = type, .req_id = req_id, .len = (uint32_t)len_bytes };

	g_byte_array_append(bytes, (const guint8 *)&header, sizeof(header));
	g_byte_array_append(bytes, (const guint8 *)payload, (guint)len_bytes);
}

static bool send_request(int fd, uint32_t type, const char *payload, size_t len_bytes)
{
	g_autoptr(GByteArray) bytes = g_byte_array_new();

	append(bytes, type, 7, payload, len_bytes);
	return harness_send(fd, bytes->data, bytes->len);
}

/* One message out of what was received; FALSE: there is none. */
static bool next_message(GString *stream, struct xsd_sockmsg *header, char payload[XENSTORE_PAYLOAD_MAX + 1])
{
	if (stream->len < sizeof(*header))
		return false;
	memcpy(header, stream->str, sizeof(*header));
	g_assert_cmpuint(header->len, <=, XENSTORE_PAYLOAD_MAX);
	if (stream->len < sizeof(*header) + header->len)
		return false;
	memcpy(payload, stream->str + sizeof(*header), header->len);
	payload[header->len] = '\0';
	g_string_erase(stream, 0, (gssize)(sizeof(*header) + header->len));
	return true;
}

static void expect(int fd, uint32_t type, const char *payload, size_t len_bytes, uint32_t reply_type, const char *reply)
{
	char got[XENSTORE_PAYLOAD_MAX + 1];
	struct xsd_sockmsg header;

	g_assert_true(send_request(fd, type, payload, len_bytes));
	g_autoptr(GString) stream = harness_receive(fd, NULL);
	g_assert_true(next_message(stream, &header, got));
	g_assert_cmpuint(header.type, ==, reply_type);
	g_assert_cmpuint(header.req_id, ==, 7);
	g_assert_cmpstr(got, ==, reply);
}

#define P(literal) literal, sizeof(literal) - 1

static void test_requests(struct fixture *fixture, gconstpointer unused)
{
	int fd = join(fixture), other = join(fixture);

	(void)unused;
	expect(fd, XS_WRITE, P("/a\0value"), XS_WRITE, "OK");
	expect(other, XS_READ, P("/a\0"), XS_READ, "value");
	expect(other, XS_READ, P("/b\0"), XS_ERROR, "ENOENT");
	/* The rights, and the base of relative paths, are domain 0's. */
	expect(fd, XS_WRITE, P("x\0y"), XS_WRITE, "OK");
	g_autofree char *value = harness_read_node(fixture->store, "/local/domain/0/x");
	g_assert_cmpstr(value, ==, "y");
	close(fd);
	close(other);
}

static void test_pieces(struct fixture *fixture, gconstpointer unused)
{
	g_autoptr(GByteArray) bytes = g_byte_array_new();
	char payload[XENSTORE_PAYLOAD_MAX + 1];
	struct xsd_sockmsg header;
	int fd = join(fixture);

	(void)unused;
	append(bytes, XS_WRITE, 1,
	       P("/a\0"
		 "1"));
	append(bytes, XS_READ, 2, P("/a\0"));
	append(bytes, XS_RM, 3, P("/a\0"));
	for (guint i = 0; i < bytes->len; i++)
		g_assert_true(harness_send(fd, bytes->data + i, 1));
	g_autoptr(GString) stream = harness_receive(fd, NULL);
	for (uint32_t i = 1; i <= 3; i++) {
		g_assert_true(next_message(stream, &header, payload));
		g_assert_cmpuint(header.req_id, ==, i);
	}
	close(fd);
}

static void test_events(struct fixture *fixture, gconstpointer unused)
{
	char payload[XENSTORE_PAYLOAD_MAX + 1];
	struct xsd_sockmsg header;
	int fd = join(fixture);

	(void)unused;
	expect(fd, XS_WATCH, P("/a\0t\0"), XS_WATCH, "OK");
	g_string_free(harness_receive(fd, NULL), TRUE);
	/* The host's change, a guest's, and its own. */
	g_assert_cmpint(xenstore_write(fixture->store, "/a/b", "", 0), ==, 0);
	g_autoptr(GString) stream = harness_receive(fd, NULL);
	g_assert_true(next_message(stream, &header, payload));
	g_assert_cmpuint(header.type, ==, XS_WATCH_EVENT);
	g_assert_cmpint(memcmp(payload, "/a/b\0t", 7), ==, 0);

	const char *const own[] = { "n1" };
	g_assert_cmpint(xenstore_set_permissions(fixture->store, "/a", own, 1), ==, 0);
	g_string_free(harness_receive(fd, NULL), TRUE);
	struct xs_conn *guest = xs_conn_new(fixture->store, 1, NULL, NULL);
	g_autoptr(GByteArray) bytes = g_byte_array_new();
	append(bytes, XS_WRITE, 1, P("/a/c\0x"));
	g_assert_cmpuint(xs_conn_feed(guest, bytes->data, bytes->len), ==, bytes->len);
	g_autoptr(GString) from_guest = harness_receive(fd, NULL);
	g_assert_true(next_message(from_guest, &header, payload));
	g_assert_cmpstr(payload, ==, "/a/c");
	xs_conn_free(guest);

	g_assert_true(send_request(fd, XS_WRITE, P("/a/d\0x")));
	g_autoptr(GString) both = harness_receive(fd, NULL);
	g_assert_true(next_message(both, &header, payload));
	g_assert_true(next_message(both, &header, payload));
	g_assert_cmpuint(both->len, ==, 0);
	close(fd);
}

/* A client that watches and does not read; one that reads is served as if it were alone. */
static void test_stalled_watcher(struct fixture *fixture, gconstpointer unused)
{
	char payload[XENSTORE_PAYLOAD_MAX + 1];
	struct xsd_sockmsg header;
	int stalled = join(fixture), busy = join(fixture);
	unsigned int n_events = 0;

	(void)unused;
	expect(stalled, XS_WATCH, P("/\0t\0"), XS_WATCH, "OK");
	for (unsigned int i = 0; i < 20000; i++) {
		g_autofree char *path = g_strdup_printf("/n/%u", i % 100);

		expect(busy, XS_WRITE, path, strlen(path) + 1, XS_WRITE, "OK");
	}
	/* It did not miss that something happened, but nobody kept 20000 events for it. */
	g_autoptr(GString) stream = harness_receive(stalled, NULL);
	while (next_message(stream, &header, payload))
		n_events += header.type == XS_WATCH_EVENT;
	g_assert_cmpuint(n_events, >, 100);
	g_assert_cmpuint(n_events, <, 20000);
	/* And goes on as if nothing had been. */
	expect(busy, XS_RM, P("/n\0"), XS_RM, "OK");
	g_autoptr(GString) last = harness_receive(stalled, NULL);
	g_assert_true(next_message(last, &header, payload));
	g_assert_cmpstr(payload, ==, "/n");
	close(stalled);
	close(busy);
}

/* One that asks and asks, and reads late: it is not read from meanwhile, and nothing is lost. */
static void test_back_pressure(struct fixture *fixture, gconstpointer unused)
{
	g_autofree char *value = g_strnfill(2000, 'v');
	g_autoptr(GByteArray) request = g_byte_array_new();
	char payload[XENSTORE_PAYLOAD_MAX + 1];
	struct xsd_sockmsg header;
	unsigned int n_sent = 0, n_received = 0;
	int fd = join(fixture), other = join(fixture);

	(void)unused;
	g_assert_cmpint(xenstore_write(fixture->store, "/big", value, 2000), ==, 0);
	for (;; n_sent++) {
		g_byte_array_set_size(request, 0);
		append(request, XS_READ, n_sent, P("/big\0"));
		ssize_t sent = send(fd, request->data, request->len, MSG_NOSIGNAL);
		/* The socket takes no more, and the machine reads no more: this is where it has to end. */
		if (sent < 0) {
			harness_settle();
			sent = send(fd, request->data, request->len, MSG_NOSIGNAL);
		}
		if (sent < 0)
			break;
		g_assert_cmpint(sent, ==, (ssize_t)request->len);
		g_assert_cmpuint(n_sent, <, 10000000);
	}
	g_assert_cmpint(errno, ==, EAGAIN);
	g_assert_cmpuint(n_sent, >, 100);
	expect(other, XS_WRITE, P("/other\0"), XS_WRITE, "OK");
	while (n_received < n_sent) {
		g_autoptr(GString) stream = harness_receive(fd, NULL);

		g_assert_cmpuint(stream->len, >, 0);
		while (next_message(stream, &header, payload)) {
			g_assert_cmpuint(header.req_id, ==, n_received);
			g_assert_cmpuint(header.len, ==, 2000);
			n_received++;
		}
		g_assert_cmpuint(stream->len, ==, 0);
	}
	close(fd);
	close(other);
}

/* It hangs up in the state in which only room is waited for. */
static void test_stalled_hang_up(struct fixture *fixture, gconstpointer unused)
{
	unsigned int n_fds = harness_count_fds();
	int fd = join(fixture), busy = join(fixture);

	(void)unused;
	expect(fd, XS_WATCH, P("/\0t\0"), XS_WATCH, "OK");
	for (unsigned int i = 0; i < 10000; i++) {
		g_autofree char *path = g_strdup_printf("/%u/%0500u", i % 100, 0);

		expect(busy, XS_WRITE, path, strlen(path) + 1, XS_WRITE, "OK");
	}
	close(fd);
	harness_settle();
	g_assert_cmpuint(harness_count_fds(), ==, n_fds + 2);
	close(busy);
	harness_settle();
	g_assert_cmpuint(harness_count_fds(), ==, n_fds);
}

static void test_broken(struct fixture *fixture, gconstpointer unused)
{
	const struct xsd_sockmsg bad = { .type = XS_READ, .len = XENSTORE_PAYLOAD_MAX + 1 };
	bool ended;
	int fd = join(fixture);

	(void)unused;
	(void)harness_send(fd, &bad, sizeof(bad));
	g_string_free(harness_receive(fd, &ended), TRUE);
	g_assert_true(ended);
	close(fd);
	fd = join(fixture);
	expect(fd, XS_WRITE, P("/a\0"), XS_WRITE, "OK");
	close(fd);
}

static void test_garbage(struct fixture *fixture, gconstpointer unused)
{
	unsigned int n_fds = harness_count_fds();

	(void)unused;
	for (unsigned int round = 0; round < 2000; round++) {
		int fd = join(fixture);
		uint8_t bytes[256];
		struct xsd_sockmsg header = { .type = (uint32_t)g_test_rand_int_range(0, 30), .len = sizeof(bytes) };

		for (size_t i = 0; i < sizeof(bytes); i++)
			bytes[i] = (uint8_t)g_test_rand_int_range(0, g_test_rand_bit() ? 256 : 2);
		if (g_test_rand_bit())
			memcpy(bytes, "/local", 7);
		(void)harness_send(fd, &header, sizeof(header));
		(void)harness_send(fd, bytes, sizeof(bytes));
		g_string_free(harness_receive(fd, NULL), TRUE);
		close(fd);
	}
	harness_settle();
	g_assert_cmpuint(harness_count_fds(), ==, n_fds);
}

static void test_many_clients(struct fixture *fixture, gconstpointer unused)
{
	int fds[XENSTORE_SOCKET_CLIENTS_MAX];
	bool ended;

	(void)unused;
	for (unsigned int i = 0; i < XENSTORE_SOCKET_CLIENTS_MAX; i++)
		fds[i] = join(fixture);
	int extra = join(fixture);
	g_string_free(harness_receive(extra, &ended), TRUE);
	g_assert_true(ended);
	close(extra);
	for (unsigned int i = 0; i < XENSTORE_SOCKET_CLIENTS_MAX; i++)
		expect(fds[i], XS_WRITE, P("/a\0"), XS_WRITE, "OK");
	close(fds[5]);
	harness_settle();
	fds[5] = join(fixture);
	expect(fds[5], XS_WRITE, P("/a\0"), XS_WRITE, "OK");
	for (unsigned int i = 0; i < XENSTORE_SOCKET_CLIENTS_MAX; i++)
		close(fds[i]);
	harness_settle();
}

/* A restart of the machine: a new store on the same listening socket. */
static void test_restart(struct fixture *fixture, gconstpointer unused)
{
	char payload[XENSTORE_PAYLOAD_MAX + 1];
	struct xsd_sockmsg header;
	int fd = join(fixture), half = join(fixture);
	bool ended;

	(void)unused;
	expect(fd, XS_WATCH, P("@releaseDomain\0t\0"), XS_WATCH, "OK");
	g_assert_true(send_request(fd, XS_TRANSACTION_START, P("\0")));
	g_string_free(harness_receive(fd, NULL), TRUE);
	(void)harness_send(half, "half", 4);
	harness_settle();
	xenstore_fire_special(fixture->store, "@releaseDomain");
	xenstore_socket_free(fixture->socket);
	xenstore_free(fixture->store);
	/* Comes in between, and waits. */
	int early = harness_connect(fixture->folder, "xenstore.sock");
	fixture->store = xenstore_new(NULL);
	fixture->socket = xenstore_socket_new(fixture->listen_fd, fixture->store);
	/* The last that was to be said is said. */
	g_autoptr(GString) last = harness_receive(fd, &ended);
	g_assert_true(next_message(last, &header, payload));
	g_assert_cmpuint(header.type, ==, XS_WATCH_EVENT);
	g_assert_cmpstr(payload, ==, "@releaseDomain");
	g_assert_cmpuint(last->len, ==, 0);
	g_assert_true(ended);
	expect(early, XS_READ, P("/a\0"), XS_ERROR, "ENOENT");
	close(fd);
	close(half);
	close(early);
}

/* Debian's tools, as they are, on a domain in another process. */

static char *run_tool(const char *command, int *status)
{
	g_autoptr(GError) error = NULL;
	g_auto(GStrv) words = NULL;
	char *output, *errors;
	int wait_status;

	g_assert_true(g_shell_parse_argv(command, NULL, &words, &error));
	g_assert_true(g_spawn_sync(NULL, words, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &output, &errors, &wait_status,
				   &error));
	g_assert_no_error(error);
	*status = WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : -1;
	char *all = g_strconcat(output, errors, NULL);
	g_free(output);
	g_free(errors);
	return all;
}

static void expect_tool(const char *command, int status, const char *output)
{
	int got_status;
	g_autofree char *got = run_tool(command, &got_status);

	g_test_message("%s", command);
	g_assert_cmpstr(got, ==, output);
	g_assert_cmpint(got_status, ==, status);
}

static void use_tools(void)
{
	int status;

	expect_tool("xenstore-read /local/domain/1/name", 0, "fake\n");
	expect_tool("xenstore-write /a/b one /a/c two", 0, "");
	expect_tool("xenstore-list /a", 0, "b\nc\n");
	expect_tool("xenstore-read /a/b /a/c", 0, "one\ntwo\n");
	expect_tool("xenstore-exists /a/b", 0, "");
	expect_tool("xenstore-exists /a/x", 1, "");
	expect_tool("xenstore-chmod /a/b n1 r2", 0, "");
	expect_tool("xenstore-ls -f -p /a", 0, "/a/b = \"one\"   (n1,r2)\n/a/c = \"two\"   (n0)\n");
	expect_tool("xenstore-read /a/x", 1, "xenstore-read: couldn't read path /a/x\n");
	expect_tool("xenstore-watch -n 1 /a", 0, "/a\n");
	expect_tool("xenstore-rm /a", 0, "");
	expect_tool("xenstore-exists /a", 1, "");
	g_autofree char *all = run_tool("xenstore-ls -f", &status);
	g_assert_cmpint(status, ==, 0);
	g_assert_nonnull(strstr(all, "/local/domain/1/memory/static-max = \"524288\"\n"));
}

static void test_tools(void)
{
	g_autofree char *tool = g_find_program_in_path("xenstore-ls");
	char *folder = harness_make_folder();

	g_setenv("XDG_RUNTIME_DIR", folder, TRUE);
	if (!tool) {
		g_test_skip("xenstore-utils is not installed");
	} else {
		g_autofree char *path = g_build_filename(folder, "dom1", "tools", "xenstore.sock", NULL);
		pid_t pid = harness_start_domain("tools", HARNESS_SERVES);

		g_setenv("XENSTORED_PATH", path, TRUE);
		use_tools();
		harness_stop_domain(pid);
	}
	g_unsetenv("XDG_RUNTIME_DIR");
	harness_remove_folder(folder);
}

#define ADD(name, function)                                                                                            \
	g_test_add("/control/xenstore_socket/" name, struct fixture, NULL, set_up, function, tear_down)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("requests", test_requests);
	ADD("pieces", test_pieces);
	ADD("events", test_events);
	ADD("stalled-watcher", test_stalled_watcher);
	ADD("back-pressure", test_back_pressure);
	ADD("stalled-hang-up", test_stalled_hang_up);
	ADD("broken", test_broken);
	ADD("garbage", test_garbage);
	ADD("many-clients", test_many_clients);
	ADD("restart", test_restart);
	g_test_add_func("/control/xenstore_socket/tools", test_tools);
	return g_test_run();
}
