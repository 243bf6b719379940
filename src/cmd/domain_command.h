// SPDX-License-Identifier: MIT
/* What the commands on running domains have in common: their options, their errors, and how they find the domain. */
#pragma once

#include <stdbool.h>

#include "control/client.h"
#include "control/folders.h"

/* How long a machine may take to answer; it has no reason to take more than a moment. */
#define ANSWER_MS 10000u

/* What does not fit into the summary of --help for each: one line, and the statuses. */
struct command_syntax {
	const char *parameters; /* "NAME..." */
	const char *summary;
	const GOptionEntry *entries; /* NULL: none but --help */
	int min, max;                /* of parameters */
	bool options_first;          /* what follows the first parameter is none, whatever it looks like */
};

/* Options are removed from argv. FALSE: DOM1_STATUS_USAGE. --help prints and exits. */
bool command_parse(const struct command_syntax *syntax, int *argc, char ***argv, GError **error);

/* "dom1: COMMAND: MESSAGE"; returns the status in the error. */
int command_error(const char *command, const GError *error);

/* Standard output may be closed, or full: the status of the command so far, or that of the failure. */
int command_finish(const char *command, int status);

struct control_client *command_connect(const char *name, unsigned int timeout_ms, GError **error);

/* The same for each name, one after the other; an error of one does not keep the others from their turn. */
typedef bool (*command_on_domain)(struct control_client *client, const char *name, void *opaque, GError **error);
int command_on_each(const char *command, char **names, command_on_domain fn, void *opaque);

/* A request whose answer does not matter. arguments is taken over. */
bool command_request(struct control_client *client, const char *request, json_t *arguments, GError **error);

/* A decimal number; FALSE: DOM1_STATUS_USAGE with a line about what. */
bool command_parse_number(const char *what, const char *text, unsigned int *number, GError **error);
