// SPDX-License-Identifier: MIT
/* A lender with hands in the guest (tests/guest/abi/lend.h): what the checks of lending are made of. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dom1/lend.h"

#include "../guest/abi/lend.h"

struct check {
	const char *socket_path;
	struct lend *lend;
	struct lend_box *boxes; /* of the post: window 1 */
	enum lend_memory kind;
	bool is_dma_buf;
	int fd;                 /* what is lent in window 0 */
	uint8_t *memory;        /* its pages, ours too */
	unsigned int passed, failed;
};

#define MEMORY_PAGES 8192u
#define PAGE(check, number) ((uint64_t *)(void *)((check)->memory + (size_t)(number) * LEND_PAGE_BYTES))
#define GPA(page, offset)   (LEND_WINDOW_GPA + (uint64_t)(page) * LEND_PAGE_BYTES + (offset))

/* Connects and claims window 0; the first time, the post is lent by a connection of its own. Ends the program where that fails. */
void check_connect(struct check *check);
/* The post alone: window 0 is somebody else's. */
void check_lend_post(struct check *check);
void check_fatal(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

void check_equal(struct check *check, const char *what, uint64_t got, uint64_t expected, int line);
#define EXPECT(what, got, expected) check_equal(check, what, (uint64_t)(got), (uint64_t)(expected), __LINE__)

void task_begin(struct check *check, unsigned int vcpu, enum lend_task task, uint64_t a, uint64_t b, uint64_t c, uint64_t d);
/* FALSE: not within the time. */
bool task_done(struct check *check, unsigned int vcpu, unsigned int timeout_ms);
/* The result; a task that never ends is the end of the program. */
uint64_t task_end(struct check *check, unsigned int vcpu);
uint64_t task_do(struct check *check, unsigned int vcpu, enum lend_task task, uint64_t a, uint64_t b, uint64_t c);

/* Lends pages of the file; there must be no error. */
void lend_pages(struct check *check, uint64_t page, uint64_t n_pages, uint64_t file_page);
void revoke_pages(struct check *check, uint64_t page, uint64_t n_pages);
/* Of window 0. */
int next_fault(struct check *check, struct lend_fault *fault, int timeout_ms);
/* The next fault, which must be in this page. */
struct lend_fault expect_fault(struct check *check, uint64_t page, int line);
#define FAULT(page) expect_fault(check, page, __LINE__)
void supply(struct check *check, const struct lend_fault *fault, uint64_t file_page);

uint64_t now_ns(void);

/* lend-check-*.c */
/* One group of them, by its number; 0: all. */
void check_rules(struct check *check, unsigned int only);
void check_hypercalls(struct check *check);
/* Window 0 is another guest's to lend in. */
void check_peer(struct check *check);
void check_bad_input(struct check *check);
void check_bench(struct check *check, uint64_t rounds, unsigned int n_vcpus);
/* n_parts: revokes of one request, 1 to 64. */
void check_stress(struct check *check, uint64_t n_revokes, unsigned int n_vcpus, unsigned int n_parts);
