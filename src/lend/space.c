// SPDX-License-Identifier: MIT
/* Windows and lenders. */
#include "lend/space_internal.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "lend/broken.h"

/* What a system call costs beside its pages, in pages: so that scattered pages count for more than a run. */
#define RUN_COST_PAGES 64u
/* A change within one mapping leaves three. */
#define MAPPINGS_PER_CHANGE 2u

void space_init(struct space *space, unsigned int n_vcpus, size_t max_mappings, const struct lend_mapper *mapper,
		void *mapper_opaque, const struct space_events *events, void *events_opaque)
{
	assert(n_vcpus <= SPACE_MAX_VCPUS);
	*space = (struct space){
		.n_vcpus = n_vcpus,
		.max_mappings = max_mappings,
		.mapper = mapper,
		.mapper_opaque = mapper_opaque,
		.events = events,
		.events_opaque = events_opaque,
	};
}

void space_fini(struct space *space)
{
	for (unsigned int i = 0; i < space->n_windows; i++)
		page_map_fini(&space->windows[i].map);
	space->n_windows = 0;
}

bool space_add_window(struct space *space, uint64_t gpa, size_t n_pages, enum lend_action on_fail)
{
	struct space_window *window = &space->windows[space->n_windows];

	assert(space->n_windows < SPACE_MAX_WINDOWS && on_fail != LEND_ACTION_DEFAULT);
	*window = (struct space_window){ .gpa = gpa, .on_fail = on_fail, .on_fail_unclaimed = on_fail };
	if (!page_map_init(&window->map, n_pages))
		return false;
	space->n_windows++;
	return true;
}

void space_place_window(struct space *space, unsigned int window, uint64_t gpa)
{
	assert(window < space->n_windows);
	space->windows[window].gpa = gpa;
}

bool space_find(const struct space *space, uint64_t gpa, unsigned int *window, size_t *page)
{
	for (unsigned int i = 0; i < space->n_windows; i++) {
		const struct space_window *candidate = &space->windows[i];

		if (gpa < candidate->gpa || (gpa - candidate->gpa) / LEND_PAGE_BYTES >= candidate->map.n_pages)
			continue;
		*window = i;
		*page = (gpa - candidate->gpa) / LEND_PAGE_BYTES;
		return true;
	}
	return false;
}

/* Mappings */

static bool has_room(const struct space *space)
{
	size_t n = MAPPINGS_PER_CHANGE;

	for (unsigned int i = 0; i < space->n_windows; i++)
		n += space->windows[i].map.n_mappings;
	return n <= space->max_mappings;
}

/* A whole window is one mapping: where a part of it cannot be taken back for lack of mappings, all of it can. */
static void drop_window(struct space *space, struct space_window *window)
{
	int error = space->mapper->drop(SPACE_WHERE(space, window), 0, window->map.n_pages);

	if (error != 0)
		space->events->stuck(space->events_opaque, (unsigned int)(window - space->windows), error);
	space->changes++;
	page_map_set(&window->map, 0, window->map.n_pages, LEND_PAGE_ABSENT);
}

void space_take_back_window(struct space *space, struct space_window *window)
{
	drop_window(space, window);
	window->counters.widened++;
}

void space_tell_widened(struct space *space, const struct space_window *window)
{
	if (window->lender != SPACE_NO_LENDER)
		space->events->widened(space->events_opaque, window->lender, (unsigned int)(window - space->windows),
				       space->seq);
}

/* All pages of the run can be changed in place. */
static bool has_views(const struct space_window *window, size_t first, size_t n_pages)
{
	return window->map.view_counts[0] < window->map.n_pages &&
	       page_map_count_views(&window->map, first, n_pages, PAGE_MAP_ANY_VIEW) == n_pages;
}

void space_take_back(struct space *space, struct space_window *window, size_t first, size_t n_pages, bool *widened)
{
	bool quick = n_pages > SPACE_QUICK_PAGES;
	int error = ENOMEM;

	space->changes++;
	if (!quick && has_views(window, first, n_pages) &&
	    space->mapper->in_place->empty(SPACE_WHERE(space, window), first, n_pages) == 0) {
		page_map_change(&window->map, first, n_pages, LEND_PAGE_ABSENT);
		return;
	}
	if (has_room(space))
		error = quick ? space->mapper->close(SPACE_WHERE(space, window), first, n_pages) :
				space->mapper->drop(SPACE_WHERE(space, window), first, n_pages);
	if (error == 0) {
		page_map_set(&window->map, first, n_pages, quick ? LEND_PAGE_CLOSED : LEND_PAGE_ABSENT);
		if (quick && first < window->closed_from)
			window->closed_from = first;
		return;
	}
	space_take_back_window(space, window);
	*widened = true;
}

