// SPDX-License-Identifier: MIT
#include "lend/session.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "lend/broken.h"
#include "lend/lent_file.h"

/* Behind this much that is not read, no request is taken: one has at most one reply and an event for each vCPU. */
#define OUT_HIGH_BYTES (SESSION_OUT_BYTES / 4)
#define FLAGS_KNOWN    (LEND_FLAGS_VERSION | LEND_FLAGS_IGNORED)

void session_init(struct session *session, struct space *space, unsigned int lender, struct lent_files *files, int wake_fd)
{
	*session = (struct session){ .space = space, .lender = lender, .fd = -1, .files = files, .wake_fd = wake_fd };
}

/* Out */

void session_put(struct session *session, const void *bytes, size_t len_bytes)
{
	if (session->job >= SESSION_DIES)
		return;
	if (len_bytes > sizeof(session->out) - session->out_bytes) {
		session_kill(session);
		return;
	}
	memcpy(session->out + session->out_bytes, bytes, len_bytes);
	session->out_bytes += len_bytes;
}

static void put(struct session *session, uint32_t request, uint32_t flags, const void *bytes, size_t len_bytes)
{
	const struct lend_header header = { request, LEND_FLAGS_VERSION | flags, (uint32_t)len_bytes };

	if (sizeof(header) + len_bytes > sizeof(session->out) - session->out_bytes) {
		session_kill(session);
		return;
	}
	session_put(session, &header, sizeof(header));
	session_put(session, bytes, len_bytes);
}

void session_sent(struct session *session, size_t n_bytes)
{
	session->out_bytes -= n_bytes;
	memmove(session->out, session->out + n_bytes, session->out_bytes);
}

static void reply(struct session *session, uint32_t request, int error, unsigned int window, bool widened)
{
	const struct lend_reply reply = {
		.error = (uint32_t)error,
		.flags = widened ? LEND_REPLY_WIDENED : 0,
		.seq = window < session->space->n_windows ? session->space->windows[window].revoke_seq : 0,
	};

	put(session, request, LEND_FLAG_REPLY, &reply, sizeof(reply));
}

void session_need(struct session *session, const struct space_need *need)
{
	const struct lend_fault_event event = {
		.id = need->id,
		.seq = need->seq,
		.window = need->window,
		.flags = need->flags,
		.offset_bytes = need->page * LEND_PAGE_BYTES,
		.len_bytes = LEND_PAGE_BYTES,
		.vcpus = need->vcpus,
	};

	put(session, LEND_EVENT_FAULT, 0, &event, sizeof(event));
}

void session_widened(struct session *session, unsigned int window, uint64_t seq)
{
	const struct lend_window_event event = { .window = window, .seq = seq };

	put(session, LEND_EVENT_WIDENED, 0, &event, sizeof(event));
}

void session_gone(struct session *session)
{
	put(session, LEND_EVENT_GONE, 0, "", 0);
}

/* In */

/* The bytes behind the header have the size that the request's structure has. */
static const void *message(const struct session *session)
{
	return session->in + sizeof(struct lend_header);
}

static struct lend_header header_of(const struct session *session)
{
	struct lend_header header;

	memcpy(&header, session->in, sizeof(header));
	return header;
}

static bool to_pages(uint64_t offset_bytes, uint64_t len_bytes, size_t *page, size_t *n_pages)
{
	*page = (size_t)(offset_bytes / LEND_PAGE_BYTES);
	*n_pages = (size_t)(len_bytes / LEND_PAGE_BYTES);
	return offset_bytes % LEND_PAGE_BYTES == 0 && len_bytes % LEND_PAGE_BYTES == 0;
}

static void on_hello(struct session *session)
{
	struct lend_hello hello;
	struct lend_hello_reply answer = {
		.version = LEND_WIRE_VERSION,
		.page_bytes = LEND_PAGE_BYTES,
		.n_windows = session->space->n_windows,
		.max_ranges = LEND_MAX_RANGES,
		.domid = SESSION_DOMID,
	};

	memcpy(&hello, message(session), sizeof(hello));
	if (hello.version != LEND_WIRE_VERSION)
		answer.error = EPROTONOSUPPORT;
	session->greeted = answer.error == 0;
	put(session, LEND_HELLO, LEND_FLAG_REPLY, &answer, sizeof(answer));
}

