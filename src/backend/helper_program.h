// SPDX-License-Identifier: MIT
/*
 * A program that works for a domain in the background (passt, qemu-nbd): it says that it is ready by its first process's
 * end. System calls: memfd_create, fork, execve, waitpid.
 */
#pragma once

#include <glib.h>

/* The descriptor that the program gets. */
#define HELPER_PROGRAM_FD 3

/*
 * Waits until it is ready. words: of char *, with a NULL behind the last. fd: becomes HELPER_PROGRAM_FD there; -1: none.
 * in_child: run between fork and execve; may be NULL. The reason of a failure, to be freed, or NULL.
 */
char *helper_program_start(const GPtrArray *words, int fd, GSpawnChildSetupFunc in_child);
