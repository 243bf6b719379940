// SPDX-License-Identifier: MIT
/*
 * guest_walk.c against what was drawn: tables of all modes are made of random decisions (is it present, may it be
 * written to, is it a user's, does it end here), and the answer is worked out from the decisions, not from the bits.
 * What the walk leaves in the tables is compared byte by byte.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include <glib.h>

#include "vmm/guest_memory.h"
#include "vmm/guest_walk.h"

#define MIB      (UINT64_C(1) << 20)
#define PAGE     LAYOUT_PAGE_BYTES
#define N_TRIALS 200000
#define FIRST    (UINT64_C(4) * MIB) /* the first table */
#define BIT(n)   (UINT64_C(1) << (n))

enum { P = 1, RW = 2, US = 4, A = 32, D = 64, PS = 128 };

struct level {
	bool present, writable, user, accessed, dirty, large, bad;
	uint64_t entry_gpa, entry;
};

struct trial {
	unsigned int levels, index_bits, entry_bytes; /* levels 0: no paging */
	bool pse, wp, smap, ac, pke, nxe, write, nowhere;
	uint32_t pkru;
	unsigned int key, pkru_reads;
	uint64_t gva, frame;
	struct level level[6]; /* by number: 1 is the last table */
};

static struct guest_memory *memory;

static bool chance(int percent)
{
	return g_test_rand_int_range(0, 100) < percent;
}

static uint64_t random_u64(void)
{
	return (uint64_t)(uint32_t)g_test_rand_int() << 32 | (uint32_t)g_test_rand_int();
}

static bool is_pdpte_of_pae(const struct trial *trial, unsigned int number)
{
	return trial->levels == 3 && number == 3;
}

static bool may_be_large(const struct trial *trial, unsigned int number)
{
	if (trial->levels == 2)
		return number == 2 && trial->pse;
	return (number == 2 || number == 3) && !is_pdpte_of_pae(trial, number);
}

static unsigned int shift_of(const struct trial *trial, unsigned int number)
{
	return 12 + (number - 1) * trial->index_bits;
}

static void draw_mode(struct trial *trial)
{
	static const unsigned int LEVELS[] = {0, 2, 3, 4, 5};

	*trial = (struct trial){.levels = LEVELS[g_test_rand_int_range(0, 5)],
				.pse = chance(70),
				.wp = chance(70),
				.smap = chance(50),
				.ac = chance(50),
				.pke = chance(50),
				.nxe = chance(50),
				.write = chance(50),
				.pkru = (uint32_t)g_test_rand_int()};
	trial->index_bits = trial->levels == 2 ? 10 : 9;
	trial->entry_bytes = trial->levels == 2 ? 4 : 8;
	if (trial->levels < 4) {
		trial->gva = (uint32_t)random_u64();
		trial->nowhere = chance(5);
		if (trial->nowhere)
			trial->gva |= BIT(32 + g_test_rand_int_range(0, 32));
	} else {
		unsigned int unused_bits = trial->levels == 5 ? 7 : 16;
		uint64_t gva = random_u64();

		trial->gva = (uint64_t)((int64_t)(gva << unused_bits) >> unused_bits);
		trial->nowhere = chance(5);
		if (trial->nowhere)
			trial->gva ^= BIT(64 - g_test_rand_int_range(1, (gint32)unused_bits + 1));
	}
}

