// SPDX-License-Identifier: MIT
/* The host's end of dom1 exec, with a thread in the place of the guest's init. Standard streams are files of the test's. */
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <glib.h>
#include <glib/gstdio.h>

#include "exec/frames.h"
#include "exec/link.h"

#define INPUT_BYTES 200000u

struct fake {
	char *folder, *path;
	int listen_fd;
	bool is_mad; /* sends what is no frame */
	GByteArray *input;
	unsigned int n_ready;
	GMainLoop *loop;
	bool in_order;
};

static void put(int fd, uint8_t type, const void *payload, size_t len_bytes)
{
	uint8_t header[EXEC_HEADER_BYTES];

	exec_frame_header(header, type, len_bytes);
	g_assert_cmpint(send(fd, header, sizeof(header), MSG_NOSIGNAL), ==, sizeof(header));
	if (len_bytes > 0)
		g_assert_cmpint(send(fd, payload, len_bytes, MSG_NOSIGNAL), ==, (ssize_t)len_bytes);
}

static uint8_t get(int fd, uint8_t payload[EXEC_PAYLOAD_BYTES], size_t *len_bytes)
{
	uint8_t header[EXEC_HEADER_BYTES];

	g_assert_cmpint(recv(fd, header, sizeof(header), MSG_WAITALL), ==, sizeof(header));
	*len_bytes = header[1] | (size_t)header[2] << 8;
	if (*len_bytes > 0)
		g_assert_cmpint(recv(fd, payload, *len_bytes, MSG_WAITALL), ==, (ssize_t)*len_bytes);
	return header[0];
}

/* As init: READY twice, input until its end, output of both kinds, a status. */
static void *guest(void *opaque)
{
	struct fake *fake = opaque;
	uint8_t payload[EXEC_PAYLOAD_BYTES];
	size_t len_bytes;
	int fd = accept4(fake->listen_fd, NULL, NULL, SOCK_CLOEXEC);

	for (unsigned int i = 0; i < fake->n_ready; i++)
		put(fd, EXEC_READY, NULL, 0);
	g_assert_cmpint(get(fd, payload, &len_bytes), ==, EXEC_GO);
	if (fake->is_mad)
		g_assert_cmpint(send(fd, "login: ", 7, MSG_NOSIGNAL), ==, 7);
	while (!fake->is_mad && get(fd, payload, &len_bytes) == EXEC_INPUT && len_bytes > 0)
		g_byte_array_append(fake->input, payload, (guint)len_bytes);
	if (!fake->is_mad) {
		put(fd, EXEC_OUTPUT, "out", 3);
		put(fd, EXEC_ERROR, "err", 3);
		put(fd, EXEC_OUTPUT, "put", 3);
		put(fd, EXEC_STATUS, "\x2a", 1);
		put(fd, EXEC_OUTPUT, "too late", 8);
	}
	close(fd);
	return NULL;
}

static void on_ended(bool in_order, void *opaque)
{
	struct fake *fake = opaque;

	fake->in_order = in_order;
	g_main_loop_quit(fake->loop);
}

static void fake_listen(struct fake *fake)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	fake->folder = g_dir_make_tmp("dom1-link-XXXXXX", NULL);
	fake->path = g_build_filename(fake->folder, "hvc1", NULL);
	g_strlcpy(address.sun_path, fake->path, sizeof(address.sun_path));
	fake->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	g_assert_cmpint(bind(fake->listen_fd, (const struct sockaddr *)&address, sizeof(address)), ==, 0);
	g_assert_cmpint(listen(fake->listen_fd, 1), ==, 0);
	fake->input = g_byte_array_new();
	fake->loop = g_main_loop_new(NULL, FALSE);
}

static void fake_free(struct fake *fake)
{
	close(fake->listen_fd);
	g_unlink(fake->path);
	g_rmdir(fake->folder);
	g_free(fake->path);
	g_free(fake->folder);
	g_byte_array_unref(fake->input);
	g_main_loop_unref(fake->loop);
}

/* Standard descriptor fd is a file; what it was is returned. */
static int replace(int fd, const void *bytes, size_t len_bytes)
{
	int saved_fd = fcntl(fd, F_DUPFD_CLOEXEC, 10), file_fd = memfd_create("standard", MFD_CLOEXEC);

	g_assert_cmpint(write(file_fd, bytes, len_bytes), ==, (ssize_t)len_bytes);
	g_assert_cmpint(lseek(file_fd, 0, SEEK_SET), ==, 0);
	g_assert_cmpint(dup2(file_fd, fd), ==, fd);
	close(file_fd);
	return saved_fd;
}

static void restore(int fd, int saved_fd, char *text, size_t room_bytes)
{
	ssize_t len_bytes = pread(fd, text, room_bytes - 1, 0);

	text[MAX(len_bytes, 0)] = '\0';
	dup2(saved_fd, fd);
	close(saved_fd);
}

static bool converse(struct fake *fake, const uint8_t *input, char output[64], char errors[64], uint8_t *status)
{
	pthread_t thread;

	fake_listen(fake);
	int saved_in = replace(STDIN_FILENO, input, INPUT_BYTES);
	int saved_out = replace(STDOUT_FILENO, "", 0), saved_err = replace(STDERR_FILENO, "", 0);
	struct exec_link *link = exec_link_new(fake->path, on_ended, fake);
	g_assert_cmpint(pthread_create(&thread, NULL, guest, fake), ==, 0);
	g_main_loop_run(fake->loop);
	pthread_join(thread, NULL);
	bool has_status = exec_link_finish(link, status);
	exec_link_free(link);
	char ignored[8];
	restore(STDERR_FILENO, saved_err, errors, 64);
	restore(STDOUT_FILENO, saved_out, output, 64);
	restore(STDIN_FILENO, saved_in, ignored, sizeof(ignored));
	return has_status;
}

static void test_conversation(void)
{
	g_autofree uint8_t *input = g_malloc(INPUT_BYTES);
	struct fake fake = { .n_ready = 2 };
	char output[64], errors[64];
	uint8_t status = 0;

	for (size_t i = 0; i < INPUT_BYTES; i++)
		input[i] = (uint8_t)g_random_int();
	g_assert_true(converse(&fake, input, output, errors, &status));
	g_assert_true(fake.in_order);
	g_assert_cmpuint(status, ==, 42);
	g_assert_cmpstr(output, ==, "output");
	g_assert_cmpstr(errors, ==, "err");
	g_assert_true(fake.input->len == INPUT_BYTES && memcmp(fake.input->data, input, INPUT_BYTES) == 0);
	fake_free(&fake);
}

static void test_nonsense(void)
{
	g_autofree uint8_t *input = g_malloc0(INPUT_BYTES);
	struct fake fake = { .n_ready = 1, .is_mad = true, .in_order = true };
	char output[64], errors[64];
	uint8_t status;

	g_assert_false(converse(&fake, input, output, errors, &status));
	g_assert_false(fake.in_order);
	g_assert_cmpstr(output, ==, "");
	fake_free(&fake);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/exec/link/conversation", test_conversation);
	g_test_add_func("/exec/link/nonsense", test_nonsense);
	return g_test_run();
}
