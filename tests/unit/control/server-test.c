// SPDX-License-Identifier: MIT
/* server.c, commands.c, domain_ops.c: the protocol, and clients that mean no good. */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <xen/io/xs_wire.h>

#include "control/domain_ops.h"
#include "control/harness.h"
#include "control/json_text.h"
#include "control/server.h"
#include "xen/xenstore/xenstore.h"

struct fixture {
	char *folder;
	int listen_fd;
	struct fake_machine machine;
	struct control_server *server;
};

static void set_up(struct fixture *fixture, gconstpointer unused)
{
	(void)unused;
	fixture->folder = harness_make_folder();
	fixture->listen_fd = harness_listen(fixture->folder, "control.sock");
	fake_machine_init(&fixture->machine);
	fixture->server = control_server_new(fixture->listen_fd, &FAKE_OPS, &fixture->machine);
	fixture->machine.server = fixture->server;
}

static void tear_down(struct fixture *fixture, gconstpointer unused)
{
	(void)unused;
	control_server_free(fixture->server);
	fake_machine_clear(&fixture->machine);
	close(fixture->listen_fd);
	harness_remove_folder(fixture->folder);
}

/* Connected, and the greeting is taken. */
static int join(const struct fixture *fixture)
{
	int fd = harness_connect(fixture->folder, "control.sock");
	g_autoptr(GString) greeting = harness_receive(fd, NULL);

	g_assert_true(g_str_has_prefix(greeting->str, "{\"QMP\":{\"version\":{\"dom1\":{\"major\":"));
	g_assert_true(g_str_has_suffix(greeting->str, "\"capabilities\":[]}}\n"));
	return fd;
}

/* What comes back for what is sent. */
static char *ask(int fd, const char *text)
{
	g_assert_true(harness_send(fd, text, strlen(text)));
	return g_string_free(harness_receive(fd, NULL), FALSE);
}

static void expect(int fd, const char *request, const char *answer)
{
	g_autofree char *got = ask(fd, request);

	g_assert_cmpstr(got, ==, answer);
}

static void expect_error(int fd, const char *request, const char *class, const char *part)
{
	g_autofree char *got = ask(fd, request);
	g_autofree char *start = g_strdup_printf("{\"error\":{\"class\":\"%s\",\"desc\":\"", class);

	g_assert_true(g_str_has_prefix(got, start));
	g_assert_nonnull(strstr(got, part));
	g_assert_true(g_str_has_suffix(got, "}\n"));
	g_assert_true(strchr(got, '\n') == got + strlen(got) - 1);
}

#define GENERIC(fd, request, part) expect_error(fd, request "\n", "GenericError", part)

static void expect_log(struct fixture *fixture, const char *log)
{
	g_assert_cmpstr(fixture->machine.log->str, ==, log);
	g_string_truncate(fixture->machine.log, 0);
}

static void expect_node(const struct fixture *fixture, const char *path, const char *value)
{
	g_autofree char *full = g_strconcat("/local/domain/1/", path, NULL);
	g_autofree char *got = harness_read_node(fixture->machine.store, full);

	g_assert_cmpstr(got, ==, value);
}

static void set_node(const struct fixture *fixture, const char *path, const char *value)
{
	g_autofree char *full = g_strconcat("/local/domain/1/", path, NULL);

	g_assert_cmpint(xenstore_write(fixture->machine.store, full, value, strlen(value)), ==, 0);
}

static void test_ids(struct fixture *fixture, gconstpointer unused)
{
	static const char *const ids[] = {
		"1", "-5", "\"a\"", "null", "true", "[1,{\"b\":null}]", "{}", "\"\\u001F\\u007F\""
	};
	int fd = join(fixture);

	(void)unused;
	for (size_t i = 0; i < G_N_ELEMENTS(ids); i++) {
		g_autofree char *request = g_strdup_printf("{\"id\":%s,\"execute\":\"qmp_capabilities\"}\n", ids[i]);
		g_autofree char *answer = g_strdup_printf("{\"return\":{},\"id\":%s}\n", ids[i]);
		g_autofree char *wrong = g_strdup_printf("{\"id\":%s,\"execute\":\"nonsense\"}\n", ids[i]);
		g_autofree char *end = g_strdup_printf(",\"id\":%s}\n", ids[i]);
		g_autofree char *got = ask(fd, wrong);

		expect(fd, request, answer);
		g_assert_true(g_str_has_suffix(got, end));
	}
	close(fd);
}

