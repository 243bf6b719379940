// SPDX-License-Identifier: MIT
/*
 * A script being played with a guest. What the console printed since the last match is remembered, so an expectation also
 * finds what came while something else was waited for.
 *
 * Thread: the one of the main context. Sockets of the domain are asked, and answer within a second or are given up.
 */
#pragma once

#include <stddef.h>

#include "harness/script.h"

enum script_state { SCRIPT_NONE, SCRIPT_RUNNING, SCRIPT_DONE, SCRIPT_FAILED };

struct script_play;

/* It is done, or has failed; called once, from the main loop or from script_play_feed() or _quiet(). */
typedef void (*script_over)(void *opaque);

/* script and domain (a name) must outlive it; input_fd: the guest's console, non-blocking, borrowed. context: the loop's. */
struct script_play *script_play_new(const struct script *script, GMainContext *context, const char *domain, int input_fd, script_over over,
				    void *opaque);
void script_play_free(struct script_play *play);

void script_play_feed(struct script_play *play, const void *bytes, size_t len_bytes);
/* The console has been quiet for a while: its unfinished line is a prompt. */
void script_play_quiet(struct script_play *play);

enum script_state script_play_state(const struct script_play *play);
/* What it waits for, or why it failed; "" when it is done. Valid until the next call. */
const char *script_play_detail(struct script_play *play);
