// SPDX-License-Identifier: MIT
#include "vmm/event_source.h"

static guint attach(GMainContext *context, GSource *source, GSourceFunc function, void *opaque)
{
	g_source_set_callback(source, function, opaque, NULL);
	guint id = g_source_attach(source, context);

	g_source_unref(source);
	return id;
}

guint event_source_add_to(GMainContext *context, int fd, GIOCondition condition, GUnixFDSourceFunc function, void *opaque)
{
	GSource *source = g_unix_fd_source_new(fd, condition);

	g_source_set_can_recurse(source, TRUE);
	return attach(context, source, G_SOURCE_FUNC(function), opaque);
}

guint event_source_add(int fd, GIOCondition condition, GUnixFDSourceFunc function, void *opaque)
{
	return event_source_add_to(g_main_context_get_thread_default(), fd, condition, function, opaque);
}

guint event_source_add_timeout(GMainContext *context, guint ms, GSourceFunc function, void *opaque)
{
	return attach(context, g_timeout_source_new(ms), function, opaque);
}

guint event_source_add_idle(GMainContext *context, GSourceFunc function, void *opaque)
{
	return attach(context, g_idle_source_new(), function, opaque);
}

void event_source_remove(GMainContext *context, guint *id)
{
	if (*id)
		g_source_destroy(g_main_context_find_source_by_id(context, *id));
	*id = 0;
}
