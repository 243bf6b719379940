// SPDX-License-Identifier: MIT
#include "backend/block_patience.h"

#define ASK_NOT_FROM    4u /* reads and writes in flight */
#define TELL_PART       3u /* of what is in flight */
#define PATIENCE_PART   3u /* of what a request takes, within these: */
#define PATIENCE_MIN_NS (20 * UINT64_C(1000))
#define PATIENCE_MAX_NS (3000 * UINT64_C(1000))

bool block_patience_may_wait(unsigned int n_untold, unsigned int n_moving)
{
	return n_moving >= BLOCK_TELL_NOT_FROM && n_untold * TELL_PART < n_moving;
}

unsigned int block_patience_n_until_told(unsigned int n_untold, unsigned int n_moving)
{
	if (!block_patience_may_wait(n_untold, n_moving))
		return 1;
	/* Until a part has come, or too little is in flight. */
	const unsigned int n_part = (n_moving - n_untold * TELL_PART + TELL_PART) / (TELL_PART + 1);
	const unsigned int n_few = n_moving - BLOCK_TELL_NOT_FROM + 1;

	return n_part < n_few ? n_part : n_few;
}

bool block_patience_asks(unsigned int n_moving, bool overdue)
{
	return overdue || n_moving < ASK_NOT_FROM;
}

uint64_t block_patience_ns(uint64_t service_ns)
{
	const uint64_t part_ns = service_ns / PATIENCE_PART;

	return part_ns < PATIENCE_MIN_NS ? PATIENCE_MIN_NS : part_ns > PATIENCE_MAX_NS ? PATIENCE_MAX_NS : part_ns;
}

uint64_t block_patience_due_ns(const struct block_patience *patience, uint64_t service_ns)
{
	uint64_t from_ns = patience->asked ? UINT64_MAX : patience->looked_ns;

	if (patience->untold_ns && patience->untold_ns < from_ns)
		from_ns = patience->untold_ns;
	return from_ns == UINT64_MAX ? UINT64_MAX : from_ns + block_patience_ns(service_ns);
}
