// SPDX-License-Identifier: MIT
/*
 * A dialogue with a guest, from a file of lines:
 *
 *   # a comment             timeout SECONDS         of each wait that follows (30)
 *   expect REGEX            until a line of the console matches, or a prompt
 *   send TEXT               is typed; \n, \r, \t, \e, \\, \xHH
 *   mark [TEXT]             until the guest writes its data/mark, or this text to it
 *   xenstore PATH [VALUE]   until there is a node, or it has this value
 *   write PATH VALUE        into the xenstore, as the host
 *   event NAME              until dom1 tells of it ("PAUSED", "DEVICE_CONNECTED"...)
 *
 * Pure; who plays it is script_play.h.
 */
#pragma once

#include <stddef.h>

#include <glib.h>

enum script_kind { SCRIPT_EXPECT, SCRIPT_SEND, SCRIPT_MARK, SCRIPT_XENSTORE, SCRIPT_WRITE, SCRIPT_EVENT };

struct script_step {
	enum script_kind kind;
	unsigned int line, timeout_s;
	char *text;     /* as it stands in the file, for messages */
	char *name;     /* path, or name of the event; NULL else */
	GString *value; /* what to send or to write, or the value waited for; NULL: any */
	GRegex *regex;  /* of expect */
};

struct script {
	char *path;
	GPtrArray *steps; /* struct script_step * */
};

/* NULL: DOM1_STATUS_FILE, and the line is named. */
struct script *script_read(const char *path, GError **error);
struct script *script_parse(const char *path, const char *text, GError **error);
struct script *script_ref(struct script *script);
void script_unref(struct script *script);
