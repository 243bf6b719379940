// SPDX-License-Identifier: MIT
#include "backend/block_overlay.h"

#include <stdlib.h>
#include <string.h>

#define LEAF_SECTORS 32768u /* 4 KiB of bits */
#define WORD_SECTORS 64u
#define LEAF_WORDS   (LEAF_SECTORS / WORD_SECTORS)

struct leaf {
	uint64_t words[LEAF_WORDS];
};

struct block_overlay {
	uint64_t n_leaves;
	/* All ones, shared: what was discarded as a whole. */
	struct leaf full;
	struct leaf *leaves[]; /* NULL: nothing of it was written */
};

struct block_overlay *block_overlay_new(uint64_t n_sectors)
{
	const uint64_t n_leaves = n_sectors / LEAF_SECTORS + 1;

	if (n_leaves > (SIZE_MAX - sizeof(struct block_overlay)) / sizeof(struct leaf *))
		return NULL;
	/* calloc() of a large disk's table touches nothing. */
	struct block_overlay *overlay = calloc(1, sizeof(*overlay) + (size_t)n_leaves * sizeof(struct leaf *));
	if (!overlay)
		return NULL;
	overlay->n_leaves = n_leaves;
	memset(&overlay->full, 0xff, sizeof(overlay->full));
	return overlay;
}

void block_overlay_free(struct block_overlay *overlay)
{
	if (!overlay)
		return;
	for (uint64_t i = 0; i < overlay->n_leaves; i++)
		if (overlay->leaves[i] != &overlay->full)
			free(overlay->leaves[i]);
	free(overlay);
}

uint64_t block_overlay_run(const struct block_overlay *overlay, uint64_t sector, uint64_t n_sectors, bool *written)
{
	const uint64_t end = sector + n_sectors;
	uint64_t at = sector;

	*written = false;
	while (at < end) {
		const struct leaf *leaf = overlay->leaves[at / LEAF_SECTORS];
		const unsigned int in_word = at % WORD_SECTORS;
		uint64_t word = leaf ? leaf->words[at % LEAF_SECTORS / WORD_SECTORS] >> in_word : 0;

		if (at == sector)
			*written = word & 1;
		/* What differs from the first; above the word's top nothing is known, and zeros say so. */
		uint64_t differs = *written ? ~word & (UINT64_MAX >> in_word) : word;
		if (differs)
			at += (unsigned int)__builtin_ctzll(differs);
		else if (!leaf)
			at += LEAF_SECTORS - at % LEAF_SECTORS;
		else
			at += WORD_SECTORS - in_word;
		if (differs)
			break;
	}
	return (at < end ? at : end) - sector;
}

/* What of the range lies in the leaf: as sectors in it. */
static void clip(uint64_t leaf, uint64_t sector, uint64_t end, unsigned int *from, unsigned int *to)
{
	const uint64_t first = leaf * LEAF_SECTORS;

	*from = sector > first ? (unsigned int)(sector - first) : 0;
	*to = end - first < LEAF_SECTORS ? (unsigned int)(end - first) : LEAF_SECTORS;
}

bool block_overlay_reserve(struct block_overlay *overlay, uint64_t sector, uint64_t n_sectors, bool at_once)
{
	const uint64_t end = sector + n_sectors;

	for (uint64_t i = sector / LEAF_SECTORS; i * LEAF_SECTORS < end; i++) {
		unsigned int from, to;

		clip(i, sector, end, &from, &to);
		if (overlay->leaves[i] || (at_once && from == 0 && to == LEAF_SECTORS))
			continue;
		overlay->leaves[i] = calloc(1, sizeof(struct leaf));
		if (!overlay->leaves[i])
			return false;
	}
	return true;
}

void block_overlay_mark(struct block_overlay *overlay, uint64_t sector, uint64_t n_sectors)
{
	const uint64_t end = sector + n_sectors;

	for (uint64_t i = sector / LEAF_SECTORS; i * LEAF_SECTORS < end; i++) {
		struct leaf *leaf = overlay->leaves[i];
		unsigned int from, to;

		clip(i, sector, end, &from, &to);
		if (leaf == &overlay->full)
			continue;
		if (from == 0 && to == LEAF_SECTORS) {
			free(leaf);
			overlay->leaves[i] = &overlay->full;
			continue;
		}
		while (from < to) {
			const unsigned int in_word = from % WORD_SECTORS, left = WORD_SECTORS - in_word;
			const unsigned int n = to - from < left ? to - from : left;

			leaf->words[from / WORD_SECTORS] |= UINT64_MAX >> (WORD_SECTORS - n) << in_word;
			from += n;
		}
	}
}
