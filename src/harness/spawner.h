// SPDX-License-Identifier: MIT
/*
 * Starts runs without the time that a program takes to be loaded, which is a third of a tiny guest's: a process that was
 * forked off when this one had done nothing yet, no main loop above all, and forks itself for each run.
 *
 *   harness --order, descriptors--> spawner --fork--> one for a moment --fork--> run, whose parent the harness becomes
 *   harness <--its pid------------- spawner
 *
 * The run is a child of the harness as if that had forked it: waited for, killed, and told of its death in the same way.
 * All runs have the same layout of addresses; what a guest might learn of one is good for the next, of the same tests.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include <glib.h>

#define SPAWNER_N_FDS 4

struct spawner {
	pid_t pid;
	int fd;
};

/*
 * run: what a run does, with arguments as of main(); its result is the exit status. Before any main loop; what is in
 * stdio's buffers is written first. FALSE: DOM1_STATUS_HOST.
 */
bool spawner_start(struct spawner *spawner, int (*run)(int argc, char **argv), GError **error);
void spawner_stop(struct spawner *spawner);

/* The descriptors become 0 to 3 of the run. Its pid, or -1 and errno. The caller has one thread. */
pid_t spawner_fork(const struct spawner *spawner, char **arguments, const int fds[SPAWNER_N_FDS]);

/* In a child of parent that is to be a run: a group of its own, its end with the parent's, signals as at a start. */
void spawner_settle(pid_t parent, const int fds[SPAWNER_N_FDS]);
