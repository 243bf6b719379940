// SPDX-License-Identifier: MIT
/*
 * The state machine of lending against a kernel of arrays. The random test does whatever lenders, guests and the kernel
 * may do, in any order, and after each step asks: is anything reachable that its lender did not lend, or took back? Is each
 * request answered once, each vCPU too? Was the work bounded?
 */
#include <errno.h>
#include <string.h>

#include <glib.h>

#include "lend/fake_mapper.h"

#define N_WINDOWS 2u
#define N_VCPUS   4u
#define N_LENDERS 3u
#define N_IDS     64u
#define STEP_PAGES 80u

static const size_t WINDOW_PAGES[N_WINDOWS] = { 96, 400 };

struct lent {
	bool lent;
	int fd;
	uint64_t file_page;
};

struct world {
	struct space space;
	struct fake_mapper fake;
	struct lent lent[N_WINDOWS][FAKE_MAX_PAGES];
	bool waits[N_VCPUS];
	struct space_report asked[N_VCPUS];
	unsigned int answers[N_VCPUS], faults, nothings;
	struct space_need ids[N_IDS]; /* of requests that came, answered or not */
	unsigned int id_lender[N_IDS], n_ids;
	bool stopped;
	unsigned int widened;
	struct space_revoke revokes[N_LENDERS + 1];
	bool revoking[N_LENDERS + 1], done[N_LENDERS + 1];
	int next_fd;
};

static void on_need(void *opaque, unsigned int lender, const struct space_need *need)
{
	struct world *world = opaque;

	g_assert_cmpuint(lender, !=, SPACE_NO_LENDER);
	g_assert_cmpuint(world->space.windows[need->window].lender, ==, lender);
	g_assert_cmpuint(need->vcpus, !=, 0);
	for (unsigned int i = 0; i < MIN(world->n_ids, N_IDS); i++)
		g_assert_cmpuint(world->ids[i].id, !=, need->id);
	for (unsigned int i = 0; i < N_VCPUS; i++)
		if (need->vcpus & 1u << i) {
			g_assert_true(world->waits[i]);
			g_assert_cmpuint(world->asked[i].page, ==, need->page);
		}
	/* One at a time for a page. */
	unsigned int same = 0;
	for (unsigned int i = 0; i < N_VCPUS; i++)
		same += world->space.faults[i].used && world->space.faults[i].need.window == need->window &&
			world->space.faults[i].need.page == need->page;
	g_assert_cmpuint(same, ==, 1);
	world->ids[world->n_ids % N_IDS] = *need;
	world->id_lender[world->n_ids++ % N_IDS] = lender;
}

static void on_widened(void *opaque, unsigned int lender, unsigned int window, uint64_t seq)
{
	struct world *world = opaque;

	(void)seq;
	g_assert_cmpuint(world->space.windows[window].lender, ==, lender);
	world->widened++;
}

static void on_answer(void *opaque, unsigned int vcpu, enum space_answer answer, const struct space_report *report)
{
	struct world *world = opaque;

	g_assert_true(world->waits[vcpu]);
	world->waits[vcpu] = false;
	world->answers[vcpu]++;
	world->faults += answer == SPACE_FAULT;
	world->nothings += answer == SPACE_NOTHING;
	g_assert_true(answer != SPACE_FAULT || report->access == SPACE_ACCESS_PAGE);
	if (report->access == SPACE_ACCESS_READ) {
		const struct fake_page *page = &world->fake.pages[report->window][report->page];

		g_assert_cmpuint(report->bytes[0], ==, page->kind == FAKE_ZERO ? 0 : page->file_page & 0xff);
	}
}

static void on_stop(void *opaque, unsigned int window, size_t page)
{
	struct world *world = opaque;

	(void)window, (void)page;
	world->stopped = true;
}

static void on_stuck(void *opaque, unsigned int window, int error)
{
	(void)opaque, (void)window, (void)error;
	g_assert_not_reached();
}

static const struct space_events EVENTS = {
	.need = on_need, .widened = on_widened, .answer = on_answer, .stop = on_stop, .stuck = on_stuck,
};

static struct world *world_new(size_t max_mappings, unsigned int fail_percent)
{
	struct world *world = g_new0(struct world, 1);

