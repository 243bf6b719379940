// SPDX-License-Identifier: MIT
#include "lend/page_map.h"

#include <assert.h>
#include <string.h>
#include <sys/mman.h>

#define STATE_MASK 0x7fu
#define BEGINS     0x80u

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

/* The kernel merges neighbours that are anonymous and of one kind. Two views of files it may merge; nobody counts on that. */
static void settle_border(struct page_map *map, size_t page)
{
	if (page == 0 || page >= map->n_pages)
		return;
	enum lend_page before = page_map_get(map, page - 1), after = page_map_get(map, page);

	set_begins(map, page, before != after || (before != LEND_PAGE_ABSENT && before != LEND_PAGE_ARMED));
}

void page_map_set(struct page_map *map, size_t first, size_t n_pages, enum lend_page state)
{
	assert(first < map->n_pages && n_pages > 0 && n_pages <= map->n_pages - first);
	for (size_t page = first; page < first + n_pages; page++) {
		map->counts[map->pages[page] & STATE_MASK]--;
		if (page > first && state != LEND_PAGE_CLOSED)
			set_begins(map, page, false);
		map->pages[page] = (uint8_t)((map->pages[page] & BEGINS) | state);
	}
	map->counts[state] += n_pages;
	settle_border(map, first);
	settle_border(map, first + n_pages);
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
