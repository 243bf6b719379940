// SPDX-License-Identifier: MIT
/* --lend-window SIZE[,gpa=ADDRESS][,on-fail=zero|fault|stop]: a range of the guest's addresses in which memory is lent to it. */
#pragma once

#include <glib.h>

/* windows: of struct lending_window, appended to. words: ended by NULL, or NULL. DOM1_STATUS_USAGE. */
gboolean lend_options_parse(GArray *windows, char **words, GError **error);
