// SPDX-License-Identifier: MIT
/*
 * The store between the main thread and a vCPU's: requests of a guest are answered in its own thread, what the store
 * calls back is called back in the main thread, and the main thread comes first. Built a second time with the thread
 * sanitizer, which says whether they keep out of each other's way.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "client.h"
#include "xen/xenstore/internal.h"

#define N_WRITES 3000
#define STATE    "/local/domain/1/device/state"

struct scene {
	struct xenstore *store;
	struct client *guest, *tool;
	pthread_t main_thread;
	_Atomic bool due, guest_is_done;
	_Atomic unsigned int visits, refusals;
	unsigned int calls, notified; /* back, in the main thread */
	int state;
};

static int read_state(struct xenstore *store)
{
	size_t len_bytes;
	void *value;
	int state;

	g_assert_cmpint(xenstore_read(store, STATE, &value, &len_bytes), ==, 0);
	state = atoi(value);
	free(value);
	return state;
}

static void on_state(void *opaque, const char *path)
{
	struct scene *scene = opaque;

	(void)path;
	g_assert_true(pthread_equal(pthread_self(), scene->main_thread));
	scene->calls++;
	scene->state = read_state(scene->store);
	/* A callback may change things, and be heard. */
	must_write(scene->store, "/local/domain/0/seen", "1");
}

static void on_tool(void *opaque)
{
	struct scene *scene = opaque;

	g_assert_true(pthread_equal(pthread_self(), scene->main_thread));
	scene->notified++;
}

/* Until the main thread lets it in; as a vCPU's thread it would have left the work to the main thread. */
static void visit(struct scene *scene)
{
	while (!xenstore_visit(scene->store)) {
		atomic_fetch_add(&scene->refusals, 1);
		sched_yield();
	}
	atomic_fetch_add(&scene->visits, 1);
}

static void *guest_thread(void *opaque)
{
	struct scene *scene = opaque;

	for (int i = 1; i <= N_WRITES; i++) {
		g_autofree char *payload = g_strdup_printf("%s %d", STATE, i);
		g_autofree char *value = g_strdup_printf("%d", i);
		const size_t len_bytes = strlen(payload);

		payload[strlen(STATE)] = '\0';
		visit(scene);
		expect_reply(scene->guest, XS_WRITE, 0, payload, len_bytes, P("OK\0"));
		if (!xenstore_visit_end(scene->store))
			atomic_store(&scene->due, true);
		visit(scene);
		expect_reply(scene->guest, XS_READ, 0, P(STATE "\0"), value, strlen(value));
		if (!xenstore_visit_end(scene->store))
			atomic_store(&scene->due, true);
	}
	atomic_store(&scene->guest_is_done, true);
	return NULL;
}

static void scene_init(struct scene *scene)
{
	*scene = (struct scene){ .store = xenstore_new(NULL), .main_thread = pthread_self() };
	must_write(scene->store, STATE, "0");
	must_set_perms(scene->store, STATE, "n1");
	scene->guest = client_new(scene->store, 1);
	scene->tool = client_new(scene->store, 0);
}

static void scene_fini(struct scene *scene)
{
	client_free(scene->guest);
	client_free(scene->tool);
	xenstore_free(scene->store);
}

