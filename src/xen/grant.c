// SPDX-License-Identifier: MIT
#include "xen/grant.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/trace.h"

#define PAGE_BYTES 4096u
/* A guest that keeps changing an entry while we try to mark it does not deserve to wait for. */
#define ATTEMPTS 5

static_assert(sizeof(grant_entry_v1_t) == 8 && sizeof(grant_entry_v2_t) == 16, "<xen/grant_table.h>");
static_assert(sizeof(grant_status_t) == 2, "<xen/grant_table.h>");

bool grant_table_init(struct grant_table *table, void *shared, void *status, unsigned int max_frames,
		      unsigned int max_version)
{
	*table = (struct grant_table){
		.shared = shared,
		.status = status,
		.max_frames = max_frames,
		.n_frames = 1,
		.version = 1,
		.max_version = max_version,
		.pins = calloc(max_frames * GRANT_ENTRIES_V1_PER_FRAME, sizeof(struct grant_pin)),
	};
	return table->pins != NULL;
}

void grant_table_fini(struct grant_table *table)
{
	free(table->pins);
	table->pins = NULL;
}

bool grant_table_grow(struct grant_table *table, unsigned int n_frames)
{
	if (n_frames > table->max_frames)
		return false;
	if (n_frames > table->n_frames)
		table->n_frames = n_frames;
	return true;
}

static grant_entry_v1_t *entry_v1(const struct grant_table *table, uint32_t ref)
{
	return (grant_entry_v1_t *)table->shared + ref;
}

static grant_entry_v2_t *entry_v2(const struct grant_table *table, uint32_t ref)
{
	return (grant_entry_v2_t *)table->shared + ref;
}

/* Flags and domid of an entry are one word in both versions. */
static uint32_t *header_of(const struct grant_table *table, uint32_t ref)
{
	return table->version == 1 ? (uint32_t *)(void *)entry_v1(table, ref) : (uint32_t *)(void *)entry_v2(table, ref);
}

static uint32_t read_header(const struct grant_table *table, uint32_t ref)
{
	return __atomic_load_n(header_of(table, ref), __ATOMIC_SEQ_CST);
}

static uint16_t flags_of(uint32_t header)
{
	return (uint16_t)header;
}

static bool permits(uint32_t header, uint16_t domid, bool read_only, bool whole_page)
{
	uint16_t mask = (uint16_t)(GTF_type_mask | (whole_page ? GTF_sub_page : 0));

	return (flags_of(header) & mask) == GTF_permit_access && header >> 16 == domid &&
	       (read_only || !(flags_of(header) & GTF_readonly));
}

/* What is set in an entry that is in use. */
static uint16_t use_bits(bool read_only)
{
	return (uint16_t)(GTF_reading | (read_only ? 0 : GTF_writing));
}

static uint16_t *use_word(const struct grant_table *table, uint32_t ref)
{
	return table->version == 1 ? &entry_v1(table, ref)->flags : &table->status[ref];
}

static bool mark_v1(const struct grant_table *table, uint32_t ref, uint16_t domid, bool read_only, bool whole_page)
{
	uint32_t *word = (uint32_t *)(void *)entry_v1(table, ref);
	uint32_t header = __atomic_load_n(word, __ATOMIC_SEQ_CST);

	for (int i = 0; i < ATTEMPTS; i++) {
		if (!permits(header, domid, read_only, whole_page))
			return false;
		if (__atomic_compare_exchange_n(word, &header, header | use_bits(read_only), false, __ATOMIC_SEQ_CST,
						__ATOMIC_SEQ_CST))
			return true;
	}
	return false;
}

/* The bits lie apart from the entry: mark first, then look whether it still permits. */
static bool mark_v2(const struct grant_table *table, uint32_t ref, uint16_t domid, bool read_only, bool whole_page)
{
	const struct grant_pin *pin = &table->pins[ref];
	uint16_t old_bits = (uint16_t)((pin->readers + pin->writers ? GTF_reading : 0) | (pin->writers ? GTF_writing : 0));

	if (!permits(read_header(table, ref), domid, read_only, whole_page))
		return false;
	__atomic_fetch_or(&table->status[ref], use_bits(read_only), __ATOMIC_SEQ_CST);
	if (permits(read_header(table, ref), domid, read_only, whole_page))
		return true;
	__atomic_fetch_and(&table->status[ref], (uint16_t)~(use_bits(read_only) & ~old_bits), __ATOMIC_SEQ_CST);
	return false;
}