static uint64_t draw_entry(struct trial *trial, unsigned int number, uint64_t next_gpa)
{
	struct level *level = &trial->level[number];
	bool pdpte = is_pdpte_of_pae(trial, number), leaf;

	*level = (struct level){.present = chance(95),
				.writable = !pdpte && chance(80),
				.user = !pdpte && chance(80),
				.accessed = !pdpte && chance(50),
				.dirty = !pdpte && chance(50),
				.large = chance(30) && may_be_large(trial, number)};
	uint64_t entry = (level->present ? P : 0) | (level->writable ? RW : 0) | (level->user ? US : 0) |
			 (level->accessed ? A : 0) | (level->dirty ? D : 0) | (level->large ? PS : 0);
	leaf = number == 1 || level->large;
	/* Bits that mean nothing to this CPU. */
	if (number == 1 || (trial->levels == 2 && !trial->pse))
		entry |= chance(20) ? PS : 0;
	if (!pdpte)
		entry |= (random_u64() & 7) << 9;
	if (trial->levels > 2 && !pdpte && chance(10)) {
		entry |= BIT(63);
		level->bad |= !trial->nxe;
	}
	if (trial->levels == 3 && !pdpte && chance(3)) {
		entry |= BIT(g_test_rand_int_range(52, 63));
		level->bad = true;
	}
	if (number >= 4 && chance(3)) {
		entry |= PS;
		level->bad = true;
	}
	if (!leaf)
		return entry | next_gpa;
	uint64_t size = BIT(shift_of(trial, number));
	trial->frame = random_u64() & 0x0000000fffffffff & ~(size - 1);
	if (trial->levels == 2 && number == 1)
		trial->frame &= 0xfffff000;
	if (trial->levels == 2 && number == 2)
		entry |= (trial->frame & 0xffc00000) | (trial->frame >> 32 & 0xff) << 13;
	else
		entry |= trial->frame;
	if (trial->levels >= 4) {
		trial->key = (unsigned int)g_test_rand_int_range(0, 16);
		entry |= (uint64_t)trial->key << 59;
	}
	if (level->large && chance(5)) {
		/* Not aligned to its size. */
		entry |= trial->levels == 2 ? BIT(21) : BIT(g_test_rand_int_range(13, (gint32)shift_of(trial, number)));
		level->bad = true;
	}
	if (level->large && chance(30))
		entry |= BIT(12); /* the memory type's */
	return entry;
}

/* Writes the tables; the last level that is looked at is returned. */
static unsigned int draw_tables(struct trial *trial)
{
	for (unsigned int number = trial->levels;; number--) {
		uint64_t table_gpa = FIRST + (trial->levels - number) * PAGE;
		uint64_t index = trial->gva >> shift_of(trial, number) &
				 (BIT(is_pdpte_of_pae(trial, number) ? 2 : trial->index_bits) - 1);
		struct level *level = &trial->level[number];

		uint64_t entry = draw_entry(trial, number, table_gpa + PAGE);
		level->entry = entry;
		level->entry_gpa = table_gpa + index * trial->entry_bytes;
		g_assert_true(guest_memory_write(memory, level->entry_gpa, &entry, trial->entry_bytes));
		if (number == 1 || level->large)
			return number;
	}
}

static bool expect_allowed(const struct trial *trial, unsigned int last)
{
	bool writable = true, user = true;

	for (unsigned int number = trial->levels; number >= last; number--) {
		const struct level *level = &trial->level[number];

		if (!level->present || level->bad)
			return false;
		if (!is_pdpte_of_pae(trial, number)) {
			writable &= level->writable;
			user &= level->user;
		}
	}
	if (trial->write && !writable && trial->wp)
		return false;
	if (!user)
		return true;
	if (trial->smap && !trial->ac)
		return false;
	if (trial->levels < 4 || !trial->pke)
		return true;
	bool no_access = trial->pkru >> (2 * trial->key) & 1, no_write = trial->pkru >> (2 * trial->key + 1) & 1;
	return !no_access && !(no_write && trial->write && trial->wp);
}

static uint32_t read_pkru(void *opaque)
{
	struct trial *trial = opaque;

	trial->pkru_reads++;
	return trial->pkru;
}

static struct guest_paging registers(struct trial *trial)
{
	/* Bits that are no address: a PCID, caching. */
	const uint64_t rest = trial->levels >= 4 ? random_u64() & 0xfff : trial->levels == 2 ? 0x18 : 0;

