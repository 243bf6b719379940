// SPDX-License-Identifier: MIT
/* A guest's second console from end to end, with a front end that behaves and with ones that do not. */
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <xen/io/console.h>
#include <xen/io/xenbus.h>
#include <xen/io/xs_wire.h>

#include "backend/console_device.h"
#include "backend/console_files.h"
#include "backend/fake_guest.h"
#include "vmm/evidence.h"
#include "xen/xenstore/xenstore.h"

#define PORT 5u

struct fake {
	struct fake_guest guest;
	struct channel channel;
	struct console_device *device;
	int host_fd; /* the other end of a channel that is a socket */
	struct xencons_interface *ring;
	uint32_t ref;
};

/* The record is the first console's. */
void evidence_tail_add(struct evidence_tail *tail, const void *bytes, uint32_t len_bytes)
{
	(void)tail, (void)bytes, (void)len_bytes;
	g_assert_not_reached();
}

static struct fake *fake_new(void)
{
	struct fake *fake = g_new0(struct fake, 1);
	int pair[2];

	fake_guest_init(&fake->guest, false, "console", 1);
	g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), ==, 0);
	fake->channel = (struct channel){ .name = (char *)"result", .kind = "file", .files = CONSOLE_FILES_NONE };
	fake->channel.files.in_fd = fake->channel.files.out_fd = pair[0];
	fake->host_fd = pair[1];
	fake->device = console_device_new(fake->guest.store, &fake->guest.access, NULL, 1, &fake->channel);
	g_assert_nonnull(fake->device);
	return fake;
}

static void fake_free(struct fake *fake)
{
	console_device_free(fake->device);
	fake_guest_fini(&fake->guest);
	close(fake->channel.files.out_fd);
	close(fake->host_fd);
	g_free(fake);
}

static void publish(struct fake *fake)
{
	fake->ring = (struct xencons_interface *)(void *)fake_granted_page(fake, &fake->ref);
	memset(fake->ring, 0, FAKE_PAGE);
	fake_write(fake, "ring-ref", "%u", fake->ref);
	fake_write(fake, "port", "%u", PORT);
}

static void connect_guest(struct fake *fake)
{
	publish(fake);
	fake_set_state(fake, XenbusStateInitialised);
	fake_wait_state(fake, XenbusStateConnected);
	fake_set_state(fake, XenbusStateConnected);
}

static void disconnect_guest(struct fake *fake)
{
	fake_set_state(fake, XenbusStateClosing);
	fake_wait_state(fake, XenbusStateClosing);
	fake_set_state(fake, XenbusStateClosed);
	fake_wait_state(fake, XenbusStateClosed);
	g_assert_cmpuint(fake->guest.n_bound, ==, 0);
	g_assert_cmpuint(fake_grant_flags(fake, fake->ref), ==, GTF_permit_access);
	fake_set_state(fake, XenbusStateInitialising);
	fake_wait_state(fake, XenbusStateInitWait);
}

static void kick(struct fake *fake)
{
	g_assert_cmpint(eventfd_write(fake->guest.ports[PORT].from_guest_fd, 1), ==, 0);
}

/* As much as fits of what is left; what the guest does with its output. */
static size_t put(struct fake *fake, const uint8_t *bytes, size_t len_bytes)
{
	uint32_t produced = fake->ring->out_prod;
	size_t n = 0;

	while (n < len_bytes && produced - __atomic_load_n(&fake->ring->out_cons, __ATOMIC_ACQUIRE) < sizeof(fake->ring->out))
		fake->ring->out[MASK_XENCONS_IDX(produced++, fake->ring->out)] = (char)bytes[n++];
	__atomic_store_n(&fake->ring->out_prod, produced, __ATOMIC_RELEASE);
	kick(fake);
	return n;
}

static size_t take(struct fake *fake, uint8_t *bytes, size_t room_bytes)
{
	uint32_t consumed = fake->ring->in_cons;
	size_t n = 0;

	while (n < room_bytes && consumed != __atomic_load_n(&fake->ring->in_prod, __ATOMIC_ACQUIRE))
		bytes[n++] = (uint8_t)fake->ring->in[MASK_XENCONS_IDX(consumed++, fake->ring->in)];
	__atomic_store_n(&fake->ring->in_cons, consumed, __ATOMIC_RELEASE);
	if (n > 0)
		kick(fake);
	return n;
}

