// SPDX-License-Identifier: MIT
/*
 * A descriptor that the thread's main loop watches, for those that are busy: what g_unix_fd_add() does, without what GLib
 * does around each dispatch so that a source cannot be dispatched inside itself. That is two writes to the loop's own
 * eventfd, one more turn of the loop, and a read; there is no loop inside a callback here.
 */
#pragma once

#include <glib-unix.h>

/* Its id, for g_source_remove(). In the thread's default main context. */
guint event_source_add(int fd, GIOCondition condition, GUnixFDSourceFunc function, void *opaque);

/* The same, and others, in a context that is nobody's default. */
guint event_source_add_to(GMainContext *context, int fd, GIOCondition condition, GUnixFDSourceFunc function, void *opaque);
guint event_source_add_timeout(GMainContext *context, guint ms, GSourceFunc function, void *opaque);
guint event_source_add_idle(GMainContext *context, GSourceFunc function, void *opaque);
/* And the id is 0 then. 0: nothing to do. context: NULL is the program's default one. */
void event_source_remove(GMainContext *context, guint *id);
