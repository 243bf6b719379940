// SPDX-License-Identifier: MIT
/*
 * A dom1 run of the harness: a process of its own that ends its domain in good order when the harness dies, whatever
 * kills it (PR_SET_PDEATHSIG). It gets no file of ours: its console comes by descriptors, and how it ended by a record in
 * shared memory, so there is nothing that could be left behind.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include <glib.h>

struct job {
	pid_t pid;
	int pid_fd;     /* readable when it has ended */
	int input_fd;   /* what the console types; -1: nothing can be. Non-blocking, as the next two */
	int console_fd;
	int words_fd;   /* what dom1 says on standard error */
};

struct record;

/* What a job does with arguments as of main(), telling the record how it goes: run_with_record(). */
typedef int job_main(int argc, char **argv, struct record *record);

/* Of a job that is none. */
#define JOB_NONE ((struct job){ .pid = -1, .pid_fd = -1, .input_fd = -1, .console_fd = -1, .words_fd = -1 })

/*
 * main: in a fork of this process, that ends with its result; the record is the caller's. NULL: it is this program, loaded
 * again, and there is no record. A fork spares the time that a program takes to be loaded, a tenth of a tiny guest's; but it
 * finds what there is: nobody may have touched the program's default main context, and all such runs have one layout of
 * addresses. What a guest might learn of that is good for the next, of the same tests. arguments: of dom1, NULL at the end.
 * has_input: the console's input comes from here. FALSE: DOM1_STATUS_HOST. The caller has one thread.
 */
bool job_start(struct job *job, job_main *main, struct record *record, char **arguments, bool has_input, GError **error);

/* Asks it to end its domain. */
void job_end(const struct job *job);
/* Kills it; the machine notices and cleans up. all: the machine too, which then leaves its folder behind. */
void job_kill(const struct job *job, bool all);

/* When pid_fd is readable: the status as of waitpid(). */
int job_reap(struct job *job);
void job_close(struct job *job);