static void test_errors(struct fixture *fixture, gconstpointer unused)
{
	int fd = join(fixture);

	(void)unused;
	expect_error(fd, "{\"execute\":\"quit\"}\n", "CommandNotFound", "quit");
	GENERIC(fd, "{\"execute\":1}", "execute");
	GENERIC(fd, "{\"execute\":null}", "execute");
	GENERIC(fd, "{\"execute\":[\"info\"]}", "execute");
	GENERIC(fd, "{}", "execute");
	GENERIC(fd, "{\"execute\":\"info\",\"arguments\":[]}", "arguments");
	GENERIC(fd, "{\"execute\":\"info\",\"arguments\":null}", "arguments");
	GENERIC(fd, "{\"execute\":\"info\",\"arguments\":{\"x\":1}}", "no other arguments");
	GENERIC(fd, "{\"execute\":\"info\",\"extra\":1}", "nothing else");
	GENERIC(fd, "{\"execute\":\"sysrq\"}", "key is missing");
	GENERIC(fd, "{\"execute\":\"sysrq\",\"arguments\":{\"key\":1}}", "must be a string");
	GENERIC(fd, "{\"execute\":\"vcpu-set\",\"arguments\":{\"vcpus\":\"1\"}}", "must be an integer");
	GENERIC(fd, "{\"execute\":\"vcpu-set\",\"arguments\":{\"vcpus\":1.5}}", "must be an integer");
	GENERIC(fd, "{\"execute\":\"vcpu-set\",\"arguments\":{\"vcpus\":true}}", "must be an integer");
	GENERIC(fd, "{\"execute\":\"vcpu-set\",\"arguments\":{\"vcpus\":null}}", "must be an integer");
	GENERIC(fd, "[]", "object");
	GENERIC(fd, "1", "object");
	GENERIC(fd, "{", "not JSON");
	GENERIC(fd, "\"\\u0000\"", "not JSON");
	GENERIC(fd, "\xff", "not JSON");
	GENERIC(fd, "{\"execute\":\"info\",\"execute\":\"destroy\"}", "not JSON: line 1, column ");
	/* And it goes on as if nothing had been. */
	expect(fd, "{\"execute\":\"qmp_capabilities\"}\n", "{\"return\":{}}\n");
	expect(fd, "\n \n\t\r\n", "");
	expect_log(fixture, "");
	close(fd);
}

static void test_info(struct fixture *fixture, gconstpointer unused)
{
	int fd = join(fixture);

	(void)unused;
	set_node(fixture, "cpu/2/availability", "offline");
	set_node(fixture, "memory/target", "262144");
	expect(fd, "{\"execute\":\"info\"}\n",
	       "{\"return\":{\"name\":\"fake\",\"uuid\":\"00000000-0000-0000-0000-000000000001\",\"domid\":1,"
	       "\"type\":\"pvh\",\"state\":\"running\",\"vcpus\":3,\"max_vcpus\":4,\"memory_kib\":524288,"
	       "\"uptime_ns\":12345678901,\"restarts\":2,\"memory_target_kib\":262144,\"memory_max_kib\":524288}}\n");
	fixture->machine.state = CONTROL_SHUTDOWN;
	struct xenstore *store = g_steal_pointer(&fixture->machine.store);
	expect(fd, "{\"execute\":\"info\"}\n",
	       "{\"return\":{\"name\":\"fake\",\"uuid\":\"00000000-0000-0000-0000-000000000001\",\"domid\":1,"
	       "\"type\":\"pvh\",\"state\":\"shutdown\",\"vcpus\":4,\"max_vcpus\":4,\"memory_kib\":524288,"
	       "\"uptime_ns\":12345678901,\"restarts\":2}}\n");
	GENERIC(fd, "{\"execute\":\"shutdown\"}", "has shut down");
	fixture->machine.store = store;
	expect(fd, "{\"execute\":\"event-channels\"}\n",
	       "{\"return\":[{\"port\":1,\"kind\":\"backend\",\"vcpu\":0,\"remote_domid\":0,"
	       "\"pending\":false,\"masked\":false},"
	       "{\"port\":7,\"kind\":\"virq\",\"vcpu\":1,\"virq\":0,\"pending\":true,\"masked\":true}]}\n");
	g_autofree char *commands = ask(fd, "{\"execute\":\"query-commands\"}\n");
	g_assert_nonnull(strstr(commands, "{\"name\":\"vcpu-set\"}"));
	g_autofree char *version = ask(fd, "{\"execute\":\"query-version\"}\n");
	g_assert_nonnull(strstr(version, "\"package\":\"dom1 " DOM1_VERSION "\""));
	close(fd);
}