int space_arm(struct space *space, struct space_window *window, size_t first, size_t n_pages)
{
	size_t closed, n_closed;
	int error = 0;

	if (has_views(window, first, n_pages) &&
	    space->mapper->in_place->arm(SPACE_WHERE(space, window), first, n_pages) == 0) {
		page_map_change(&window->map, first, n_pages, LEND_PAGE_ARMED);
		space->changes++;
		return 0;
	}
	if (page_map_run(&window->map, LEND_PAGES(CLOSED), first, first + n_pages, &closed, &n_closed) ||
	    page_map_count_views(&window->map, first, n_pages, PAGE_MAP_ANY_VIEW) > 0) {
		error = space->mapper->drop(SPACE_WHERE(space, window), first, n_pages);
		if (error == 0)
			page_map_set(&window->map, first, n_pages, LEND_PAGE_ABSENT);
	}
	if (error == 0)
		error = space->mapper->arm(SPACE_WHERE(space, window), first, n_pages);
	if (error == 0) {
		page_map_set(&window->map, first, n_pages, LEND_PAGE_ARMED);
		space->changes++;
	}
	return error;
}

/* Lenders */

static int find_window(struct space *space, unsigned int lender, unsigned int number, struct space_window **window)
{
	if (number >= space->n_windows)
		return ENOENT;
	*window = &space->windows[number];
	if (LEND_BREAKS(LEND_RULE_OWNER))
		return 0;
	return lender != SPACE_NO_LENDER && (*window)->lender == lender ? 0 : EPERM;
}

static int find_range(struct space *space, unsigned int lender, unsigned int number, size_t page, size_t n_pages,
		      struct space_window **window)
{
	int error = find_window(space, lender, number, window);

	if (error != 0)
		return error;
	return n_pages > 0 && page < (*window)->map.n_pages && n_pages <= (*window)->map.n_pages - page ? 0 : EINVAL;
}

int space_check(struct space *space, unsigned int lender, unsigned int number, size_t page, size_t n_pages)
{
	struct space_window *window;

	return find_range(space, lender, number, page, n_pages, &window);
}

int space_claim(struct space *space, unsigned int number, unsigned int lender, enum lend_action on_fail,
		uint32_t timeout_ms)
{
	if (number >= space->n_windows)
		return ENOENT;
	struct space_window *window = &space->windows[number];
	if (lender == SPACE_NO_LENDER || on_fail >= LEND_ACTIONS)
		return EINVAL;
	if (on_fail == LEND_ACTION_FAULT && !space->can_fault)
		return EOPNOTSUPP;
	if (window->lender != SPACE_NO_LENDER || (window->kept_for != SPACE_NO_LENDER && window->kept_for != lender))
		return EBUSY;
	window->lender = lender;
	window->on_fail = on_fail == LEND_ACTION_DEFAULT ? window->on_fail_unclaimed : on_fail;
	window->timeout_ms = timeout_ms;
	return 0;
}

/* The number of the view, one that no page has any more if it is new. 0: there is none, or none for such pages. */
static unsigned int find_view(struct space *space, struct space_window *window, size_t page, int fd,
			      uint64_t fd_offset_bytes, bool writable)
{
	const struct lend_mapper_in_place *in_place = space->mapper->in_place;
	unsigned int found = 0;
	struct lend_view view;

	if (!window->is_ram || !in_place || !in_place->view(space->mapper_opaque, page, fd, fd_offset_bytes, writable, &view))
		return 0;
	for (unsigned int i = 1; i < PAGE_MAP_VIEWS; i++) {
		if (window->map.view_counts[i] == 0)
			found = i;
		else if (memcmp(&window->views[i], &view, sizeof(view)) == 0)
			return i;
	}
	window->views[found] = view;
	return found;
}