	world->fake.n_windows = N_WINDOWS;
	world->fake.max_mappings = max_mappings + 8;
	world->fake.fail_percent = fail_percent;
	world->next_fd = 3;
	space_init(&world->space, N_VCPUS, max_mappings, &FAKE_MAPPER, &world->fake, &EVENTS, world);
	world->space.can_fault = true;
	for (unsigned int i = 0; i < N_WINDOWS; i++) {
		world->fake.n_pages[i] = WINDOW_PAGES[i];
		g_assert_true(space_add_window(&world->space, 0x1000000u * (i + 1), WINDOW_PAGES[i], LEND_ACTION_ZERO));
	}
	return world;
}

static void world_free(struct world *world)
{
	space_fini(&world->space);
	g_free(world);
}

static bool vcpu_waits(const struct world *world)
{
	for (unsigned int i = 0; i < N_VCPUS; i++)
		if (world->waits[i])
			return true;
	return false;
}

/* What the guest does to a page, and what comes of it. TRUE: it went through. */
static bool touch(struct world *world, unsigned int vcpu, unsigned int window, size_t page, bool write, bool emulated)
{
	const struct fake_page *at = &world->fake.pages[window][page];
	struct space_report report = { .window = window, .page = page, .len_bytes = 8, .offset_bytes = 16 };

	g_assert_false(world->waits[vcpu]);
	if (emulated)
		report.access = write ? SPACE_ACCESS_WRITE : SPACE_ACCESS_READ;
	else if (at->kind == FAKE_ARMED)
		report.access = SPACE_ACCESS_PAGE;
	else if (at->kind != FAKE_NONE && at->rights && (at->writable || !write))
		return true;
	else
		report.access = SPACE_ACCESS_UNKNOWN;
	world->waits[vcpu] = true;
	world->asked[vcpu] = report;
	/* By either way, where there are two; the short one has no answer, and maps nothing. */
	uint64_t changes = world->space.changes;
	if (g_test_rand_bit() && space_report_absent(&world->space, vcpu, &report)) {
		g_assert_true(world->waits[vcpu]);
		g_assert_cmpuint(world->space.changes, ==, changes);
		return false;
	}
	space_report(&world->space, vcpu, &report);
	return false;
}

static void settle(struct world *world)
{
	while (space_work(&world->space, STEP_PAGES))
		;
}

/* Touches until it goes through, or waits for a lender. */
static bool touch_through(struct world *world, unsigned int vcpu, unsigned int window, size_t page, bool write)
{
	for (int tries = 0; tries < 200; tries++) {
		if (touch(world, vcpu, window, page, write, false))
			return true;
		settle(world);
		if (world->waits[vcpu])
			return false;
	}
	g_assert_not_reached();
}

static void check_reachable(const struct world *world)
{
	for (unsigned int w = 0; w < N_WINDOWS; w++)
		for (size_t page = 0; page < WINDOW_PAGES[w]; page++) {
			const struct fake_page *shown = &world->fake.pages[w][page];
			const struct lent *lent = &world->lent[w][page];

			if (shown->kind != FAKE_FILE || !shown->rights)
				continue;
			g_assert_true(lent->lent && lent->fd == shown->fd && lent->file_page == shown->file_page);
		}
	g_assert_cmpuint(fake_mappings(&world->fake), <=, world->fake.max_mappings);
}

static void note_lent(struct world *world, unsigned int window, size_t page, size_t n_pages, int fd, uint64_t file_page)
{
	for (size_t i = 0; i < n_pages; i++)
		world->lent[window][page + i] = (struct lent){ true, fd, file_page + i };
}

static void note_revoked(struct world *world, unsigned int window, size_t page, size_t n_pages)
{
	for (size_t i = 0; i < n_pages; i++)
		world->lent[window][page + i].lent = false;
}

static int lend(struct world *world, unsigned int lender, unsigned int window, size_t page, size_t n_pages, bool writable)
{
	int fd = world->next_fd++;
	int rc;

	note_lent(world, window, page, n_pages, fd, 5);
	struct lent before[FAKE_MAX_PAGES];
	memcpy(before, world->lent[window], sizeof(before));
	rc = space_lend(&world->space, lender, window, page, n_pages, fd, 5 * LEND_PAGE_BYTES, writable, 0);
	return rc;
}

static void revoke_all_of(struct world *world, unsigned int lender, unsigned int window, size_t page, size_t n_pages)
{
	struct space_revoke revoke;

	g_assert_cmpint(space_revoke_begin(&world->space, lender, window, page, n_pages, &revoke), ==, 0);
	while (!space_revoke_step(&world->space, &revoke, STEP_PAGES))
		;
	note_revoked(world, window, page, n_pages);
	check_reachable(world);
	space_revoke_end(&world->space, &revoke);
}

