// SPDX-License-Identifier: MIT
#include "control/harness.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <glib/gstdio.h>

#include "control/folders.h"
#include "control/server.h"
#include "xen/store_contents.h"
#include "xen/xenstore/xenstore.h"

char *harness_make_folder(void)
{
	g_autoptr(GError) error = NULL;
	char *folder = g_dir_make_tmp("dom1-control-XXXXXX", &error);

	g_assert_no_error(error);
	return folder;
}

void harness_remove_folder(char *folder)
{
	g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
	const char *name;

	while (dir && (name = g_dir_read_name(dir))) {
		g_autofree char *path = g_build_filename(folder, name, NULL);

		if (g_file_test(path, G_FILE_TEST_IS_DIR) && !g_file_test(path, G_FILE_TEST_IS_SYMLINK))
			harness_remove_folder(g_steal_pointer(&path));
		else
			g_unlink(path);
	}
	g_rmdir(folder);
	g_free(folder);
}

unsigned int harness_count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int n = 0;

	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

int harness_listen(const char *folder, const char *name)
{
	g_autoptr(GError) error = NULL;
	int folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int fd = folder_listen(folder_fd, name, &error);

	g_assert_no_error(error);
	close(folder_fd);
	return fd;
}

int harness_connect(const char *folder, const char *name)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	g_snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", folder, name);
	g_assert_cmpint(connect(fd, (const struct sockaddr *)&address, sizeof(address)), ==, 0);
	return fd;
}

void harness_settle(void)
{
	/* Each source that is ready is served; bounded, should one of them be ready for ever. */
	for (unsigned int i = 0; i < 1000000 && g_main_context_iteration(NULL, FALSE); i++)
		;
}

bool harness_send(int fd, const void *bytes, size_t len_bytes)
{
	for (size_t done = 0; done < len_bytes;) {
		ssize_t sent = send(fd, (const char *)bytes + done, len_bytes - done, MSG_NOSIGNAL);

		if (sent < 0 && errno != EAGAIN)
			return false;
		if (sent > 0)
			done += (size_t)sent;
		harness_settle();
	}
	harness_settle();
	return true;
}

GString *harness_receive(int fd, bool *ended)
{
	GString *text = g_string_new(NULL);
	char bytes[65536];
	ssize_t got;

	harness_settle();
	while ((got = recv(fd, bytes, sizeof(bytes), 0)) > 0) {
		g_string_append_len(text, bytes, got);
		harness_settle();
	}
	if (ended)
		*ended = got == 0 || errno != EAGAIN;
	return text;
}

char *harness_read_node(struct xenstore *store, const char *path)
{
	void *value;
	size_t len_bytes;

	if (xenstore_read(store, path, &value, &len_bytes) != 0)
		return g_strdup("(none)");
	char *text = g_strndup(value, len_bytes);
	free(value);
	return text;
}

/* The machine */

static bool note(struct fake_machine *machine, GError **error, const char *format, ...) G_GNUC_PRINTF(3, 4);
static bool note(struct fake_machine *machine, GError **error, const char *format, ...)
{
	va_list arguments;

	if (machine->refusal) {
		g_set_error_literal(error, g_quark_from_static_string("fake"), 1, machine->refusal);
		return false;
	}
	va_start(arguments, format);
	g_string_append_vprintf(machine->log, format, arguments);
	va_end(arguments);
	return true;
}

static void fake_status(void *opaque, struct control_status *status)
{
	const struct fake_machine *machine = opaque;

	*status = (struct control_status){
		.name = "fake",
		.uuid = "00000000-0000-0000-0000-000000000001",
		.type = "pvh",
		.domid = 1,
		.state = machine->state,
		.max_vcpus = machine->max_vcpus,
		.memory_kib = 524288,
		.uptime_ns = 12345678901,
		.restarts = 2,
	};
}

static struct xenstore *fake_store(void *opaque)
{
	const struct fake_machine *machine = opaque;

	return machine->store;
}

static bool fake_pause(void *opaque, GError **error)
{
	struct fake_machine *machine = opaque;

	if (!note(machine, error, "pause;"))
		return false;
	for (unsigned int i = 0; i < machine->events_in_pause; i++)
		control_server_event(machine->server, "NOISE", NULL);
	machine->state = CONTROL_PAUSED;
	return true;
}

static bool fake_unpause(void *opaque, GError **error)
{
	struct fake_machine *machine = opaque;

	if (!note(machine, error, "unpause;"))
		return false;
	machine->state = CONTROL_RUNNING;
	return true;
}

static bool fake_destroy(void *opaque, GError **error)
{
	struct fake_machine *machine = opaque;

	if (machine->on_destroy)
		machine->on_destroy();
	return note(machine, error, "destroy;");
}

static bool fake_trigger(void *opaque, enum control_trigger trigger, int vcpu, GError **error)
{
	return note(opaque, error, "trigger %s %d;", trigger == CONTROL_TRIGGER_NMI ? "nmi" : "debug", vcpu);
}

static bool fake_event_channel(void *opaque, uint32_t port, struct control_event_channel *channel)
{
	(void)opaque;
	if (port == 1)
		*channel = (struct control_event_channel){
			.kind = "backend", .remote_domid = 0, .remote_port = -1, .virq = -1
		};
	else if (port == 7)
		*channel = (struct control_event_channel){ .kind = "virq",
							   .vcpu = 1,
							   .remote_domid = -1,
							   .remote_port = -1,
							   .virq = 0,
							   .pending = true,
							   .masked = true };
	return port == 1 || port == 7;
}

const struct control_ops FAKE_OPS = {
	.status = fake_status,
	.store = fake_store,
	.pause = fake_pause,
	.unpause = fake_unpause,
	.destroy = fake_destroy,
	.trigger = fake_trigger,
	.event_channel = fake_event_channel,
	.n_ports = 4096,
};

void fake_machine_init(struct fake_machine *machine)
{
	const struct store_contents contents = {
		.name = "fake", .uuid = "00000000-0000-0000-0000-000000000001", .memory_kib = 524288, .n_vcpus = 4
	};

	*machine = (struct fake_machine){ .log = g_string_new(NULL), .max_vcpus = 4 };
	machine->store = xenstore_new(NULL);
	g_assert_cmpint(store_contents_write(machine->store, &contents), ==, 0);
}

void fake_machine_clear(struct fake_machine *machine)
{
	xenstore_free(machine->store);
	g_string_free(machine->log, TRUE);
}
