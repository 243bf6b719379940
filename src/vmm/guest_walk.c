// SPDX-License-Identifier: MIT
#include "vmm/guest_walk.h"

#include <stddef.h>

#include "vmm/guest_memory.h"

#define BIT(n) (UINT64_C(1) << (n))

#define CR0_WP    BIT(16)
#define CR0_PG    BIT(31)
#define CR4_PSE   BIT(4)
#define CR4_PAE   BIT(5)
#define CR4_LA57  BIT(12)
#define CR4_SMAP  BIT(21)
#define CR4_PKE   BIT(22)
#define EFER_LMA  BIT(10)
#define EFER_NXE  BIT(11)
#define RFLAGS_AC BIT(18)

#define PTE_PRESENT      BIT(0)
#define PTE_WRITABLE     BIT(1)
#define PTE_USER         BIT(2)
#define PTE_ACCESSED     BIT(5)
#define PTE_DIRTY        BIT(6)
#define PTE_LARGE        BIT(7)
#define PTE_NX           BIT(63)
#define PTE_FRAME        UINT64_C(0x000ffffffffff000)
#define PTE_PAE_RESERVED UINT64_C(0x7ff0000000000000)
#define PTE_KEY_SHIFT    59

#define PSE_FRAME    UINT64_C(0xffc00000)
#define PSE_HIGH     UINT64_C(0x001fe000) /* bits 39 to 32 of the address */
#define PSE_HIGH_UP  19
#define PSE_RESERVED BIT(21)

#define LEVELS_MAX 5
#define TRIES_MAX  16

struct walk {
	const struct guest_memory *memory;
	const struct guest_paging *paging;
	uint64_t gva;
	enum guest_access access;
	unsigned int levels, index_bits, entry_bytes;

	/* From the top. The PDPTEs of PAE have neither rights nor an accessed bit. */
	struct {
		void *at; /* NULL: it is not to be changed */
		uint64_t value;
	} path[LEVELS_MAX];
	unsigned int n_path;
	uint64_t rights; /* PTE_WRITABLE and PTE_USER, where all levels have them */
};

static bool is_long(const struct guest_paging *paging)
{
	return (paging->efer & EFER_LMA) != 0;
}

static bool is_pdpte_of_pae(const struct walk *walk, unsigned int level)
{
	return walk->levels == 3 && level == 3;
}

static bool is_canonical(const struct walk *walk)
{
	unsigned int unused_bits = walk->levels == 5 ? 7 : 16;

	return (uint64_t)((int64_t)(walk->gva << unused_bits) >> unused_bits) == walk->gva;
}

/* Reads the entry of this level. */
static bool read_entry(struct walk *walk, uint64_t table_gpa, unsigned int level, uint64_t *entry)
{
	const struct guest_paging *paging = walk->paging;
	uint64_t index = walk->gva >> (12 + (level - 1) * walk->index_bits) & (BIT(walk->index_bits) - 1);
	uint64_t gpa = table_gpa + index * walk->entry_bytes;

	if (paging->read_entry) {
		walk->path[walk->n_path++].at = NULL;
		return paging->read_entry(paging->opaque, gpa, walk->entry_bytes, entry);
	}
	void *at = guest_memory_span(walk->memory, gpa, walk->entry_bytes);
	if (!at)
		return false;
	*entry = walk->entry_bytes == 4 ? __atomic_load_n((uint32_t *)at, __ATOMIC_RELAXED)
					: __atomic_load_n((uint64_t *)at, __ATOMIC_RELAXED);
	walk->path[walk->n_path].at = at;
	walk->path[walk->n_path++].value = *entry;
	return true;
}

static bool is_leaf(const struct walk *walk, unsigned int level, uint64_t entry)
{
	if (level == 1)
		return true;
	if (!(entry & PTE_LARGE) || is_pdpte_of_pae(walk, level))
		return false;
	return walk->levels > 2 || (walk->paging->cr4 & CR4_PSE);
}

/* Bits that must be zero, but for those above the CPU's physical addresses: there is no memory there. */
static bool is_well_formed(const struct walk *walk, unsigned int level, uint64_t entry)
{
	if (walk->levels == 2)
		return level == 1 || !is_leaf(walk, level, entry) || !(entry & PSE_RESERVED);
	if (is_pdpte_of_pae(walk, level))
		return true;
	if ((entry & PTE_NX) && !(walk->paging->efer & EFER_NXE))
		return false;
	if (walk->levels == 3 && (entry & PTE_PAE_RESERVED))
		return false;
	if (level == 1 || !(entry & PTE_LARGE))
		return true;
	/* Large pages are aligned; bit 12 is the memory type's. */
	return level <= 3 && !(entry & (BIT(12 + (level - 1) * 9) - 1) & ~(BIT(13) - 1));
}

