// SPDX-License-Identifier: MIT
#include "vhost/maps.h"

#include <string.h>

/* The first that begins at offset_bytes or behind it. */
static size_t find(const struct vhost_maps *maps, uint64_t offset_bytes)
{
	size_t from = 0, to = maps->n;

	while (from < to) {
		size_t middle = from + (to - from) / 2;

		if (maps->maps[middle].offset_bytes < offset_bytes)
			from = middle + 1;
		else
			to = middle;
	}
	return from;
}

bool vhost_maps_add(struct vhost_maps *maps, uint64_t offset_bytes, uint64_t len_bytes)
{
	size_t at = find(maps, offset_bytes);
	const struct vhost_map *before = at > 0 ? &maps->maps[at - 1] : NULL;

	if (maps->n == VHOST_MAX_MAPS || (at < maps->n && maps->maps[at].offset_bytes - offset_bytes < len_bytes) ||
	    (before && offset_bytes - before->offset_bytes < before->len_bytes))
		return false;
	memmove(&maps->maps[at + 1], &maps->maps[at], (maps->n - at) * sizeof(maps->maps[0]));
	maps->maps[at] = (struct vhost_map){ offset_bytes, len_bytes };
	maps->n++;
	return true;
}

bool vhost_maps_remove(struct vhost_maps *maps, uint64_t offset_bytes, uint64_t len_bytes)
{
	size_t at = find(maps, offset_bytes);

	if (at == maps->n || maps->maps[at].offset_bytes != offset_bytes || maps->maps[at].len_bytes != len_bytes)
		return false;
	maps->n--;
	memmove(&maps->maps[at], &maps->maps[at + 1], (maps->n - at) * sizeof(maps->maps[0]));
	return true;
}

bool vhost_maps_clear(struct vhost_maps *maps)
{
	bool had = maps->n > 0;

	maps->n = 0;
	return had;
}