/* The one way through all states, by hand. */
static void test_round(void)
{
	struct world *world = world_new(1000, 0);

	g_assert_cmpint(space_claim(&world->space, 0, 1, LEND_ACTION_FAULT, 0), ==, 0);
	g_assert_cmpint(space_claim(&world->space, 0, 2, LEND_ACTION_ZERO, 0), ==, EBUSY);
	g_assert_cmpint(space_claim(&world->space, 9, 2, LEND_ACTION_ZERO, 0), ==, ENOENT);
	g_assert_cmpint(lend(world, 1, 0, 10, 20, true), ==, 0);
	g_assert_true(touch(world, 0, 0, 12, true, false));
	revoke_all_of(world, 1, 0, 12, 1);
	g_assert_true(touch(world, 0, 0, 11, true, false));
	g_assert_false(touch_through(world, 0, 0, 12, true));
	g_assert_cmpuint(world->n_ids, ==, 1);
	/* A second one joins; another page is another request. */
	g_assert_false(touch_through(world, 1, 0, 12, false));
	g_assert_cmpuint(world->n_ids, ==, 1);
	g_assert_false(touch_through(world, 2, 0, 13 + 40, false));
	g_assert_cmpuint(world->n_ids, ==, 2);
	/* Another lender has no say. */
	g_assert_cmpint(space_supply(&world->space, 2, world->ids[0].id, 0, 12, 1, 99, 0, true), ==, EPERM);
	g_assert_cmpint(space_supply(&world->space, 1, world->ids[0].id, 0, 13, 1, 99, 0, true), ==, EINVAL);
	g_assert_cmpint(space_supply(&world->space, 1, world->ids[0].id, 0, 11, 2, 99, 0, true), ==, EEXIST);
	note_lent(world, 0, 12, 1, 99, 0);
	g_assert_cmpint(space_supply(&world->space, 1, world->ids[0].id, 0, 12, 1, 99, 0, true), ==, 0);
	g_assert_false(world->waits[0] || world->waits[1]);
	g_assert_true(world->waits[2]);
	g_assert_cmpint(space_supply(&world->space, 1, world->ids[0].id, 0, 12, 1, 99, 0, true), ==, ESTALE);
	g_assert_cmpint(space_fail(&world->space, 1, world->ids[1].id, LEND_ACTION_DEFAULT), ==, 0);
	g_assert_cmpuint(world->faults, ==, 1);
	g_assert_false(vcpu_waits(world));
	/* The page traps again after a fault; zeros stay. */
	g_assert_false(touch_through(world, 2, 0, 53, false));
	g_assert_cmpint(space_fail(&world->space, 1, world->ids[2].id, LEND_ACTION_ZERO), ==, 0);
	g_assert_true(touch(world, 2, 0, 53, true, false));
	check_reachable(world);
	/* Death: what it lent goes, what others wait for is the policy's. */
	g_assert_false(touch_through(world, 3, 0, 60, true));
	revoke_all_of(world, 1, 0, 0, WINDOW_PAGES[0]);
	g_assert_cmpint(space_release(&world->space, 0, 1), ==, 0);
	g_assert_false(vcpu_waits(world));
	g_assert_true(touch_through(world, 3, 0, 61, true));
	g_assert_cmpint(space_claim(&world->space, 0, 2, LEND_ACTION_STOP, 0), ==, 0);
	world_free(world);
}

