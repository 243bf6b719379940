// SPDX-License-Identifier: MIT
/* vCPUs that came upon a page that is not there, and what is asked of lenders for them. */
#include "lend/space_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "lend/broken.h"

#define NS_PER_MS        UINT64_C(1000000)
#define RUN_COST_PAGES   64u
/*
 * An access that failed though there is a page is done again: mostly the page came meanwhile. Three times with nothing
 * changed in between, or many times: then it is that page which cannot be used as it should.
 */
#define SUSPICION_LIMIT  63u
#define SUSPICION_STILL  21u
#define SUSPICION_MOVING 1u

static void answer(struct space *space, unsigned int number, enum space_answer answer)
{
	struct space_vcpu *vcpu = &space->vcpus[number];

	vcpu->state = SPACE_VCPU_RUNS;
	vcpu->seen_changes = space->changes;
	space->events->answer(space->events_opaque, number, answer, &vcpu->report);
}

/* TRUE: it came to nothing too often. */
static bool suspect(const struct space *space, struct space_vcpu *vcpu)
{
	vcpu->suspicions += vcpu->seen_changes == space->changes ? SUSPICION_STILL : SUSPICION_MOVING;
	return vcpu->suspicions >= SUSPICION_LIMIT;
}

struct space_fault *space_fault_at(struct space *space, unsigned int window, size_t page)
{
	for (unsigned int i = 0; i < space->n_vcpus; i++) {
		struct space_fault *fault = &space->faults[i];

		if (fault->used && fault->need.window == window && fault->need.page == page)
			return fault;
	}
	return NULL;
}

static void announce(struct space *space, struct space_fault *fault)
{
	struct space_window *window = &space->windows[fault->need.window];

	fault->announced = true;
	fault->need.id = ++space->last_id;
	fault->need.seq = window->revoke_seq;
	fault->deadline_ns = window->timeout_ms ? space->now_ns + window->timeout_ms * NS_PER_MS : 0;
	window->counters.needs++;
	space->events->need(space->events_opaque, window->lender, &fault->need);
}

/* There are as many places as vCPUs, and each waits for one page: one is free. */
static struct space_fault *new_fault(struct space *space, const struct space_vcpu *vcpu)
{
	for (unsigned int i = 0; i < space->n_vcpus; i++) {
		struct space_fault *fault = &space->faults[i];

		if (fault->used)
			continue;
		*fault = (struct space_fault){ .used = true,
					       .need = { .window = vcpu->report.window, .page = vcpu->report.page } };
		return fault;
	}
	abort();
}

/* The vCPU waits for its page. */
static void ask(struct space *space, unsigned int number)
{
	struct space_vcpu *vcpu = &space->vcpus[number];
	struct space_window *window = &space->windows[vcpu->report.window];

	if (window->holds > 0) {
		vcpu->state = SPACE_VCPU_HELD;
		return;
	}
	struct space_fault *fault = space_fault_at(space, vcpu->report.window, vcpu->report.page);
	bool is_new = !fault;

	if (is_new)
		fault = new_fault(space, vcpu);
	vcpu->state = SPACE_VCPU_FAULT;
	fault->need.vcpus |= UINT32_C(1) << number;
	fault->need.flags |= vcpu->suspect_flags;
	vcpu->suspect_flags = 0;
	if (window->lender == SPACE_NO_LENDER)
		space_fault_apply(space, fault, window->on_fail);
	else if (is_new)
		announce(space, fault);
}

/* Nobody asked for that revoke: it is no lender's, and changes no sequence number. */
static void take_back_page(struct space *space, struct space_window *window, size_t page)
{
	bool widened = false;

	space_take_back(space, window, page, 1, &widened);
	if (widened)
		space_tell_widened(space, window);
}