static void test_state(struct fixture *fixture, gconstpointer unused)
{
	int fd = join(fixture), other = join(fixture);

	(void)unused;
	g_autofree char *got = ask(fd, "{\"execute\":\"pause\"}\n");
	/* The event, to all, and the answer to the one who asked. */
	g_assert_true(g_str_has_prefix(got, "{\"event\":\"PAUSE\",\"timestamp\":{\"seconds\":"));
	g_assert_nonnull(strstr(got, ",\"data\":{}}\n{\"return\":{}}\n"));
	g_autoptr(GString) event = harness_receive(other, NULL);
	g_assert_true(g_str_has_prefix(event->str, "{\"event\":\"PAUSE\","));
	g_assert_true(strchr(event->str, '\n') == event->str + event->len - 1);
	/* Nothing changes: no event. */
	expect(fd, "{\"execute\":\"pause\"}\n", "{\"return\":{}}\n");
	expect_log(fixture, "pause;pause;");
	g_autofree char *unpaused = ask(fd, "{\"execute\":\"unpause\",\"id\":1}\n");
	g_assert_nonnull(strstr(unpaused, "\"UNPAUSE\""));
	fixture->machine.refusal = "line one\n\xff";
	GENERIC(fd, "{\"execute\":\"pause\"}", "line one\\n\xef\xbf\xbd");
	fixture->machine.refusal = NULL;
	fixture->machine.state = CONTROL_SHUTDOWN;
	GENERIC(fd, "{\"execute\":\"pause\"}", "has shut down");
	GENERIC(fd, "{\"execute\":\"trigger\",\"arguments\":{\"type\":\"nmi\"}}", "has shut down");
	expect_log(fixture, "unpause;");
	expect(fd, "{\"execute\":\"destroy\"}\n", "{\"return\":{}}\n");
	expect_log(fixture, "destroy;");
	close(other);
	close(fd);
}

/* As Linux does, which has no node to say that it listens to SysRq keys. */
static struct xs_conn *watch_as_guest(const struct fixture *fixture, const char *path)
{
	struct xs_conn *guest = xs_conn_new(fixture->machine.store, 1, NULL, NULL);
	struct xsd_sockmsg head = { .type = XS_WATCH, .len = (uint32_t)(strlen(path) + 3) };

	g_assert_cmpuint(xs_conn_feed(guest, &head, sizeof(head)), ==, sizeof(head));
	g_assert_cmpuint(xs_conn_feed(guest, path, strlen(path) + 1), ==, strlen(path) + 1);
	g_assert_cmpuint(xs_conn_feed(guest, "t", 2), ==, 2);
	return guest;
}

static void test_guest_requests(struct fixture *fixture, gconstpointer unused)
{
	int fd = join(fixture);

	(void)unused;
	expect(fd, "{\"execute\":\"shutdown\"}\n", "{\"return\":{\"heeded\":false}}\n");
	expect_node(fixture, "control/shutdown", "poweroff");
	set_node(fixture, "control/feature-reboot", "1");
	expect(fd, "{\"execute\":\"reboot\"}\n", "{\"return\":{\"heeded\":true}}\n");
	expect_node(fixture, "control/shutdown", "reboot");
	expect(fd, "{\"execute\":\"sysrq\",\"arguments\":{\"key\":\"t\"}}\n", "{\"return\":{\"heeded\":false}}\n");
	struct xs_conn *guest = watch_as_guest(fixture, "control/sysrq");
	expect(fd, "{\"execute\":\"sysrq\",\"arguments\":{\"key\":\"w\"}}\n", "{\"return\":{\"heeded\":true}}\n");
	expect_node(fixture, "control/sysrq", "w");
	g_assert_true(domain_sysrq_waits(fixture->machine.store));
	domain_withdraw_sysrq(fixture->machine.store);
	g_assert_false(domain_sysrq_waits(fixture->machine.store));
	GENERIC(fd, "{\"execute\":\"sysrq\",\"arguments\":{\"key\":\"\"}}", "one printable");
	GENERIC(fd, "{\"execute\":\"sysrq\",\"arguments\":{\"key\":\"ab\"}}", "one printable");
	GENERIC(fd, "{\"execute\":\"sysrq\",\"arguments\":{\"key\":\" \"}}", "one printable");
	GENERIC(fd, "{\"execute\":\"sysrq\",\"arguments\":{\"key\":\"\\u00e9\"}}", "one printable");
	expect_node(fixture, "control/sysrq", "");
	xs_conn_free(guest);
	close(fd);
}