/* R9: what crossed with a revoke brings nothing back, and the request comes again. */
static void test_late_supply(void)
{
	struct world *world = world_new(1000, 0);

	g_assert_cmpint(space_claim(&world->space, 1, 1, LEND_ACTION_ZERO, 0), ==, 0);
	g_assert_false(touch_through(world, 0, 1, 7, false));
	uint64_t first = world->ids[0].id;
	struct space_revoke revoke;

	g_assert_cmpint(space_revoke_begin(&world->space, 1, 1, 0, 400, &revoke), ==, 0);
	g_assert_cmpint(space_supply(&world->space, 1, first, 1, 7, 1, 5, 0, true), ==, ESTALE);
	g_assert_cmpint(space_lend(&world->space, 1, 1, 7, 1, 5, 0, true, 0), ==, EAGAIN);
	g_assert_false(touch_through(world, 1, 1, 8, false)); /* waits for the end */
	g_assert_cmpuint(world->n_ids, ==, 1);
	while (!space_revoke_step(&world->space, &revoke, STEP_PAGES))
		;
	g_assert_cmpuint(world->n_ids, ==, 1);
	space_revoke_end(&world->space, &revoke);
	g_assert_cmpuint(world->n_ids, ==, 3);
	g_assert_cmpint(space_supply(&world->space, 1, first, 1, 7, 1, 5, 0, true), ==, ESTALE);
	/* A lend that knows of no revoke is as late. */
	g_assert_cmpint(space_lend(&world->space, 1, 1, 7, 1, 5, 0, true, revoke.seq - 1 ? revoke.seq - 1 : 0), ==,
			revoke.seq > 1 ? ESTALE : 0);
	note_lent(world, 1, 7, 2, 5, 0);
	if (revoke.seq > 1)
		g_assert_cmpint(space_lend(&world->space, 1, 1, 7, 2, 5, 0, true, revoke.seq), ==, 0);
	world_free(world);
}

/* R8: requests that nobody answers are in nobody's way. */
static void test_unanswered(void)
{
	struct world *world = world_new(1000, 0);

	g_assert_cmpint(space_claim(&world->space, 1, 1, LEND_ACTION_ZERO, 0), ==, 0);
	for (unsigned int i = 0; i < N_VCPUS; i++)
		g_assert_false(touch_through(world, i, 1, 100 + i, false));
	g_assert_cmpint(lend(world, 1, 1, 0, 100, true), ==, 0);
	revoke_all_of(world, 1, 1, 10, 50);
	g_assert_true(vcpu_waits(world));
	g_assert_cmpuint(world->n_ids, ==, N_VCPUS);
	world_free(world);
}

static void test_timeout(void)
{
	struct world *world = world_new(1000, 0);

	g_assert_cmpint(space_claim(&world->space, 0, 1, LEND_ACTION_ZERO, 20), ==, 0);
	world->space.now_ns = 1000;
	g_assert_false(touch_through(world, 0, 0, 1, false));
	g_assert_cmpuint(space_expire(&world->space), ==, 1000 + 20000000);
	world->space.now_ns = 1000 + 20000000;
	g_assert_cmpuint(space_expire(&world->space), ==, 0);
	g_assert_false(world->waits[0]);
	g_assert_true(touch(world, 0, 0, 1, true, false));
	g_assert_cmpint(space_fail(&world->space, 1, world->ids[0].id, LEND_ACTION_STOP), ==, ESTALE);
	world_free(world);
}

/* R18, and a file that became shorter: an access that nothing explains finds the page that is to blame. */
static void test_suspects(void)
{
	struct world *world = world_new(1000, 0);

	g_assert_cmpint(space_claim(&world->space, 0, 1, LEND_ACTION_ZERO, 0), ==, 0);
	g_assert_cmpint(lend(world, 1, 0, 0, 96, false), ==, 0);
	g_assert_true(touch_through(world, 0, 0, 5, false));
	memset(world->lent, 0, sizeof(world->lent)); /* what is taken back need not come again */
	g_assert_false(touch_through(world, 0, 0, 5, true));
	g_assert_cmpuint(world->ids[0].page, ==, 5);
	g_assert_cmpuint(world->ids[0].flags, ==, SPACE_NEED_WRITE);
	note_lent(world, 0, 5, 1, 77, 0);
	g_assert_cmpint(space_supply(&world->space, 1, world->ids[0].id, 0, 5, 1, 77, 0, true), ==, 0);
	g_assert_true(touch_through(world, 0, 0, 5, true));
	/* Truncated: the mapping is there, the access is not. */
	world->fake.pages[0][5].rights = false;
	g_assert_false(touch_through(world, 0, 0, 5, true));
	g_assert_cmpuint(world->ids[1].page, ==, 5);
	g_assert_cmpuint(world->ids[1].flags, ==, SPACE_NEED_LOST);
	g_assert_cmpint(space_fail(&world->space, 1, world->ids[1].id, LEND_ACTION_ZERO), ==, 0);
	/* And the kernel's emulator, of which all is known. */
	g_assert_false(touch(world, 1, 0, 7, true, true));
	g_assert_true(world->waits[1]);
	g_assert_cmpint(space_supply(&world->space, 1, world->ids[2].id, 0, 7, 1, 78, 0, false), ==, 0);
	g_assert_true(world->waits[1]);
	g_assert_cmpuint(world->ids[3].flags, ==, SPACE_NEED_WRITE);
	g_assert_cmpint(space_supply(&world->space, 1, world->ids[3].id, 0, 7, 1, 78, 0, true), ==, 0);
	g_assert_false(world->waits[1]);
	/* Without a window to blame, it is none. */
	g_assert_cmpuint(world->nothings, ==, 0);
	world_free(world);
}

