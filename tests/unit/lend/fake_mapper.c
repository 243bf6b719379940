// SPDX-License-Identifier: MIT
#include "lend/fake_mapper.h"

#include <errno.h>
#include <string.h>

#include <glib.h>

static bool one_mapping(const struct fake_page *a, const struct fake_page *b)
{
	if (a->in_place || b->in_place)
		return a->in_place && b->in_place && a->fd == b->fd && a->file_page + 1 == b->file_page && a->writable == b->writable;
	if (a->kind != b->kind || a->rights != b->rights)
		return false;
	/* Whether the kernel merges filled anonymous memory depends on more than is known here: it does not. */
	if (a->kind == FAKE_FILE)
		return a->fd == b->fd && a->file_page + 1 == b->file_page && a->writable == b->writable;
	return a->kind != FAKE_ZERO;
}

size_t fake_mappings(const struct fake_mapper *fake)
{
	size_t n = 0;

	for (unsigned int w = 0; w < fake->n_windows; w++)
		for (size_t page = 0; page < fake->n_pages[w]; page++)
			n += page == 0 || !one_mapping(&fake->pages[w][page - 1], &fake->pages[w][page]);
	return n;
}

static bool fails(const struct fake_mapper *fake)
{
	return fake->fail_percent > 0 && (unsigned int)g_test_rand_int_range(0, 100) < fake->fail_percent;
}

static void set(struct fake_mapper *fake, unsigned int window, size_t page, size_t n_pages, const struct fake_page *value)
{
	for (size_t i = 0; i < n_pages; i++) {
		fake->pages[window][page + i] = *value;
		if (value->kind == FAKE_FILE)
			fake->pages[window][page + i].file_page += i;
	}
}

/* What a change may come to: all of it, or what it was, or a hole. */
static int change(struct fake_mapper *fake, unsigned int window, size_t page, size_t n_pages, const struct fake_page *value)
{
	struct fake_page before[FAKE_MAX_PAGES];
	bool whole = page == 0 && n_pages == fake->n_pages[window] && value->kind == FAKE_NONE;

	g_assert_cmpuint(page + n_pages, <=, fake->n_pages[window]);
	memcpy(before, fake->pages[window], sizeof(before));
	fake->calls++;
	fake->touched_pages += n_pages;
	set(fake, window, page, n_pages, value);
	if (whole || (fake_mappings(fake) <= fake->max_mappings && !fails(fake)))
		return 0;
	memcpy(fake->pages[window], before, sizeof(before));
	const struct fake_page hole = { .kind = FAKE_NONE };
	if (fake->fail_percent > 0 && g_test_rand_bit())
		set(fake, window, page, n_pages / 2, &hole);
	return ENOMEM;
}

static int fake_close(void *opaque, unsigned int window, size_t page, size_t n_pages)
{
	struct fake_mapper *fake = opaque;
	struct fake_page before[FAKE_MAX_PAGES];

	if (fake->broken_close)
		return 0;
	memcpy(before, fake->pages[window], sizeof(before));
	fake->calls++;
	fake->touched_pages += n_pages;
	for (size_t i = page; i < page + n_pages; i++) {
		fake->pages[window][i].rights = false;
		fake->pages[window][i].in_place = false;
	}
	if (fake_mappings(fake) <= fake->max_mappings && !fails(fake))
		return 0;
	memcpy(fake->pages[window], before, sizeof(before));
	return ENOMEM;
}

static int fake_drop(void *opaque, unsigned int window, size_t page, size_t n_pages)
{
	struct fake_mapper *fake = opaque;

	if (fake->broken_close)
		return 0;
	return change(fake, window, page, n_pages, &(const struct fake_page){ .kind = FAKE_NONE });
}

static int fake_arm(void *opaque, unsigned int window, size_t page, size_t n_pages)
{
	struct fake_mapper *fake = opaque;

	/* Over anything else it would not be allowed, or show zeros for a moment. */
	for (size_t i = page; i < page + n_pages && !fake->broken_close; i++)
		g_assert_true(!fake->pages[window][i].in_place);
	for (size_t i = page; i < page + n_pages && !fake->broken_close; i++)
		g_assert_true(fake->pages[window][i].kind == FAKE_NONE || fake->pages[window][i].kind == FAKE_ARMED);
	return change(fake, window, page, n_pages, &(const struct fake_page){ .kind = FAKE_ARMED, .rights = true });
}