static void test_balloon(struct fixture *fixture, gconstpointer unused)
{
	int fd = join(fixture);

	(void)unused;
	expect(fd, "{\"execute\":\"balloon\",\"arguments\":{\"bytes\":268439551}}\n",
	       "{\"return\":{\"target_kib\":262144}}\n");
	expect_node(fixture, "memory/target", "262144");
	expect(fd, "{\"execute\":\"balloon\",\"arguments\":{\"bytes\":536870912}}\n",
	       "{\"return\":{\"target_kib\":524288}}\n");
	expect(fd, "{\"execute\":\"balloon\",\"arguments\":{\"bytes\":1048576}}\n",
	       "{\"return\":{\"target_kib\":1024}}\n");
	GENERIC(fd, "{\"execute\":\"balloon\",\"arguments\":{\"bytes\":536875008}}", "524288 KiB at the most");
	GENERIC(fd, "{\"execute\":\"balloon\",\"arguments\":{\"bytes\":999999999999999999}}", "at the most");
	GENERIC(fd, "{\"execute\":\"balloon\",\"arguments\":{\"bytes\":1048575}}", "1 MiB");
	GENERIC(fd, "{\"execute\":\"balloon\",\"arguments\":{\"bytes\":0}}", "1 MiB");
	GENERIC(fd, "{\"execute\":\"balloon\",\"arguments\":{\"bytes\":-1}}", "negative");
	expect_node(fixture, "memory/target", "1024");
	set_node(fixture, "memory/static-max", "much");
	GENERIC(fd, "{\"execute\":\"balloon\",\"arguments\":{\"bytes\":268435456}}", "static-max");
	close(fd);
}

static void count_events(void *opaque, const char *path)
{
	(void)path;
	++*(unsigned int *)opaque;
}

static void test_vcpus(struct fixture *fixture, gconstpointer unused)
{
	static const char *const after_2[] = { "online", "online", "offline", "offline" };
	unsigned int n_events = 0;
	struct xenstore_watch *watch =
		xenstore_watch(fixture->machine.store, "/local/domain/1/cpu", count_events, &n_events);
	int fd = join(fixture);

	(void)unused;
	expect(fd, "{\"execute\":\"vcpu-set\",\"arguments\":{\"vcpus\":2}}\n", "{\"return\":{}}\n");
	for (unsigned int i = 0; i < 4; i++) {
		g_autofree char *path = g_strdup_printf("cpu/%u/availability", i);

		expect_node(fixture, path, after_2[i]);
	}
	/* One at registration, and only what changed: each is an order to the guest. */
	g_assert_cmpuint(n_events, ==, 3);
	expect(fd, "{\"execute\":\"vcpu-set\",\"arguments\":{\"vcpus\":2}}\n", "{\"return\":{}}\n");
	g_assert_cmpuint(n_events, ==, 3);
	expect(fd, "{\"execute\":\"vcpu-set\",\"arguments\":{\"vcpus\":4}}\n", "{\"return\":{}}\n");
	g_assert_cmpuint(n_events, ==, 5);
	GENERIC(fd, "{\"execute\":\"vcpu-set\",\"arguments\":{\"vcpus\":0}}", "1 to 4");
	GENERIC(fd, "{\"execute\":\"vcpu-set\",\"arguments\":{\"vcpus\":5}}", "1 to 4");
	GENERIC(fd, "{\"execute\":\"vcpu-set\",\"arguments\":{\"vcpus\":-1}}", "1 to 4");
	GENERIC(fd, "{\"execute\":\"vcpu-set\",\"arguments\":{\"vcpus\":4294967298}}", "1 to 4");
	g_assert_cmpuint(n_events, ==, 5);
	xenstore_unwatch(fixture->machine.store, watch);
	close(fd);
}