static void read_page(const struct grant_table *table, uint32_t ref, uint16_t domid, struct grant_pin *pin)
{
	*pin = (struct grant_pin){ .domid = domid, .len_bytes = PAGE_BYTES };
	if (table->version == 1) {
		pin->gfn = __atomic_load_n(&entry_v1(table, ref)->frame, __ATOMIC_RELAXED);
	} else if (flags_of(read_header(table, ref)) & GTF_sub_page) {
		pin->gfn = __atomic_load_n(&entry_v2(table, ref)->sub_page.frame, __ATOMIC_RELAXED);
		pin->offset_bytes = __atomic_load_n(&entry_v2(table, ref)->sub_page.page_off, __ATOMIC_RELAXED);
		pin->len_bytes = __atomic_load_n(&entry_v2(table, ref)->sub_page.length, __ATOMIC_RELAXED);
	} else {
		pin->gfn = __atomic_load_n(&entry_v2(table, ref)->full_page.frame, __ATOMIC_RELAXED);
	}
}

static void release(struct grant_table *table, uint32_t ref, bool read_only)
{
	struct grant_pin *pin = &table->pins[ref];
	uint16_t done = 0;

	assert(read_only ? pin->readers > 0 : pin->writers > 0);
	if (read_only)
		pin->readers--;
	else
		pin->writers--;
	if (!pin->writers)
		done |= GTF_writing;
	if (!pin->writers && !pin->readers)
		done |= GTF_reading;
	if (done)
		__atomic_fetch_and(use_word(table, ref), (uint16_t)~done, __ATOMIC_SEQ_CST);
}

static int16_t acquire(struct grant_table *table, uint32_t ref, uint16_t domid, bool read_only, bool whole_page,
		       struct grant_page *page)
{
	if (ref >= grant_table_entries(table))
		return GNTST_bad_gntref;

	struct grant_pin *pin = &table->pins[ref];
	bool in_use = pin->readers || pin->writers;
	/* What the pages of all requests are; the rest is for the others. */
	if (!in_use && table->version == 1) {
		if (!mark_v1(table, ref, domid, read_only, whole_page))
			return GNTST_general_error;
		*page = (struct grant_page){ __atomic_load_n(&entry_v1(table, ref)->frame, __ATOMIC_RELAXED), 0, PAGE_BYTES };
		*pin = (struct grant_pin){ page->gfn, domid, 0, PAGE_BYTES, read_only, !read_only };
		return GNTST_okay;
	}
	if (in_use && (pin->domid != domid || pin->readers == UINT16_MAX || pin->writers == UINT16_MAX ||
		       (whole_page && pin->len_bytes != PAGE_BYTES)))
		return GNTST_general_error;
	/* What was allowed once stays allowed while it is in use. */
	if (!in_use || (!read_only && !pin->writers)) {
		bool marked = table->version == 1 ? mark_v1(table, ref, domid, read_only, whole_page) :
						    mark_v2(table, ref, domid, read_only, whole_page);

		if (!marked)
			return GNTST_general_error;
		if (!in_use)
			read_page(table, ref, domid, pin);
	}
	if (read_only)
		pin->readers++;
	else
		pin->writers++;
	*page = (struct grant_page){ pin->gfn, pin->offset_bytes, pin->len_bytes };
	/* Only now, so that there is one way to undo. */
	if (page->offset_bytes > PAGE_BYTES || page->len_bytes > PAGE_BYTES - page->offset_bytes ||
	    (whole_page && page->len_bytes != PAGE_BYTES)) {
		release(table, ref, read_only);
		return GNTST_general_error;
	}
	return GNTST_okay;
}

int16_t grant_acquire(struct grant_table *table, uint32_t ref, uint16_t domid, bool read_only, bool whole_page,
		      struct grant_page *page)
{
	const int16_t status = acquire(table, ref, domid, read_only, whole_page, page);

	if (table->trace)
		trace_grant(table->trace, -1, read_only ? "use-readonly" : "use", ref, 1, status);
	return status;
}

void grant_release(struct grant_table *table, uint32_t ref, bool read_only)
{
	release(table, ref, read_only);
	if (table->trace)
		trace_grant(table->trace, -1, "release", ref, 1, GNTST_okay);
}