/* In the mapping that is there, or one that pages can come to and go from. FALSE: not so. */
static bool show_in_place(struct space *space, struct space_window *window, size_t page, size_t n_pages, int fd,
			  uint64_t fd_offset_bytes, bool writable)
{
	const struct lend_mapper_in_place *in_place = space->mapper->in_place;
	enum lend_page state = writable ? LEND_PAGE_LIVE : LEND_PAGE_LIVE_RO;
	unsigned int view = find_view(space, window, page, fd, fd_offset_bytes, writable);

	if (view == 0)
		return false;
	if (page_map_count_views(&window->map, page, n_pages, 1u << view) == n_pages) {
		bool is_back = in_place->refill(SPACE_WHERE(space, window), page, n_pages) == 0;

		page_map_change(&window->map, page, n_pages, is_back ? state : LEND_PAGE_ABSENT);
		return is_back;
	}
	if (!has_room(space) ||
	    in_place->show(SPACE_WHERE(space, window), page, n_pages, fd, fd_offset_bytes, writable) != 0)
		return false;
	page_map_set_view(&window->map, page, n_pages, state, view);
	return true;
}

/* After a failure the kernel may have left holes, which are no state of ours. */
static int show(struct space *space, struct space_window *window, size_t page, size_t n_pages, int fd,
		uint64_t fd_offset_bytes, bool writable)
{
	size_t first, n_present;
	bool widened = false;

	if (page_map_run(&window->map, LEND_PAGES_PRESENT, page, page + n_pages, &first, &n_present))
		return EEXIST;
	if (fd_offset_bytes % LEND_PAGE_BYTES != 0 ||
	    (uint64_t)n_pages * LEND_PAGE_BYTES > (uint64_t)INT64_MAX - LEND_PAGE_BYTES ||
	    fd_offset_bytes > (uint64_t)INT64_MAX - (uint64_t)n_pages * LEND_PAGE_BYTES)
		return EINVAL;
	space->changes++;
	if (show_in_place(space, window, page, n_pages, fd, fd_offset_bytes, writable)) {
		space_faults_resolve(space, (unsigned int)(window - space->windows), page, n_pages);
		return 0;
	}
	if (!has_room(space))
		return ENOSPC;
	int error = space->mapper->show(SPACE_WHERE(space, window), page, n_pages, fd, fd_offset_bytes,
					writable || LEND_BREAKS(LEND_RULE_READ_ONLY));
	if (error != 0) {
		space_take_back(space, window, page, n_pages, &widened);
		if (widened)
			space_tell_widened(space, window);
		return error;
	}
	page_map_set(&window->map, page, n_pages, writable ? LEND_PAGE_LIVE : LEND_PAGE_LIVE_RO);
	space_faults_resolve(space, (unsigned int)(window - space->windows), page, n_pages);
	return 0;
}

int space_lend(struct space *space, unsigned int lender, unsigned int number, size_t page, size_t n_pages, int fd,
	       uint64_t fd_offset_bytes, bool writable, uint64_t seq)
{
	struct space_window *window;
	int error = find_range(space, lender, number, page, n_pages, &window);

	if (error != 0)
		return error;
	if (window->holds > 0 && !LEND_BREAKS(LEND_RULE_HOLD))
		return EAGAIN;
	if (seq != 0 && seq < window->revoke_seq && !LEND_BREAKS(LEND_RULE_SEQ)) {
		window->counters.stale++;
		return ESTALE;
	}
	error = show(space, window, page, n_pages, fd, fd_offset_bytes, writable);
	if (error == 0)
		window->counters.lends++;
	return error;
}

static struct space_fault *fault_by_id(struct space *space, uint64_t id)
{
	for (unsigned int i = 0; i < space->n_vcpus; i++)
		if (space->faults[i].used && space->faults[i].announced && space->faults[i].need.id == id)
			return &space->faults[i];
	return NULL;
}

int space_supply(struct space *space, unsigned int lender, uint64_t id, unsigned int number, size_t page, size_t n_pages,
		 int fd, uint64_t fd_offset_bytes, bool writable)
{
	struct space_window *window;
	int error = find_range(space, lender, number, page, n_pages, &window);

	if (error != 0)
		return error;
	const struct space_fault *fault = fault_by_id(space, id);
	/* A request that was renewed has another number. It waits for the end of the revoke as this one would have to. */
	if (!fault || fault->need.window != number) {
		window->counters.stale++;
		return ESTALE;
	}
	if (fault->need.page < page || fault->need.page - page >= n_pages)
		return EINVAL;
	if (window->holds > 0)
		return EAGAIN;
	error = show(space, window, page, n_pages, fd, fd_offset_bytes, writable);
	if (error == 0)
		window->counters.supplies++;
	return error;
}

