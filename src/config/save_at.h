// SPDX-License-Identifier: MIT
/* --save-at FILE,WHEN: the moment at which a domain is saved by itself. Pure. */
#pragma once

#include <stdbool.h>

#include <glib.h>

enum save_at_kind {
	SAVE_AT_INIT,    /* a Linux says that it starts its first program; or the guest's mark is "init" */
	SAVE_AT_CONSOLE, /* a line of the console matches */
	SAVE_AT_MARK,    /* the guest writes the text to data/mark in the xenstore */
};

struct save_at {
	char *path;
	enum save_at_kind kind;
	GRegex *pattern; /* of lines; NULL: the console does not matter */
	char *mark;      /* NULL: marks do not matter */
};

/* "FILE,init", "FILE,mark=TEXT", "FILE,console=REGEX": the rest of the word is REGEX. NULL: DOM1_STATUS_USAGE. */
struct save_at *save_at_parse(const char *text, GError **error);
/* The same without FILE; path is then NULL. option: for messages. */
struct save_at *save_at_parse_when(const char *option, const char *when, GError **error);
void save_at_free(struct save_at *save_at);

/* A line without the stamp of Linux, or the beginning of one that is not ended yet (is_whole FALSE). */
bool save_at_is_line(const struct save_at *save_at, const char *line, bool is_whole);
bool save_at_is_mark(const struct save_at *save_at, const char *mark);