/* Whatever is written comes out at the other end, both ways at once, however either side hesitates. */
static void check_traffic(struct fake *fake, GRand *random, size_t len_bytes)
{
	g_autofree uint8_t *up = g_malloc(len_bytes), *down = g_malloc(len_bytes), *got_up = g_malloc(len_bytes + 1),
			   *got_down = g_malloc(len_bytes + 1);
	size_t put_bytes = 0, sent_bytes = 0, up_bytes = 0, down_bytes = 0;
	gint64 until_us = g_get_monotonic_time() + 60 * G_TIME_SPAN_SECOND;

	for (size_t i = 0; i < len_bytes; i++) {
		up[i] = (uint8_t)g_rand_int(random);
		down[i] = (uint8_t)g_rand_int(random);
	}
	while (up_bytes < len_bytes || down_bytes < len_bytes) {
		size_t step = (size_t)g_rand_int_range(random, 1, 5000);
		ssize_t n = 0;

		switch (g_rand_int_range(random, 0, 5)) {
		case 0:
			put_bytes += put(fake, up + put_bytes, MIN(step, len_bytes - put_bytes));
			break;
		case 1:
			n = write(fake->host_fd, down + sent_bytes, MIN(step, len_bytes - sent_bytes));
			sent_bytes += (size_t)MAX(n, 0);
			break;
		case 2:
			n = read(fake->host_fd, got_up + up_bytes, MIN(step, len_bytes + 1 - up_bytes));
			up_bytes += (size_t)MAX(n, 0);
			break;
		case 3:
			down_bytes += take(fake, got_down + down_bytes, MIN(step, len_bytes + 1 - down_bytes));
			break;
		default:
			g_main_context_iteration(NULL, FALSE);
		}
		g_assert_cmpint(g_get_monotonic_time(), <, until_us);
	}
	g_assert_true(up_bytes == len_bytes && memcmp(got_up, up, len_bytes) == 0);
	g_assert_true(down_bytes == len_bytes && memcmp(got_down, down, len_bytes) == 0);
}

static void test_traffic(void)
{
	struct fake *fake = fake_new();
	GRand *random = g_rand_new_with_seed(1);

	for (unsigned int i = 0; i < 4; i++) {
		connect_guest(fake);
		check_traffic(fake, random, 60000);
		disconnect_guest(fake);
	}
	g_rand_free(random);
	fake_free(fake);
}

static void test_nodes(void)
{
	static const char *const nodes[][2] = { { "name", "result" }, { "output", "file" }, { "backend-id", "0" }, { "state", "1" } };
	struct fake *fake = fake_new();

	for (size_t i = 0; i < G_N_ELEMENTS(nodes); i++) {
		g_autofree char *path = g_strconcat(fake->guest.front, nodes[i][0], NULL);
		size_t len_bytes;
		void *value;

		g_assert_cmpint(xenstore_read(fake->guest.store, path, &value, &len_bytes), ==, 0);
		g_assert_cmpstr(value, ==, nodes[i][1]);
		free(value);
	}
	g_assert_cmpint(fake_back_state(fake), ==, XenbusStateInitWait);
	fake_free(fake);
}

static void feed(struct xs_conn *conn, uint32_t type, const char *first, const char *second, size_t second_bytes)
{
	g_autoptr(GByteArray) bytes = g_byte_array_new();
	const struct xsd_sockmsg header = { .type = type, .len = (uint32_t)(strlen(first) + 1 + second_bytes) };

	g_byte_array_append(bytes, (const guint8 *)&header, sizeof(header));
	g_byte_array_append(bytes, (const guint8 *)first, (guint)strlen(first) + 1);
	g_byte_array_append(bytes, (const guint8 *)second, (guint)second_bytes);
	g_assert_cmpuint(xs_conn_feed(conn, bytes->data, bytes->len), ==, bytes->len);
}

/* Whether the store says word to the guest; what it says is forgotten. */
static bool hears(struct xs_conn *conn, const char *word)
{
	size_t len_bytes;
	const void *bytes = xs_conn_pending(conn, &len_bytes);
	bool found = memmem(bytes, len_bytes, word, strlen(word)) != NULL;

	xs_conn_sent(conn, len_bytes);
	return found;
}

/* A guest that watches its devices hears of what it writes, but not of its ring and its port. */
static void test_quiet(void)
{
	struct fake *fake = fake_new();
	struct xs_conn *conn = xs_conn_new(fake->guest.store, 1, NULL, NULL);

	feed(conn, XS_WATCH, "device", "token", 6);
	g_assert_true(hears(conn, "token"));
	feed(conn, XS_WRITE, "device/console/1/ring-ref", "8", 1);
	g_assert_false(hears(conn, "token"));
	feed(conn, XS_WRITE, "device/console/1/port", "8", 1);
	g_assert_false(hears(conn, "token"));
	feed(conn, XS_WRITE, "device/console/1/state", "1", 1);
	g_assert_true(hears(conn, "device/console/1/state"));
	xs_conn_free(conn);
	connect_guest(fake);
	fake_free(fake);
}

