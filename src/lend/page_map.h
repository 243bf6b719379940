// SPDX-License-Identifier: MIT
/*
 * What the pages of one lend window are, page by page, and how many mappings of the kernel that takes. Pure.
 *
 * The kernel limits how many mappings (VMAs) a process has, and refuses even mprotect() at that limit. So each change
 * notes where a mapping may begin: the count is never too low, and too high only by what the kernel merges on its own.
 *
 * A page may keep its mapping while it changes what it is: it has a view then, a number that stands for a file, with one
 * right, at one distance from the window's pages. Neighbours of one view are one mapping, in whatever state they are.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* An access by the guest in ABSENT and CLOSED ends KVM_RUN without an address, in ARMED with one; else it succeeds. */
enum lend_page {
	LEND_PAGE_ABSENT,  /* nothing is mapped */
	LEND_PAGE_CLOSED,  /* a lender's page is mapped without any right: revoked, but its file is still held */
	LEND_PAGE_ARMED,   /* nothing of a lender's; an access traps */
	LEND_PAGE_LIVE,    /* a lender's page */
	LEND_PAGE_LIVE_RO, /* the same, to be read only */
	LEND_PAGE_ZERO,    /* memory of the borrower's own, in place of a page that did not come */
	LEND_PAGE_STATES,
};
#define LEND_PAGES(state)   (1u << LEND_PAGE_##state)
#define LEND_PAGES_UNARMED  (LEND_PAGES(ABSENT) | LEND_PAGES(CLOSED))
#define LEND_PAGES_LENT     (LEND_PAGES(LIVE) | LEND_PAGES(LIVE_RO))
#define LEND_PAGES_PRESENT  (LEND_PAGES_LENT | LEND_PAGES(ZERO))

/* A page's view is below; 0: none. */
#define PAGE_MAP_VIEWS 16u

struct page_map {
	uint8_t *pages; /* the state, the view, and whether a mapping may begin here */
	size_t n_pages;
	size_t counts[LEND_PAGE_STATES];
	size_t view_counts[PAGE_MAP_VIEWS];
	size_t n_mappings; /* at most so many VMAs */
};

/* All pages absent. FALSE: no memory. n_pages > 0. */
bool page_map_init(struct page_map *map, size_t n_pages);
void page_map_fini(struct page_map *map);

enum lend_page page_map_get(const struct page_map *map, size_t page);
size_t page_map_count(const struct page_map *map, unsigned int states);

/* [first, first + n_pages) becomes one new mapping; for CLOSED: as many as there were. Without a view. */
void page_map_set(struct page_map *map, size_t first, size_t n_pages, enum lend_page state);
/* The same, of a view, which is not 0: part of a neighbour's mapping where that has the view as well. */
void page_map_set_view(struct page_map *map, size_t first, size_t n_pages, enum lend_page state, unsigned int view);
/* All pages have views: they stay in their mappings. Not for CLOSED. */
void page_map_change(struct page_map *map, size_t first, size_t n_pages, enum lend_page state);

/* How many pages of the range have one of views (bit n: view n). */
size_t page_map_count_views(const struct page_map *map, size_t first, size_t n_pages, unsigned int views);
#define PAGE_MAP_ANY_VIEW (((1u << PAGE_MAP_VIEWS) - 1) & ~1u)

/* The first run of pages in one of states, within [from, end). FALSE: there is none. */
bool page_map_run(const struct page_map *map, unsigned int states, size_t from, size_t end, size_t *first, size_t *n_pages);
