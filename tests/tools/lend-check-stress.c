// SPDX-License-Identifier: MIT
/*
 * vCPUs use pages in every way while random parts are revoked and come back from another place. Each page holds what it
 * is, and a counter for each vCPU which that vCPU knows: a page that is not the right one, or a write that went to a place
 * that was taken back, is seen by the guest. And here: once a revoke has returned, the old places are spoilt, and watched;
 * and looked at once more, all of each, before they are used again.
 *
 * A request takes back many parts that have nothing to do with each other: each part counts as a revoke.
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
#define MAX_PARTS  64u
#define MAX_OLD    (4u * MAX_PARTS)
#define LINE_WORDS 8u
#define MAX_VCPUS  2u /* that have a line in each page that is watched */
#define TELL_NS    UINT64_C(30000000000)
#define AT_WORK    32u /* accesses of each vCPU between two rounds, where they come to them in time */
#define WORK_MS    30u
#define WALK_GPA   0x3000000u
#define PTE        0x67u

struct stress {
	struct check *check;
	uint32_t place[N_PAGES]; /* in the file, where each page's content is */
	uint32_t free[N_PLACES];
	unsigned int n_free;
	bool lent[N_PAGES];
	bool taken[N_PAGES]; /* in this round */
	uint64_t revokes, of_lent, pages, stale_writes, faults, stale_supplies;
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

/* Whether nobody has written there since. */
static void inspect(struct stress *stress, uint32_t place)
{
	for (unsigned int i = 0; i < LEND_PAGE_BYTES / 8; i++)
		stress->stale_writes += PAGE(stress->check, place)[i] != CANARY;
}

static void spoil(struct check *check, uint32_t place)
{
	for (unsigned int i = 0; i < LEND_PAGE_BYTES / 8; i++)
		PAGE(check, place)[i] = CANARY;
}

/* The content goes somewhere else; what is left would be a mistake to see. */
static uint32_t move_page(struct stress *stress, unsigned int page)
{
	struct check *check = stress->check;
	uint32_t old = stress->place[page];
	unsigned int at = (unsigned int)rand() % stress->n_free;
	uint32_t new = stress->free[at];

	inspect(stress, new);
	memcpy(PAGE(check, new), PAGE(check, old), LEND_PAGE_BYTES);
	spoil(check, old);
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

			for (unsigned int word = 0; word < 3 * LINE_WORDS; word++)
				stress->stale_writes += words[word] != CANARY;
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

/* A part of pages that this round has not taken yet. */
static struct lend_part pick(struct stress *stress, unsigned int n_parts)
{
	static const unsigned int alone[] = { 1, 1, 1, 2, 7, 64, 100 }, together[] = { 1, 1, 1, 2 };

	for (;;) {
		unsigned int n = n_parts == 1 ? alone[(unsigned int)rand() % 7] : together[(unsigned int)rand() % 4];
		unsigned int first = (unsigned int)rand() % (N_PAGES - n + 1), i = 0;

		while (i < n && !stress->taken[first + i])
			i++;
		if (i < n)
			continue;
		for (i = 0; i < n; i++)
			stress->taken[first + i] = true;
		return (struct lend_part){ (uint64_t)first * LEND_PAGE_BYTES, (uint64_t)n * LEND_PAGE_BYTES };
	}
}

static void revoke_parts(struct stress *stress, struct lend_part *parts, unsigned int n_parts)
{
	memset(stress->taken, 0, sizeof(stress->taken));
	for (unsigned int i = 0; i < n_parts; i++)
		parts[i] = pick(stress, n_parts);
	int rc = lend_revoke_parts(stress->check->lend, 0, parts, n_parts, NULL);
	if (rc < 0)
		check_fatal("revoke of %u parts: %s", n_parts, strerror(-rc));
	stress->revokes += n_parts;
}

static struct lend_box *box_of(const struct check *check, unsigned int vcpu)
{
	return (struct lend_box *)(void *)((uint8_t *)check->boxes + vcpu * LEND_BOX_BYTES);
}

/* With one CPU for all, who revokes without a break is alone with the pages. */
static void let_them_work(struct stress *stress, unsigned int n_vcpus)
{
	uint64_t before[MAX_VCPUS], end_ns = now_ns() + WORK_MS * UINT64_C(1000000);
	unsigned int at_work = 0;

	for (unsigned int i = 0; i < n_vcpus; i++)
		before[i] = box_of(stress->check, i)->progress;
	while (at_work < n_vcpus && now_ns() < end_ns) {
		answer_all(stress);
		usleep(500);
		at_work = 0;
		for (unsigned int i = 0; i < n_vcpus; i++)
			at_work += box_of(stress->check, i)->progress - before[i] >= AT_WORK;
	}
}

static void one_round(struct stress *stress, unsigned int n_parts)
{
	struct lend_part parts[MAX_PARTS] = { 0 };
	uint32_t old[MAX_OLD];
	unsigned int n_old = 0;

	revoke_parts(stress, parts, n_parts);
	for (unsigned int i = 0; i < n_parts; i++) {
		unsigned int first = (unsigned int)(parts[i].offset_bytes / LEND_PAGE_BYTES);
		unsigned int end = first + (unsigned int)(parts[i].len_bytes / LEND_PAGE_BYTES);
		bool was_lent = false;

		for (unsigned int page = first; page < end; page++) {
			was_lent |= stress->lent[page];
			stress->lent[page] = false;
			old[n_old++] = move_page(stress, page);
		}
		stress->of_lent += was_lent;
	}
	stress->pages += n_old;
	watch(stress, old, n_old);
	for (unsigned int i = 0; i < n_old; i++)
		stress->free[stress->n_free++] = old[i];
	/* Most of it comes back by itself, the rest is asked for. */
	for (unsigned int page = 0; page < N_PAGES; page++)
		if (stress->taken[page] && rand() % 4)
			give_back(stress, page);
	answer_all(stress);
}

static void stop_hammers(struct stress *stress, unsigned int n_vcpus)
{
	for (unsigned int i = 0; i < n_vcpus; i++)
		box_of(stress->check, i)->stop = 1;
	for (unsigned int i = 0; i < n_vcpus; i++)
		while (!task_done(stress->check, i, 1))
			answer_all(stress);
}

static void tell(const struct stress *stress, uint64_t began_ns)
{
	printf("after %llu s: %llu revokes, %llu of them of what was lent, %llu pages, %llu faults, %llu stale writes\n",
	       (unsigned long long)((now_ns() - began_ns) / 1000000000), (unsigned long long)stress->revokes,
	       (unsigned long long)stress->of_lent, (unsigned long long)stress->pages, (unsigned long long)stress->faults,
	       (unsigned long long)stress->stale_writes);
}

static void prepare(struct stress *stress, unsigned int n_vcpus)
{
	struct check *check = stress->check;

	for (uint32_t i = 0; i < N_PLACES; i++) {
		if (i < N_PAGES) {
			fill(check, stress->place[i] = i, i);
		} else {
			spoil(check, i);
			stress->free[stress->n_free++] = i;
		}
	}
	lend_pages(check, 0, N_PAGES, 0);
	memset(stress->lent, true, sizeof(stress->lent));
	for (unsigned int i = 0; i < n_vcpus; i++) {
		box_of(check, i)->stop = 0;
		task_begin(check, i, TASK_HAMMER, N_PAGES, 0, 0, 0);
	}
}

/* What a guest can do at all: without AVX, all but these. */
static uint64_t all_kinds(void)
{
	uint64_t all = (1u << KINDS) - 1;

	return __builtin_cpu_supports("avx") ? all : all & ~(1u << KIND_WIDER | 1u << KIND_WRITE_WIDER);
}

static void judge(struct stress *stress, unsigned int n_vcpus, uint64_t took_ns, uint64_t slowest_ns)
{
	struct check *check = stress->check;
	struct lend_state state;
	uint64_t progress = 0;

	for (unsigned int i = 0; i < n_vcpus; i++) {
		const struct lend_box *box = box_of(check, i);

		progress += box->progress;
		if (box->result != 0)
			printf("vCPU %u: first mistake: page %llu, kind %llu, 0x%llx\n", i, (unsigned long long)box->bad_page,
			       (unsigned long long)box->bad_kind, (unsigned long long)box->bad_value);
		EXPECT("mistakes that a vCPU saw", box->result, 0);
		EXPECT("it used pages in every way", box->kinds, all_kinds());
		EXPECT("it did something", box->progress > stress->revokes / 4, true);
	}
	for (unsigned int i = 0; i < stress->n_free; i++)
		inspect(stress, stress->free[i]);
	EXPECT("writes to what was revoked", stress->stale_writes, 0);
	EXPECT("most revokes took something", stress->of_lent > stress->revokes / 4, true);
	EXPECT("query", lend_query(check->lend, 0, &state), 0);
	/* Both states of what is not there. */
	EXPECT("unarmed pages were used", state.unknown > 0, true);
	EXPECT("armed pages were used", state.traps > 0, true);
	printf("%llu revokes in %llu ms with %u vCPUs: %llu accesses, %llu faults, %llu traps, %llu without an address, "
	       "%llu late supplies, slowest round %llu us\n",
	       (unsigned long long)stress->revokes, (unsigned long long)(took_ns / 1000000), n_vcpus, (unsigned long long)progress,
	       (unsigned long long)stress->faults, (unsigned long long)state.traps, (unsigned long long)state.unknown,
	       (unsigned long long)stress->stale_supplies, (unsigned long long)(slowest_ns / 1000));
}

void check_stress(struct check *check, uint64_t n_revokes, unsigned int n_vcpus, unsigned int n_parts)
{
	struct stress *stress = calloc(1, sizeof(*stress));
	uint64_t slowest_ns = 0, told_ns;

	if (n_parts == 0 || n_parts > MAX_PARTS || n_vcpus > MAX_VCPUS)
		check_fatal("%u parts, %u vCPUs", n_parts, n_vcpus);
	stress->check = check;
	srand((unsigned int)getpid());
	prepare(stress, n_vcpus);
	uint64_t began_ns = told_ns = now_ns();
	while (stress->revokes < n_revokes) {
		uint64_t round_ns = now_ns();

		one_round(stress, n_parts);
		let_them_work(stress, n_vcpus);
		uint64_t ended_ns = now_ns();
		slowest_ns = ended_ns - round_ns > slowest_ns ? ended_ns - round_ns : slowest_ns;
		if (ended_ns - told_ns < TELL_NS)
			continue;
		tell(stress, began_ns);
		told_ns = ended_ns;
	}
	uint64_t took_ns = now_ns() - began_ns;
	tell(stress, began_ns);
	stop_hammers(stress, n_vcpus);
	judge(stress, n_vcpus, took_ns, slowest_ns);
	free(stress);
}