/* The page is there: the vCPU goes on, after its access was done for it if the kernel wants that. FALSE: it is not. */
static bool complete(struct space *space, unsigned int number)
{
	struct space_vcpu *vcpu = &space->vcpus[number];
	struct space_report *report = &vcpu->report;
	struct space_window *window = &space->windows[report->window];
	enum lend_page state = page_map_get(&window->map, report->page);
	bool write = report->access == SPACE_ACCESS_WRITE;

	if (!(LEND_PAGES_PRESENT & 1u << state))
		return false;
	if (report->access == SPACE_ACCESS_PAGE) {
		answer(space, number, SPACE_AGAIN);
		return true;
	}
	int error = write && state == LEND_PAGE_LIVE_RO ?
			    EFAULT :
			    space->mapper->copy(SPACE_WHERE(space, window), report->page, report->offset_bytes,
						report->page_bytes ? report->page_bytes : report->bytes, report->len_bytes, write);
	if (error == 0) {
		window->counters.emulated++;
		answer(space, number, SPACE_AGAIN);
		return true;
	}
	vcpu->suspect_flags |= write && state == LEND_PAGE_LIVE_RO ? SPACE_NEED_WRITE : SPACE_NEED_LOST;
	take_back_page(space, window, report->page);
	return false;
}

static bool put_zeros(struct space *space, struct space_window *window, size_t page);

/* A fault that the guest cannot take: the next policy is zeros. */
static void fill_instead(struct space *space, unsigned int number)
{
	struct space_vcpu *vcpu = &space->vcpus[number];
	struct space_window *window = &space->windows[vcpu->report.window];

	window->counters.refused_faults += vcpu->report.fault_undone;
	if (put_zeros(space, window, vcpu->report.page)) {
		/* Others may wait for the same page; it is there. */
		space_faults_resolve(space, vcpu->report.window, vcpu->report.page, 1);
		answer(space, number, SPACE_AGAIN);
	} else {
		space->events->stop(space->events_opaque, vcpu->report.window, vcpu->report.page);
	}
}

/* The page is not there. While a revoke goes on nothing comes in its place either, not even zeros: ask() waits. */
static void go_on_without(struct space *space, unsigned int number)
{
	const struct space_vcpu *vcpu = &space->vcpus[number];

	if (vcpu->report.no_fault && space->windows[vcpu->report.window].holds == 0)
		fill_instead(space, number);
	else
		ask(space, number);
}

static void on_page(struct space *space, unsigned int number)
{
	struct space_vcpu *vcpu = &space->vcpus[number];
	struct space_window *window = &space->windows[vcpu->report.window];
	size_t page = vcpu->report.page;

	window->counters.traps++;
	if (!(LEND_PAGES_PRESENT & 1u << page_map_get(&window->map, page))) {
		vcpu->suspicions = 0;
	} else if (vcpu->report.access == SPACE_ACCESS_PAGE && suspect(space, vcpu)) {
		vcpu->suspicions = 0;
		vcpu->suspect_flags |= SPACE_NEED_LOST;
		take_back_page(space, window, page);
	} else if (complete(space, number)) {
		window->counters.spurious++;
		return;
	}
	go_on_without(space, number);
}

/* Sweeps */

static size_t count_pages(const struct space *space, unsigned int states)
{
	size_t n = 0;

	for (unsigned int i = 0; i < space->n_windows; i++)
		n += page_map_count(&space->windows[i].map, states);
	return n;
}

static void start_sweep(struct space *space)
{
	struct space_sweep *sweep = &space->sweep;

	*sweep = (struct space_sweep){ .active = sweep->next_vcpus != 0,
				       .vcpus = sweep->next_vcpus,
				       .take_back = sweep->next_take_back };
}

static void join_sweep(struct space *space, unsigned int number, unsigned int take_back)
{
	space->vcpus[number].state = SPACE_VCPU_SWEEP;
	space->sweep.next_vcpus |= UINT32_C(1) << number;
	space->sweep.next_take_back |= take_back;
	if (!space->sweep.active)
		start_sweep(space);
}

