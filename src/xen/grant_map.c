// SPDX-License-Identifier: MIT
#include "xen/grant_map.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/guest_memory.h"
#include "vmm/worker.h"

static uint64_t offset_of(int page)
{
	return (uint64_t)page * LAYOUT_PAGE_BYTES;
}

/* syscalls(main): memfd_create ftruncate */
bool grant_maps_init(struct grant_maps *maps, struct worker *mapper)
{
	*maps = (struct grant_maps){
		.mapper = mapper,
		.memfd = memfd_create("dom1-granted-pages", MFD_CLOEXEC),
		.pages = calloc(GRANT_MAP_PAGES, sizeof(struct grant_map_page)),
		.handles = calloc(GRANT_MAP_HANDLES, sizeof(struct grant_map_handle)),
	};
	return maps->memfd >= 0 && maps->pages && maps->handles &&
	       ftruncate(maps->memfd, (off_t)offset_of(GRANT_MAP_PAGES)) == 0;
}

void grant_maps_fini(struct grant_maps *maps)
{
	if (maps->memfd >= 0)
		close(maps->memfd);
	free(maps->pages);
	free(maps->handles);
	*maps = (struct grant_maps){ .memfd = -1 };
}

/* What the mapper does with a page of the file; on the stack of who waits for it. */
struct page_errand {
	const struct grant_maps *maps;
	int page;
	void *hva; /* of the copy elsewhere */
	bool done;
};

static void do_discard(void *opaque)
{
	struct page_errand *errand = opaque;

	errand->done = fallocate(errand->maps->memfd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset_of(errand->page),
				 LAYOUT_PAGE_BYTES) == 0;
}

static void do_read(void *opaque)
{
	struct page_errand *errand = opaque;

	errand->done = pread(errand->maps->memfd, errand->hva, LAYOUT_PAGE_BYTES, (off_t)offset_of(errand->page)) ==
		       (ssize_t)LAYOUT_PAGE_BYTES;
}

static void do_write(void *opaque)
{
	struct page_errand *errand = opaque;

	errand->done = pwrite(errand->maps->memfd, errand->hva, LAYOUT_PAGE_BYTES, (off_t)offset_of(errand->page)) ==
		       (ssize_t)LAYOUT_PAGE_BYTES;
}

/* syscalls(mapper): fallocate pread64 pwrite64 */
static bool run(const struct grant_maps *maps, void (*fn)(void *opaque), int page, void *hva)
{
	struct page_errand errand = { .maps = maps, .page = page, .hva = hva };

	worker_run(maps->mapper, fn, &errand);
	return errand.done;
}

/* What is in it is nobody's: its memory goes back to the host. */
static void free_page(struct grant_maps *maps, int page)
{
	maps->pages[page] = (struct grant_map_page){ 0 };
	maps->n_pages--;
	(void)run(maps, do_discard, page, NULL);
}

int grant_maps_find_page(const struct grant_maps *maps, uint32_t ref, uint64_t gfn)
{
	for (unsigned int i = 0; maps->n_handles > 0 && i < GRANT_MAP_HANDLES; i++)
		if (maps->handles[i].used && maps->handles[i].ref == ref)
			return maps->handles[i].page;
	for (int i = 0; maps->n_pages > 0 && i < (int)GRANT_MAP_PAGES; i++)
		if (maps->pages[i].used && maps->pages[i].gfn == gfn)
			return i;
	return GRANT_MAP_NONE;
}

/* The opposite of a move: the page becomes private to its place again. */
static bool move_back(struct grant_maps *maps, struct guest_memory *memory, int page)
{
	const uint64_t gpa = maps->pages[page].gfn * LAYOUT_PAGE_BYTES;
	void *hva = guest_memory_span(memory, gpa, LAYOUT_PAGE_BYTES);

	if (!hva || guest_memory_overlay_remove(memory, maps->pages[page].gfn) != 0)
		return false;
	if (!run(maps, do_read, page, hva)) {
		/* It is still in the file: show it from there. */
		(void)guest_memory_overlay(memory, maps->pages[page].gfn, maps->memfd, offset_of(page));
		return false;
	}
	free_page(maps, page);
	return true;
}