int space_fail(struct space *space, unsigned int lender, uint64_t id, enum lend_action action)
{
	struct space_fault *fault = fault_by_id(space, id);

	if (action >= LEND_ACTIONS)
		return EINVAL;
	if (action == LEND_ACTION_FAULT && !space->can_fault)
		return EOPNOTSUPP;
	if (!fault)
		return ESTALE;
	struct space_window *window = &space->windows[fault->need.window];
	if (window->lender != lender)
		return EPERM;
	if (window->holds > 0)
		return EAGAIN;
	space_fault_apply(space, fault, action == LEND_ACTION_DEFAULT ? window->on_fail : action);
	return 0;
}

int space_revoke_begin(struct space *space, unsigned int lender, unsigned int number, size_t page, size_t n_pages,
		       struct space_revoke *revoke)
{
	struct space_window *window;
	int error = find_range(space, lender, number, page, n_pages, &window);

	if (error != 0)
		return error;
	window->holds++;
	window->revoke_seq = ++space->seq;
	window->counters.revokes++;
	window->counters.revoked_pages += n_pages;
	*revoke = (struct space_revoke){ number, page, page + n_pages, page, space->seq, false };
	space_faults_renew(space, number, page, n_pages, space->seq);
	return 0;
}

bool space_revoke_step(struct space *space, struct space_revoke *revoke, size_t max_pages)
{
	struct space_window *window = &space->windows[revoke->window];
	size_t worked_pages = 0;

	while (revoke->at < revoke->end && worked_pages < max_pages) {
		/* Looking is a sixty-fourth of changing: so the bound holds also where there is little to be done. */
		size_t rest = max_pages - worked_pages, first, n_pages;
		size_t end = revoke->end - revoke->at > rest ? revoke->at + rest : revoke->end;

		if (!page_map_run(&window->map, LEND_PAGES_PRESENT, revoke->at, end, &first, &n_pages)) {
			worked_pages += (end - revoke->at) / RUN_COST_PAGES + 1;
			revoke->at = end;
			continue;
		}
		worked_pages += n_pages + RUN_COST_PAGES;
		revoke->at = first + n_pages;
		space_take_back(space, window, first, n_pages, &revoke->widened);
		if (revoke->widened)
			revoke->at = revoke->end;
	}
	return revoke->at == revoke->end;
}

void space_revoke_end(struct space *space, const struct space_revoke *revoke)
{
	struct space_window *window = &space->windows[revoke->window];

	assert(window->holds > 0 && revoke->at == revoke->end);
	if (--window->holds == 0)
		space_faults_announce(space, revoke->window);
}

int space_release(struct space *space, unsigned int number, unsigned int lender)
{
	struct space_window *window;
	int error = find_window(space, lender, number, &window);

	if (error != 0)
		return error;
	assert(page_map_count(&window->map, LEND_PAGES_PRESENT) == 0);
	/* Mappings that pages could come back to hold files of the lender's. */
	if (window->map.view_counts[0] < window->map.n_pages)
		drop_window(space, window);
	/* First what is asked already, by the policy under which it was asked. */
	window->holds = 0;
	window->lender = SPACE_NO_LENDER;
	window->timeout_ms = 0;
	for (unsigned int i = 0; i < space->n_vcpus; i++)
		if (space->faults[i].used && space->faults[i].need.window == number)
			space_fault_apply(space, &space->faults[i], window->on_fail);
	space_faults_announce(space, number);
	window->on_fail = window->on_fail_unclaimed;
	return 0;
}

void space_reset(struct space *space)
{
	memset(space->faults, 0, sizeof(space->faults));
	memset(space->vcpus, 0, sizeof(space->vcpus));
	space->sweep = (struct space_sweep){ .active = false };
	for (unsigned int i = 0; i < space->n_windows; i++) {
		struct space_window *window = &space->windows[i];

		space_take_back_window(space, window);
		window->revoke_seq = ++space->seq;
		space_tell_widened(space, window);
	}
}