static int fake_show(void *opaque, unsigned int window, size_t page, size_t n_pages, int fd, uint64_t fd_offset_bytes,
		     bool writable)
{
	return change(opaque, window, page, n_pages,
		      &(const struct fake_page){ .kind = FAKE_FILE, .rights = true, .writable = writable, .fd = fd,
						 .file_page = fd_offset_bytes / LEND_PAGE_BYTES });
}

static int fake_zero(void *opaque, unsigned int window, size_t page, size_t n_pages)
{
	return change(opaque, window, page, n_pages,
		      &(const struct fake_page){ .kind = FAKE_ZERO, .rights = true, .writable = true });
}

static int fake_copy(void *opaque, unsigned int window, size_t page, size_t offset_bytes, void *bytes, size_t len_bytes,
		     bool to_guest)
{
	struct fake_mapper *fake = opaque;
	const struct fake_page *at = &fake->pages[window][page];

	g_assert_cmpuint(offset_bytes + len_bytes, <=, LEND_PAGE_BYTES);
	if (fake->copy_fails > 0) {
		fake->copy_fails--;
		return EFAULT;
	}
	if (!at->rights || at->kind == FAKE_ARMED || (to_guest && !at->writable))
		return EFAULT;
	if (!to_guest)
		memset(bytes, at->kind == FAKE_ZERO ? 0 : (int)(at->file_page & 0xff), len_bytes);
	return 0;
}

static bool fake_view(void *opaque, size_t page, int fd, uint64_t fd_offset_bytes, bool writable, struct lend_view *view)
{
	(void)opaque;
	*view = (struct lend_view){ 0, (uint64_t)fd, fd_offset_bytes / LEND_PAGE_BYTES - page, writable };
	return fd >= FAKE_IN_PLACE_FD;
}

static int fake_show_in_place(void *opaque, unsigned int window, size_t page, size_t n_pages, int fd,
			      uint64_t fd_offset_bytes, bool writable)
{
	return change(opaque, window, page, n_pages,
		      &(const struct fake_page){ .kind = FAKE_FILE, .rights = true, .writable = writable, .in_place = true, .fd = fd,
						 .file_page = fd_offset_bytes / LEND_PAGE_BYTES });
}

/* Without a mapping more or less. */
static int become(struct fake_mapper *fake, unsigned int window, size_t page, size_t n_pages, enum fake_kind kind)
{
	size_t n_mappings = fake_mappings(fake);

	fake->calls++;
	fake->touched_pages += n_pages;
	for (size_t i = page; i < page + n_pages; i++) {
		g_assert_true(fake->pages[window][i].in_place);
		fake->pages[window][i].kind = kind;
		fake->pages[window][i].rights = kind != FAKE_NONE;
	}
	g_assert_cmpuint(fake_mappings(fake), ==, n_mappings);
	return 0;
}

static int fake_empty(void *opaque, unsigned int window, size_t page, size_t n_pages)
{
	struct fake_mapper *fake = opaque;

	if (fake->broken_close)
		return 0;
	return fails(fake) ? ENOMEM : become(fake, window, page, n_pages, FAKE_NONE);
}

static int fake_arm_in_place(void *opaque, unsigned int window, size_t page, size_t n_pages)
{
	struct fake_mapper *fake = opaque;

	for (size_t i = page; i < page + n_pages; i++)
		g_assert_true(fake->pages[window][i].kind != FAKE_FILE);
	return fails(fake) ? ENOMEM : become(fake, window, page, n_pages, FAKE_ARMED);
}

static int fake_refill(void *opaque, unsigned int window, size_t page, size_t n_pages)
{
	struct fake_mapper *fake = opaque;

	for (size_t i = page; i < page + n_pages; i++)
		g_assert_true(fake->pages[window][i].kind != FAKE_FILE);
	if (!fails(fake))
		return become(fake, window, page, n_pages, FAKE_FILE);
	(void)become(fake, window, page, n_pages, FAKE_NONE);
	return ENOMEM;
}

static const struct lend_mapper_in_place IN_PLACE = {
	.view = fake_view, .show = fake_show_in_place, .empty = fake_empty, .arm = fake_arm_in_place, .refill = fake_refill,
};

const struct lend_mapper FAKE_MAPPER = {
	.in_place = &IN_PLACE, .close = fake_close, .drop = fake_drop, .arm = fake_arm, .show = fake_show, .zero = fake_zero, .copy = fake_copy,
};
