// SPDX-License-Identifier: MIT
#include "backend/block_host.h"

#include <sys/sysmacros.h>

#include <glib.h>

#include "backend/block_request.h"

/* Of the device's queue, or of that of the disk whose part it is; G_MAXUINT: nothing is told. */
static unsigned int queue_number(const char *folder, dev_t device, const char *name)
{
	static const char *const places[] = { "", "/.." };

	for (size_t i = 0; i < G_N_ELEMENTS(places); i++) {
		g_autofree char *path = g_strdup_printf("%s/%u:%u%s/queue/%s", folder, major(device), minor(device), places[i], name);
		g_autofree char *text = NULL;
		guint64 number;

		if (g_file_get_contents(path, &text, NULL, NULL) &&
		    g_ascii_string_to_unsigned(g_strchomp(text), 10, 1, G_MAXUINT, &number, NULL))
			return (unsigned int)number;
	}
	return G_MAXUINT;
}

unsigned int block_host_segments_max(const char *folder, dev_t device)
{
	const unsigned int n_pages = queue_number(folder, device, "max_sectors_kb") / (BLOCK_PAGE_BYTES / 1024);
	const unsigned int n = MIN(queue_number(folder, device, "max_segments"), n_pages);

	return CLAMP(n, BLKIF_MAX_SEGMENTS_PER_REQUEST, BLOCK_SEGMENTS_MAX);
}