static void test_nothing(void)
{
	struct world *world = world_new(1000, 0);
	const struct space_report report = { .access = SPACE_ACCESS_UNKNOWN };

	for (unsigned int i = 0; i < 10 && world->nothings == 0; i++) {
		world->waits[0] = true;
		space_report(&world->space, 0, &report);
		settle(world);
		g_assert_false(world->waits[0]);
	}
	g_assert_cmpuint(world->nothings, ==, 1);
	world_free(world);
}

/* When there are no more mappings, revoking still works. */
static void test_mappings_run_out(void)
{
	struct world *world = world_new(40, 0);
	bool refused = false;

	g_assert_cmpint(space_claim(&world->space, 1, 1, LEND_ACTION_ZERO, 0), ==, 0);
	g_assert_cmpint(lend(world, 1, 1, 0, 400, true), ==, 0);
	for (size_t page = 0; page < 400 && world->widened == 0; page += 2) {
		struct space_revoke revoke;

		g_assert_cmpint(space_revoke_begin(&world->space, 1, 1, page, 1, &revoke), ==, 0);
		while (!space_revoke_step(&world->space, &revoke, STEP_PAGES))
			;
		space_revoke_end(&world->space, &revoke);
		note_revoked(world, 1, page, 1);
		check_reachable(world);
		world->widened += revoke.widened;
	}
	g_assert_cmpuint(world->widened, ==, 1);
	memset(world->lent, 0, sizeof(world->lent));
	check_reachable(world);
	for (size_t page = 0; page < 400 && !refused; page += 2)
		refused = lend(world, 1, 1, page, 1, true) == ENOSPC;
	g_assert_true(refused);
	world_free(world);
}

/* Everything at once */

static void random_vcpu(struct world *world)
{
	unsigned int vcpu = (unsigned int)g_test_rand_int_range(0, N_VCPUS);
	unsigned int window = (unsigned int)g_test_rand_int_range(0, N_WINDOWS);
	size_t page = (size_t)g_test_rand_int_range(0, (gint32)WINDOW_PAGES[window]);

	if (!world->waits[vcpu])
		(void)touch(world, vcpu, window, page, g_test_rand_bit(), g_test_rand_int_range(0, 8) == 0);
}

static void random_range(unsigned int window, size_t *page, size_t *n_pages)
{
	size_t most = g_test_rand_bit() ? 3 : WINDOW_PAGES[window];

	*page = (size_t)g_test_rand_int_range(0, (gint32)WINDOW_PAGES[window]);
	*n_pages = 1 + (size_t)g_test_rand_int_range(0, (gint32)MIN(most, WINDOW_PAGES[window] - *page));
	*n_pages = MIN(*n_pages, WINDOW_PAGES[window] - *page);
}

