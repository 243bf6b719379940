// SPDX-License-Identifier: MIT
/*
 * A kernel's part in lending, as arrays: what each page of each window shows. It refuses as the kernel does, when there are
 * too many mappings and also at random, and then leaves a range in parts as it was, in parts empty.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lend/space.h"

#define FAKE_MAX_PAGES 512u

enum fake_kind { FAKE_NONE, FAKE_ARMED, FAKE_FILE, FAKE_ZERO };

/* Descriptors from here on are files that can be shown in place. */
#define FAKE_IN_PLACE_FD 1000000

struct fake_page {
	enum fake_kind kind;
	bool rights, writable;
	bool in_place; /* in a mapping of the file that stays when the page goes: NONE and ARMED have the file, too */
	int fd;
	uint64_t file_page;
};

struct fake_mapper {
	struct fake_page pages[SPACE_MAX_WINDOWS][FAKE_MAX_PAGES];
	size_t n_pages[SPACE_MAX_WINDOWS];
	unsigned int n_windows;
	size_t max_mappings;
	unsigned int fail_percent; /* of calls that may fail */
	size_t copy_fails;         /* so many copies fail first */
	size_t calls, touched_pages;
	bool broken_close; /* for R42: says that it took rights away, and does not */
};

extern const struct lend_mapper FAKE_MAPPER; /* opaque: the struct fake_mapper */

size_t fake_mappings(const struct fake_mapper *fake);
