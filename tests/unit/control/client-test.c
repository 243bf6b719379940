// SPDX-License-Identifier: MIT
/* client.c, xs_client.c against a machine that a guest has taken over: it says whatever it likes. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "xen/abi.h"
#include <xen/io/xs_wire.h>

#include "control/client.h"
#include "control/folders.h"
#include "control/harness.h"
#include "control/xs_client.h"
#include "vmm/error.h"
#include "vmm/run_folder.h"

#define GREETING "{\"QMP\":{}}\n"

struct evil {
	char *runtime;
	struct run_folder folder;
	int listen_fd;
	pid_t pid;
};

/* Says it to the first client, and hangs up, or says nothing more. */
static void evil_start(struct evil *evil, const char *socket_name, const void *bytes, size_t len_bytes, bool hang_up)
{
	evil->runtime = harness_make_folder();
	g_setenv("XDG_RUNTIME_DIR", evil->runtime, TRUE);
	g_assert_true(run_folder_take(&evil->folder, "evil", NULL));
	evil->listen_fd = folder_listen(evil->folder.fd, socket_name, NULL);
	evil->pid = fork();
	if (evil->pid != 0)
		return;
	int fd;
	signal(SIGPIPE, SIG_IGN);
	while ((fd = accept(evil->listen_fd, NULL, NULL)) < 0)
		g_usleep(1000);
	/* What is asked is read by another one, till the client is gone: what was said must not be lost by a reset. */
	if (fork() == 0) {
		char rest[4096];

		while (recv(fd, rest, sizeof(rest), 0) > 0)
			;
		_exit(0);
	}
	for (size_t done = 0; done < len_bytes;) {
		ssize_t sent = send(fd, (const char *)bytes + done, len_bytes - done, MSG_NOSIGNAL);

		if (sent < 0)
			_exit(0);
		done += (size_t)sent;
	}
	while (!hang_up)
		pause();
	shutdown(fd, SHUT_WR);
	_exit(0);
}

static void evil_stop(struct evil *evil)
{
	harness_stop_domain(evil->pid);
	close(evil->listen_fd);
	run_folder_release(&evil->folder);
	harness_remove_folder(evil->runtime);
}

static struct control_client *open_control(unsigned int timeout_ms, GError **error)
{
	struct domain_folder folder;
	g_assert_true(domain_folder_open(&folder, "evil", NULL));
	struct control_client *client = control_client_new(&folder, timeout_ms, error);

	domain_folder_close(&folder);
	return client;
}

/* status 0: the greeting, and an answer. */
static void expect_control(const char *said, size_t len_bytes, int status, const char *part)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(json_t) answer = NULL;
	struct evil evil;

	evil_start(&evil, "control.sock", said, len_bytes, true);
	struct control_client *client = open_control(5000, &error);
	if (client)
		answer = control_client_call(client, "info", NULL, &error);
	if (status == 0) {
		g_assert_no_error(error);
		g_assert_nonnull(answer);
	} else {
		g_assert_error(error, DOM1_ERROR, status);
		g_assert_nonnull(strstr(error->message, part));
		for (const char *c = error->message; *c; c++)
			g_assert_false(g_ascii_iscntrl(*c));
	}
	control_client_free(client);
	evil_stop(&evil);
}

#define EXPECT(said, status, part) expect_control(said, sizeof(said) - 1, status, part)

static void test_control(void)
{
	EXPECT(GREETING "{\"return\":{}}\n", 0, "");
	EXPECT(GREETING "{\"event\":\"X\"}\n{\"event\":1}\n{\"return\":[1]}\n", 0, "");
	EXPECT("", DOM1_STATUS_USAGE, "has ended");
	EXPECT("{\"QMP\"", DOM1_STATUS_USAGE, "has ended");
	EXPECT(GREETING, DOM1_STATUS_USAGE, "has ended");
	EXPECT("{\"error\":{\"class\":\"GenericError\",\"desc\":\"too many clients\"}}\n", DOM1_STATUS_USAGE,
	       "too many");
	EXPECT("hello\n", DOM1_STATUS_DEFECT, "not JSON");
	EXPECT(GREETING "\n", DOM1_STATUS_DEFECT, "not JSON");
	EXPECT(GREETING "{\"return\":\0}\n", DOM1_STATUS_DEFECT, "not JSON");
	EXPECT(GREETING "[]\n", DOM1_STATUS_DEFECT, "not JSON");
	EXPECT(GREETING "{}\n", DOM1_STATUS_USAGE, "without a meaning");
	EXPECT(GREETING "{\"error\":1}\n", DOM1_STATUS_USAGE, "without a meaning");
	EXPECT(GREETING "{\"error\":{\"desc\":[]}}\n", DOM1_STATUS_USAGE, "without a meaning");
	EXPECT(GREETING "{\"error\":{\"desc\":\"a\\u001b[2Jb\\u009bc\\nd\"}}\n", DOM1_STATUS_USAGE, "a?[2Jb?c?d");
}

