// SPDX-License-Identifier: MIT
#include "vmm/event_source.h"

guint event_source_add(int fd, GIOCondition condition, GUnixFDSourceFunc function, void *opaque)
{
	g_autoptr(GSource) source = g_unix_fd_source_new(fd, condition);

	g_source_set_callback(source, G_SOURCE_FUNC(function), opaque, NULL);
	g_source_set_can_recurse(source, TRUE);
	return g_source_attach(source, g_main_context_get_thread_default());
}