/* The mapper may be asked for it before the result is known here. */
static void random_lend(struct world *world, unsigned int lender, bool supply)
{
	unsigned int window = (unsigned int)g_test_rand_int_range(0, N_WINDOWS), at = 0;
	struct lent before[FAKE_MAX_PAGES];
	size_t page, n_pages;
	int fd = world->next_fd++, rc;
	bool writable = g_test_rand_int_range(0, 4) != 0;
	uint64_t file_page = 9;

	random_range(window, &page, &n_pages);
	if (supply && world->n_ids > 0) {
		at = (unsigned int)g_test_rand_int_range((gint32)(MAX(world->n_ids, N_VCPUS) - N_VCPUS), (gint32)world->n_ids) % N_IDS;
		if (g_test_rand_int_range(0, 4) != 0)
			lender = world->id_lender[at];
		window = world->ids[at].window;
		page = world->ids[at].page;
		n_pages = MIN(n_pages, WINDOW_PAGES[window] - page);
		if (g_test_rand_bit())
			n_pages = 1;
	}
	/* The same files again and again, most of the time at one distance. */
	if (world->space.windows[window].is_ram && g_test_rand_int_range(0, 6) != 0) {
		fd = FAKE_IN_PLACE_FD + (int)lender;
		file_page = page + (g_test_rand_int_range(0, 8) == 0 ? (uint64_t)g_test_rand_int_range(0, 40) : 9);
	}
	memcpy(before, world->lent[window], sizeof(before));
	/* A copy for a vCPU may be done inside the call: what it sees is what is being lent. */
	if (world->space.windows[window].lender == lender &&
	    !page_map_run(&world->space.windows[window].map, LEND_PAGES_PRESENT, page, page + n_pages, &(size_t){ 0 }, &(size_t){ 0 }))
		note_lent(world, window, page, n_pages, fd, file_page);
	rc = supply && world->n_ids > 0 ?
		     space_supply(&world->space, lender, world->ids[at].id, window, page, n_pages, fd, file_page * LEND_PAGE_BYTES, writable) :
		     space_lend(&world->space, lender, window, page, n_pages, fd, file_page * LEND_PAGE_BYTES, writable, 0);
	if (rc != 0)
		memcpy(world->lent[window], before, sizeof(before));
}

static void random_revoke(struct world *world, unsigned int lender)
{
	unsigned int window = (unsigned int)g_test_rand_int_range(0, N_WINDOWS);
	struct space_revoke *revoke = &world->revokes[lender];
	size_t page, n_pages;

	if (!world->revoking[lender]) {
		random_range(window, &page, &n_pages);
		world->revoking[lender] = space_revoke_begin(&world->space, lender, window, page, n_pages, revoke) == 0;
		world->done[lender] = false;
		return;
	}
	if (world->done[lender]) {
		space_revoke_end(&world->space, revoke);
		world->revoking[lender] = false;
		return;
	}
	world->done[lender] = space_revoke_step(&world->space, revoke, STEP_PAGES);
	if (world->done[lender])
		note_revoked(world, revoke->window, revoke->first, revoke->end - revoke->first);
}

/* Dies, or takes a window. */
static void random_claim(struct world *world, unsigned int lender)
{
	unsigned int window = (unsigned int)g_test_rand_int_range(0, N_WINDOWS);
	enum lend_action action = g_test_rand_bit() ? LEND_ACTION_ZERO : LEND_ACTION_FAULT;

	if (world->space.windows[window].lender != lender) {
		(void)space_claim(&world->space, window, lender, action, g_test_rand_bit() ? 3 : 0);
		return;
	}
	if (world->revoking[lender])
		return;
	revoke_all_of(world, lender, window, 0, WINDOW_PAGES[window]);
	g_assert_cmpint(space_release(&world->space, window, lender), ==, 0);
	for (unsigned int i = 0; i < N_VCPUS; i++)
		g_assert_false(!world->stopped && world->waits[i] && world->asked[i].access != SPACE_ACCESS_UNKNOWN && world->asked[i].window == window);
}

static void random_step(struct world *world)
{
	unsigned int lender = 1 + (unsigned int)g_test_rand_int_range(0, N_LENDERS);
	size_t touched = world->fake.touched_pages, widened = 0, total = 0;

	for (unsigned int i = 0; i < N_WINDOWS; i++) {
		widened += world->space.windows[i].counters.widened;
		total += WINDOW_PAGES[i];
	}
	switch (g_test_rand_int_range(0, 12)) {
	case 0 ... 3:
		random_vcpu(world);
		break;
	case 4:
		random_lend(world, lender, false);
		break;
	case 5 ... 6:
		random_lend(world, lender, true);
		break;
	case 7 ... 8:
		random_revoke(world, lender);
		break;
	case 9:
		if (world->n_ids > 0)
			(void)space_fail(&world->space, lender, world->ids[(world->n_ids - 1) % N_IDS].id,
					 g_test_rand_bit() ? LEND_ACTION_ZERO : LEND_ACTION_FAULT);
		break;
	case 10:
		world->space.now_ns += 1000000;
		(void)space_expire(&world->space);
		(void)space_work(&world->space, STEP_PAGES);
		/* In one turn: what it was given, but where mappings ran out, then windows. */
		for (unsigned int i = 0; i < N_WINDOWS; i++)
			widened -= world->space.windows[i].counters.widened;
		if (widened == 0)
			g_assert_cmpuint(world->fake.touched_pages - touched, <=, 3 * (STEP_PAGES + N_VCPUS) + 3 * total * (world->fake.fail_percent > 0));
		break;
	default:
		if (g_test_rand_int_range(0, 20) == 0)
			random_claim(world, lender);
	}
	/* What was taken back without being asked for is no longer lent. */
	for (unsigned int w = 0; w < N_WINDOWS; w++)
		for (size_t page = 0; page < WINDOW_PAGES[w]; page++)
			if (!(LEND_PAGES_LENT & 1u << page_map_get(&world->space.windows[w].map, page)))
				world->lent[w][page].lent = false;
}