static void on_claim(struct session *session)
{
	struct space *space = session->space;
	struct lend_claim claim;
	struct lend_claim_reply answer = { .error = EBUSY };

	memcpy(&claim, message(session), sizeof(claim));
	if (claim.window != LEND_ANY_WINDOW)
		answer.error = (uint32_t)space_claim(space, claim.window, session->lender, claim.on_fail, claim.timeout_ms);
	for (unsigned int i = 0; claim.window == LEND_ANY_WINDOW && i < space->n_windows; i++) {
		answer.error = (uint32_t)space_claim(space, i, session->lender, claim.on_fail, claim.timeout_ms);
		if (answer.error != EBUSY)
			claim.window = i;
	}
	if (answer.error == 0) {
		const struct space_window *window = &space->windows[claim.window];

		answer.window = claim.window;
		answer.gpa = window->gpa;
		answer.len_bytes = (uint64_t)window->map.n_pages * LEND_PAGE_BYTES;
		answer.seq = window->revoke_seq;
	}
	put(session, LEND_CLAIM, LEND_FLAG_REPLY, &answer, sizeof(answer));
}

/* The request stays where it is, and is looked at again with the answer. */
static void ask_first(struct session *session)
{
	session->question = lent_file_ask(session->files, session->fd, session->wake_fd);
	session->fd = -1;
	/* A lender that has led so many threads astray has lost a descriptor of ours: not another one. */
	if (session->question)
		session->job = SESSION_ASKS;
	else
		session_kill(session);
}

/* The request is LEND or SUPPLY, and its file may be lent. */
static void map_pages(struct session *session)
{
	uint32_t request = header_of(session).request;
	struct lend_pages pages;
	size_t page, n_pages;
	int error;

	memcpy(&pages, message(session), sizeof(pages));
	bool writable = pages.flags & LEND_PAGES_FLAG_WRITE;
	if (!to_pages(pages.offset_bytes, pages.len_bytes, &page, &n_pages) || (pages.flags & ~LEND_PAGES_FLAG_WRITE) ||
	    (request == LEND_LEND && pages.id != 0))
		error = EINVAL;
	else if (request == LEND_LEND)
		error = space_lend(session->space, session->lender, pages.window, page, n_pages, session->fd,
				   pages.fd_offset_bytes, writable, pages.seq);
	else
		error = space_supply(session->space, session->lender, pages.id, pages.window, page, n_pages, session->fd,
				     pages.fd_offset_bytes, writable);
	reply(session, request, error, pages.window, false);
}

static void on_pages(struct session *session)
{
	uint32_t request = header_of(session).request;

	if (session->fd < 0)
		reply(session, request, EBADF, UINT32_MAX, false);
	else if (!lent_file_is_known(session->files, session->fd))
		ask_first(session);
	else {
		map_pages(session);
		/* As above: no file system has a say in the end of one that is known. */
		close(session->fd);
		session->fd = -1;
	}
}

static void on_fail(struct session *session)
{
	struct lend_fail fail;

	memcpy(&fail, message(session), sizeof(fail));
	reply(session, LEND_FAIL, space_fail(session->space, session->lender, fail.id, fail.action), UINT32_MAX, false);
}

static uint64_t count_waiting(const struct space *space, unsigned int window)
{
	uint64_t n = 0;

	for (unsigned int i = 0; i < space->n_vcpus; i++)
		n += space->vcpus[i].state != SPACE_VCPU_RUNS && space->vcpus[i].state != SPACE_VCPU_SWEEP &&
		     space->vcpus[i].report.window == window;
	return n;
}

