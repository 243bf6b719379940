/* SPDX-License-Identifier: MIT */
/*
 * What the guest of the lending tests and their lender (tests/tools/lend-check.c) say to each other: a page of a lent
 * window, the post, with a box for each vCPU. The lender writes a task and then its number; the vCPU does it, and repeats
 * the number. So the lender has hands in the guest.
 */
#pragma once

#include <stdint.h>

#define LEND_WINDOW_GPA   0xd0000000u /* window 0: where things happen */
#define LEND_WINDOW_BYTES 0x04000000u
#define LEND_POST_GPA     0xe0000000u /* window 1: its first page is the post, and stays */
#define LEND_POST_BYTES   0x00200000u
#define LEND_BOX_BYTES    256u
#define LEND_TIMES_OFFSET 2048u /* of the post: ticks of TASK_TOUCH for the first pages */
#define LEND_TIMES        256u
#define LEND_PORT         0x5ff /* nothing is there: all bits are set */

enum lend_task {
	TASK_READ = 1, /* address -> 64 bits */
	TASK_WRITE,    /* address, value */
	TASK_ADD,      /* address, value -> what was there; locked */
	TASK_COPY,     /* to, from, bytes: one instruction */
	TASK_READ_WIDE, /* address -> both halves of 16 bytes, exclusive-or */
	TASK_CALL,     /* address -> what the code there returns */
	TASK_WALK,     /* address of a page table, index -> what lies at the address that it maps */
	TASK_PUSH,     /* address of a stack's end, value -> what was popped */
	TASK_IN,       /* to, bytes: by one instruction from LEND_PORT, which the kernel emulates */
	TASK_OUT,      /* from, bytes */
	TASK_HYPERCALL, /* number, two arguments -> its result */
	TASK_COUNT,    /* counts in progress until there is a new task */
	TASK_HAMMER,   /* pages, rounds -> mistakes; progress counts accesses */
	TASK_INTERRUPT, /* address of a stack's end: an interrupt is taken on it -> how many came */
	TASK_CODE,     /* 0 -> address of code in the guest's memory, to be copied for CALL */
	TASK_TOUCH,    /* from, pages, 0: reads each page once, and notes how long that took; 1: until there is a new task */
	TASK_CHECKS,   /* 0: machine checks are taken from now on; 1 -> how many came; 2 -> the last one's address */
	TASK_EMULATED, /* enum lend_emulated, address: an instruction that the kernel emulates -> see there */
	TASK_END = 100, /* the guest powers off */
};

/*
 * Those with an operand at LEND_NOTHING_GPA, where all bits are set, or at LEND_PORT: so KVM emulates them, and does the
 * other operand's access too. Of strings three elements.
 */
enum lend_emulated {
	EMULATED_IN_8, EMULATED_IN_16, EMULATED_IN_32, EMULATED_OUT_8, EMULATED_OUT_16, EMULATED_OUT_32,
	EMULATED_MOVS_TO_8, EMULATED_MOVS_TO_64, EMULATED_MOVS_FROM_8, EMULATED_MOVS_FROM_64,
	EMULATED_CMPS, /* -> 1: equal */
	EMULATED_PUSH, /* below the address */
	EMULATED_POP,  /* -> by how much the stack pointer grew */
	EMULATEDS,
};
#define LEND_NOTHING_GPA 0xf0000000u
#define LEND_STRING      3u

struct lend_box {
	volatile uint64_t number, done; /* equal: nothing to do */
	volatile uint64_t task;
	volatile uint64_t arguments[4];
	volatile uint64_t result;
	volatile uint64_t progress;
	volatile uint64_t stop; /* HAMMER */
	volatile uint64_t bad_page, bad_kind, bad_value; /* the first mistake */
	volatile uint64_t kinds; /* HAMMER: bit n: kind n was done */
};

/* HAMMER, in enum's order the kinds of an access. */
enum lend_kind { KIND_TAG, KIND_COUNTER, KIND_CODE, KIND_WALK, KIND_WIDE, KIND_WIDER, KIND_WRITE, KIND_WRITE_WIDER, KIND_STACK, KINDS };

/* Between two guests (test_lend_to.c): what a page of window 0 holds, and what it means to use one. */
#define LEND_TO_TAG(place) (UINT64_C(0x67756573740000) | (place))
#define LEND_TO_FIRST      16u  /* these are lent from the beginning */
#define LEND_TO_NOTHING    200u /* the lender has none */
#define LEND_TO_TAKE_BACK  300u /* what was lent at first is taken back before this one comes */
#define LEND_TO_STALE      301u /* holds how many words were written to since */
#define LEND_TO_END        302u /* the lender gives up */
#define LEND_TO_WRITTEN    4711u

/*
 * A page that is hammered: what it is, wherever it lies; a counter for each vCPU; code; and as a page table, its last entry.
 */
#define PAGE_TAG(page)    (UINT64_C(0x6c656e6400000000) | (page))
#define PAGE_COUNTERS     64u  /* a line of 64 bytes for each vCPU: counter, plain, 16 bytes of stack, 32 bytes at once */
#define PAGE_LINE_STACK   32u  /* the stack's end in it */
#define PAGE_LINE_WIDER   32u
#define PAGE_CODE         2048u /* mov $page, %eax; ret */
#define PAGE_LAST_ENTRY   4088u
#define HAMMER_MAX_PAGES  4096u
