// SPDX-License-Identifier: MIT
#include "pci/msix.h"

#include <assert.h>
#include <string.h>

#define ENTRY_DATA    8u
#define ENTRY_CONTROL 12u
#define ENTRY_MASKED  1u

void msix_init(struct msix *msix, unsigned int n_vectors)
{
	assert(n_vectors > 0 && n_vectors <= MSIX_MAX_VECTORS);
	*msix = (struct msix){ .n_vectors = n_vectors };
	for (unsigned int i = 0; i < n_vectors; i++)
		msix->table[i * MSIX_ENTRY_BYTES + ENTRY_CONTROL] = ENTRY_MASKED;
}

void msix_set_control(struct msix *msix, uint16_t control)
{
	msix->enabled = control & MSIX_CONTROL_ENABLED;
	msix->masked = control & MSIX_CONTROL_MASKED;
}

static bool is_access(uint64_t offset_bytes, unsigned int len_bytes, uint64_t end)
{
	return (len_bytes == 1 || len_bytes == 2 || len_bytes == 4 || len_bytes == 8) && offset_bytes % len_bytes == 0 &&
	       offset_bytes < end;
}

/* Its end lies within, too: entries are larger than accesses, and aligned. */
static uint64_t table_end(const struct msix *msix)
{
	return (uint64_t)msix->n_vectors * MSIX_ENTRY_BYTES;
}

uint64_t msix_read_table(const struct msix *msix, uint64_t offset_bytes, unsigned int len_bytes)
{
	uint64_t value = 0;

	if (is_access(offset_bytes, len_bytes, table_end(msix)))
		memcpy(&value, msix->table + offset_bytes, len_bytes);
	return value;
}

void msix_write_table(struct msix *msix, uint64_t offset_bytes, unsigned int len_bytes, uint64_t value)
{
	/* 6.8.2: only whole dwords and qwords. */
	if (len_bytes >= 4 && is_access(offset_bytes, len_bytes, table_end(msix)))
		memcpy(msix->table + offset_bytes, &value, len_bytes);
}

uint64_t msix_read_pending(const struct msix *msix, uint64_t offset_bytes, unsigned int len_bytes)
{
	uint64_t bits = msix->pending, value = 0;

	if (is_access(offset_bytes, len_bytes, sizeof(bits)))
		memcpy(&value, (const uint8_t *)&bits + offset_bytes, len_bytes);
	return value;
}

static bool is_masked(const struct msix *msix, unsigned int vector)
{
	return msix->masked || (msix->table[vector * MSIX_ENTRY_BYTES + ENTRY_CONTROL] & ENTRY_MASKED);
}

static void compose(const struct msix *msix, unsigned int vector, struct msix_message *message)
{
	const uint8_t *entry = msix->table + vector * MSIX_ENTRY_BYTES;

	memcpy(&message->address, entry, sizeof(message->address));
	memcpy(&message->data, entry + ENTRY_DATA, sizeof(message->data));
}

bool msix_raise(struct msix *msix, unsigned int vector, struct msix_message *message)
{
	if (!msix->enabled || vector >= msix->n_vectors)
		return false;
	if (is_masked(msix, vector)) {
		msix->pending |= 1u << vector;
		return false;
	}
	compose(msix, vector, message);
	return true;
}

bool msix_take(struct msix *msix, struct msix_message *message)
{
	for (unsigned int i = 0; msix->enabled && i < msix->n_vectors; i++) {
		if (!(msix->pending & 1u << i) || is_masked(msix, i))
			continue;
		msix->pending &= ~(1u << i);
		compose(msix, i, message);
		return true;
	}
	return false;
}
