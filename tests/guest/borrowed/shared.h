/* SPDX-License-Identifier: MIT */
/*
 * The guest that has nothing of its own but a page (main.c), and its lender (tests/tools/lend-pager.c): where things are,
 * and what the guest says in a lent page when it is done.
 */
#pragma once

#define BORROWED_GPA       0xd0000000 /* the window */
#define BORROWED_BYTES     0x00200000
#define BORROWED_SAYS_PAGE 1 /* of the window: struct borrowed_says */
#define BORROWED_GO        0x6f67

#ifndef __ASSEMBLER__
#include <stdint.h>

struct borrowed_says {
	volatile uint64_t go;     /* the lender's: BORROWED_GO when it is there */
	volatile uint64_t rounds; /* done */
	volatile uint64_t mistakes;
	volatile uint64_t checksum; /* of what is in memory at the end */
	volatile uint64_t interrupts;
	volatile uint64_t own_pages;        /* as the hypervisor counts them */
	volatile uint64_t hypercalls;       /* with an argument in the guest's own page: all must succeed */
	volatile uint64_t lent_arguments;   /* refused with -EFAULT, as they must be */
};

#define BORROWED_DATA_PAGE 0x120 /* of the window: the first that is checked */
#define BORROWED_PAGES     (BORROWED_BYTES / 4096)

/* What a page of data holds after a round. */
static inline uint64_t borrowed_word(uint64_t round, uint64_t page, uint64_t word)
{
	uint64_t value = (round << 40 | page << 16 | word) * UINT64_C(0x9e3779b97f4a7c15);

	return value ^ value >> 29;
}

static inline uint64_t borrowed_sum(uint64_t sum, uint64_t value)
{
	return (sum << 7 | sum >> 57) + value;
}
#endif