/* Without an address: what is unarmed is armed, so that the next time tells. If all is, some page is not what it seems. */
static void on_unknown(struct space *space, unsigned int number)
{
	struct space_vcpu *vcpu = &space->vcpus[number];

	for (unsigned int i = 0; i < space->n_windows; i++)
		space->windows[i].counters.unknown++;
	if (count_pages(space, LEND_PAGES_UNARMED) > 0) {
		join_sweep(space, number, 0);
	} else if (!suspect(space, vcpu)) {
		answer(space, number, SPACE_AGAIN);
	} else if (vcpu->suspicions < SUSPICION_LIMIT + SUSPICION_STILL && count_pages(space, LEND_PAGES(LIVE_RO)) > 0) {
		vcpu->suspect_flags |= SPACE_NEED_WRITE;
		join_sweep(space, number, LEND_PAGES(LIVE_RO));
	} else if (count_pages(space, LEND_PAGES_LENT) > 0) {
		vcpu->suspicions = 0;
		vcpu->suspect_flags |= SPACE_NEED_LOST;
		join_sweep(space, number, LEND_PAGES_LENT);
	} else {
		answer(space, number, SPACE_NOTHING);
	}
}

/* FALSE: the kernel has no mappings for it. */
static bool sweep_run(struct space *space, struct space_window *window, size_t first, size_t n_pages)
{
	size_t present, n_present;
	bool widened = false;

	if (page_map_run(&window->map, LEND_PAGES_PRESENT, first, first + n_pages, &present, &n_present)) {
		space_take_back(space, window, present, n_present, &widened);
		if (widened)
			space_tell_widened(space, window);
		first = present;
		n_pages = n_present;
	}
	return space_arm(space, window, first, n_pages) == 0;
}

/*
 * The whole window is one mapping, and all of it traps. Where even that cannot be had now, who waits finds the window
 * unarmed, and comes again.
 */
static void arm_window(struct space *space, struct space_window *window)
{
	space_take_back_window(space, window);
	space_tell_widened(space, window);
	(void)space_arm(space, window, 0, window->map.n_pages);
}

static void end_sweep(struct space *space)
{
	uint32_t vcpus = space->sweep.vcpus;

	start_sweep(space);
	for (unsigned int i = 0; i < space->n_vcpus; i++)
		if (vcpus & UINT32_C(1) << i)
			answer(space, i, SPACE_AGAIN);
}

/* Returns what it took. */
static size_t work_sweep(struct space *space, size_t max_pages)
{
	struct space_sweep *sweep = &space->sweep;
	size_t worked_pages = 0;

	while (sweep->active && worked_pages < max_pages) {
		if (sweep->window == space->n_windows) {
			end_sweep(space);
			return worked_pages;
		}
		struct space_window *window = &space->windows[sweep->window];
		size_t rest = max_pages - worked_pages, end = window->map.n_pages, first, n_pages;

		if (sweep->page == 0)
			window->counters.sweeps++;
		if (end - sweep->page > rest)
			end = sweep->page + rest;
		if (page_map_run(&window->map, LEND_PAGES_UNARMED, sweep->page, end, &first, &n_pages) ||
		    page_map_run(&window->map, sweep->take_back, sweep->page, end, &first, &n_pages)) {
			size_t earlier, n_earlier;

			if (page_map_run(&window->map, sweep->take_back, sweep->page, first, &earlier, &n_earlier)) {
				first = earlier;
				n_pages = n_earlier;
			}
			worked_pages += n_pages + RUN_COST_PAGES;
			sweep->page = first + n_pages;
			if (!sweep_run(space, window, first, n_pages)) {
				arm_window(space, window);
				sweep->page = window->map.n_pages;
			}
		} else {
			worked_pages += (end - sweep->page) / RUN_COST_PAGES + 1;
			sweep->page = end;
		}
		if (sweep->page == window->map.n_pages) {
			sweep->window++;
			sweep->page = 0;
		}
	}
	return worked_pages;
}