static void test_control_bounds(void)
{
	g_autofree char *deep = g_strnfill(1 << 20, '[');
	g_autofree char *deep_line = g_strconcat(deep, "\n", NULL);
	g_autofree char *endless = g_strnfill(5 << 20, 'x');

	expect_control(deep_line, strlen(deep_line), DOM1_STATUS_DEFECT, "not JSON");
	expect_control(endless, strlen(endless), DOM1_STATUS_DEFECT, "endless");
}

static void test_silence(void)
{
	g_autoptr(GError) error = NULL;
	struct evil evil;

	evil_start(&evil, "control.sock", GREETING, strlen(GREETING), false);
	struct control_client *client = open_control(50, &error);
	g_assert_no_error(error);
	g_assert_null(control_client_call(client, "info", NULL, &error));
	g_assert_error(error, DOM1_ERROR, DOM1_STATUS_TIMEOUT);
	control_client_free(client);
	evil_stop(&evil);
}

static void test_events(void)
{
	static const char said[] = GREETING
		"{\"event\":\"A\"}\n{\"return\":{}}\nrubbish\n{\"event\":\"B\"}\n{\"no\":1}\n{\"event\":\"C\"}\n";
	static const char *const wanted[] = { "{\"event\":\"A\"}", "{\"event\":\"B\"}", "{\"event\":\"C\"}" };
	g_autoptr(GError) error = NULL;
	struct evil evil;

	evil_start(&evil, "control.sock", said, strlen(said), true);
	struct control_client *client = open_control(5000, &error);
	g_autoptr(json_t) answer = control_client_call(client, "info", NULL, &error);
	g_assert_no_error(error);
	for (size_t i = 0; i < G_N_ELEMENTS(wanted); i++) {
		g_autofree char *line = control_client_event(client, &error);

		g_assert_cmpstr(line, ==, wanted[i]);
	}
	g_assert_null(control_client_event(client, &error));
	g_assert_no_error(error);
	control_client_free(client);
	evil_stop(&evil);
}

static void append(GByteArray *bytes, uint32_t type, uint32_t req_id, const char *payload, size_t len_bytes)
{
	const struct xsd_sockmsg header = { .type = type, .req_id = req_id, .len = (uint32_t)len_bytes };

	g_byte_array_append(bytes, (const guint8 *)&header, sizeof(header));
	g_byte_array_append(bytes, (const guint8 *)payload, (guint)len_bytes);
}

static char *evil_list(GByteArray *said, GError **error)
{
	struct domain_folder folder;
	struct evil evil;
	char *joined = NULL;

	evil_start(&evil, "xenstore.sock", said->data, said->len, true);
	g_assert_true(domain_folder_open(&folder, "evil", NULL));
	struct xs_client *client = xs_client_new(&folder, 5000, error);
	g_auto(GStrv) names = xs_client_list(client, "/", error);
	if (names)
		joined = g_strjoinv("|", names);
	xs_client_free(client);
	domain_folder_close(&folder);
	evil_stop(&evil);
	return joined;
}

#define P(literal) literal, sizeof(literal) - 1

