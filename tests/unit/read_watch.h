/* SPDX-License-Identifier: MIT */
/*
 * Sees each access of this process to pages that it watches, by the instructions that the compiler made: the pages may not be
 * touched, SIGSEGV notes who does, lets one instruction through with the trap flag set, and closes the page again. So what is
 * read twice is seen, also where the source reads it once. The kernel's own accesses, in a system call, fail with EFAULT.
 *
 * The address of an access is its first byte, or its first one in the page.
 *
 * While it watches, one thread at most may touch the pages. x86-64 only. One watch at a time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define READ_WATCH_PAGES  16u
#define READ_WATCH_BYTES  4096u
#define READ_WATCH_EVENTS 16384u

struct read_watch_access {
	const uint8_t *address;
	const void *instruction;
	bool is_write; /* an instruction that reads and writes at once writes */
};

/* Installs the handlers. pages: beginnings of pages that can be read and written. */
void read_watch_begin(uint8_t *const *pages, size_t n_pages);
/* Around a system call that is given the pages: the kernel's accesses are none of ours. By the thread that touches them; also when
 * nothing is watched. */
void read_watch_pause(void);
void read_watch_resume(void);
/* The pages are as before. How many accesses there were; *accesses lives until the next begin. */
size_t read_watch_end(const struct read_watch_access **accesses);
/* The address in [from, from + len_bytes) that was read most often, how often, and by whom last; NULL: none was. */
const uint8_t *read_watch_most(const uint8_t *from, size_t len_bytes, unsigned int *n_reads, const void **instruction);
/* Ends the program when an address there was read more than once, or none was. */
void read_watch_expect_once(const char *what, const void *from, size_t len_bytes);