static uint64_t leaf_gpa(const struct walk *walk, unsigned int level, uint64_t entry)
{
	uint64_t offset_mask = BIT(12 + (level - 1) * walk->index_bits) - 1;

	if (walk->levels == 2 && level == 2)
		return (entry & PSE_FRAME) | (entry & PSE_HIGH) << PSE_HIGH_UP | (walk->gva & offset_mask);
	return (entry & PTE_FRAME & ~offset_mask) | (walk->gva & offset_mask);
}

static bool key_allows(const struct walk *walk, uint64_t leaf)
{
	const struct guest_paging *paging = walk->paging;

	if (!is_long(paging) || !(paging->cr4 & CR4_PKE))
		return true;
	uint32_t rights = paging->read_pkru(paging->opaque) >> (leaf >> PTE_KEY_SHIFT & 0xf) * 2;
	bool denies_access = rights & 1, denies_write = rights & 2;

	return !denies_access && !(denies_write && walk->access == GUEST_WRITE && (paging->cr0 & CR0_WP));
}

static bool is_allowed(const struct walk *walk, uint64_t leaf)
{
	const struct guest_paging *paging = walk->paging;

	if (walk->access == GUEST_FETCH)
		return true;
	if (walk->access == GUEST_WRITE && !(walk->rights & PTE_WRITABLE) && (paging->cr0 & CR0_WP))
		return false;
	if (!(walk->rights & PTE_USER))
		return true;
	if ((paging->cr4 & CR4_SMAP) && !(paging->rflags & RFLAGS_AC))
		return false;
	return key_allows(walk, leaf);
}

/* FALSE: somebody has changed the entry since it was read. */
static bool set_bits(const struct walk *walk, unsigned int i, uint64_t bits)
{
	uint64_t old = walk->path[i].value;

	if (!walk->path[i].at || (old & bits) == bits)
		return true;
	if (walk->entry_bytes == 4) {
		uint32_t expected = (uint32_t)old;

		return __atomic_compare_exchange_n((uint32_t *)walk->path[i].at, &expected, (uint32_t)(old | bits),
						   false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
	}
	return __atomic_compare_exchange_n((uint64_t *)walk->path[i].at, &old, old | bits, false, __ATOMIC_SEQ_CST,
					   __ATOMIC_RELAXED);
}

static bool mark_used(const struct walk *walk)
{
	for (unsigned int i = 0; i < walk->n_path; i++) {
		bool leaf = i == walk->n_path - 1;

		if (!is_pdpte_of_pae(walk, walk->levels - i) &&
		    !set_bits(walk, i, PTE_ACCESSED | (leaf && walk->access == GUEST_WRITE ? PTE_DIRTY : 0)))
			return false;
	}
	return true;
}

/* TRUE, and *gpa is set: the access is allowed. */
static bool look_up(struct walk *walk, uint64_t *gpa)
{
	uint64_t table_gpa = walk->paging->cr3 & (walk->levels == 2   ? 0xfffff000
						  : walk->levels == 3 ? 0xffffffe0
								      : PTE_FRAME);
	uint64_t entry;

	walk->n_path = 0;
	walk->rights = PTE_WRITABLE | PTE_USER;
	for (unsigned int level = walk->levels;; level--) {
		if (!read_entry(walk, table_gpa, level, &entry) || !(entry & PTE_PRESENT) ||
		    !is_well_formed(walk, level, entry))
			return false;
		if (!is_pdpte_of_pae(walk, level))
			walk->rights &= entry;
		if (is_leaf(walk, level, entry)) {
			*gpa = leaf_gpa(walk, level, entry);
			return is_allowed(walk, entry);
		}
		table_gpa = entry & PTE_FRAME;
	}
}

bool guest_walk(const struct guest_memory *memory, const struct guest_paging *paging, uint64_t gva,
		enum guest_access access, uint64_t *gpa)
{
	struct walk walk = { .memory = memory, .paging = paging, .gva = gva, .access = access };

	if (is_long(paging))
		walk.levels = paging->cr4 & CR4_LA57 ? 5 : 4;
	else
		walk.levels = paging->cr4 & CR4_PAE ? 3 : 2;
	walk.index_bits = walk.levels == 2 ? 10 : 9;
	walk.entry_bytes = walk.levels == 2 ? 4 : 8;
	/* Outside of long mode an address has 32 bits. */
	if (is_long(paging) ? !is_canonical(&walk) : gva > UINT32_MAX)
		return false;
	if (!(paging->cr0 & CR0_PG)) {
		*gpa = gva;
		return true;
	}
	for (unsigned int i = 0; i < TRIES_MAX; i++) {
		if (!look_up(&walk, gpa))
			return false;
		if (mark_used(&walk))
			return true;
	}
	/* Another vCPU writes this entry all the time. */
	return false;
}
