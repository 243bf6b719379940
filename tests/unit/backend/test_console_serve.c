// SPDX-License-Identifier: MIT
/* The first console's output, which vCPUs and the main thread move by turns, with a reader who hesitates and goes away. */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <xen/io/console.h>

#include "backend/backend_port.h"
#include "backend/console.h"
#include "vmm/evidence.h"

#define TOTAL_BYTES 3000000u

struct run {
	struct xencons_interface ring;
	struct console *console;
	struct console_files files;
	struct backend_port port;
	int host_fd;
	uint8_t *bytes; /* what the guest writes */
	unsigned int n_served, n_left;
	_Atomic bool ended;
};

/* There is no record here. */
void evidence_tail_add(struct evidence_tail *tail, const void *bytes, uint32_t len_bytes)
{
	(void)tail, (void)bytes, (void)len_bytes;
	g_assert_not_reached();
}

static void run_init(struct run *run)
{
	int pair[2], small = 4096;

	memset(run, 0, sizeof(*run));
	g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), ==, 0);
	g_assert_cmpint(setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), ==, 0);
	run->files = (struct console_files){ .in_fd = pair[0], .out_fd = pair[0], .listen_fd = -1, .attach_fd = -1,
					     .log_fd = memfd_create("log", MFD_CLOEXEC), .hold_input = true };
	run->host_fd = pair[1];
	run->port.from_guest_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	run->port.to_guest_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	g_assert_true(run->files.log_fd >= 0 && run->port.from_guest_fd >= 0 && run->port.to_guest_fd >= 0);
	run->console = console_new(&run->ring, &run->port, &run->files, NULL);
	run->bytes = g_malloc(TOTAL_BYTES);
	for (size_t i = 0; i < TOTAL_BYTES; i++)
		run->bytes[i] = (uint8_t)g_random_int();
}

static void run_fini(struct run *run)
{
	console_free(run->console);
	close(run->files.out_fd);
	close(run->files.log_fd);
	close(run->port.from_guest_fd);
	close(run->port.to_guest_fd);
	if (run->host_fd >= 0)
		close(run->host_fd);
	g_free(run->bytes);
}

static void send_event(struct run *run)
{
	bool is_served = console_serve(run->console);

	*(is_served ? &run->n_served : &run->n_left) += 1;
	if (!is_served)
		g_assert_cmpint(eventfd_write(run->port.from_guest_fd, 1), ==, 0);
}

/* A vCPU: it writes what fits, sends, and waits for the event when nothing does. */
static void *guest(void *opaque)
{
	struct run *run = opaque;
	struct xencons_interface *ring = &run->ring;
	uint32_t produced = 0;
	size_t n = 0;

	while (n < TOTAL_BYTES) {
		struct pollfd event = { .fd = run->port.to_guest_fd, .events = POLLIN };
		eventfd_t count;
		size_t until = n + 1 + n % 700;

		(void)eventfd_read(run->port.to_guest_fd, &count);
		while (n < MIN(until, TOTAL_BYTES) &&
		       produced - __atomic_load_n(&ring->out_cons, __ATOMIC_ACQUIRE) < sizeof(ring->out))
			ring->out[MASK_XENCONS_IDX(produced++, ring->out)] = (char)run->bytes[n++];
		__atomic_store_n(&ring->out_prod, produced, __ATOMIC_RELEASE);
		send_event(run);
		if (produced - __atomic_load_n(&ring->out_cons, __ATOMIC_ACQUIRE) == sizeof(ring->out))
			g_assert_cmpint(poll(&event, 1, 60000), ==, 1);
	}
	run->ended = true;
	return NULL;
}

static void check_log(const struct run *run)
{
	g_autofree uint8_t *log = g_malloc(TOTAL_BYTES + 1);

	g_assert_cmpint(pread(run->files.log_fd, log, TOTAL_BYTES + 1, 0), ==, TOTAL_BYTES);
	g_assert_true(memcmp(log, run->bytes, TOTAL_BYTES) == 0);
}

/* Whoever moves it, and however the reader hesitates: the log and the reader have every byte once, in order. */
static void test_two_movers(void)
{
	g_autofree uint8_t *got = g_malloc(TOTAL_BYTES + 1);
	struct run run;
	pthread_t vcpu;
	size_t n = 0;

	run_init(&run);
	g_assert_cmpint(pthread_create(&vcpu, NULL, guest, &run), ==, 0);
	while (n < TOTAL_BYTES) {
		struct pollfd more = { .fd = run.host_fd, .events = POLLIN };
		ssize_t len_bytes;

		while (g_main_context_iteration(NULL, FALSE))
			;
		(void)poll(&more, 1, n % 3 == 0 ? 1 : 0);
		len_bytes = read(run.host_fd, got + n, MIN(TOTAL_BYTES + 1 - n, 1 + n % 5000));
		n += (size_t)MAX(len_bytes, 0);
	}
	pthread_join(vcpu, NULL);
	g_assert_true(memcmp(got, run.bytes, TOTAL_BYTES) == 0);
	check_log(&run);
	/* Both have moved something, or this has shown nothing. */
	g_assert_cmpuint(run.n_served, >, 0);
	g_assert_cmpuint(run.n_left, >, 0);
	run_fini(&run);
}

/* With nobody to read any more, the guest goes on, and the log is complete. */
static void test_lost_reader(void)
{
	struct run run;
	pthread_t vcpu;

	run_init(&run);
	close(run.host_fd);
	run.host_fd = -1;
	g_assert_cmpint(pthread_create(&vcpu, NULL, guest, &run), ==, 0);
	while (!run.ended)
		g_main_context_iteration(NULL, FALSE);
	pthread_join(vcpu, NULL);
	console_pump(run.console);
	check_log(&run);
	run_fini(&run);
}

/* Input that waited for the guest's first word comes when a vCPU has moved that word. */
static void test_held_input(void)
{
	gint64 until_us = g_get_monotonic_time() + 60 * G_TIME_SPAN_SECOND;
	struct run run;

	run_init(&run);
	g_assert_cmpint(write(run.host_fd, "typed", 5), ==, 5);
	console_type(run.console, (const uint8_t *)"early", 5);
	for (unsigned int i = 0; i < 10; i++)
		g_main_context_iteration(NULL, FALSE);
	g_assert_cmpuint(run.ring.in_prod, ==, 0);
	run.ring.out[0] = 'x';
	run.ring.out_prod = 1;
	send_event(&run);
	while (run.ring.in_prod != 5) {
		g_main_context_iteration(NULL, FALSE);
		g_assert_cmpint(g_get_monotonic_time(), <, until_us);
	}
	console_type(run.console, (const uint8_t *)"\x0ft", 2);
	g_assert_cmpuint(run.ring.in_prod, ==, 7);
	g_assert_true(memcmp(run.ring.in, "typed\x0ft", 7) == 0);
	/* From now on there is nothing for the main thread in a word of the guest's. */
	run.ring.out_prod = 2;
	send_event(&run);
	g_assert_cmpuint(run.n_served, ==, 1);
	run_fini(&run);
}

int main(int argc, char **argv)
{
	/* As dom1 does: a reader that is gone is an error, not a signal. */
	signal(SIGPIPE, SIG_IGN);
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/backend/console_serve/two-movers", test_two_movers);
	g_test_add_func("/backend/console_serve/lost-reader", test_lost_reader);
	g_test_add_func("/backend/console_serve/held-input", test_held_input);
	return g_test_run();
}
