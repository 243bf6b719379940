// SPDX-License-Identifier: MIT
#include "lend/page_map.h"

#include <assert.h>
#include <string.h>
#include <sys/mman.h>

#define STATE_MASK 0x07u
#define VIEW_MASK  0x78u
#define VIEW_SHIFT 3u
#define BEGINS     0x80u

static_assert(LEND_PAGE_STATES <= STATE_MASK + 1, "a state has three bits");
static_assert(PAGE_MAP_VIEWS == (VIEW_MASK >> VIEW_SHIFT) + 1, "a view has four bits");

static_assert(LEND_PAGE_ABSENT == 0, "fresh memory is a map of absent pages");

/* The map of a large window is mostly untouched: memory that comes with the first write. */
bool page_map_init(struct page_map *map, size_t n_pages)
{
	void *pages = mmap(NULL, n_pages, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	*map = (struct page_map){ .n_pages = n_pages, .n_mappings = 1 };
	if (pages == MAP_FAILED)
		return false;
	map->pages = pages;
	map->counts[LEND_PAGE_ABSENT] = n_pages;
	map->view_counts[0] = n_pages;
	return true;
}

void page_map_fini(struct page_map *map)
{
	if (map->pages)
		munmap(map->pages, map->n_pages);
	*map = (struct page_map){ 0 };
}

enum lend_page page_map_get(const struct page_map *map, size_t page)
{
	assert(page < map->n_pages);
	return (enum lend_page)(map->pages[page] & STATE_MASK);
}

size_t page_map_count(const struct page_map *map, unsigned int states)
{
	size_t count = 0;

	for (unsigned int state = 0; state < LEND_PAGE_STATES; state++)
		if (states & 1u << state)
			count += map->counts[state];
	return count;
}

/* Page 0 begins one in any case, and has no mark. */
static void set_begins(struct page_map *map, size_t page, bool begins)
{
	if (page == 0 || page >= map->n_pages || ((map->pages[page] & BEGINS) != 0) == begins)
		return;
	map->pages[page] ^= BEGINS;
	if (begins)
		map->n_mappings++;
	else
		map->n_mappings--;
}

static unsigned int view_of(const struct page_map *map, size_t page)
{
	return (map->pages[page] & VIEW_MASK) >> VIEW_SHIFT;
}

/*
 * The kernel merges neighbours that are anonymous and of one kind, and those of one view. Two other mappings of files it may
 * merge; nobody counts on that.
 */
static void settle_border(struct page_map *map, size_t page)
{
	if (page == 0 || page >= map->n_pages)
		return;
	enum lend_page before = page_map_get(map, page - 1), after = page_map_get(map, page);
	unsigned int view_before = view_of(map, page - 1), view_after = view_of(map, page);
	bool is_one = before == after && (before == LEND_PAGE_ABSENT || before == LEND_PAGE_ARMED);

	if (view_before != 0 || view_after != 0)
		is_one = view_before == view_after;
	set_begins(map, page, !is_one);
}

static void set(struct page_map *map, size_t first, size_t n_pages, enum lend_page state, unsigned int view)
{
	assert(first < map->n_pages && n_pages > 0 && n_pages <= map->n_pages - first);
	for (size_t page = first; page < first + n_pages; page++) {
		map->counts[map->pages[page] & STATE_MASK]--;
		map->view_counts[view_of(map, page)]--;
		if (page > first && state != LEND_PAGE_CLOSED)
			set_begins(map, page, false);
		map->pages[page] = (uint8_t)((map->pages[page] & BEGINS) | view << VIEW_SHIFT | state);
	}
	map->counts[state] += n_pages;
	map->view_counts[view] += n_pages;
	settle_border(map, first);
	settle_border(map, first + n_pages);
}

void page_map_set(struct page_map *map, size_t first, size_t n_pages, enum lend_page state)
{
	set(map, first, n_pages, state, 0);
}

void page_map_set_view(struct page_map *map, size_t first, size_t n_pages, enum lend_page state, unsigned int view)
{
	assert(view > 0 && view < PAGE_MAP_VIEWS && state != LEND_PAGE_CLOSED);
	set(map, first, n_pages, state, view);
}

void page_map_change(struct page_map *map, size_t first, size_t n_pages, enum lend_page state)
{
	assert(first < map->n_pages && n_pages <= map->n_pages - first && state != LEND_PAGE_CLOSED);
	for (size_t page = first; page < first + n_pages; page++) {
		assert(view_of(map, page) != 0);
		map->counts[map->pages[page] & STATE_MASK]--;
		map->pages[page] = (uint8_t)((map->pages[page] & ~STATE_MASK) | state);
	}
	map->counts[state] += n_pages;
}

size_t page_map_count_views(const struct page_map *map, size_t first, size_t n_pages, unsigned int views)
{
	size_t n = 0;

	assert(first < map->n_pages && n_pages <= map->n_pages - first);
	for (size_t page = first; page < first + n_pages; page++)
		n += (views >> view_of(map, page)) & 1u;
	return n;
}

bool page_map_run(const struct page_map *map, unsigned int states, size_t from, size_t end, size_t *first, size_t *n_pages)
{
	assert(end <= map->n_pages);
	while (from < end && !(states & 1u << (map->pages[from] & STATE_MASK)))
		from++;
	*first = from;
	while (from < end && states & 1u << (map->pages[from] & STATE_MASK))
		from++;
	*n_pages = from - *first;
	return *n_pages > 0;
}