static void on_query(struct session *session)
{
	struct lend_window which;
	struct lend_query_reply answer = { .error = ENOENT };

	memcpy(&which, message(session), sizeof(which));
	if (which.window < session->space->n_windows) {
		const struct space_window *window = &session->space->windows[which.window];
		const struct space_counters *counters = &window->counters;

		answer = (struct lend_query_reply){
			.window = which.window,
			.gpa = window->gpa,
			.len_bytes = (uint64_t)window->map.n_pages * LEND_PAGE_BYTES,
			.seq = window->revoke_seq,
			.claimed = window->lender != SPACE_NO_LENDER,
			.on_fail = window->on_fail,
			.lent_pages = page_map_count(&window->map, LEND_PAGES_LENT),
			.zero_pages = page_map_count(&window->map, LEND_PAGES(ZERO)),
			.mappings = window->map.n_mappings,
			.lends = counters->lends,
			.supplies = counters->supplies,
			.stale = counters->stale,
			.revokes = counters->revokes,
			.revoked_pages = counters->revoked_pages,
			.widened = counters->widened,
			.faults = counters->needs,
			.zeros = counters->zeros,
			.machine_checks = counters->faults - counters->refused_faults,
			.timeouts = counters->timeouts,
			.traps = counters->traps,
			.unknown = counters->unknown,
			.emulated = counters->emulated,
			.waiting = count_waiting(session->space, which.window),
			.last_revoke_ns = window->last_revoke_ns,
			.last_revoke_kernel_ns = window->last_revoke_kernel_ns,
			.slowest_revoke_ns = window->slowest_revoke_ns,
			.slowest_revoke_kernel_ns = window->slowest_revoke_kernel_ns,
			.slowest_revoke_pages = window->slowest_revoke_pages,
		};
	}
	put(session, LEND_QUERY, LEND_FLAG_REPLY, &answer, sizeof(answer));
}

/* Revokes: all ranges are good, or nothing is done. */
static int check_ranges(const struct session *session, const struct lend_ranges *ranges)
{
	for (uint32_t i = 0; i < ranges->n_ranges; i++) {
		size_t page, n_pages;

		if (!to_pages(ranges->ranges[i].offset_bytes, ranges->ranges[i].len_bytes, &page, &n_pages))
			return EINVAL;
		int error = space_check(session->space, session->lender, ranges->window, page, n_pages);
		if (error != 0)
			return error;
	}
	return 0;
}

static void begin_next_range(struct session *session)
{
	const struct lend_range *range = &session->ranges.ranges[session->next_range++];
	size_t page, n_pages;

	(void)to_pages(range->offset_bytes, range->len_bytes, &page, &n_pages);
	(void)space_revoke_begin(session->space, session->lender, session->ranges.window, page, n_pages, &session->revoke);
	session->revoking = true;
}

static void start_clock(struct session *session)
{
	const struct space *space = session->space;

	if (!space->events->clock_ns)
		return;
	session->began_ns = space->events->clock_ns(space->events_opaque);
	session->began_kernel_ns = space->events->kernel_ns(space->events_opaque);
}

static void stop_clock(const struct session *session, struct space_window *window)
{
	const struct space *space = session->space;

	if (!space->events->clock_ns)
		return;
	window->last_revoke_ns = space->events->clock_ns(space->events_opaque) - session->began_ns;
	window->last_revoke_kernel_ns = space->events->kernel_ns(space->events_opaque) - session->began_kernel_ns;
	if (window->last_revoke_ns <= window->slowest_revoke_ns)
		return;
	window->slowest_revoke_ns = window->last_revoke_ns;
	window->slowest_revoke_kernel_ns = window->last_revoke_kernel_ns;
	window->slowest_revoke_pages = 0;
	for (uint32_t i = 0; i < session->ranges.n_ranges; i++)
		window->slowest_revoke_pages += session->ranges.ranges[i].len_bytes / LEND_PAGE_BYTES;
}

static void on_revoke(struct session *session)
{
	struct lend_header header = header_of(session);
	bool begin = header.request == LEND_REVOKE_BEGIN;
	uint32_t n = (header.len_bytes - LEND_RANGES_BYTES(0)) / (uint32_t)sizeof(struct lend_range);
	struct lend_ranges *ranges = &session->ranges;
	int error = EINVAL;

	memcpy(ranges, message(session), header.len_bytes);
	if (LEND_RANGES_BYTES(n) == header.len_bytes && ranges->n_ranges == n && n > 0 && (!begin || n == 1))
		error = check_ranges(session, ranges);
	if (error == 0 && begin && session->holds[ranges->window])
		error = EBUSY;
	if (error != 0) {
		reply(session, header.request, error, ranges->window, false);
		return;
	}
	session->answers = header.request;
	session->next_range = 0;
	session->widened = false;
	start_clock(session);
	if (session->space->windows[ranges->window].is_ram) {
		session->job = SESSION_WAITS;
		return;
	}
	session->job = SESSION_REVOKES;
	begin_next_range(session);
}

