// SPDX-License-Identifier: MIT
/*
 * Who holds a lock: processes that have the locked description open. The kernel says it in
 * /proc/PID/fdinfo, so a process that has merely opened the same file is not taken for one.
 */
#pragma once

#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

/*
 * Whether the process has file open and locked, as far as we may look at it, by a descriptor that is not our own
 * except_fd (-1: any). kind: a word of fdinfo's line of the lock, such as "FLOCK"; NULL: any.
 */
bool holder_is(pid_t pid, const struct stat *file, const char *kind, int except_fd);

/* Sends the signal only if that process holds the lock of flock(). */
bool holder_signal(int lock_fd, pid_t pid, int signal);

/* To each one we may look at, but not to ourselves. FALSE: there is none. */
bool holders_signal_all(int lock_fd, int signal);
