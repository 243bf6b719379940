// SPDX-License-Identifier: MIT
/*
 * Who holds a lock of flock(): processes that have the locked description open. The kernel says it in
 * /proc/PID/fdinfo, so a process that has merely opened the same file is not taken for one.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

/* Sends the signal only if that process holds the lock. */
bool holder_signal(int lock_fd, pid_t pid, int signal);

/* To each one we may look at, but not to ourselves. FALSE: there is none. */
bool holders_signal_all(int lock_fd, int signal);
