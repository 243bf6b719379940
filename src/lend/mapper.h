// SPDX-License-Identifier: MIT
/*
 * What lending needs of the host's kernel: a table of functions, so that another way to trap can take this one's place,
 * and tests can do without a kernel. lend/mapper_host.h is the real one.
 *
 * Pages are counted from the start of a window. Each function but copy() and view() changes what a range of a window shows, and is
 * done when it returns: no vCPU reaches what was there before. 0, or a positive errno, and then the range may be in part as
 * before, in part nothing, never anything else. None waits for a guest, a lender, or a file's device.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dom1/lend.h" /* LEND_PAGE_BYTES */

/* A file's pages as neighbours in a window have them, if they are one mapping: compared byte by byte. */
struct lend_view {
	uint64_t device, inode;
	uint64_t distance_pages; /* from a page's place in the window to that in the file, modulo 2^64 */
	uint64_t writable;
};

/*
 * Pages come and go within a mapping that stays, where the kernel has a userfaultfd for such files. No change here takes a
 * mapping more, once show() has made it. Whatever the error, the caller may go the other way: show() or drop() for the range.
 */
struct lend_mapper_in_place {
	/* FALSE: no page of the file can be shown in place. */
	bool (*view)(void *opaque, size_t page, int fd, uint64_t fd_offset_bytes, bool writable, struct lend_view *view);
	/* As lend_mapper's; neighbours of one view become one mapping. */
	int (*show)(void *opaque, unsigned int window, size_t page, size_t n_pages, int fd, uint64_t fd_offset_bytes,
		    bool writable);
	/* Of pages that are shown: as drop(), and an access ends without an address. */
	int (*empty)(void *opaque, unsigned int window, size_t page, size_t n_pages);
	/* Of those that were emptied: as arm(). */
	int (*arm)(void *opaque, unsigned int window, size_t page, size_t n_pages);
	/* Of those that were emptied, perhaps armed since: the file's pages are back; after an error all are emptied. */
	int (*refill)(void *opaque, unsigned int window, size_t page, size_t n_pages);
};

struct lend_mapper {
	/* NULL: there is nothing of the kind. */
	const struct lend_mapper_in_place *in_place;
	/* Takes all rights away, and leaves the file where it is: the quick half of drop() for many pages. */
	int (*close)(void *opaque, unsigned int window, size_t page, size_t n_pages);
	/* Nothing is mapped any more. For a whole window it needs no more mappings than there are. */
	int (*drop)(void *opaque, unsigned int window, size_t page, size_t n_pages);
	/* What was dropped traps with its address from now on, also after a failed try. */
	int (*arm)(void *opaque, unsigned int window, size_t page, size_t n_pages);
	/* The file's pages from fd_offset_bytes on, shared with the file. The descriptor is not needed afterwards. */
	int (*show)(void *opaque, unsigned int window, size_t page, size_t n_pages, int fd, uint64_t fd_offset_bytes,
		    bool writable);
	/* Fresh memory of zeros, the borrower's own. */
	int (*zero)(void *opaque, unsigned int window, size_t page, size_t n_pages);
	/* Within one page, as the guest would; EFAULT where the guest's own access would not have succeeded. */
	int (*copy)(void *opaque, unsigned int window, size_t page, size_t offset_bytes, void *bytes, size_t len_bytes,
		    bool to_guest);
};
