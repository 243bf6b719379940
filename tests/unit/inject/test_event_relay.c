// SPDX-License-Identifier: MIT
/* The relay between two pairs of eventfds: what comes through, how often, and when. */
#include <errno.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <glib.h>

#include "inject/event_relay.h"
#include "inject/inject.h"

struct fixture {
	struct inject_plan *plan;
	struct event_relay *relay;
	int from_guest_fd, to_guest_fd;
};

static void open_relay(struct fixture *f, const char *text, bool is_reserved)
{
	const char *const texts[] = { text, NULL };

	f->from_guest_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	f->to_guest_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	g_assert_true(inject_plan_parse((char **)(uintptr_t)texts, 1, &f->plan, NULL));
	g_assert_cmpint(event_relay_new(f->plan, 5, is_reserved, f->from_guest_fd, f->to_guest_fd, &f->relay), ==, 0);
}

static void close_relay(struct fixture *f)
{
	event_relay_free(f->relay);
	inject_plan_free(f->plan);
	close(f->from_guest_fd);
	close(f->to_guest_fd);
}

static void run_for(unsigned int ms)
{
	const gint64 end_us = g_get_monotonic_time() + ms * 1000;

	while (g_get_monotonic_time() < end_us)
		if (!g_main_context_iteration(NULL, FALSE))
			g_usleep(500);
}

static uint64_t arrived(int fd)
{
	eventfd_t count = 0;

	return eventfd_read(fd, &count) == 0 ? count : 0;
}

/* Waits as long as it takes. */
static void await(int fd)
{
	while (arrived(fd) == 0)
		g_main_context_iteration(NULL, TRUE);
}

static void test_dropped(void)
{
	struct fixture f;

	open_relay(&f, "event:drop=1,to=guest", false);
	g_assert_nonnull(f.relay);
	eventfd_write(f.to_guest_fd, 1);
	run_for(20);
	g_assert_cmpuint(arrived(event_relay_kernel_to_fd(f.relay)), ==, 0);
	/* The other direction is not in the order, and passes. */
	eventfd_write(event_relay_kernel_from_fd(f.relay), 1);
	await(f.from_guest_fd);
	close_relay(&f);
}

static void test_duplicated(void)
{
	struct fixture f;

	open_relay(&f, "event:duplicate=1", false);
	eventfd_write(event_relay_kernel_from_fd(f.relay), 1);
	await(f.from_guest_fd);
	await(f.from_guest_fd);
	run_for(20);
	g_assert_cmpuint(arrived(f.from_guest_fd), ==, 0);
	close_relay(&f);
}

static void test_delayed(void)
{
	struct fixture f;

	open_relay(&f, "event:delay=60ms", false);
	const gint64 start_us = g_get_monotonic_time();
	eventfd_write(f.to_guest_fd, 1);
	await(event_relay_kernel_to_fd(f.relay));
	g_assert_cmpint(g_get_monotonic_time() - start_us, >=, 55000);
	/* One that is late when the port goes is lost, and nothing comes after that. */
	eventfd_write(f.to_guest_fd, 1);
	run_for(5);
	close_relay(&f);
	run_for(100);
}

static void test_not_needed(void)
{
	struct fixture f;

	open_relay(&f, "event:drop=1", true);
	g_assert_null(f.relay);
	close_relay(&f);
	open_relay(&f, "disk:error=EIO", false);
	g_assert_null(f.relay);
	close_relay(&f);
	open_relay(&f, "event:drop=1,ports=all", true);
	g_assert_nonnull(f.relay);
	close_relay(&f);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/inject/event-relay/dropped", test_dropped);
	g_test_add_func("/inject/event-relay/duplicated", test_duplicated);
	g_test_add_func("/inject/event-relay/delayed", test_delayed);
	g_test_add_func("/inject/event-relay/not-needed", test_not_needed);
	return g_test_run();
}