static void on_revoke_end(struct session *session)
{
	struct lend_window which;

	memcpy(&which, message(session), sizeof(which));
	bool held = which.window < SPACE_MAX_WINDOWS && session->holds[which.window];
	if (held) {
		session->holds[which.window] = false;
		space_revoke_end(session->space, &session->held[which.window]);
	}
	reply(session, LEND_REVOKE_END, held ? 0 : EINVAL, which.window, false);
}

static void on_release(struct session *session)
{
	struct lend_window which;

	memcpy(&which, message(session), sizeof(which));
	int error = space_check(session->space, session->lender, which.window, 0, 1);
	if (error != 0) {
		reply(session, LEND_RELEASE, error, which.window, false);
		return;
	}
	(void)space_revoke_begin(session->space, session->lender, which.window, 0,
				 session->space->windows[which.window].map.n_pages, &session->revoke);
	session->job = SESSION_RELEASES;
	session->revoking = true;
}

static const struct {
	uint32_t request;
	uint32_t len_bytes, max_bytes; /* of what follows the header */
	void (*run)(struct session *session);
	bool has_fd;
} REQUESTS[] = {
	{ LEND_HELLO, sizeof(struct lend_hello), sizeof(struct lend_hello), on_hello, false },
	{ LEND_CLAIM, sizeof(struct lend_claim), sizeof(struct lend_claim), on_claim, false },
	{ LEND_RELEASE, sizeof(struct lend_window), sizeof(struct lend_window), on_release, false },
	{ LEND_LEND, sizeof(struct lend_pages), sizeof(struct lend_pages), on_pages, true },
	{ LEND_REVOKE, LEND_RANGES_BYTES(0), LEND_RANGES_BYTES(LEND_MAX_RANGES), on_revoke, false },
	{ LEND_SUPPLY, sizeof(struct lend_pages), sizeof(struct lend_pages), on_pages, true },
	{ LEND_FAIL, sizeof(struct lend_fail), sizeof(struct lend_fail), on_fail, false },
	{ LEND_QUERY, sizeof(struct lend_window), sizeof(struct lend_window), on_query, false },
	{ LEND_REVOKE_BEGIN, LEND_RANGES_BYTES(1), LEND_RANGES_BYTES(1), on_revoke, false },
	{ LEND_REVOKE_END, sizeof(struct lend_window), sizeof(struct lend_window), on_revoke_end, false },
};
#define N_REQUESTS (sizeof(REQUESTS) / sizeof(REQUESTS[0]))

static void end_request(struct session *session)
{
	lent_file_discard(session->files, session->fd);
	session->fd = -1;
}

static void run_request(struct session *session)
{
	struct lend_header header = header_of(session);

	for (size_t i = 0; i < N_REQUESTS; i++) {
		if (REQUESTS[i].request != header.request)
			continue;
		if (header.len_bytes < REQUESTS[i].len_bytes || header.len_bytes > REQUESTS[i].max_bytes ||
		    (session->fd >= 0 && !REQUESTS[i].has_fd) || (!session->greeted && header.request != LEND_HELLO))
			break;
		REQUESTS[i].run(session);
		end_request(session);
		return;
	}
	session_kill(session);
}

size_t session_wants(const struct session *session)
{
	struct lend_header header;

	if (session->job != SESSION_IDLE || session->out_bytes > OUT_HIGH_BYTES)
		return 0;
	if (session->in_bytes < sizeof(header))
		return sizeof(header) - session->in_bytes;
	header = header_of(session);
	return sizeof(header) + header.len_bytes - session->in_bytes;
}

void session_received(struct session *session, size_t n_bytes, int fd)
{
	struct lend_header header;

	/* With the first byte, or not at all. */
	bool misplaced = fd >= 0 && session->in_bytes > 0;
	if (fd >= 0 && (misplaced || session->fd >= 0))
		lent_file_discard(session->files, fd);
	else if (fd >= 0)
		session->fd = fd;
	session->in_bytes += n_bytes;
	if (misplaced) {
		session_kill(session);
		return;
	}
	if (session->in_bytes < sizeof(header))
		return;
	header = header_of(session);
	if ((header.flags & ~LEND_FLAGS_IGNORED) != LEND_FLAGS_VERSION || header.len_bytes > sizeof(struct lend_ranges)) {
		session_kill(session);
		return;
	}
	if (session->in_bytes < sizeof(header) + header.len_bytes)
		return;
	run_request(session);
	session->in_bytes = 0;
}