	return (struct guest_paging){
		.cr0 = (trial->levels ? BIT(31) : 0) | (trial->wp ? BIT(16) : 0) | 1,
		.cr3 = FIRST | rest,
		.cr4 = (trial->pse ? BIT(4) : 0) | (trial->levels >= 3 ? BIT(5) : 0) |
		       (trial->levels == 5 ? BIT(12) : 0) | (trial->smap ? BIT(21) : 0) | (trial->pke ? BIT(22) : 0),
		.efer = (trial->levels >= 4 ? BIT(10) | BIT(8) : 0) | (trial->nxe ? BIT(11) : 0),
		.rflags = 2 | (trial->ac ? BIT(18) : 0),
		.read_pkru = read_pkru,
		.opaque = trial,
	};
}

static void test_any_tables(void)
{
	static uint8_t before[5 * PAGE];
	uint8_t *tables = guest_memory_span(memory, FIRST, sizeof(before));
	unsigned int n_allowed = 0, n_denied = 0;

	for (unsigned int i = 0; i < N_TRIALS; i++) {
		struct trial trial;
		uint64_t gpa = 0;

		draw_mode(&trial);
		const struct guest_paging paging = registers(&trial);
		unsigned int last = trial.levels ? draw_tables(&trial) : 0;
		bool allowed = !trial.nowhere && (!trial.levels || expect_allowed(&trial, last));
		for (unsigned int number = trial.levels; trial.levels && number >= last; number--) {
			struct level *level = &trial.level[number];
			uint64_t entry = level->entry | (allowed && !is_pdpte_of_pae(&trial, number) ? A : 0) |
					 (allowed && trial.write && number == last ? D : 0);
			uint64_t offset = level->entry_gpa - FIRST;

			memcpy(before + offset, &entry, trial.entry_bytes);
		}
		g_assert_cmpint(guest_walk(memory, &paging, trial.gva, trial.write ? GUEST_WRITE : GUEST_READ, &gpa),
				==, allowed);
		if (allowed) {
			uint64_t mask = trial.levels ? BIT(shift_of(&trial, last)) - 1 : UINT64_MAX;

			g_assert_cmphex(gpa, ==, trial.frame | (trial.gva & mask));
		}
		g_assert_cmpint(memcmp(before, tables, sizeof(before)), ==, 0);
		/* An ioctl each. */
		g_assert_cmpuint(trial.pkru_reads, <=, 1);
		g_assert_true(trial.pkru_reads == 0 || (trial.pke && trial.levels >= 4));
		n_allowed += allowed;
		n_denied += !allowed;
	}
	g_assert_cmpuint(n_allowed, >, N_TRIALS / 10);
	g_assert_cmpuint(n_denied, >, N_TRIALS / 10);
}

static void test_tables_outside(void)
{
	const struct layout *layout = guest_memory_layout(memory);
	const struct guest_paging paging = { .cr0 = BIT(31), .cr3 = 0x000ffffffffff000, .cr4 = BIT(5), .efer = BIT(10) };
	const struct guest_paging in_hole = {
		.cr0 = BIT(31), .cr3 = layout->overlay_gpa, .cr4 = BIT(5), .efer = BIT(10)};
	uint64_t gpa;

	g_assert_false(guest_walk(memory, &paging, 0, GUEST_READ, &gpa));
	g_assert_false(guest_walk(memory, &in_hole, UINT64_MAX, GUEST_READ, &gpa));
}

/* Tables that somebody else reads for the walk, at addresses where there is no guest memory. */
#define ELSEWHERE 0x7000000000

struct tables {
	uint64_t entries[4];
	unsigned int n_reads, n_readable;
};

static bool read_elsewhere(void *opaque, uint64_t gpa, size_t len_bytes, uint64_t *entry)
{
	struct tables *tables = opaque;

	g_assert_cmpuint(len_bytes, ==, 8);
	g_assert_cmphex(gpa, ==, ELSEWHERE + tables->n_reads * PAGE);
	*entry = tables->entries[tables->n_reads];
	return tables->n_reads++ < tables->n_readable;
}

