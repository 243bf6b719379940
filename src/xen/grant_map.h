// SPDX-License-Identifier: MIT
/*
 * Grants that a guest maps into its own memory: one page that shows at several gfns.
 *
 * RAM is private to its place, so a page that is to show twice moves into a memfd first; it stays there, at its own gfn
 * as before, until the guest gives it up or its slot is wanted for another page. Only the move needs every other vCPU
 * out of the way (vcpu_run_alone()): a write between copy and exchange would be lost. To map a page that has moved, and
 * to unmap, is one mmap().
 *
 * A gfn at which a mapping shows is none of the domain's pages (reservation.h).
 * Thread: under the domain's lock. Source: GNTTABOP_map_grant_ref of <xen/grant_table.h>.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct guest_memory;
struct worker;

/* At a time: pages that have moved, and mappings. Xen's bound is max_maptrack_frames. */
#define GRANT_MAP_PAGES   1024u
#define GRANT_MAP_HANDLES 1024u
#define GRANT_MAP_NONE    (-1)

struct grant_map_page {
	uint64_t gfn; /* its own place; GRANT_MAP_NOWHERE when the guest gave that up */
	uint32_t n_handles;
	bool used;
};
#define GRANT_MAP_NOWHERE UINT64_MAX

struct grant_map_handle {
	uint64_t gfn; /* where it shows */
	uint32_t ref;
	uint16_t page;
	bool used, read_only;
};

struct grant_maps {
	struct worker *mapper; /* does what takes system calls; NULL: whoever wants it */
	int memfd;
	unsigned int n_pages, n_handles; /* in use */
	struct grant_map_page *pages;
	struct grant_map_handle *handles;
};

/* FALSE, with errno, when the host has no memory for it. Takes none of the guest's size before something is mapped. mapper: borrowed, or NULL. */
bool grant_maps_init(struct grant_maps *maps, struct worker *mapper);
void grant_maps_fini(struct grant_maps *maps);

/* The page that the grant ref shows, which is gfn unless ref is mapped already. GRANT_MAP_NONE: it has not moved yet. */
int grant_maps_find_page(const struct grant_maps *maps, uint32_t ref, uint64_t gfn);

/* Whether no one writes to the page at gfn right now. */
typedef bool grant_map_may_move(const void *opaque, uint64_t gfn);

/*
 * Moves the page at gfn, which must be RAM and allowed to move. To make room, one that is not mapped and may move
 * goes back. Its number, or GRANT_MAP_NONE: no room.
 */
int grant_maps_move_page(struct grant_maps *maps, struct guest_memory *memory, uint64_t gfn,
			 grant_map_may_move *may_move, const void *opaque);

/*
 * Shows a page at gfn, where nothing of another's may show. A handle, or GRANT_MAP_NONE: no room, or no place for a
 * page. read_only: what the guest writes there is seen there alone, the page stays as it is.
 */
int grant_maps_add(struct grant_maps *maps, struct guest_memory *memory, int page, uint32_t ref, uint64_t gfn,
		   bool read_only);

/* NULL: there is no such handle. */
const struct grant_map_handle *grant_maps_handle(const struct grant_maps *maps, uint32_t handle);

/* No page is at the handle's gfn then: in RAM the guest finds zeros. FALSE: the host could not. */
bool grant_maps_remove(struct grant_maps *maps, struct guest_memory *memory, uint32_t handle);

/* Whether a mapping shows at one of n gfns. */
bool grant_maps_show(const struct grant_maps *maps, uint64_t gfn, uint64_t n);

/* The guest gave up n gfns: pages that moved are not at their own places any more, fresh RAM is. */
void grant_maps_give_up(struct grant_maps *maps, struct guest_memory *memory, uint64_t gfn, uint64_t n);
/* The same for one at whose place something else shows already. */
void grant_maps_forget(struct grant_maps *maps, uint64_t gfn);
