// SPDX-License-Identifier: MIT
/* pages.c with a real guest memory: what the guest sees at each gfn after any sequence of placements. */
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <glib.h>

#include "vmm/guest_memory.h"
#include "xen/pages.h"

#define MIB      (UINT64_C(1) << 20)
#define PAGE     LAYOUT_PAGE_BYTES
#define N_FRAMES 6u
#define N_GFNS   24u
#define NOBODY   G_MAXUINT

static uint64_t random_u64(void)
{
	return (uint64_t)(uint32_t)g_test_rand_int() << 32 | (uint32_t)g_test_rand_int();
}

static unsigned int random_below(unsigned int n)
{
	return (uint32_t)g_test_rand_int() % n;
}

struct fixture {
	struct guest_memory *memory;
	const struct layout *layout;
	struct pages pages;
	uint8_t *base; /* host address of guest-physical 0 */
	uint64_t gfns[N_GFNS];

	/* The model: which page shows at each gfn, and what is in both. */
	unsigned int page_at[N_GFNS]; /* NOBODY: RAM, or nothing in the window */
	uint64_t ram_tags[N_GFNS];
	uint64_t page_tags[1 + N_FRAMES];
	unsigned int used_frames;
};

static void set_up(struct fixture *f)
{
	g_autoptr(GError) error = NULL;
	struct layout layout;

	memset(f, 0, sizeof(*f));
	g_assert_true(layout_init(&layout, 64 * MIB, 32 * MIB, &error));
	f->memory = guest_memory_new(&layout, &error);
	g_assert_no_error(error);
	f->layout = guest_memory_layout(f->memory);
	g_assert_true(pages_init(&f->pages, N_FRAMES, &error));
	g_assert_no_error(error);
	f->base = guest_memory_span(f->memory, 0, 1);
	const uint64_t starts[] = {0x100,
				   f->layout->low_ram_top_gpa / PAGE - 4,
				   LAYOUT_4GIB / PAGE,
				   f->layout->overlay_gpa / PAGE - 4,
				   f->layout->overlay_gpa / PAGE,
				   f->layout->overlay_end_gpa / PAGE - 4};
	for (unsigned int i = 0; i < N_GFNS; i++) {
		f->gfns[i] = starts[i / 4] + i % 4;
		f->page_at[i] = NOBODY;
	}
}

static void tear_down(struct fixture *f)
{
	pages_fini(&f->pages);
	pages_fini(&f->pages); /* once more does no harm */
	guest_memory_free(f->memory);
}

static gboolean in_window(const struct fixture *f, unsigned int i)
{
	return f->gfns[i] >= f->layout->overlay_gpa / PAGE;
}

static uint64_t *at(const struct fixture *f, unsigned int i)
{
	return (uint64_t *)(f->base + f->gfns[i] * PAGE);
}

static gboolean can_read(const void *address)
{
	uint8_t byte;
	struct iovec to = {&byte, 1}, from = {(void *)(uintptr_t)address, 1};

	return syscall(SYS_process_vm_readv, getpid(), &to, 1, &from, 1, 0) == 1;
}

static void check(const struct fixture *f)
{
	for (unsigned int i = 0; i < N_GFNS; i++) {
		if (f->page_at[i] != NOBODY)
			g_assert_cmpuint(*at(f, i), ==, f->page_tags[f->page_at[i]]);
		else if (in_window(f, i))
			g_assert_false(can_read(at(f, i)));
		else
			g_assert_cmpuint(*at(f, i), ==, f->ram_tags[i]);
	}
	for (unsigned int page = 0; page <= N_FRAMES; page++) {
		uint64_t gfn = PAGES_NOWHERE;

		g_assert_cmpuint(*(uint64_t *)(f->pages.hva + page * PAGE), ==, f->page_tags[page]);
		for (unsigned int i = 0; i < N_GFNS; i++)
			if (f->page_at[i] == page) {
				g_assert_cmpuint(gfn, ==, PAGES_NOWHERE); /* at one place at most */
				gfn = f->gfns[i];
			}
		g_assert_cmpuint(f->pages.gfn[page], ==, gfn);
	}
	g_assert_cmpuint(f->pages.used_grant_frames, ==, f->used_frames);
	g_assert_true(pages_shared_info(&f->pages) == f->pages.hva);
}

static int place(struct fixture *f, unsigned int page, uint64_t gfn)
{
	return page == 0 ? pages_place_shared_info(&f->pages, f->memory, gfn)
			 : pages_place_grant_frame(&f->pages, f->memory, page - 1, gfn);
}

