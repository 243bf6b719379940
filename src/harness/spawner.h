// SPDX-License-Identifier: MIT
/*
 * Starts runs without the time that a program takes to be loaded, which is a third of a tiny guest's: a process that was
 * forked off when this one had done nothing yet, no main loop above all, and forks itself for each run.
 *
 *   harness --order, descriptors--> spawner --fork--> run
 *   harness <--its pid------------- spawner
 *
 * The run is the spawner's child, and stays a zombie until the harness, which has a pidfd of it, asks how it ended. When the harness
 * dies, so does the spawner, and by that every run is told to end. All runs have the same layout of addresses; what a guest might
 * learn of one is good for the next, of the same tests.
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

/* The descriptors become 0 to 3 of the run. Its pid, or -1 and errno. */
pid_t spawner_fork(const struct spawner *spawner, char **arguments, const int fds[SPAWNER_N_FDS]);

/* Waits for the end of that run, once: its status as of waitpid(). -1: the spawner is gone, and the run was told to end. */
int spawner_reap(const struct spawner *spawner, pid_t pid);

/* In a child of parent that is to be a run: a group of its own, its end with the parent's, signals as at a start. */
void spawner_settle(pid_t parent, const int fds[SPAWNER_N_FDS]);
