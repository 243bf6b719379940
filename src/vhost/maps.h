// SPDX-License-Identifier: MIT
/* Which ranges of a region a back end has mapped. They never overlap, and go as they came: whole. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* As many as a back end may have; the kernel's mappings are shared by all windows. */
#define VHOST_MAX_MAPS 1024u

struct vhost_maps {
	struct vhost_map {
		uint64_t offset_bytes, len_bytes;
	} maps[VHOST_MAX_MAPS]; /* n of them, by offset */
	size_t n;
};

/* offset_bytes + len_bytes does not wrap. FALSE: part of it is mapped already, or there are too many. */
bool vhost_maps_add(struct vhost_maps *maps, uint64_t offset_bytes, uint64_t len_bytes);
/* FALSE: there is no such one. */
bool vhost_maps_remove(struct vhost_maps *maps, uint64_t offset_bytes, uint64_t len_bytes);
/* FALSE: there was none. */
bool vhost_maps_clear(struct vhost_maps *maps);