void session_kill(struct session *session)
{
	if (session->job >= SESSION_DIES)
		return;
	lent_file_discard(session->files, session->fd);
	session->fd = -1;
	if (session->job == SESSION_ASKS)
		lent_file_forget(session->question);
	session->out_bytes = 0;
	session->job = SESSION_DIES;
}

/* Jobs */

static bool own_window(const struct session *session, unsigned int *number)
{
	for (unsigned int i = 0; i < session->space->n_windows; i++)
		if (session->space->windows[i].lender == session->lender) {
			*number = i;
			return true;
		}
	return false;
}

static void finish_revoke(struct session *session)
{
	unsigned int window = session->revoke.window;

	session->revoking = false;
	session->widened |= session->revoke.widened;
	if (session->answers == LEND_REVOKE_BEGIN) {
		session->held[window] = session->revoke;
		session->holds[window] = true;
	} else {
		space_revoke_end(session->space, &session->revoke);
	}
	/* The end may have killed it: events that it would not read. */
	if (session->job != SESSION_REVOKES)
		return;
	if (session->next_range < session->ranges.n_ranges) {
		begin_next_range(session);
		return;
	}
	session->job = SESSION_IDLE;
	stop_clock(session, &session->space->windows[window]);
	reply(session, session->answers, 0, window, session->widened);
}

static void finish_release(struct session *session, unsigned int window)
{
	session->revoking = false;
	session->holds[window] = false;
	(void)space_release(session->space, window, session->lender);
}

static void work_death(struct session *session, size_t max_pages)
{
	unsigned int window;

	if (!session->revoking) {
		if (!own_window(session, &window)) {
			session->job = SESSION_DEAD;
			return;
		}
		(void)space_revoke_begin(session->space, session->lender, window, 0,
					 session->space->windows[window].map.n_pages, &session->revoke);
		session->revoking = true;
		if (LEND_BREAKS(LEND_RULE_DEATH))
			page_map_set(&session->space->windows[window].map, 0, session->revoke.end, LEND_PAGE_ABSENT);
	}
	if (!space_revoke_step(session->space, &session->revoke, max_pages))
		return;
	window = session->revoke.window;
	/* What it was revoking when it died may be a part: then the rest comes in the next turn. */
	if (session->revoke.first == 0 && session->revoke.end == session->space->windows[window].map.n_pages)
		finish_release(session, window);
	else
		session->revoking = false;
}

/* FALSE: there is no answer yet. */
static bool work_question(struct session *session)
{
	if (!lent_file_answered(session->files, session->question, &session->fd))
		return false;
	session->job = SESSION_IDLE;
	if (session->fd < 0)
		reply(session, header_of(session).request, EOPNOTSUPP, UINT32_MAX, false);
	else
		map_pages(session);
	end_request(session);
	return true;
}

bool session_work(struct session *session, size_t max_pages)
{
	unsigned int window = session->revoke.window;

	switch (session->job) {
	case SESSION_ASKS:
		return work_question(session);
	case SESSION_REVOKES:
		if (space_revoke_step(session->space, &session->revoke, max_pages))
			finish_revoke(session);
		return true;
	case SESSION_RELEASES:
		if (!space_revoke_step(session->space, &session->revoke, max_pages))
			return true;
		session->job = SESSION_IDLE;
		finish_release(session, window);
		reply(session, LEND_RELEASE, 0, window, false);
		return true;
	case SESSION_DIES:
		work_death(session, max_pages);
		return true;
	default:
		return false;
	}
}

void session_go_on(struct session *session, size_t max_pages,
		   bool (*is_in_use)(void *opaque, unsigned int window, size_t page, size_t n_pages), void *opaque)
{
	const struct lend_ranges *ranges = &session->ranges;
	size_t page, n_pages;

	if (session->job != SESSION_WAITS)
		return;
	for (uint32_t i = 0; i < ranges->n_ranges; i++) {
		(void)to_pages(ranges->ranges[i].offset_bytes, ranges->ranges[i].len_bytes, &page, &n_pages);
		if (!is_in_use(opaque, ranges->window, page, n_pages))
			continue;
		session->job = SESSION_IDLE;
		reply(session, session->answers, EBUSY, ranges->window, false);
		return;
	}
	session->job = SESSION_REVOKES;
	begin_next_range(session);
	while (session->job == SESSION_REVOKES)
		(void)session_work(session, max_pages);
}
