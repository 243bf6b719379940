// SPDX-License-Identifier: MIT
/*
 * The launcher's loop: from the machine's start to its end. It passes on what is typed, watches the clock and the
 * signals, and knows how the domain ended even when the machine was killed.
 */
#pragma once

#include <signal.h>

#include <glib.h>

#include "vmm/tty.h"

struct machine_setup;
struct vm_config;

struct launcher_files {
	int stdin_fd;    /* what is typed; -1: nothing is passed on */
	int input_fd;    /* non-blocking: the machine's console reads the other end */
	int machine_fd;  /* the other end of setup->launcher_fd */
	int machine_end_fd; /* setup->launcher_fd, closed here once the machine has it */
};

struct launcher_end {
	int status;        /* what dom1 exits with */
	int machine_signal; /* 0, or what killed the machine */
};

/*
 * Blocks the signals that end dom1, so that they are read in the loop; the machine inherits that and never sees them.
 * Before anything is spawned.
 */
void launcher_block_signals(sigset_t *signals);

gboolean launcher_run(const struct machine_setup *setup, const struct launcher_files *files, const sigset_t *signals,
		      struct launcher_end *end, GError **error);
