// SPDX-License-Identifier: MIT
/* Text that may hold anything (names of files, words of a guest or of a program), for a message of one line. */
#pragma once

#include <glib.h>

/* A copy in valid UTF-8 with a '?' for each character that is not printed: a terminal obeys none of it. To g_free(). */
char *one_line(const char *text);