/* Lets go of files that are only held by mappings without rights. */
static size_t work_closed(struct space *space, size_t max_pages)
{
	size_t worked_pages = 0;

	for (unsigned int i = 0; i < space->n_windows && worked_pages < max_pages; i++) {
		struct space_window *window = &space->windows[i];
		size_t first, n_pages;

		while (worked_pages < max_pages && page_map_count(&window->map, LEND_PAGES(CLOSED)) > 0 &&
		       page_map_run(&window->map, LEND_PAGES(CLOSED), window->closed_from, window->map.n_pages, &first, &n_pages)) {
			if (n_pages > max_pages - worked_pages)
				n_pages = max_pages - worked_pages;
			worked_pages += n_pages + RUN_COST_PAGES;
			/* Where this needs a mapping that there is not, it stays as it is: nobody reaches it. */
			if (space->mapper->drop(SPACE_WHERE(space, window), first, n_pages) != 0)
				return 0;
			page_map_set(&window->map, first, n_pages, LEND_PAGE_ABSENT);
			window->closed_from = first + n_pages;
		}
	}
	return worked_pages;
}

bool space_work(struct space *space, size_t max_pages)
{
	size_t worked_pages = work_sweep(space, max_pages);

	if (worked_pages == 0)
		worked_pages = work_closed(space, max_pages);
	return worked_pages > 0 || space->sweep.active;
}

/* Requests */

void space_faults_resolve(struct space *space, unsigned int window, size_t first, size_t n_pages)
{
	uint32_t vcpus = 0;

	for (unsigned int i = 0; i < space->n_vcpus; i++) {
		struct space_fault *fault = &space->faults[i];

		if (!fault->used || fault->need.window != window || fault->need.page < first ||
		    fault->need.page - first >= n_pages)
			continue;
		vcpus |= fault->need.vcpus;
		fault->used = false;
	}
	/* A supply that cannot be used at once is asked for again: not without end, it is the lender who made the turn. */
	for (unsigned int i = 0; i < space->n_vcpus; i++)
		if (vcpus & UINT32_C(1) << i && !complete(space, i))
			ask(space, i);
}

void space_faults_renew(struct space *space, unsigned int window, size_t first, size_t n_pages, uint64_t seq)
{
	for (unsigned int i = 0; i < space->n_vcpus; i++) {
		struct space_fault *fault = &space->faults[i];

		if (!fault->used || fault->need.window != window || fault->need.page < first ||
		    fault->need.page - first >= n_pages || LEND_BREAKS(LEND_RULE_LATE_SUPPLY))
			continue;
		fault->announced = false;
		fault->deadline_ns = 0;
		fault->need.seq = seq;
		space->windows[window].counters.requests_again++;
	}
}

void space_faults_announce(struct space *space, unsigned int window)
{
	for (unsigned int i = 0; i < space->n_vcpus; i++)
		if (space->faults[i].used && space->faults[i].need.window == window && !space->faults[i].announced)
			announce(space, &space->faults[i]);
	for (unsigned int i = 0; i < space->n_vcpus; i++) {
		const struct space_vcpu *vcpu = &space->vcpus[i];

		if (vcpu->state == SPACE_VCPU_HELD && vcpu->report.window == window)
			go_on_without(space, i);
	}
}

/* Zeros in place of the page; where not even that can be had, the domain ends. */
static bool put_zeros(struct space *space, struct space_window *window, size_t page)
{
	size_t first, n_present;

	space->changes++;
	/* Somebody else's request brought one already. */
	if (page_map_run(&window->map, LEND_PAGES_PRESENT, page, page + 1, &first, &n_present))
		return true;
	if (space->mapper->zero(SPACE_WHERE(space, window), page, 1) != 0)
		return false;
	page_map_set(&window->map, page, 1, LEND_PAGE_ZERO);
	window->counters.zeros++;
	return true;
}