static void test_trigger(struct fixture *fixture, gconstpointer unused)
{
	int fd = join(fixture);

	(void)unused;
	expect(fd, "{\"execute\":\"trigger\",\"arguments\":{\"type\":\"nmi\"}}\n", "{\"return\":{}}\n");
	expect(fd, "{\"execute\":\"trigger\",\"arguments\":{\"type\":\"nmi\",\"vcpu\":3}}\n", "{\"return\":{}}\n");
	expect(fd, "{\"execute\":\"trigger\",\"arguments\":{\"type\":\"debug\"}}\n", "{\"return\":{}}\n");
	expect_log(fixture, "trigger nmi 0;trigger nmi 3;trigger debug -1;");
	GENERIC(fd, "{\"execute\":\"trigger\",\"arguments\":{\"type\":\"smi\"}}", "nmi or debug");
	GENERIC(fd, "{\"execute\":\"trigger\",\"arguments\":{\"type\":\"nmi\",\"vcpu\":4}}", "0 to 3");
	GENERIC(fd, "{\"execute\":\"trigger\",\"arguments\":{\"type\":\"nmi\",\"vcpu\":-1}}", "0 to 3");
	expect_log(fixture, "");
	close(fd);
}

/* A machine that offers nothing but its status. */
static void test_not_offered(void)
{
	const struct control_ops ops = { .status = FAKE_OPS.status };
	struct fixture fixture = { .folder = harness_make_folder() };

	fake_machine_init(&fixture.machine);
	fixture.listen_fd = harness_listen(fixture.folder, "control.sock");
	fixture.server = control_server_new(fixture.listen_fd, &ops, &fixture.machine);
	int fd = join(&fixture);
	GENERIC(fd, "{\"execute\":\"pause\"}", "not offer");
	GENERIC(fd, "{\"execute\":\"unpause\"}", "not offer");
	GENERIC(fd, "{\"execute\":\"destroy\"}", "not offer");
	GENERIC(fd, "{\"execute\":\"event-channels\"}", "not offer");
	GENERIC(fd, "{\"execute\":\"trigger\",\"arguments\":{\"type\":\"nmi\"}}", "not offer");
	GENERIC(fd, "{\"execute\":\"shutdown\"}", "has shut down");
	GENERIC(fd, "{\"execute\":\"balloon\",\"arguments\":{\"bytes\":1}}", "has shut down");
	g_autofree char *info = ask(fd, "{\"execute\":\"info\"}\n");
	g_assert_true(g_str_has_prefix(info, "{\"return\":{\"name\":\"fake\""));
	close(fd);
	tear_down(&fixture, NULL);
}

/* However the bytes arrive, the lines are the same. */
static void test_pieces(struct fixture *fixture, gconstpointer unused)
{
	static const char lines[] =
		"{\"execute\":\"qmp_capabilities\",\"id\":1}\n\n{\"execute\":\"qmp_capabilities\",\"id\":2}\r\n"
		"x\n{\"execute\":\"qmp_capabilities\",\"id\":3}\n";
	int whole = join(fixture);
	g_autofree char *expected = ask(whole, lines);

	(void)unused;
	g_assert_nonnull(strstr(expected, "\"id\":3}\n"));
	for (size_t piece = 1; piece < 8; piece++) {
		int fd = join(fixture);

		for (size_t at = 0; at < strlen(lines); at += piece)
			g_assert_true(harness_send(fd, lines + at, MIN(piece, strlen(lines) - at)));
		g_autoptr(GString) got = harness_receive(fd, NULL);
		g_assert_cmpstr(got->str, ==, expected);
		close(fd);
	}
	close(whole);
}

/* A shell's way: write, say that it is all, read. */
static void test_half_close(struct fixture *fixture, gconstpointer unused)
{
	static const char lines[] = "{\"execute\":\"qmp_capabilities\"}\n{\"execute\":\"qmp_capabilities\"}";
	int fd = join(fixture);
	bool ended;

	(void)unused;
	g_assert_true(harness_send(fd, lines, strlen(lines)));
	shutdown(fd, SHUT_WR);
	g_autoptr(GString) got = harness_receive(fd, &ended);
	g_assert_cmpstr(got->str, ==, "{\"return\":{}}\n{\"return\":{}}\n");
	g_assert_true(ended);
	close(fd);
}

