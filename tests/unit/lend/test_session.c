// SPDX-License-Identifier: MIT
/*
 * What a lender may send: anything. Random messages, mostly of a shape that is nearly right, in pieces, with descriptors or
 * without. Afterwards every descriptor is closed, a dead lender holds no window, and its windows show nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <glib.h>

#include "lend/fake_mapper.h"
#include "lend/session.h"

#define N_SESSIONS 2u

struct world {
	struct space space;
	struct fake_mapper fake;
	struct session sessions[N_SESSIONS];
	struct lent_files files;
};

static void on_need(void *opaque, unsigned int lender, const struct space_need *need)
{
	struct world *world = opaque;

	session_need(&world->sessions[lender - 1], need);
}

static void on_widened(void *opaque, unsigned int lender, unsigned int window, uint64_t seq)
{
	struct world *world = opaque;

	session_widened(&world->sessions[lender - 1], window, seq);
}

static void on_answer(void *opaque, unsigned int vcpu, enum space_answer answer, const struct space_report *report)
{
	(void)opaque, (void)vcpu, (void)answer, (void)report;
}

static void on_stop(void *opaque, unsigned int window, size_t page)
{
	(void)opaque, (void)window, (void)page;
}

static const struct space_events EVENTS = { .need = on_need, .widened = on_widened, .answer = on_answer, .stop = on_stop };

static struct world *world_new(void)
{
	struct world *world = g_new0(struct world, 1);

	world->fake.n_windows = 2;
	world->fake.max_mappings = 1000;
	space_init(&world->space, 2, 900, &FAKE_MAPPER, &world->fake, &EVENTS, world);
	for (unsigned int i = 0; i < 2; i++) {
		world->fake.n_pages[i] = 64;
		g_assert_true(space_add_window(&world->space, 0x10000000u * (i + 1), 64, LEND_ACTION_ZERO));
	}
	for (unsigned int i = 0; i < N_SESSIONS; i++) {
		session_init(&world->sessions[i], &world->space, i + 1, &world->files, -1);
		world->space.windows[i].is_ram = g_test_rand_bit();
		/* Else most would not get through the door. */
		world->sessions[i].greeted = g_test_rand_int_range(0, 8) != 0;
		if (g_test_rand_int_range(0, 8) != 0)
			g_assert_cmpint(space_claim(&world->space, i, i + 1, LEND_ACTION_ZERO, 0), ==, 0);
	}
	return world;
}

static uint64_t random_number(void)
{
	static const uint64_t some[] = { 0, 1, 2, 3, 4096, 8192, 63 * 4096, 64 * 4096, UINT64_MAX, UINT64_MAX - 4095, 1ull << 63, 7, UINT32_MAX };

	return g_test_rand_int_range(0, 4) ? some[g_test_rand_int_range(0, G_N_ELEMENTS(some))] : (uint64_t)(uint32_t)g_test_rand_int();
}

static size_t random_message(uint8_t *bytes)
{
	static const struct {
		uint32_t request, len_bytes;
	} shapes[] = {
		{ LEND_HELLO, 16 }, { LEND_CLAIM, 16 },	 { LEND_RELEASE, 8 }, { LEND_LEND, 48 },	 { LEND_REVOKE, 24 },
		{ LEND_REVOKE, 40 }, { LEND_SUPPLY, 48 }, { LEND_FAIL, 16 },  { LEND_QUERY, 8 }, { LEND_REVOKE_BEGIN, 24 },
		{ LEND_REVOKE_END, 8 },
	};
	unsigned int shape = (unsigned int)g_test_rand_int_range(0, G_N_ELEMENTS(shapes));
	struct lend_header header = { shapes[shape].request, LEND_FLAGS_VERSION, shapes[shape].len_bytes };
	uint64_t body[8];

	for (unsigned int i = 0; i < G_N_ELEMENTS(body); i++)
		body[i] = random_number();
	/* Nearly right: window, counts and flags are small numbers. */
	if (g_test_rand_int_range(0, 8)) {
		uint32_t *words = (uint32_t *)(void *)body;

		words[0] = (uint32_t)g_test_rand_int_range(0, 3);
		words[1] = (shapes[shape].len_bytes - 8) / 16;
		if (header.request == LEND_LEND || header.request == LEND_SUPPLY) {
			body[0] = header.request == LEND_SUPPLY ? 1 + (uint64_t)g_test_rand_int_range(0, 30) : 0;
			body[1] = 0;
			words[4] = (uint32_t)g_test_rand_int_range(0, 2);
			words[5] = (uint32_t)g_test_rand_int_range(0, 2);
			body[3] = (uint64_t)g_test_rand_int_range(0, 64) * 4096;
			body[4] = (uint64_t)g_test_rand_int_range(1, 4) * 4096;
		} else if (header.request == LEND_CLAIM) {
			words[1] = (uint32_t)g_test_rand_int_range(0, 4);
		} else if (header.request == LEND_HELLO) {
			words[0] = 1;
		}
	}
	if (g_test_rand_int_range(0, 300) == 0)
		header.len_bytes = (uint32_t)random_number();
	if (g_test_rand_int_range(0, 300) == 0)
		header.flags = (uint32_t)random_number();
	memcpy(bytes, &header, sizeof(header));
	memcpy(bytes + sizeof(header), body, shapes[shape].len_bytes);
	return sizeof(header) + shapes[shape].len_bytes;
}

