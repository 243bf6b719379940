// SPDX-License-Identifier: MIT
/*
 * When events go between a guest and a busy disk, as a pure core of numbers and times.
 *
 * With many reads and writes in flight the guest is not told of each answer, but when a part of what is in flight has come
 * (may_wait()); and not asked for an event with its next request (asks()): the ring is looked at when something completes.
 * Neither waits longer than a part of what a request takes: an answer from when it came, a request from when the ring was
 * looked at last. Then the guest is told; or asked, if there is still no request.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* From so many reads and writes in flight on, the guest is not told of each answer. */
#define BLOCK_TELL_NOT_FROM 8u

/* All zero at first. */
struct block_patience {
	bool asked;         /* the guest will send an event for its next request */
	uint64_t looked_ns; /* when the ring was looked at last */
	uint64_t untold_ns; /* when the first answer came that the guest was not told of; 0: there is none */
};

/* n_untold: answers that the guest does not know of; n_moving: reads and writes in flight. */
bool block_patience_may_wait(unsigned int n_untold, unsigned int n_moving);
/* How many more have to complete until it may not; each is one more answer, and one fewer in flight. At least 1. */
unsigned int block_patience_n_until_told(unsigned int n_untold, unsigned int n_moving);
/* There is no request: is the guest to send an event for the next? overdue: for long there was none. */
bool block_patience_asks(unsigned int n_moving, bool overdue);

/* How long either waits. service_ns: what a read or write takes; 0: not known. */
uint64_t block_patience_ns(uint64_t service_ns);
/* When it ends; UINT64_MAX: nothing waits. */
uint64_t block_patience_due_ns(const struct block_patience *patience, uint64_t service_ns);