/* The host's tools and back ends go on while a guest asks without end; the last thing it wrote is seen. */
static void test_two_threads(void)
{
	struct scene scene;
	unsigned int rounds = 0;
	pthread_t guest;

	scene_init(&scene);
	xs_conn_free(scene.tool->conn);
	scene.tool->conn = xs_conn_new(scene.store, 0, on_tool, &scene);
	expect_ok(scene.tool, XS_WATCH, 0, P("/local/domain/1/device\0token\0"));
	struct xenstore_watch *watch = xenstore_watch(scene.store, "/local/domain/1/device", on_state, &scene);
	g_assert_cmpint(pthread_create(&guest, NULL, guest_thread, &scene), ==, 0);
	while (!atomic_load(&scene.guest_is_done) || atomic_load(&scene.due)) {
		/* As the main loop: it sleeps while there is nothing to do. */
		if (atomic_exchange(&scene.due, false))
			xenstore_settle(scene.store);
		must_write(scene.store, "/local/domain/0/round", "x");
		xenstore_lock(scene.store);
		client_drain(scene.tool);
		xenstore_unlock(scene.store);
		g_assert_cmpint(read_state(scene.store), >=, scene.state);
		rounds++;
		sched_yield();
	}
	pthread_join(guest, NULL);
	g_assert_cmpint(scene.state, ==, N_WRITES);
	g_assert_cmpuint(scene.calls, >, 1);
	g_assert_cmpuint(scene.notified, >, 0);
	g_assert_cmpuint(atomic_load(&scene.visits), ==, 2 * N_WRITES);
	g_test_message("%u rounds, %u calls, %u refusals", rounds, scene.calls, atomic_load(&scene.refusals));
	xenstore_unwatch(scene.store, watch);
	scene_fini(&scene);
}

/* A visit leaves what is to be called back, once, and says so. */
static void test_callbacks_wait(void)
{
	struct scene scene;

	scene_init(&scene);
	struct xenstore_watch *watch = xenstore_watch(scene.store, STATE, on_state, &scene);
	g_assert_cmpuint(scene.calls, ==, 1);
	g_assert_true(xenstore_visit(scene.store));
	g_assert_true(xenstore_visit_end(scene.store));
	for (int i = 0; i < 2; i++) {
		g_assert_true(xenstore_visit(scene.store));
		expect_ok(scene.guest, XS_WRITE, 0, P(STATE "\0007"));
		g_assert_false(xenstore_visit_end(scene.store));
	}
	g_assert_cmpuint(scene.calls, ==, 1);
	xenstore_settle(scene.store);
	g_assert_cmpuint(scene.calls, ==, 3);
	g_assert_cmpint(scene.state, ==, 7);
	xenstore_settle(scene.store);
	g_assert_cmpuint(scene.calls, ==, 3);
	g_assert_true(xenstore_visit(scene.store));
	expect_reply(scene.guest, XS_READ, 0, P(STATE "\0"), P("7"));
	g_assert_true(xenstore_visit_end(scene.store));
	xenstore_unwatch(scene.store, watch);
	scene_fini(&scene);
}

static void *try_visit(void *opaque)
{
	bool is_in = xenstore_visit(opaque);

	if (is_in)
		(void)xenstore_visit_end(opaque);
	return is_in ? opaque : NULL;
}

static bool another_thread_gets_in(struct xenstore *store)
{
	pthread_t thread;
	void *got;

	g_assert_cmpint(pthread_create(&thread, NULL, try_visit, store), ==, 0);
	g_assert_cmpint(pthread_join(thread, &got), ==, 0);
	return got != NULL;
}

/* Nobody gets in while the main thread has the store, however deep, or waits for it. */
static void test_main_thread_comes_first(void)
{
	struct scene scene;

	scene_init(&scene);
	g_assert_true(another_thread_gets_in(scene.store));
	xenstore_lock(scene.store);
	xenstore_lock(scene.store);
	g_assert_false(another_thread_gets_in(scene.store));
	xenstore_unlock(scene.store);
	g_assert_false(another_thread_gets_in(scene.store));
	xenstore_unlock(scene.store);
	g_assert_true(another_thread_gets_in(scene.store));
	atomic_store(&scene.store->waiting, true);
	g_assert_false(another_thread_gets_in(scene.store));
	atomic_store(&scene.store->waiting, false);
	g_assert_true(another_thread_gets_in(scene.store));
	scene_fini(&scene);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/xenstore/visit/callbacks-wait", test_callbacks_wait);
	g_test_add_func("/xenstore/visit/main-thread-comes-first", test_main_thread_comes_first);
	g_test_add_func("/xenstore/visit/two-threads", test_two_threads);
	return g_test_run();
}
