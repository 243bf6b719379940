// SPDX-License-Identifier: MIT
/*
 * A client of control.sock that sends anything, in two pieces; the first byte says where it is cut. The server answers in whole
 * lines of JSON, and stays.
 */
#include <string.h>
#include <unistd.h>

#include <glib.h>
#include <jansson.h>

#include "bytes.h"
#include "control/harness.h"
#include "control/server.h"

static void check_answer(const GString *answer)
{
	g_auto(GStrv) lines = g_strsplit(answer->str, "\n", -1);
	const guint n = g_strv_length(lines);

	for (guint i = 0; i + 1 < n; i++) {
		json_t *answered = json_loads(lines[i], 0, NULL);

		g_assert_nonnull(answered);
		json_decref(answered);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len_bytes)
{
	static char *folder;
	static int listen_fd;
	struct fake_machine machine;
	bool ended = false;

	if (!folder) {
		folder = harness_make_folder();
		listen_fd = harness_listen(folder, "control.sock");
	}
	fake_machine_init(&machine);
	struct control_server *server = control_server_new(listen_fd, &FAKE_OPS, &machine);
	machine.server = server;
	const int fd = harness_connect(folder, "control.sock");
	const uint8_t *const sent = len_bytes > 0 ? bytes + 1 : bytes;
	const size_t sent_bytes = len_bytes > 0 ? len_bytes - 1 : 0, first = sent_bytes > 0 ? bytes[0] % sent_bytes : 0;

	if (harness_send(fd, sent, first)) {
		harness_settle();
		(void)harness_send(fd, sent + first, sent_bytes - first);
	}
	harness_settle();
	GString *answer = harness_receive(fd, &ended);
	check_answer(answer);
	g_string_free(answer, TRUE);
	close(fd);
	harness_settle();
	/* Others are served as before. */
	const int other_fd = harness_connect(folder, "control.sock");
	harness_settle();
	answer = harness_receive(other_fd, &ended);
	g_assert_false(ended);
	g_string_free(answer, TRUE);
	close(other_fd);
	harness_settle();
	control_server_free(server);
	fake_machine_clear(&machine);
	return 0;
}