static void place_and_model(struct fixture *f, unsigned int page, unsigned int i)
{
	g_assert_cmpint(place(f, page, f->gfns[i]), ==, 0);
	if (page > 0)
		f->used_frames = MAX(f->used_frames, page);
	if (f->page_at[i] == page)
		return; /* it lies there already */
	for (unsigned int j = 0; j < N_GFNS; j++)
		if (f->page_at[j] == page) {
			f->page_at[j] = NOBODY;
			f->ram_tags[j] = 0; /* a fresh page of zeros where it lay */
		}
	f->page_at[i] = page;
}

/* What cannot be, leaves all as it is. */
static void place_wrongly(struct fixture *f)
{
	const uint64_t gfns[] = {f->layout->console_gpa / PAGE,
				 f->layout->xenstore_gpa / PAGE,
				 f->layout->low_window_end_gpa / PAGE,
				 LAYOUT_4GIB / PAGE - 1,
				 f->layout->overlay_end_gpa / PAGE,
				 UINT64_C(1) << 52,
				 (UINT64_C(1) << 52) + 0x100,
				 UINT64_MAX - 1,
				 UINT64_MAX / PAGE};
	unsigned int page = random_below(1 + N_FRAMES);

	g_assert_cmpint(place(f, page, gfns[random_below(G_N_ELEMENTS(gfns))]), ==, EINVAL);
	const unsigned int frames[] = {N_FRAMES, N_FRAMES + 1, PAGES_MAX_GRANT_FRAMES, UINT_MAX};
	g_assert_cmpint(
		pages_place_grant_frame(&f->pages, f->memory, frames[random_below(4)], f->gfns[random_below(N_GFNS)]),
		==, EINVAL);
}

static void write_tag(struct fixture *f)
{
	unsigned int i = random_below(N_GFNS), page = random_below(1 + N_FRAMES);

	if (random_below(2)) { /* the hypervisor, through its own mapping */
		*(uint64_t *)(f->pages.hva + page * PAGE) = f->page_tags[page] = random_u64();
	} else if (f->page_at[i] != NOBODY) { /* the guest, through the gfn */
		*at(f, i) = f->page_tags[f->page_at[i]] = random_u64();
	} else if (!in_window(f, i)) {
		*at(f, i) = f->ram_tags[i] = random_u64();
	}
}

static void test_model(void)
{
	for (unsigned int round = 0; round < 4; round++) {
		struct fixture f;

		set_up(&f);
		check(&f);
		for (unsigned int step = 0; step < 2000; step++) {
			switch (random_below(4)) {
			case 0:
				place_wrongly(&f);
				break;
			case 1:
				place_and_model(&f, random_below(1 + N_FRAMES), random_below(N_GFNS));
				break;
			default:
				write_tag(&f);
				break;
			}
			check(&f);
		}
		tear_down(&f);
	}
}

/* The highest frame counts, whatever the order. */
static void test_used_frames(void)
{
	struct fixture f;

	set_up(&f);
	place_and_model(&f, 1 + 3, 0);
	place_and_model(&f, 1 + 1, 1);
	place_and_model(&f, 0, 2);
	check(&f);
	g_assert_cmpuint(f.pages.used_grant_frames, ==, 4);
	tear_down(&f);
}

/* 2^64 - 1 is our own word for "nowhere", and a gfn that a guest may name like any other that is none. */
static void test_gfn_nowhere(void)
{
	for (unsigned int page = 0; page <= N_FRAMES; page++) {
		struct fixture f;

		set_up(&f);
		g_assert_cmpint(place(&f, page, PAGES_NOWHERE), ==, EINVAL);
		check(&f);
		place_and_model(&f, page, 0);
		g_assert_cmpint(place(&f, page, PAGES_NOWHERE), ==, EINVAL);
		check(&f);
		tear_down(&f);
	}
}

static void test_limits(void)
{
	for (unsigned int n = 0; n <= PAGES_MAX_GRANT_FRAMES; n += n < 2 ? 1 : 31) {
		g_autoptr(GError) error = NULL;
		struct pages pages;

		g_assert_true(pages_init(&pages, n, &error));
		g_assert_no_error(error);
		for (size_t i = 0; i < (1 + n) * PAGE; i++)
			g_assert_cmpuint(pages.hva[i], ==, 0);
		g_assert_cmpuint(pages.used_grant_frames, ==, 0);
		pages_fini(&pages);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/pages/model", test_model);
	g_test_add_func("/pages/used-frames", test_used_frames);
	g_test_add_func("/pages/gfn-nowhere", test_gfn_nowhere);
	g_test_add_func("/pages/limits", test_limits);
	return g_test_run();
}