static int find_room(struct grant_maps *maps, struct guest_memory *memory, grant_map_may_move *may_move,
		     const void *opaque)
{
	if (maps->n_pages < GRANT_MAP_PAGES) {
		for (int i = 0; i < (int)GRANT_MAP_PAGES; i++)
			if (!maps->pages[i].used)
				return i;
	}
	for (int i = 0; i < (int)GRANT_MAP_PAGES; i++)
		if (maps->pages[i].n_handles == 0 && may_move(opaque, maps->pages[i].gfn))
			return move_back(maps, memory, i) ? i : GRANT_MAP_NONE;
	return GRANT_MAP_NONE;
}

int grant_maps_move_page(struct grant_maps *maps, struct guest_memory *memory, uint64_t gfn,
			 grant_map_may_move *may_move, const void *opaque)
{
	void *hva = guest_memory_span(memory, gfn * LAYOUT_PAGE_BYTES, LAYOUT_PAGE_BYTES);
	int page = hva ? find_room(maps, memory, may_move, opaque) : GRANT_MAP_NONE;

	if (page == GRANT_MAP_NONE)
		return GRANT_MAP_NONE;
	maps->pages[page] = (struct grant_map_page){ .gfn = gfn, .used = true };
	maps->n_pages++;
	if (run(maps, do_write, page, hva) && guest_memory_overlay(memory, gfn, maps->memfd, offset_of(page)) == 0)
		return page;
	free_page(maps, page);
	return GRANT_MAP_NONE;
}

int grant_maps_add(struct grant_maps *maps, struct guest_memory *memory, int page, uint32_t ref, uint64_t gfn,
		   bool read_only)
{
	int handle = 0;

	if (maps->n_handles == GRANT_MAP_HANDLES)
		return GRANT_MAP_NONE;
	while (maps->handles[handle].used)
		handle++;
	int rc = read_only ? guest_memory_overlay_private(memory, gfn, maps->memfd, offset_of(page)) :
			     guest_memory_overlay(memory, gfn, maps->memfd, offset_of(page));
	if (rc != 0)
		return GRANT_MAP_NONE;
	maps->handles[handle] = (struct grant_map_handle){ gfn, ref, (uint16_t)page, true, read_only };
	maps->n_handles++;
	maps->pages[page].n_handles++;
	return handle;
}

const struct grant_map_handle *grant_maps_handle(const struct grant_maps *maps, uint32_t handle)
{
	return handle < GRANT_MAP_HANDLES && maps->handles[handle].used ? &maps->handles[handle] : NULL;
}

bool grant_maps_remove(struct grant_maps *maps, struct guest_memory *memory, uint32_t handle)
{
	struct grant_map_handle *entry = &maps->handles[handle];
	const int page = entry->page;

	if (guest_memory_overlay_remove(memory, entry->gfn) != 0)
		return false;
	*entry = (struct grant_map_handle){ 0 };
	maps->n_handles--;
	maps->pages[page].n_handles--;
	if (maps->pages[page].n_handles == 0 && maps->pages[page].gfn == GRANT_MAP_NOWHERE)
		free_page(maps, page);
	return true;
}

bool grant_maps_show(const struct grant_maps *maps, uint64_t gfn, uint64_t n)
{
	for (unsigned int i = 0; maps->n_handles > 0 && i < GRANT_MAP_HANDLES; i++)
		if (maps->handles[i].used && maps->handles[i].gfn >= gfn && maps->handles[i].gfn - gfn < n)
			return true;
	return false;
}

static void leave_place(struct grant_maps *maps, int page)
{
	maps->pages[page].gfn = GRANT_MAP_NOWHERE;
	if (maps->pages[page].n_handles == 0)
		free_page(maps, page);
}

void grant_maps_give_up(struct grant_maps *maps, struct guest_memory *memory, uint64_t gfn, uint64_t n)
{
	for (int i = 0; maps->n_pages > 0 && i < (int)GRANT_MAP_PAGES; i++) {
		struct grant_map_page *page = &maps->pages[i];

		if (!page->used || page->gfn == GRANT_MAP_NOWHERE || page->gfn < gfn || page->gfn - gfn >= n)
			continue;
		/* Without memory for that the guest sees its old bytes; they are its own. */
		(void)guest_memory_overlay_remove(memory, page->gfn);
		leave_place(maps, i);
	}
}

void grant_maps_forget(struct grant_maps *maps, uint64_t gfn)
{
	for (int i = 0; maps->n_pages > 0 && i < (int)GRANT_MAP_PAGES; i++)
		if (maps->pages[i].used && maps->pages[i].gfn == gfn)
			leave_place(maps, i);
}