static void test_read_entry(void)
{
	struct tables tables = { { ELSEWHERE + PAGE, ELSEWHERE + 2 * PAGE, ELSEWHERE + 3 * PAGE, 0x1234000 }, 0, 4 };
	/* A user's page that may not be executed, for a kernel with SMAP: only what has been fetched is found. */
	const struct guest_paging paging = {
		.cr0 = BIT(31), .cr3 = ELSEWHERE, .cr4 = BIT(5) | BIT(21), .efer = BIT(10) | BIT(11),
		.read_entry = read_elsewhere, .opaque = &tables,
	};
	uint64_t gpa;

	for (unsigned int i = 0; i < 4; i++)
		tables.entries[i] |= P | BIT(2) | (i == 3 ? BIT(63) : 0);
	const struct tables before = tables;
	g_assert_true(guest_walk(memory, &paging, 0x55, GUEST_FETCH, &gpa));
	g_assert_cmphex(gpa, ==, 0x1234055);
	g_assert_cmpint(memcmp(tables.entries, before.entries, sizeof(before.entries)), ==, 0);
	tables.n_reads = 0;
	g_assert_false(guest_walk(memory, &paging, 0x55, GUEST_READ, &gpa));
	for (unsigned int i = 0; i < 4; i++) {
		tables = before;
		tables.n_readable = i;
		g_assert_false(guest_walk(memory, &paging, 0x55, GUEST_FETCH, &gpa));
		tables = before;
		tables.entries[i] &= ~(uint64_t)P;
		g_assert_false(guest_walk(memory, &paging, 0x55, GUEST_FETCH, &gpa));
		g_assert_cmpuint(tables.n_reads, ==, i + 1);
	}
}

struct writer {
	uint64_t *entry;
	atomic_bool end;
};

static void *write_entry(void *opaque)
{
	struct writer *writer = opaque;

	while (!atomic_load(&writer->end)) {
		/* Takes the mark away, as a guest that looks for used pages does, and changes what is its own. */
		__atomic_fetch_and(writer->entry, ~(uint64_t)(A | D), __ATOMIC_SEQ_CST);
		__atomic_fetch_xor(writer->entry, BIT(9), __ATOMIC_SEQ_CST);
	}
	return NULL;
}

/* Another vCPU writes the entry meanwhile: nothing of what it wrote is lost. */
static void test_other_writer(void)
{
	const uint64_t frame = 0x1234000;
	const struct guest_paging paging = { .cr0 = BIT(31), .cr3 = FIRST, .cr4 = BIT(5), .efer = BIT(10) };
	struct writer writer = { .entry = guest_memory_span(memory, FIRST + 3 * PAGE, sizeof(uint64_t)) };
	unsigned int n_found = 0;
	pthread_t thread;

	for (unsigned int i = 0; i < 4; i++) {
		uint64_t entry = (i < 3 ? FIRST + (i + 1) * PAGE : frame) | P | RW;

		g_assert_true(guest_memory_write(memory, FIRST + i * PAGE, &entry, sizeof(entry)));
	}
	g_assert_cmpint(pthread_create(&thread, NULL, write_entry, &writer), ==, 0);
	for (unsigned int i = 0; i < 100000; i++) {
		uint64_t gpa;

		if (guest_walk(memory, &paging, 0x55, GUEST_WRITE, &gpa)) {
			n_found++;
			g_assert_cmphex(gpa, ==, frame | 0x55);
		}
	}
	atomic_store(&writer.end, true);
	pthread_join(thread, NULL);
	g_assert_cmpuint(n_found, >, 0);
	g_assert_cmphex(*writer.entry & ~(uint64_t)(A | D | BIT(9)), ==, frame | P | RW);
}

int main(int argc, char **argv)
{
	struct layout layout;

	g_test_init(&argc, &argv, NULL);
	g_assert_true(layout_init(&layout, 64 * MIB, 32 * MIB, NULL));
	memory = guest_memory_new(&layout, NULL);
	g_assert_nonnull(memory);
	g_test_add_func("/vmm/guest_walk/any_tables", test_any_tables);
	g_test_add_func("/vmm/guest_walk/tables_outside", test_tables_outside);
	g_test_add_func("/vmm/guest_walk/read_entry", test_read_entry);
	g_test_add_func("/vmm/guest_walk/other_writer", test_other_writer);
	int result = g_test_run();
	guest_memory_free(memory);
	return result;
}