static void random_world(size_t max_mappings, unsigned int fail_percent, unsigned int n_steps, bool in_place)
{
	struct world *world = world_new(max_mappings, fail_percent);
	unsigned int answered = 0;

	for (unsigned int i = 0; i < N_WINDOWS; i++)
		world->space.windows[i].is_ram = in_place;

	for (unsigned int lender = 1; lender <= N_WINDOWS; lender++)
		g_assert_cmpint(space_claim(&world->space, lender - 1, lender, LEND_ACTION_ZERO, 0), ==, 0);
	for (unsigned int i = 0; i < n_steps && !world->stopped; i++) {
		random_step(world);
		check_reachable(world);
		size_t n_mappings = 0;
		for (unsigned int w = 0; w < N_WINDOWS; w++)
			n_mappings += world->space.windows[w].map.n_mappings;
		if (fail_percent == 0)
			g_assert_cmpuint(n_mappings, >=, fake_mappings(&world->fake));
	}
	/* All lenders die: nobody waits any more. */
	for (unsigned int lender = 1; lender <= N_LENDERS && !world->stopped; lender++) {
		while (world->revoking[lender])
			random_revoke(world, lender);
		for (unsigned int w = 0; w < N_WINDOWS; w++) {
			if (world->space.windows[w].lender != lender)
				continue;
			revoke_all_of(world, lender, w, 0, WINDOW_PAGES[w]);
			g_assert_cmpint(space_release(&world->space, w, lender), ==, 0);
			/* No file of its is held. */
			for (size_t page = 0; page < WINDOW_PAGES[w]; page++)
				g_assert_false(world->fake.pages[w][page].in_place);
		}
	}
	settle(world);
	for (unsigned int i = 0; i < N_VCPUS; i++)
		answered += world->answers[i];
	g_assert_true(world->stopped || !vcpu_waits(world));
	g_assert_true(world->stopped || answered > 10);
	g_assert_cmpuint(world->nothings, ==, 0);
	world_free(world);
}

static void test_random(void)
{
	for (unsigned int i = 0; i < 20; i++)
		random_world(100000, 0, 4000, i % 2);
}

static void test_random_few_mappings(void)
{
	for (unsigned int i = 0; i < 20; i++)
		random_world(60, 0, 4000, i % 2);
}

static void test_random_failures(void)
{
	for (unsigned int i = 0; i < 40; i++)
		random_world(200, 5, 2000, i % 2);
}

/* RAM whose pages come and go one by one, each with its place in a file: all of it is few mappings, whatever is there. */
static void test_in_place(void)
{
	struct world *world = world_new(40, 0);
	const int fd = FAKE_IN_PLACE_FD;

	world->space.windows[1].is_ram = true;
	g_assert_cmpint(space_claim(&world->space, 1, 1, LEND_ACTION_ZERO, 0), ==, 0);
	for (unsigned int i = 0; i < 4000; i++) {
		size_t page = (size_t)g_test_rand_int_range(0, (gint32)WINDOW_PAGES[1]);

		if (page_map_count_views(&world->space.windows[1].map, page, 1, PAGE_MAP_ANY_VIEW) == 0 && i >= WINDOW_PAGES[1])
			continue;
		/* First each page once, from the start. */
		page = i < WINDOW_PAGES[1] ? i : page;
		if (world->lent[1][page].lent) {
			revoke_all_of(world, 1, 1, page, 1);
			g_assert_cmpint(touch_through(world, 0, 1, page, true), ==, false);
		}
		note_lent(world, 1, page, 1, fd, page + 7);
		g_assert_cmpint(space_lend(&world->space, 1, 1, page, 1, fd, (page + 7) * LEND_PAGE_BYTES, true, 0), ==, 0);
		g_assert_true(touch(world, 0, 1, page, true, false));
		check_reachable(world);
		g_assert_cmpuint(world->space.windows[1].map.n_mappings, <=, 2);
	}
	g_assert_cmpuint(world->space.windows[1].map.n_mappings, ==, 1);
	/* Another place in the file, another right, another file: another mapping. */
	revoke_all_of(world, 1, 1, 50, 3);
	note_lent(world, 1, 50, 1, fd, 50);
	g_assert_cmpint(space_lend(&world->space, 1, 1, 50, 1, fd, 50 * LEND_PAGE_BYTES, true, 0), ==, 0);
	note_lent(world, 1, 51, 1, fd, 58);
	g_assert_cmpint(space_lend(&world->space, 1, 1, 51, 1, fd, 58 * LEND_PAGE_BYTES, false, 0), ==, 0);
	g_assert_false(touch_through(world, 0, 1, 51, true));
	check_reachable(world);
	world_free(world);
}