/* A machine check belongs to an instruction: one that the kernel has half done gets zeros. */
static bool can_fault(const struct space *space, const struct space_fault *fault)
{
	for (unsigned int i = 0; i < space->n_vcpus; i++)
		if (fault->need.vcpus & UINT32_C(1) << i && space->vcpus[i].report.access != SPACE_ACCESS_PAGE)
			return false;
	return true;
}

void space_fault_apply(struct space *space, struct space_fault *fault, enum lend_action action)
{
	struct space_window *window = &space->windows[fault->need.window];
	uint32_t vcpus = fault->need.vcpus;
	size_t page = fault->need.page;

	if (action == LEND_ACTION_FAULT && !(space->can_fault && can_fault(space, fault)))
		action = LEND_ACTION_ZERO;
	fault->used = false;
	if (action == LEND_ACTION_ZERO && !put_zeros(space, window, page))
		action = LEND_ACTION_STOP;
	if (action == LEND_ACTION_STOP)
		space->events->stop(space->events_opaque, (unsigned int)(window - space->windows), page);
	if (action == LEND_ACTION_FAULT)
		window->counters.faults++;
	for (unsigned int i = 0; i < space->n_vcpus; i++) {
		if (!(vcpus & UINT32_C(1) << i))
			continue;
		if (action == LEND_ACTION_STOP)
			space->vcpus[i].state = SPACE_VCPU_RUNS;
		else if (action == LEND_ACTION_FAULT)
			answer(space, i, SPACE_FAULT);
		else if (!complete(space, i)) {
			space->vcpus[i].state = SPACE_VCPU_RUNS;
			space->events->stop(space->events_opaque, (unsigned int)(window - space->windows), page);
		}
	}
}

/* vCPUs */

void space_report(struct space *space, unsigned int number, const struct space_report *report)
{
	struct space_vcpu *vcpu = &space->vcpus[number];

	assert(number < space->n_vcpus && vcpu->state == SPACE_VCPU_RUNS);
	assert(report->access == SPACE_ACCESS_UNKNOWN ||
	       (report->window < space->n_windows && report->page < space->windows[report->window].map.n_pages &&
		report->offset_bytes + report->len_bytes <= LEND_PAGE_BYTES &&
		(report->page_bytes || report->len_bytes <= sizeof(report->bytes))));
	vcpu->report = *report;
	if (report->access == SPACE_ACCESS_UNKNOWN)
		on_unknown(space, number);
	else
		on_page(space, number);
}

bool space_report_absent(struct space *space, unsigned int number, const struct space_report *report)
{
	struct space_vcpu *vcpu = &space->vcpus[number];

	if (report->access != SPACE_ACCESS_PAGE || report->no_fault)
		return false;
	struct space_window *window = &space->windows[report->window];
	if (window->lender == SPACE_NO_LENDER || window->holds > 0 ||
	    (LEND_PAGES_PRESENT & 1u << page_map_get(&window->map, report->page)))
		return false;
	assert(number < space->n_vcpus && vcpu->state == SPACE_VCPU_RUNS);
	vcpu->report = *report;
	vcpu->suspicions = 0;
	window->counters.traps++;
	ask(space, number);
	return true;
}

uint64_t space_expire(struct space *space)
{
	uint64_t next_ns = 0;

	for (unsigned int i = 0; i < space->n_vcpus; i++) {
		struct space_fault *fault = &space->faults[i];

		if (!fault->used || fault->deadline_ns == 0)
			continue;
		struct space_window *window = &space->windows[fault->need.window];
		if (fault->deadline_ns <= space->now_ns && window->holds == 0) {
			window->counters.timeouts++;
			space_fault_apply(space, fault, window->on_fail);
		} else if (window->holds == 0 && (next_ns == 0 || fault->deadline_ns < next_ns)) {
			next_ns = fault->deadline_ns;
		}
	}
	return next_ns;
}