static bool pinned(const struct grant_table *table, uint32_t ref)
{
	return table->pins[ref].readers || table->pins[ref].writers;
}

bool grant_gives_to_another(const struct grant_table *table, uint64_t gfn, uint16_t domid)
{
	for (uint32_t ref = 0; ref < grant_table_entries(table); ref++) {
		uint32_t header = read_header(table, ref);
		struct grant_pin page;

		/* One in use counts, whatever the guest has made of the entry since. */
		if (pinned(table, ref) && table->pins[ref].domid != domid && table->pins[ref].gfn == gfn)
			return true;
		if ((flags_of(header) & GTF_type_mask) != GTF_permit_access || header >> 16 == domid)
			continue;
		read_page(table, ref, domid, &page);
		if (page.gfn == gfn)
			return true;
	}
	return false;
}

int16_t grant_swap(struct grant_table *table, uint32_t a, uint32_t b)
{
	if (a >= grant_table_entries(table) || b >= grant_table_entries(table))
		return GNTST_bad_gntref;
	if (a == b)
		return GNTST_okay;
	if (pinned(table, a) || pinned(table, b))
		return GNTST_eagain;
	if (table->version == 1) {
		grant_entry_v1_t entry = *entry_v1(table, a);

		*entry_v1(table, a) = *entry_v1(table, b);
		*entry_v1(table, b) = entry;
	} else {
		grant_entry_v2_t entry = *entry_v2(table, a);
		uint16_t status = table->status[a];

		*entry_v2(table, a) = *entry_v2(table, b);
		table->status[a] = table->status[b];
		*entry_v2(table, b) = entry;
		table->status[b] = status;
	}
	return GNTST_okay;
}

/* A reserved entry is the toolstack's, for console and xenstore: it goes along when it is an ordinary grant. */
static void keep_for_v2(const grant_entry_v1_t *old, grant_entry_v2_t *entry)
{
	if ((old->flags & GTF_type_mask) != GTF_permit_access)
		return;
	entry->full_page.hdr.flags = (uint16_t)(old->flags & ~(GTF_reading | GTF_writing));
	entry->full_page.hdr.domid = old->domid;
	entry->full_page.frame = old->frame;
}

static void keep_for_v1(const grant_entry_v2_t *old, uint16_t status, grant_entry_v1_t *entry)
{
	if ((old->hdr.flags & (GTF_type_mask | GTF_sub_page)) != GTF_permit_access || old->full_page.frame > UINT32_MAX)
		return;
	entry->flags = old->hdr.flags | status;
	entry->domid = old->hdr.domid;
	entry->frame = (uint32_t)old->full_page.frame;
}

int grant_table_set_version(struct grant_table *table, unsigned int version)
{
	union {
		grant_entry_v1_t v1[GNTTAB_NR_RESERVED_ENTRIES];
		grant_entry_v2_t v2[GNTTAB_NR_RESERVED_ENTRIES];
	} old, new = { 0 };
	uint16_t status[GNTTAB_NR_RESERVED_ENTRIES] = { 0 };

	if (version != 1 && version != 2)
		return -XEN_EINVAL;
	if (version > table->max_version)
		return -XEN_ENOSYS;
	if (version == table->version)
		return 0;
	for (uint32_t ref = GNTTAB_NR_RESERVED_ENTRIES; ref < grant_table_entries(table); ref++)
		if (pinned(table, ref))
			return -XEN_EBUSY;

	memcpy(&old, table->shared, sizeof(old));
	for (unsigned int i = 0; i < GNTTAB_NR_RESERVED_ENTRIES; i++) {
		if (version == 2) {
			keep_for_v2(&old.v1[i], &new.v2[i]);
			status[i] = (uint16_t)(old.v1[i].flags & (GTF_reading | GTF_writing));
		} else {
			keep_for_v1(&old.v2[i], table->status[i], &new.v1[i]);
		}
	}
	memset(table->shared, 0, (size_t)table->max_frames * PAGE_BYTES);
	memset(table->status, 0, (size_t)GRANT_STATUS_FRAMES(table->max_frames) * PAGE_BYTES);
	memcpy(table->shared, &new, version == 2 ? sizeof(new.v2) : sizeof(new.v1));
	memcpy(table->status, status, sizeof(status));
	table->version = version;
	return 0;
}
