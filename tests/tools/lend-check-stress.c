// SPDX-License-Identifier: MIT
/*
 * vCPUs use pages in every way while random parts are revoked and come back from another place. Each page holds what it
 * is, and a counter for each vCPU which that vCPU knows: a page that is not the right one, or a write that went to a place
 * that was taken back, is seen by the guest. And here: once a revoke has returned, the old place is spoilt, and watched.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lend-check.h"

#define N_PAGES    512u
#define N_PLACES   (4u * N_PAGES)
#define CANARY     0xdeaddeaddeaddeadu
#define WATCH_NS   30000u
#define WALK_GPA   0x3000000u
#define PTE        0x67u

struct stress {
	struct check *check;
	uint32_t place[N_PAGES]; /* in the file, where each page's content is */
	uint32_t free[N_PLACES];
	unsigned int n_free;
	bool lent[N_PAGES];
	uint64_t stale_writes, faults, stale_supplies;
};

static void fill(struct check *check, uint32_t place, uint64_t page)
{
	uint64_t *words = PAGE(check, place);
	uint8_t code[] = { 0xb8, (uint8_t)page, (uint8_t)(page >> 8), 0, 0, 0xc3 };

	memset(words, 0, LEND_PAGE_BYTES);
	words[0] = PAGE_TAG(page);
	memcpy((uint8_t *)words + PAGE_CODE, code, sizeof(code));
	words[PAGE_LAST_ENTRY / 8] = WALK_GPA | PTE;
}

/* The content goes somewhere else; what is left would be a mistake to see. */
static uint32_t move_page(struct stress *stress, unsigned int page)
{
	struct check *check = stress->check;
	uint32_t old = stress->place[page];
	unsigned int at = (unsigned int)rand() % stress->n_free;
	uint32_t new = stress->free[at];

	memcpy(PAGE(check, new), PAGE(check, old), LEND_PAGE_BYTES);
	for (unsigned int i = 0; i < LEND_PAGE_BYTES / 8; i++)
		PAGE(check, old)[i] = CANARY;
	/* The old one is not to be taken again before it was looked at. */
	stress->free[at] = stress->free[--stress->n_free];
	stress->place[page] = new;
	return old;
}

static void watch(struct stress *stress, const uint32_t *old, unsigned int n)
{
	uint64_t end_ns = now_ns() + WATCH_NS;

	do
		for (unsigned int i = 0; i < n; i++) {
			const volatile uint64_t *words = PAGE(stress->check, old[i]);

			for (unsigned int vcpu = 0; vcpu < 3; vcpu++)
				if (words[PAGE_COUNTERS * vcpu / 8] != CANARY || words[PAGE_COUNTERS * vcpu / 8 + 1] != CANARY)
					stress->stale_writes++;
		}
	while (now_ns() < end_ns);
}

static void give_back(struct stress *stress, unsigned int page)
{
	lend_pages(stress->check, page, 1, stress->place[page]);
	stress->lent[page] = true;
}

static void answer(struct stress *stress, const struct lend_fault *fault)
{
	unsigned int page = (unsigned int)(fault->offset_bytes / LEND_PAGE_BYTES);
	int rc = lend_supply(stress->check->lend, fault, LEND_PAGE_BYTES, stress->check->fd,
			     (uint64_t)stress->place[page] * LEND_PAGE_BYTES, LEND_WRITABLE);

	stress->faults++;
	if (rc == 0)
		stress->lent[page] = true;
	else if (rc == -ESTALE)
		stress->stale_supplies++;
	else
		check_fatal("supply of page %u: %s", page, strerror(-rc));
}

static void answer_all(struct stress *stress)
{
	struct lend_fault fault;

	while (next_fault(stress->check, &fault, 0) == 0)
		answer(stress, &fault);
}

static void one_round(struct stress *stress)
{
	static const unsigned int sizes[] = { 1, 1, 1, 2, 7, 64, 100 };
	unsigned int n = sizes[(unsigned int)rand() % 7], first = (unsigned int)rand() % (N_PAGES - n + 1);
	uint32_t old[128];

	revoke_pages(stress->check, first, n);
	for (unsigned int i = 0; i < n; i++) {
		stress->lent[first + i] = false;
		old[i] = move_page(stress, first + i);
	}
	watch(stress, old, n);
	for (unsigned int i = 0; i < n; i++)
		stress->free[stress->n_free++] = old[i];
	/* Half of it comes back by itself, half is asked for. */
	for (unsigned int i = 0; i < n; i++)
		if (rand() % 2)
			give_back(stress, first + i);
	answer_all(stress);
}

static struct lend_box *box_of(const struct check *check, unsigned int vcpu)
{
	return (struct lend_box *)(void *)((uint8_t *)check->boxes + vcpu * LEND_BOX_BYTES);
}

static void stop_hammers(struct stress *stress, unsigned int n_vcpus)
{
	for (unsigned int i = 0; i < n_vcpus; i++)
		box_of(stress->check, i)->stop = 1;
	for (unsigned int i = 0; i < n_vcpus; i++)
		while (!task_done(stress->check, i, 1))
			answer_all(stress);
}

void check_stress(struct check *check, uint64_t n_revokes, unsigned int n_vcpus)
{
	struct stress *stress = calloc(1, sizeof(*stress));
	uint64_t start_ns, progress = 0, slowest_ns = 0;

	stress->check = check;
	srand((unsigned int)getpid());
	for (uint32_t i = 0; i < N_PLACES; i++) {
		if (i < N_PAGES)
			fill(check, stress->place[i] = i, i);
		else
			stress->free[stress->n_free++] = i;
	}
	for (unsigned int i = 0; i < n_vcpus; i++) {
		box_of(check, i)->stop = 0;
		task_begin(check, i, TASK_HAMMER, N_PAGES, 0, 0, 0);
	}
	start_ns = now_ns();
	for (uint64_t i = 0; i < n_revokes; i++) {
		uint64_t round_ns = now_ns();

		one_round(stress);
		round_ns = now_ns() - round_ns;
		slowest_ns = round_ns > slowest_ns ? round_ns : slowest_ns;
	}
	uint64_t took_ns = now_ns() - start_ns;
	stop_hammers(stress, n_vcpus);
	for (unsigned int i = 0; i < n_vcpus; i++) {
		const struct lend_box *box = box_of(check, i);

		progress += box->progress;
		if (box->result != 0)
			printf("vCPU %u: first mistake: page %llu, kind %llu, 0x%llx\n", i, (unsigned long long)box->bad_page,
			       (unsigned long long)box->bad_kind, (unsigned long long)box->bad_value);
		EXPECT("mistakes that a vCPU saw", box->result, 0);
		EXPECT("it did something", box->progress > n_revokes / 10, true);
	}
	EXPECT("writes to what was revoked", stress->stale_writes, 0);
	printf("%llu revokes in %llu ms with %u vCPUs: %llu accesses, %llu faults, %llu late supplies, slowest round %llu us\n",
	       (unsigned long long)n_revokes, (unsigned long long)(took_ns / 1000000), n_vcpus, (unsigned long long)progress,
	       (unsigned long long)stress->faults, (unsigned long long)stress->stale_supplies,
	       (unsigned long long)(slowest_ns / 1000));
	free(stress);
}