static void test_xenstore(void)
{
	const struct {
		uint32_t type;
		const char *payload;
		size_t len_bytes;
		const char *list; /* NULL: an error */
		int status;
	} cases[] = {
		{ XS_DIRECTORY, P("a\0b\0"), "a|b", 0 },
		{ XS_DIRECTORY, P(""), "", 0 },
		{ XS_DIRECTORY, P("a\0b"), "a|b", 0 }, /* no NUL at the end */
		{ XS_DIRECTORY, P("\0\0"), "|", 0 },
		{ XS_ERROR, P("ENOENT\0"), NULL, DOM1_STATUS_TEST_FAILED },
		{ XS_ERROR, P("\x1b[2J"), NULL, DOM1_STATUS_TEST_FAILED },
		{ XS_ERROR, P(""), NULL, DOM1_STATUS_TEST_FAILED },
		{ XS_WATCH_EVENT, P("x"), NULL, DOM1_STATUS_USAGE },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GByteArray) said = g_byte_array_new();
		g_autoptr(GError) error = NULL;

		append(said, cases[i].type, 0, cases[i].payload, cases[i].len_bytes);
		g_autofree char *got = evil_list(said, &error);
		g_assert_cmpstr(got, ==, cases[i].list);
		if (!cases[i].list) {
			g_assert_error(error, DOM1_ERROR, cases[i].status);
			g_assert_null(strchr(error->message, '\x1b'));
		}
	}
}

/* Directories in parts: good ones, one that changes meanwhile, and those without an end. */
static void test_xenstore_parts(void)
{
	g_autoptr(GByteArray) said = g_byte_array_new();
	g_autoptr(GError) error = NULL;

	append(said, XS_ERROR, 0, P("E2BIG\0"));
	append(said, XS_DIRECTORY_PART, 1, P("1\0a\0b\0"));
	append(said, XS_DIRECTORY_PART, 2, P("2\0z\0\0"));
	append(said, XS_DIRECTORY_PART, 3, P("2\0a\0"));
	append(said, XS_DIRECTORY_PART, 4, P("2\0c\0\0"));
	g_autofree char *changed = evil_list(said, &error);
	g_assert_no_error(error);
	g_assert_cmpstr(changed, ==, "a|c");

	g_byte_array_set_size(said, 0);
	append(said, XS_ERROR, 0, P("E2BIG\0"));
	append(said, XS_DIRECTORY_PART, 1, P("1\0\0"));
	g_autofree char *empty = evil_list(said, &error);
	g_assert_cmpstr(empty, ==, "");

	static const struct {
		const char *payload;
		size_t len_bytes;
	} bad[] = { { P("") }, { P("1") }, { P("1\0") } };
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_byte_array_set_size(said, 0);
		append(said, XS_ERROR, 0, P("E2BIG\0"));
		append(said, XS_DIRECTORY_PART, 1, bad[i].payload, bad[i].len_bytes);
		g_assert_null(evil_list(said, &error));
		g_assert_error(error, DOM1_ERROR, DOM1_STATUS_DEFECT);
		g_clear_error(&error);
	}

	g_autofree char *names = g_strnfill(4000, 'x');
	memcpy(names, "1", 2);
	g_byte_array_set_size(said, 0);
	append(said, XS_ERROR, 0, P("E2BIG\0"));
	for (uint32_t i = 1; i < 5000; i++)
		append(said, XS_DIRECTORY_PART, i, names, 4000);
	g_assert_null(evil_list(said, &error));
	g_assert_error(error, DOM1_ERROR, DOM1_STATUS_DEFECT);
}

static void test_xenstore_too_long(void)
{
	const struct xsd_sockmsg header = { .type = XS_DIRECTORY, .len = XENSTORE_PAYLOAD_MAX + 1 };
	g_autoptr(GByteArray) said = g_byte_array_new();
	g_autoptr(GError) error = NULL;

	g_byte_array_append(said, (const guint8 *)&header, sizeof(header));
	g_assert_null(evil_list(said, &error));
	g_assert_error(error, DOM1_ERROR, DOM1_STATUS_DEFECT);
	g_clear_error(&error);
	g_byte_array_set_size(said, 7);
	g_assert_null(evil_list(said, &error));
	g_assert_error(error, DOM1_ERROR, DOM1_STATUS_USAGE);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/control/client/control", test_control);
	g_test_add_func("/control/client/bounds", test_control_bounds);
	g_test_add_func("/control/client/silence", test_silence);
	g_test_add_func("/control/client/events", test_events);
	g_test_add_func("/control/client/xenstore", test_xenstore);
	g_test_add_func("/control/client/xenstore-parts", test_xenstore_parts);
	g_test_add_func("/control/client/xenstore-too-long", test_xenstore_too_long);
	return g_test_run();
}
