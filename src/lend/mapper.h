// SPDX-License-Identifier: MIT
/*
 * What lending needs of the host's kernel: a table of functions, so that another way to trap can take this one's place,
 * and tests can do without a kernel. lend/mapper_host.h is the real one.
 *
 * Pages are counted from the start of a window. Each function but copy() changes what a range of a window shows, and is
 * done when it returns: no vCPU reaches what was there before. 0, or a positive errno, and then the range may be in part as
 * before, in part nothing, never anything else. None waits for a guest, a lender, or a file's device.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dom1/lend.h" /* LEND_PAGE_BYTES */

struct lend_mapper {
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
