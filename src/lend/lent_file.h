// SPDX-License-Identifier: MIT
/*
 * Which files may be lent: those whose pages come and go without waiting for somebody who may never answer. The kind of file
 * system decides, by a list: memory (memfd, guest_memfd, dma-buf, tmpfs) and local ones.
 *
 * To ask for the kind may itself take for ever, with a file system in user space, and so may closing the descriptor. So it is
 * asked, and closed if it is refused, in a thread that may hang alone; there is a limit to how many.
 */
#pragma once

#include <stdbool.h>

struct lent_question;

/* File systems that were found good, and questions without an answer. All zeros: none. One thread's. */
#define LENT_FILES_KNOWN 8u
#define LENT_FILES_ASKED 32u
struct lent_files {
	struct lent_file_system {
		unsigned int major, minor;
		bool regular; /* its files of that kind */
	} known[LENT_FILES_KNOWN];
	unsigned int n_known;
	struct lent_question *asked[LENT_FILES_ASKED];
};

/* TRUE: it may be lent. FALSE: it is to be asked. Never waits. */
bool lent_file_is_known(const struct lent_files *files, int fd);

/*
 * Takes the descriptor over. wake_fd: an eventfd that is told of the answer, or -1. NULL: too many are asked, and the
 * descriptor stays open for ever: to close it could take as long.
 */
struct lent_question *lent_file_ask(struct lent_files *files, int fd, int wake_fd);
/* FALSE: not yet. Else the question is gone; *fd: it may be lent, and is the caller's again, or -1: it may not. */
bool lent_file_answered(struct lent_files *files, struct lent_question *question, int *fd);
/* Nobody wants to know any more. */
void lent_file_forget(struct lent_question *question);
/* Closes a descriptor that nobody has looked at yet, where that does not take for ever. -1 is fine. */
void lent_file_discard(struct lent_files *files, int fd);
/* Nobody asks any more. What hangs is left to hang. */
void lent_files_fini(struct lent_files *files);