/* R42: a kernel that does not take rights away is noticed. */
static void test_control(gconstpointer argument)
{
	struct world *world = world_new(1000, 0);
	bool in_place = world->space.windows[0].is_ram = GPOINTER_TO_INT(argument) != 0;

	if (g_test_subprocess()) {
		g_assert_cmpint(space_claim(&world->space, 0, 1, LEND_ACTION_ZERO, 0), ==, 0);
		if (in_place)
			note_lent(world, 0, 0, 96, FAKE_IN_PLACE_FD, 0);
		g_assert_cmpint(in_place ? space_lend(&world->space, 1, 0, 0, 96, FAKE_IN_PLACE_FD, 0, true, 0) :
					   lend(world, 1, 0, 0, 96, true), ==, 0);
		world->fake.broken_close = true;
		revoke_all_of(world, 1, 0, 3, 5);
		world_free(world);
		return;
	}
	g_test_trap_subprocess(NULL, 0, 0);
	g_test_trap_assert_failed();
	world_free(world);
}

/* Who must not have a machine check gets zeros; but nothing comes where a revoke is going on, not even those. */
static void test_no_zeros_in_a_revoke(void)
{
	struct world *world = world_new(1000, 0);
	const struct space_report report = { .access = SPACE_ACCESS_PAGE, .page = 3, .no_fault = true };
	const struct page_map *map = &world->space.windows[0].map;
	struct space_revoke revoke;

	g_assert_cmpint(space_claim(&world->space, 0, 1, LEND_ACTION_ZERO, 0), ==, 0);
	g_assert_cmpint(space_revoke_begin(&world->space, 1, 0, 0, WINDOW_PAGES[0], &revoke), ==, 0);
	while (!space_revoke_step(&world->space, &revoke, STEP_PAGES))
		;
	world->waits[0] = true;
	world->asked[0] = report;
	g_assert_false(space_report_absent(&world->space, 0, &report));
	space_report(&world->space, 0, &report);
	g_assert_true(world->waits[0]);
	g_assert_cmpuint(page_map_count(map, LEND_PAGES_PRESENT), ==, 0);
	space_revoke_end(&world->space, &revoke);
	g_assert_false(world->waits[0]);
	g_assert_cmpint(page_map_get(map, 3), ==, LEND_PAGE_ZERO);
	g_assert_cmpuint(world->n_ids, ==, 0);
	world_free(world);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/lend/space/round", test_round);
	g_test_add_func("/lend/space/late_supply", test_late_supply);
	g_test_add_func("/lend/space/unanswered", test_unanswered);
	g_test_add_func("/lend/space/timeout", test_timeout);
	g_test_add_func("/lend/space/suspects", test_suspects);
	g_test_add_func("/lend/space/nothing", test_nothing);
	g_test_add_func("/lend/space/mappings_run_out", test_mappings_run_out);
	g_test_add_func("/lend/space/random", test_random);
	g_test_add_func("/lend/space/random_few_mappings", test_random_few_mappings);
	g_test_add_func("/lend/space/random_failures", test_random_failures);
	g_test_add_func("/lend/space/no_zeros_in_a_revoke", test_no_zeros_in_a_revoke);
	g_test_add_func("/lend/space/in_place", test_in_place);
	g_test_add_data_func("/lend/space/control", GINT_TO_POINTER(false), test_control);
	g_test_add_data_func("/lend/space/control_in_place", GINT_TO_POINTER(true), test_control);
	return g_test_run();
}
