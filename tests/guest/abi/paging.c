// SPDX-License-Identifier: MIT
/* The window at 1 GiB, in which start.S left all pages out. */
#include "guest.h"

#define WINDOW          0x40000000u
#define PTE_READ_ONLY   0x65u
#define PTE_WRITABLE    0x67u
#define HOLE            0xd0000000u /* above the RAM of a small guest, below the LAPIC */
#define WINDOW_NOWHERE  100
#define WINDOW_CROSSING 96

#if HAS_PAGING
#if GUEST_PAGING == 32
typedef uint32_t entry;
#else
typedef uint64_t entry;
#endif
extern volatile entry window_table[];

static void *window_set(unsigned int page, entry value)
{
	uint8_t *at = (uint8_t *)(uintptr_t)WINDOW + page * PAGE_BYTES;

	window_table[page] = value;
	__asm__ volatile("invlpg (%0)" : : "r"(at) : "memory");
	return at;
}

void *window_map(unsigned int page, const void *memory, bool writable)
{
	return window_set(page, ADDRESS(memory) | (writable ? PTE_WRITABLE : PTE_READ_ONLY));
}

void *window_map_flags(unsigned int page, const void *memory, uint64_t flags)
{
	return window_set(page, (entry)(ADDRESS(memory) | flags));
}

unsigned long window_entry(unsigned int page)
{
	return (unsigned long)window_table[page];
}

void window_unmap(unsigned int page)
{
	(void)window_set(page, 0);
}

void *nowhere(void)
{
	return (uint8_t *)(uintptr_t)WINDOW + WINDOW_NOWHERE * PAGE_BYTES;
}

/* In reverse order: the page that follows in physical memory is another one. */
void *across_pages(size_t len_bytes)
{
	static uint8_t pages[3][PAGE_BYTES] __attribute__((aligned(4096)));
	uint8_t *at = window_map(WINDOW_CROSSING, pages[2], true);

	(void)window_map(WINDOW_CROSSING + 1, pages[0], true);
	memset(pages, 0, sizeof(pages));
	return at + PAGE_BYTES - len_bytes / 2;
}
#else
void *window_map(unsigned int page, const void *memory, bool writable)
{
	(void)page;
	(void)writable;
	return (void *)ADDRESS(memory);
}

void window_unmap(unsigned int page)
{
	(void)page;
}

void *nowhere(void)
{
	return (void *)(uintptr_t)HOLE;
}

void *across_pages(size_t len_bytes)
{
	static uint8_t pages[2][PAGE_BYTES] __attribute__((aligned(4096)));

	memset(pages, 0, sizeof(pages));
	return pages[1] - len_bytes / 2;
}
#endif