static void expect_length(const struct fixture *fixture, size_t line_bytes, bool fits)
{
	g_autoptr(GString) line = g_string_new("{\"execute\":\"qmp_capabilities\",\"id\":\"");
	int fd = join(fixture);
	bool ended;

	while (line->len < line_bytes - 2)
		g_string_append_c(line, 'x');
	g_string_append(line, "\"}\n");
	g_assert_cmpuint(line->len, ==, line_bytes + 1);
	(void)harness_send(fd, line->str, line->len);
	g_autoptr(GString) got = harness_receive(fd, &ended);
	g_assert_true(g_str_has_prefix(got->str, fits ? "{\"return\"" : "{\"error\""));
	g_assert_cmpint(ended, ==, !fits);
	close(fd);
}

static void test_long_lines(struct fixture *fixture, gconstpointer unused)
{
	g_autofree char *endless = g_strnfill(1 << 20, 'x');
	int fd = join(fixture);
	bool ended;

	(void)unused;
	expect_length(fixture, CONTROL_LINE_MAX, true);
	expect_length(fixture, CONTROL_LINE_MAX + 1, false);
	g_assert_false(harness_send(fd, endless, 1 << 20));
	g_autoptr(GString) got = harness_receive(fd, &ended);
	g_assert_nonnull(strstr(got->str, "64 KiB"));
	g_assert_true(ended);
	close(fd);
}

static void test_hostile_json(struct fixture *fixture, gconstpointer unused)
{
	g_autoptr(GString) deep = g_string_new(NULL);
	g_autoptr(GString) wide = g_string_new("{\"execute\":\"qmp_capabilities\",\"id\":[0");
	int fd = join(fixture);

	(void)unused;
	while (deep->len < CONTROL_LINE_MAX)
		g_string_append_c(deep, '[');
	g_string_append_c(deep, '\n');
	expect_error(fd, deep->str, "GenericError", "nested too deeply");
	while (wide->len < CONTROL_LINE_MAX - 8)
		g_string_append(wide, ",[]");
	g_string_append(wide, "]}\n");
	g_autofree char *answer = ask(fd, wide->str);
	g_assert_true(g_str_has_prefix(answer, "{\"return\":{},\"id\":[0,[],"));
	close(fd);
}

/* Whatever is sent, each line that comes back is JSON, and the server lives. */
static void test_mutations(struct fixture *fixture, gconstpointer unused)
{
	static const char *const seeds[] = {
		"{\"execute\":\"info\",\"id\":\"x\"}\n",
		"{\"execute\":\"trigger\",\"arguments\":{\"type\":\"nmi\",\"vcpu\":1},\"id\":[1,{\"a\":null}]}\n",
		"{\"execute\":\"balloon\",\"arguments\":{\"bytes\":268435456}}\n{\"execute\":\"pause\"}\n",
		"{\"execute\":\"sysrq\",\"arguments\":{\"key\":\"\\u0077\"}}\n",
		"{\"execute\":\"event-channels\"}\n",
	};
	int fd = join(fixture);

	(void)unused;
	for (unsigned int round = 0; round < 10000; round++) {
		g_autoptr(GString) text = g_string_new(seeds[round % G_N_ELEMENTS(seeds)]);
		gint n = g_test_rand_int_range(1, 6);
		bool ended;

		for (gint i = 0; i < n; i++) {
			gssize at = g_test_rand_int_range(0, (gint)text->len);

			if (g_test_rand_bit())
				text->str[at] = (char)g_test_rand_int_range(0, 256);
			else
				g_string_insert_c(text, at, "{}[]\":,\\\n09e-"[g_test_rand_int_range(0, 13)]);
		}
		(void)harness_send(fd, text->str, text->len);
		g_autoptr(GString) got = harness_receive(fd, &ended);
		g_assert_false(ended);
		g_auto(GStrv) lines = g_strsplit(got->str, "\n", -1);
		for (char **line = lines; *line && (*line)[0]; line++) {
			g_autoptr(GError) error = NULL;
			g_autoptr(json_t) parsed = json_text_parse(*line, strlen(*line), &error);

			if (!json_is_object(parsed))
				g_error("%s: %s", error ? error->message : "no object", *line);
		}
		/* What was left without its newline. */
		(void)harness_send(fd, "\n", 1);
		g_string_free(harness_receive(fd, NULL), TRUE);
	}
	expect(fd, "{\"execute\":\"qmp_capabilities\"}\n", "{\"return\":{}}\n");
	close(fd);
}