/* Every tenth page is some vCPU's. */
static bool is_in_use(void *opaque, unsigned int window, size_t page, size_t n_pages)
{
	const struct world *world = opaque;

	g_assert_true(world->space.windows[window].is_ram);
	return page % 10 == 0 || page % 10 + n_pages > 10;
}

static void turn(struct world *world)
{
	for (unsigned int i = 0; i < N_SESSIONS; i++) {
		session_go_on(&world->sessions[i], 20, is_in_use, world);
		g_assert_cmpint(world->sessions[i].job, !=, SESSION_WAITS);
		(void)session_work(&world->sessions[i], 20);
	}
	(void)space_work(&world->space, 100);
}

static void send_message(struct world *world, unsigned int number)
{
	struct session *session = &world->sessions[number];
	uint8_t bytes[sizeof(struct lend_header) + 64];
	size_t len_bytes = random_message(bytes), at = 0;
	struct lend_header header;
	int fd = -1;

	memcpy(&header, bytes, sizeof(header));
	if ((header.request == LEND_LEND || header.request == LEND_SUPPLY) == (g_test_rand_int_range(0, 400) != 0))
		fd = memfd_create("test", MFD_CLOEXEC);
	for (unsigned int i = 0; i < 1000 && at < len_bytes && session->job < SESSION_DIES; i++) {
		size_t wanted = session_wants(session);

		if (wanted == 0) {
			/* It has not read, or something is being done. */
			session_sent(session, session->out_bytes);
			turn(world);
			continue;
		}
		size_t n = 1 + (size_t)g_test_rand_int_range(0, (gint32)MIN(wanted, len_bytes - at));
		n = MIN(n, MIN(wanted, len_bytes - at));
		memcpy(session->in + session->in_bytes, bytes + at, n);
		session_received(session, n, fd);
		fd = -1;
		at += n;
	}
	if (fd >= 0)
		close(fd);
}

static void touch(struct world *world, unsigned int vcpu)
{
	struct space_report report = { .access = SPACE_ACCESS_PAGE, .window = (unsigned int)g_test_rand_int_range(0, 2),
				       .page = (size_t)g_test_rand_int_range(0, 64) };

	if (world->space.vcpus[vcpu].state != SPACE_VCPU_RUNS)
		return;
	if (g_test_rand_bit())
		report = (struct space_report){ .access = SPACE_ACCESS_UNKNOWN };
	if (!space_report_absent(&world->space, vcpu, &report))
		space_report(&world->space, vcpu, &report);
}

