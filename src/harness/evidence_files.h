// SPDX-License-Identifier: MIT
/*
 * The folder of one attempt at a test under --output: console.log, messages.txt, and written by dom1 run, shim.log,
 * report.json and core. messages.txt is what dom1 run said: of a guest that ended badly its registers, event channels and
 * devices.
 */
#pragma once

#include <stdbool.h>

#include <glib.h>

struct evidence_files {
	char *folder;   /* NULL: there are none */
	int console_fd; /* of console.log; the caller closes it */
};

/* output_dir: NULL: no files, TRUE. FALSE: DOM1_STATUS_USAGE, it cannot be written. What is there of an earlier run goes. */
bool evidence_files_open(struct evidence_files *files, const char *output_dir, const char *name, unsigned int round,
			 unsigned int attempt, GError **error);
/* console_errno: of a console.log that did not take all. Nobody to tell but the person: standard error. */
void evidence_files_write(const struct evidence_files *files, const char *messages, int console_errno);
void evidence_files_clear(struct evidence_files *files);

/* The folder's name: one component, and different for different names of tests. g_free() */
char *evidence_folder_name(const char *name, unsigned int round, unsigned int attempt);