/* Who does not read is sent away; the others see every event, and nobody waits. */
static void test_slow_reader(struct fixture *fixture, gconstpointer unused)
{
	int slow = join(fixture), good = join(fixture);
	unsigned int n_fds = harness_count_fds(), n_events = 0;
	bool ended = false;

	(void)unused;
	for (; n_events < 1000000 && harness_count_fds() == n_fds; n_events++) {
		control_server_event(fixture->server, "NOISE", NULL);
		g_autoptr(GString) got = harness_receive(good, &ended);
		g_assert_true(g_str_has_prefix(got->str, "{\"event\":\"NOISE\""));
		g_assert_false(ended);
	}
	g_assert_cmpuint(harness_count_fds(), ==, n_fds - 1);
	/* It got what its socket and its buffer took: at least the buffer. */
	g_assert_cmpuint(
		n_events *
			strlen("{\"event\":\"NOISE\",\"timestamp\":{\"seconds\":1,\"microseconds\":1},\"data\":{}}\n"),
		>, CONTROL_UNREAD_MAX / 2);
	expect(good, "{\"execute\":\"qmp_capabilities\"}\n", "{\"return\":{}}\n");
	close(slow);
	close(good);
}

/* One that asks without ever reading the answers; in the middle of its own request it is found out. */
static void test_greedy_client(struct fixture *fixture, gconstpointer unused)
{
	static const char request[] = "{\"execute\":\"event-channels\"}\n{\"execute\":\"info\"}\n";
	int fd = join(fixture);
	unsigned int n = 0;

	(void)unused;
	while (n < 1000000 && harness_send(fd, request, strlen(request)))
		n++;
	g_assert_cmpuint(n, <, 1000000);
	close(fd);

	/* The same by events that arise inside of its request. */
	fd = join(fixture);
	fixture->machine.events_in_pause = 1000000;
	(void)harness_send(fd, "{\"execute\":\"pause\"}\n", 20);
	bool ended;
	g_autoptr(GString) got = harness_receive(fd, &ended);
	g_assert_true(ended);
	close(fd);
	fd = join(fixture);
	expect(fd, "{\"execute\":\"qmp_capabilities\"}\n", "{\"return\":{}}\n");
	close(fd);
}

/* A slow one that does read in the end gets everything, in order. */
static void test_late_reader(struct fixture *fixture, gconstpointer unused)
{
	int fd = join(fixture);
	g_autoptr(GString) got = NULL;
	char *at;

	(void)unused;
	for (unsigned int i = 0; i < 2000; i++) {
		json_t *data = json_object();

		json_add_number(data, "n", i);
		control_server_event(fixture->server, "COUNT", data);
	}
	got = harness_receive(fd, NULL);
	at = got->str;
	for (unsigned int i = 0; i < 2000; i++) {
		g_autofree char *wanted = g_strdup_printf("\"data\":{\"n\":%u}}\n", i);

		at = strstr(at, "\"data\"");
		g_assert_true(at && g_str_has_prefix(at, wanted));
		at++;
	}
	close(fd);
}

static void test_many_clients(struct fixture *fixture, gconstpointer unused)
{
	int fds[CONTROL_CLIENTS_MAX];
	bool ended;

	(void)unused;
	for (unsigned int i = 0; i < CONTROL_CLIENTS_MAX; i++)
		fds[i] = join(fixture);
	int extra = harness_connect(fixture->folder, "control.sock");
	g_autoptr(GString) got = harness_receive(extra, &ended);
	g_assert_true(g_str_has_prefix(got->str, "{\"error\":"));
	g_assert_true(ended);
	close(extra);
	/* The first one goes: there is room. */
	close(fds[0]);
	harness_settle();
	fds[0] = join(fixture);
	for (unsigned int i = 0; i < CONTROL_CLIENTS_MAX; i++)
		expect(fds[i], "{\"execute\":\"qmp_capabilities\"}\n", "{\"return\":{}}\n");
	for (unsigned int round = 0; round < 200; round++) {
		close(fds[round % CONTROL_CLIENTS_MAX]);
		harness_settle();
		fds[round % CONTROL_CLIENTS_MAX] = join(fixture);
	}
	for (unsigned int i = 0; i < CONTROL_CLIENTS_MAX; i++)
		close(fds[i]);
	harness_settle();
}

