// SPDX-License-Identifier: MIT
/*
 * Grants that change while they are used: entries of either version with any bytes, uses and releases in any order. What was
 * acquired has the rights that were asked for, and is released as often; then no entry is in use.
 */
#include <string.h>

#include <glib.h>

#include "bytes.h"
#include "xen/abi.h"
#include <xen/grant_table.h>

#include "xen/domid.h"
#include "xen/grant.h"

#define FRAMES    2u
#define MAX_USES  64u
#define PAGE      4096u

struct use {
	uint32_t ref;
	bool read_only;
};

static void write_entry(uint8_t *shared, struct input *input)
{
	const uint32_t at = next32(input) % (FRAMES * PAGE), n = next(input) % 24u;

	for (uint32_t i = 0; i < n && at + i < FRAMES * PAGE; i++)
		__atomic_store_n(&shared[at + i], next(input), __ATOMIC_RELAXED);
}

/* As an honest guest writes one of version 1; its first bytes are the same in version 2. */
static void grant(uint8_t *shared, struct input *input)
{
	const uint32_t ref = next(input) % 16u;
	const uint32_t flags = GTF_permit_access | (next(input) & 1 ? GTF_readonly : 0);
	const uint32_t entry[2] = { flags | BACKEND_DOMID << 16, next(input) };

	memcpy(shared + ref * sizeof(entry), entry, sizeof(entry));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len_bytes)
{
	struct input input = { bytes, bytes + len_bytes };
	g_autofree uint8_t *shared = g_malloc0(FRAMES * PAGE);
	g_autofree uint8_t *status = g_malloc0(PAGE);
	struct use uses[MAX_USES];
	unsigned int n_uses = 0;
	struct grant_table table;

	g_assert_true(grant_table_init(&table, shared, status, FRAMES, 2));
	(void)grant_table_grow(&table, 1);
	while (input.at < input.end) {
		const uint8_t what = next(&input);
		const uint32_t ref = next(&input) == 255 ? next32(&input) : next(&input) % 20u;
		const bool read_only = what >> 4 & 1;
		struct grant_page page;

		switch (what & 7) {
		case 0:
			write_entry(shared, &input);
			break;
		case 1:
			grant(shared, &input);
			break;
		case 2:
			if (n_uses == 0)
				(void)grant_table_set_version(&table, next(&input) % 4u);
			break;
		case 3:
			(void)grant_swap(&table, ref, next(&input));
			break;
		case 4:
			(void)grant_table_grow(&table, next(&input) % 4u);
			break;
		case 5:
			if (n_uses > 0) {
				n_uses--;
				grant_release(&table, uses[n_uses].ref, uses[n_uses].read_only);
			}
			break;
		default:
			if (n_uses == MAX_USES ||
			    grant_acquire(&table, ref, BACKEND_DOMID, read_only, what >> 5 & 1, &page) != GNTST_okay)
				break;
			g_assert_cmpuint(ref, <, grant_table_entries(&table));
			g_assert_cmpuint(page.offset_bytes + page.len_bytes, <=, PAGE);
			uses[n_uses++] = (struct use){ ref, read_only };
		}
		g_assert_cmpuint(table.n_frames, <=, FRAMES);
	}
	while (n_uses > 0) {
		n_uses--;
		grant_release(&table, uses[n_uses].ref, uses[n_uses].read_only);
	}
	for (uint32_t i = 0; i < FRAMES * GRANT_ENTRIES_V1_PER_FRAME; i++)
		g_assert_true(table.pins[i].readers == 0 && table.pins[i].writers == 0);
	grant_table_fini(&table);
	return 0;
}