static unsigned int open_files(void)
{
	unsigned int n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void test_anything(void)
{
	unsigned int files = open_files(), greeted = 0, lends = 0;

	for (unsigned int round = 0; round < 300; round++) {
		struct world *world = world_new();

		for (unsigned int i = 0; i < 150; i++) {
			unsigned int number = (unsigned int)g_test_rand_int_range(0, N_SESSIONS);

			if (world->sessions[number].job < SESSION_DIES)
				send_message(world, number);
			touch(world, (unsigned int)g_test_rand_int_range(0, 2));
			turn(world);
		}
		for (unsigned int i = 0; i < N_SESSIONS; i++) {
			greeted += world->sessions[i].greeted;
			lends += (unsigned int)world->space.windows[i].counters.lends;
			session_kill(&world->sessions[i]);
			while (world->sessions[i].job != SESSION_DEAD)
				g_assert_true(session_work(&world->sessions[i], 20));
		}
		while (space_work(&world->space, 100))
			;
		for (unsigned int w = 0; w < 2; w++) {
			g_assert_cmpuint(world->space.windows[w].lender, ==, SPACE_NO_LENDER);
			g_assert_cmpuint(world->space.windows[w].holds, ==, 0);
			g_assert_cmpuint(page_map_count(&world->space.windows[w].map, LEND_PAGES_LENT), ==, 0);
			for (size_t page = 0; page < 64; page++)
				g_assert_true(world->fake.pages[w][page].kind != FAKE_FILE || !world->fake.pages[w][page].rights);
		}
		for (unsigned int i = 0; i < 2; i++)
			g_assert_cmpint(world->space.vcpus[i].state, ==, SPACE_VCPU_RUNS);
		space_fini(&world->space);
		g_free(world);
		g_assert_cmpuint(open_files(), ==, files);
	}
	/* It was not all refused at the door. */
	g_assert_cmpuint(greeted, >, 100);
	g_assert_cmpuint(lends, >, 50);
}

/* A revoke of pages of window 0; returns how many bytes the answer has, so far. */
static size_t ask_to_revoke(struct session *session, size_t page, size_t n_pages)
{
	const struct lend_header header = { LEND_REVOKE, LEND_FLAGS_VERSION, LEND_RANGES_BYTES(1) };
	const struct lend_ranges ranges = { .window = 0, .n_ranges = 1, .ranges = { { page * LEND_PAGE_BYTES, n_pages * LEND_PAGE_BYTES } } };

	session_sent(session, session->out_bytes);
	memcpy(session->in, &header, sizeof(header));
	session_received(session, sizeof(header), -1);
	memcpy(session->in + sizeof(header), &ranges, header.len_bytes);
	session_received(session, header.len_bytes, -1);
	return session->out_bytes;
}

static uint32_t answered_error(const struct session *session)
{
	struct lend_reply reply;

	g_assert_cmpuint(session->out_bytes, ==, sizeof(struct lend_header) + sizeof(reply));
	memcpy(&reply, session->out + sizeof(struct lend_header), sizeof(reply));
	return reply.error;
}

/* Of RAM nothing is taken back before no vCPU runs, and then not what one of them stands on. */
static void test_ram(void)
{
	struct world *world = g_new0(struct world, 1);
	struct session *session = &world->sessions[0];
	const struct page_map *map = &world->space.windows[0].map;
	int fd = memfd_create("test", MFD_CLOEXEC);

	world->fake.n_windows = 1;
	world->fake.n_pages[0] = 64;
	world->fake.max_mappings = 1000;
	space_init(&world->space, 2, 900, &FAKE_MAPPER, &world->fake, &EVENTS, world);
	g_assert_true(space_add_window(&world->space, 0, 64, LEND_ACTION_STOP));
	world->space.windows[0].is_ram = true;
	world->space.windows[0].kept_for = 1;
	g_assert_cmpint(space_claim(&world->space, 0, 2, LEND_ACTION_STOP, 0), ==, EBUSY);
	session_init(session, &world->space, 1, &world->files, -1);
	session->greeted = true;
	g_assert_cmpint(space_claim(&world->space, 0, 1, LEND_ACTION_STOP, 0), ==, 0);
	g_assert_cmpint(space_lend(&world->space, 1, 0, 0, 64, fd, 0, true, 0), ==, 0);
	close(fd);

	g_assert_cmpuint(ask_to_revoke(session, 11, 2), ==, 0);
	g_assert_false(session_work(session, 100));
	g_assert_cmpuint(session_wants(session), ==, 0);
	g_assert_cmpuint(page_map_count(map, LEND_PAGES(LIVE)), ==, 64);
	session_go_on(session, 1, is_in_use, world);
	g_assert_cmpuint(answered_error(session), ==, 0);
	g_assert_cmpuint(page_map_count(map, LEND_PAGES(LIVE)), ==, 62);
	g_assert_cmpint(page_map_get(map, 11), ==, LEND_PAGE_ABSENT);

	g_assert_cmpuint(ask_to_revoke(session, 19, 2), ==, 0);
	session_go_on(session, 1, is_in_use, world);
	g_assert_cmpuint(answered_error(session), ==, EBUSY);
	g_assert_cmpuint(page_map_count(map, LEND_PAGES(LIVE)), ==, 62);
	g_assert_cmpuint(world->space.windows[0].holds, ==, 0);

	/* Its death needs nobody's leave: the domain ends with it. */
	g_assert_cmpuint(ask_to_revoke(session, 0, 64), ==, 0);
	session_kill(session);
	while (session->job != SESSION_DEAD)
		g_assert_true(session_work(session, 100));
	g_assert_cmpuint(page_map_count(map, LEND_PAGES_LENT), ==, 0);
	space_fini(&world->space);
	lent_files_fini(&world->files);
	g_free(world);
}

/* What is asked is answered in a thread; what is refused is closed there. */
static bool may_be_lent(struct lent_files *files, int fd)
{
	struct lent_question *question;

	if (lent_file_is_known(files, fd)) {
		close(fd);
		return true;
	}
	question = lent_file_ask(files, fd, -1);
	g_assert_nonnull(question);
	while (!lent_file_answered(files, question, &fd))
		g_usleep(100);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static void test_files(void)
{
	struct lent_files files = { .n_known = 0 };
	unsigned int before = open_files();
	int pipe_fds[2];

	g_assert_true(may_be_lent(&files, memfd_create("test", MFD_CLOEXEC)));
	for (unsigned int i = 0; i < 20; i++) {
		g_assert_cmpint(pipe(pipe_fds), ==, 0);
		g_assert_false(may_be_lent(&files, pipe_fds[0]));
		close(pipe_fds[1]);
		/* On a file system in memory, as some files that may. */
		g_assert_false(may_be_lent(&files, open("/dev/zero", O_RDWR | O_CLOEXEC)));
		g_assert_false(may_be_lent(&files, open("/proc/self/maps", O_RDONLY | O_CLOEXEC)));
		g_assert_false(may_be_lent(&files, open("/dev", O_RDONLY | O_CLOEXEC)));
	}
	/* Forgotten ones make room when they are answered. */
	for (unsigned int i = 0; i < 100; i++) {
		struct lent_question *question = lent_file_ask(&files, open("/proc/self/maps", O_RDONLY | O_CLOEXEC), -1);

		g_assert_nonnull(question);
		lent_file_forget(question);
		g_usleep(2000);
	}
	g_usleep(100000);
	lent_files_fini(&files);
	g_assert_cmpuint(open_files(), ==, before);
}

/* Questions whose answers nobody takes hold their places, as those do that a file system never answers. */
static void test_files_limit(void)
{
	struct lent_files files = { .n_known = 0 };
	struct lent_question *questions[LENT_FILES_ASKED];
	unsigned int before = open_files();
	int fd;

	for (unsigned int i = 0; i < LENT_FILES_ASKED; i++) {
		questions[i] = lent_file_ask(&files, open("/proc/self/maps", O_RDONLY | O_CLOEXEC), -1);
		g_assert_nonnull(questions[i]);
	}
	fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	g_assert_null(lent_file_ask(&files, fd, -1));
	/* It is not closed: that could take for ever. Here it does not. */
	g_assert_cmpint(close(fd), ==, 0);
	/* One answer taken, one place more. */
	while (!lent_file_answered(&files, questions[0], &fd))
		g_usleep(100);
	g_assert_cmpint(fd, ==, -1);
	questions[0] = lent_file_ask(&files, open("/proc/self/maps", O_RDONLY | O_CLOEXEC), -1);
	g_assert_nonnull(questions[0]);
	for (unsigned int i = 0; i < LENT_FILES_ASKED; i++)
		while (!lent_file_answered(&files, questions[i], &fd))
			g_usleep(100);
	lent_files_fini(&files);
	g_assert_cmpuint(open_files(), ==, before);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/lend/session/anything", test_anything);
	g_test_add_func("/lend/session/ram", test_ram);
	g_test_add_func("/lend/session/files", test_files);
	g_test_add_func("/lend/session/files-limit", test_files_limit);
	return g_test_run();
}