static void send_with_fds(int socket_fd, const char *text, int fd, unsigned int n)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(64 * sizeof(int))];
	} control = { .bytes = { 0 } };
	int fds[64];
	struct iovec vector = { (char *)text, strlen(text) };
	struct msghdr message = { .msg_iov = &vector,
				  .msg_iovlen = 1,
				  .msg_control = &control,
				  .msg_controllen = CMSG_SPACE(n * sizeof(int)) };
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	for (unsigned int i = 0; i < n; i++)
		fds[i] = fd;
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(n * sizeof(int));
	memcpy(CMSG_DATA(header), fds, n * sizeof(int));
	g_assert_cmpint(sendmsg(socket_fd, &message, MSG_NOSIGNAL), ==, (ssize_t)strlen(text));
	harness_settle();
}

static void test_descriptors(struct fixture *fixture, gconstpointer unused)
{
	int fd = join(fixture);
	unsigned int n_fds = harness_count_fds();
	int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	(void)unused;
	/* Without a line that ends they are kept, but only some; the line's end closes them. */
	send_with_fds(fd, "{\"execute\":", null_fd, 64);
	g_assert_cmpuint(harness_count_fds(), ==, n_fds + 1 + CONTROL_FDS_MAX);
	expect(fd, "\"qmp_capabilities\"}", "");
	g_assert_cmpuint(harness_count_fds(), ==, n_fds + 1 + CONTROL_FDS_MAX);
	expect(fd, "\n", "{\"return\":{}}\n");
	g_assert_cmpuint(harness_count_fds(), ==, n_fds + 1);
	/* A line before theirs does not cost them. */
	g_assert_cmpint(send(fd, "{\"execute\":\"info\"}\n{", 20, 0), ==, 20);
	send_with_fds(fd, "\"execute\"", null_fd, 2);
	g_assert_cmpuint(harness_count_fds(), ==, n_fds + 3);
	g_string_free(harness_receive(fd, NULL), TRUE);
	expect(fd, ":\"qmp_capabilities\"}\n", "{\"return\":{}}\n");
	g_assert_cmpuint(harness_count_fds(), ==, n_fds + 1);
	/* They are closed with the client. */
	send_with_fds(fd, "x", null_fd, 3);
	close(fd);
	harness_settle();
	close(null_fd);
	g_assert_cmpuint(harness_count_fds(), ==, n_fds - 2);
}

/* Clients are there when the server goes, in every state. */
static void test_end(void)
{
	unsigned int n_fds = harness_count_fds();
	struct fixture fixture;
	bool ended;

	set_up(&fixture, NULL);
	int idle = join(&fixture), half = join(&fixture), full = join(&fixture);
	(void)harness_send(half, "{\"execute\"", 10);
	for (unsigned int i = 0; i < 4000; i++)
		control_server_event(fixture.server, "NOISE", NULL);
	control_server_event(fixture.server, "SHUTDOWN", NULL);
	tear_down(&fixture, NULL);
	/* What the socket had taken is there. */
	g_autoptr(GString) last = harness_receive(idle, &ended);
	g_assert_true(ended && last->len > 0);
	close(idle);
	close(half);
	close(full);
	g_assert_cmpuint(harness_count_fds(), ==, n_fds);
}

#define ADD(name, function) g_test_add("/control/server/" name, struct fixture, NULL, set_up, function, tear_down)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("ids", test_ids);
	ADD("errors", test_errors);
	ADD("info", test_info);
	ADD("state", test_state);
	ADD("guest-requests", test_guest_requests);
	ADD("balloon", test_balloon);
	ADD("vcpus", test_vcpus);
	ADD("trigger", test_trigger);
	ADD("pieces", test_pieces);
	ADD("half-close", test_half_close);
	ADD("long-lines", test_long_lines);
	ADD("hostile-json", test_hostile_json);
	ADD("mutations", test_mutations);
	ADD("slow-reader", test_slow_reader);
	ADD("greedy-client", test_greedy_client);
	ADD("late-reader", test_late_reader);
	ADD("many-clients", test_many_clients);
	ADD("descriptors", test_descriptors);
	g_test_add_func("/control/server/not-offered", test_not_offered);
	g_test_add_func("/control/server/end", test_end);
	return g_test_run();
}
