// SPDX-License-Identifier: MIT
/* The borrower's hands, while another guest lends in window 0 (tests/guest/abi/test_lend_to.c): R34. */
#include <stdio.h>

#include "lend-check.h"

static uint64_t read_page(struct check *check, unsigned int vcpu, uint64_t page)
{
	task_begin(check, vcpu, TASK_READ, GPA(page, 0), 0, 0, 0);
	return task_end(check, vcpu);
}

void check_peer(struct check *check)
{
	/* Whoever runs us starts the lender now, and says when it lends. */
	printf("post\n");
	(void)getchar();
	EXPECT("what the other guest lends", read_page(check, 0, 3), LEND_TO_TAG(3));
	EXPECT("to both vCPUs", read_page(check, 1, LEND_TO_FIRST - 1), LEND_TO_TAG(LEND_TO_FIRST - 1));
	(void)task_do(check, 0, TASK_WRITE, GPA(2, 8), LEND_TO_WRITTEN, 0);
	/* What is not lent is asked for; the other guest answers by the page's number. */
	EXPECT("a page that was asked for", read_page(check, 0, 50), LEND_TO_TAG(64 + 50));
	EXPECT("and another, by the other vCPU", read_page(check, 1, 51), LEND_TO_TAG(64 + 51));
	EXPECT("one that there is not is zeros", read_page(check, 0, LEND_TO_NOTHING), 0);
	(void)read_page(check, 0, LEND_TO_TAKE_BACK);
	EXPECT("another page in its place", read_page(check, 1, 3), LEND_TO_TAG(64 + 3));
	(void)task_do(check, 0, TASK_WRITE, GPA(2, 8), 1, 0);
	for (uint64_t page = 0; page < LEND_TO_FIRST; page++)
		(void)task_do(check, 1, TASK_ADD, GPA(page, 64), 1, 0);
	EXPECT("nothing was written to what was taken back", read_page(check, 0, LEND_TO_STALE), 0);
	EXPECT("given up, all is zeros", read_page(check, 0, LEND_TO_END), 0);
	EXPECT("also what was there before", read_page(check, 1, 50), 0);
}
