// SPDX-License-Identifier: MIT
/* Between the parts of the state machine: space.c (windows and lenders), space_fault.c (vCPUs and requests). */
#pragma once

#include "lend/space.h"

#define SPACE_WHERE(space, window) (space)->mapper_opaque, (unsigned int)((window) - (space)->windows)

/* Rights to the run are gone when this returns; *widened: of the whole window. */
void space_take_back(struct space *space, struct space_window *window, size_t first, size_t n_pages, bool *widened);
/* The same for all of it at once, in one mapping. */
void space_take_back_window(struct space *space, struct space_window *window);
void space_tell_widened(struct space *space, const struct space_window *window);
/* 0 or a positive errno; the pages of the run are ABSENT or CLOSED. */
int space_arm(struct space *space, struct space_window *window, size_t first, size_t n_pages);

/* The request for a page that has one, or NULL. */
struct space_fault *space_fault_at(struct space *space, unsigned int window, size_t page);
/* The pages have come, in whatever way: who waits for one of them goes on. */
void space_faults_resolve(struct space *space, unsigned int window, size_t first, size_t n_pages);
/* The pages were revoked: a supply that is on its way comes too late, and the request is made again at the end. */
void space_faults_renew(struct space *space, unsigned int window, size_t first, size_t n_pages, uint64_t seq);
void space_faults_announce(struct space *space, unsigned int window);
void space_fault_apply(struct space *space, struct space_fault *fault, enum lend_action action);
