// SPDX-License-Identifier: MIT
#include "config/auto_append.h"

#include <string.h>

#include <glib.h>

#define LINUX_QUEUES  4u
/* Of the shim's multiboot module; PVH guests have more, and can live with the same. */
#define BYTES_MAX     1023u

static const char WORDS[] = "xen_blkfront.max_indirect_segments=256 xen_blkfront.max_ring_page_order=2";
static const char QUEUE_WORD[] = " xen_blkfront.max_queues=8";

char *auto_append_disk_words(const char *own, unsigned int n_vcpus)
{
	g_autofree char *longer = g_strconcat(WORDS, n_vcpus > LINUX_QUEUES ? QUEUE_WORD : "", *own ? " " : "", own, NULL);

	/* Rather the old limits than a line that is refused. */
	return strlen(longer) <= BYTES_MAX ? g_steal_pointer(&longer) : g_strdup(own);
}
