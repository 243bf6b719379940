// SPDX-License-Identifier: MIT
#include "backend/io_timers.h"

#include <limits.h>

#define HURRY_NS (10 * UINT64_C(1000000))

void io_timers_set(struct io_timers *timers, struct io_timer *timer, uint64_t due_ns)
{
	timer->due_ns = due_ns;
	timer->is_set = true;
	timer->next = timers->first;
	timers->first = timer;
}

void io_timers_clear(struct io_timers *timers, struct io_timer *timer)
{
	struct io_timer **link = &timers->first;

	if (!timer->is_set)
		return;
	while (*link != timer)
		link = &(*link)->next;
	*link = timer->next;
	timer->is_set = false;
}

void io_timers_hurry(struct io_timers *timers, uint64_t now_ns)
{
	timers->hurry_until_ns = now_ns + HURRY_NS;
}

int64_t io_timers_left_ns(const struct io_timers *timers, uint64_t now_ns)
{
	uint64_t next_ns = UINT64_MAX;

	if (!timers->first)
		return -1;
	for (const struct io_timer *timer = timers->first; timer; timer = timer->next)
		next_ns = timer->due_ns < next_ns ? timer->due_ns : next_ns;
	return next_ns > now_ns ? (int64_t)(next_ns - now_ns) : 0;
}

unsigned int io_timers_n_wanted(const struct io_timers *timers, uint64_t now_ns)
{
	unsigned int n = UINT_MAX;

	if (!timers->first || timers->n_quiet || now_ns < timers->hurry_until_ns)
		return 1;
	for (const struct io_timer *timer = timers->first; timer && n > 1; timer = timer->next) {
		const unsigned int worth = timer->worth ? timer->worth(timer) : 1;

		n = worth < n ? worth : n;
	}
	return n;
}

void io_timers_run(struct io_timers *timers, uint64_t now_ns)
{
	struct io_timer *timer = timers->first;

	while (timer) {
		if (timer->due_ns > now_ns) {
			timer = timer->next;
			continue;
		}
		io_timers_clear(timers, timer);
		timer->run(timer);
		timer = timers->first;
	}
}