/* What a guest has written when it closes, or when the domain ends, is not lost. */
static void test_last_words(void)
{
	for (unsigned int kind = 0; kind < 3; kind++) {
		struct fake *fake = fake_new();
		char got[16] = "";

		connect_guest(fake);
		g_assert_cmpuint(put(fake, (const uint8_t *)"status 0", 8), ==, 8);
		if (kind == 0)
			disconnect_guest(fake);
		else if (kind == 1)
			console_device_drain(fake->device);
		else
			g_clear_pointer(&fake->device, console_device_free);
		g_assert_cmpint(read(fake->host_fd, got, sizeof(got)), ==, 8);
		g_assert_cmpstr(got, ==, "status 0");
		fake_free(fake);
	}
}

/* Indexes that cannot be: the guest has no such console any more, until it comes back. Nothing else is read. */
static void test_lies(void)
{
	static const uint32_t lies[] = { 2049, 5000, 0x80000000, UINT32_MAX };
	struct fake *fake = fake_new();
	GRand *random = g_rand_new_with_seed(2);
	uint8_t got[16];

	for (size_t i = 0; i < G_N_ELEMENTS(lies); i++) {
		connect_guest(fake);
		check_traffic(fake, random, 100);
		fake->ring->out_prod = fake->ring->out_cons + lies[i];
		kick(fake);
		fake_run_for(5);
		g_assert_cmpint(read(fake->host_fd, got, sizeof(got)), <, 0);
		disconnect_guest(fake);

		connect_guest(fake);
		fake->ring->in_cons = fake->ring->in_prod + lies[i];
		g_assert_cmpint(write(fake->host_fd, "x", 1), ==, 1);
		kick(fake);
		fake_run_for(5);
		disconnect_guest(fake);
		while (read(fake->channel.files.in_fd, got, sizeof(got)) > 0)
			;
	}
	connect_guest(fake);
	check_traffic(fake, random, 1000);
	g_rand_free(random);
	fake_free(fake);
}

static void test_bad_nodes(void)
{
	static const char *const bad[][2] = {
		{ "ring-ref", "" }, { "ring-ref", "99999" }, { "ring-ref", "-1" }, { "port", "0" }, { "port", "x" }, { "port", "4294967296" },
	};
	struct fake *fake = fake_new();

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		publish(fake);
		fake_write(fake, bad[i][0], "%s", bad[i][1]);
		fake_set_state(fake, XenbusStateInitialised);
		fake_wait_state(fake, XenbusStateClosing);
		g_autofree char *why = fake_back_node(fake, "error");
		g_assert_nonnull(why);
		disconnect_guest(fake);
	}
	connect_guest(fake);
	fake_free(fake);
}

/* A reader that does not read stops the guest, not us; one that is gone stops nobody. */
static void test_slow_reader(void)
{
	struct fake *fake = fake_new();
	uint8_t bytes[2048] = { 0 };
	size_t total_bytes = 0;

	connect_guest(fake);
	for (unsigned int i = 0; i < 2000; i++) {
		total_bytes += put(fake, bytes, sizeof(bytes));
		g_main_context_iteration(NULL, FALSE);
	}
	g_assert_cmpuint(total_bytes, <, 2000 * sizeof(bytes));
	/* Nobody reads any more: all goes nowhere. */
	close(fake->host_fd);
	fake->host_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (unsigned int i = 0; i < 100; i++) {
		gint64 until_us = g_get_monotonic_time() + 20 * G_TIME_SPAN_SECOND;

		while (put(fake, bytes, sizeof(bytes)) == 0) {
			g_main_context_iteration(NULL, FALSE);
			g_assert_cmpint(g_get_monotonic_time(), <, until_us);
		}
	}
	disconnect_guest(fake);
	fake_free(fake);
}

int main(int argc, char **argv)
{
	/* As dom1 does: a reader that is gone is an error, not a signal. */
	signal(SIGPIPE, SIG_IGN);
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/backend/console_device/nodes", test_nodes);
	g_test_add_func("/backend/console_device/quiet", test_quiet);
	g_test_add_func("/backend/console_device/traffic", test_traffic);
	g_test_add_func("/backend/console_device/last-words", test_last_words);
	g_test_add_func("/backend/console_device/lies", test_lies);
	g_test_add_func("/backend/console_device/bad-nodes", test_bad_nodes);
	g_test_add_func("/backend/console_device/slow-reader", test_slow_reader);
	return g_test_run();
}
