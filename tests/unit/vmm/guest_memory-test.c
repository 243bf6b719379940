// SPDX-License-Identifier: MIT
/*
 * guest_memory.c against models that are slow and simple: which ranges are backed, from the memory map; and what each
 * page holds after any sequence of writes, overlays and discards. Whether an address of the host can be touched is
 * asked of the kernel, which does not crash over it.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <glib.h>

#include "vmm/error.h"
#include "vmm/guest_memory.h"

#define MIB           (UINT64_C(1) << 20)
#define PAGE          LAYOUT_PAGE_BYTES
#define N_MEMFD_PAGES 8u

static uint64_t random_u64(void)
{
	return (uint64_t)(uint32_t)g_test_rand_int() << 32 | (uint32_t)g_test_rand_int();
}

static uint64_t random_below(uint64_t n)
{
	return random_u64() % n;
}

/* Each test runs with each of them; the file of the last memory that was made stays open, as another process's would. */
static enum memory_backing_kind kind;
static int kvm_fd = -1, ram_fd = -1;

static struct guest_memory *memory_new_of(const struct layout *layout, GError **error)
{
	struct memory_backing backing;

	if (!memory_backing_open(&backing, kind, kvm_fd, guest_memory_file_bytes(layout), error))
		return NULL;
	if (ram_fd >= 0)
		close(ram_fd);
	ram_fd = backing.fd >= 0 ? fcntl(backing.fd, F_DUPFD_CLOEXEC, 0) : -1;
	return guest_memory_new_on(layout, &backing, error);
}

static struct guest_memory *memory_new(uint64_t ram_bytes, uint64_t max_low_bytes)
{
	g_autoptr(GError) error = NULL;
	struct guest_memory *memory;
	struct layout layout;

	g_assert_true(layout_init(&layout, ram_bytes, max_low_bytes, &error));
	memory = memory_new_of(&layout, &error);
	g_assert_no_error(error);
	g_assert_nonnull(memory);
	g_assert_cmpint(memcmp(guest_memory_layout(memory), &layout, sizeof(layout)), ==, 0);
	return memory;
}

/* Of one byte of ours; FALSE where there is none. Past the sanitizer's wrapper, which would look at it first. */
static gboolean can_read(const void *address)
{
	uint8_t byte;
	struct iovec to = {&byte, 1};
	struct iovec from = {(void *)(uintptr_t)address, 1};

	return syscall(SYS_process_vm_readv, getpid(), &to, 1, &from, 1, 0) == 1;
}

/* All that the map names is backed, RAM and reserved, and nothing else is. */
static gboolean is_backed(const struct layout *layout, uint64_t gpa, uint64_t len_bytes)
{
	const unsigned __int128 end = (unsigned __int128)gpa + len_bytes;
	unsigned __int128 covered = gpa;

	if (len_bytes == 0)
		return FALSE;
	for (size_t i = 0; i < layout->n_map; i++) /* sorted */
		if (layout->map[i].gpa <= covered && covered < layout->map[i].gpa + layout->map[i].len_bytes)
			covered = layout->map[i].gpa + layout->map[i].len_bytes;
	return covered >= end;
}

static void check_span(const struct guest_memory *memory, uint64_t gpa, uint64_t len_bytes, unsigned int counts[2])
{
	const uint8_t *base = guest_memory_span(memory, 0, 1);
	const uint8_t *span = guest_memory_span(memory, gpa, (size_t)len_bytes);
	gboolean backed = is_backed(guest_memory_layout(memory), gpa, len_bytes);

	g_assert_true((span != NULL) == backed);
	counts[backed]++;
	if (!span)
		return;
	g_assert_true((uintptr_t)span == (uintptr_t)base + gpa); /* the guest's address plus a constant */
	g_assert_true(can_read(span));
	g_assert_true(can_read(span + len_bytes - 1));
}

static uint64_t random_near(const struct layout *layout)
{
	const uint64_t edges[] = {0,
				  LAYOUT_EBDA_GPA,
				  LAYOUT_LOW_HOLE_GPA,
				  LAYOUT_LOW_HOLE_END,
				  layout->low_ram_top_gpa,
				  layout->xenstore_gpa,
				  layout->special_end_gpa,
				  LAYOUT_4GIB,
				  layout->high_ram_top_gpa,
				  layout->overlay_gpa,
				  layout->overlay_end_gpa,
				  UINT64_C(1) << 63,
				  0};
	uint64_t edge = edges[random_below(G_N_ELEMENTS(edges))];

	switch (random_below(4)) {
	case 0:
		return edge + random_below(5) - 2;
	case 1:
		return edge + random_below(4 * PAGE) - 2 * PAGE;
	case 2:
		return random_below(layout->overlay_end_gpa);
	default:
		return random_u64() >> random_below(64);
	}
}

static void test_span(void)
{
	const uint64_t sizes[][2] = {{32, 32}, {64, 64}, {64, 32}, {256, 128}};

	for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
		struct guest_memory *memory = memory_new(sizes[i][0] * MIB, sizes[i][1] * MIB);
		const struct layout *layout = guest_memory_layout(memory);
		unsigned int counts[2] = {0, 0};

		for (unsigned int round = 0; round < 20000; round++) {
			uint64_t gpa = random_near(layout);

			/* Both by length and by end, so that ends come to lie at the edges as well. */
			check_span(memory, gpa, random_u64() >> random_below(64), counts);
			check_span(memory, gpa, random_near(layout) - gpa, counts);
		}
		g_assert_cmpuint(counts[0], >, 1000);
		g_assert_cmpuint(counts[1], >, 1000);
		guest_memory_free(memory);
	}
}

static void test_no_address_outside(void)
{
	struct guest_memory *memory = memory_new(64 * MIB, 32 * MIB);
	const struct layout *layout = guest_memory_layout(memory);
	const uint8_t *base = guest_memory_span(memory, 0, 1);
	unsigned int n_holes = 0;

	for (uint64_t gpa = 0; gpa < layout->overlay_end_gpa; gpa += gpa % (16 * MIB) < 4 * PAGE ? PAGE : MIB) {
		gboolean backed = is_backed(layout, gpa, 1);

		g_assert_true(can_read(base + gpa) == backed); /* holes and the empty window are closed */
		n_holes += !backed;
	}
	g_assert_cmpuint(n_holes, >, 0);
	g_assert_false(can_read(base + layout->special_end_gpa));
	guest_memory_free(memory);
}

static void test_read_write(void)
{
	struct guest_memory *memory = memory_new(64 * MIB, 32 * MIB);
	const struct layout *layout = guest_memory_layout(memory);
	const uint64_t regions[][2] = {{0, layout->special_end_gpa}, {LAYOUT_4GIB, layout->high_ram_top_gpa}};

	for (unsigned int round = 0; round < 5000; round++) {
		const uint64_t *region = regions[random_below(2)];
		uint8_t out[256], in[256], untouched[256];
		uint64_t len_bytes = 1 + random_below(sizeof(out));
		uint64_t gpa = region[0] + random_below(region[1] - region[0] - len_bytes + 1);

		for (size_t i = 0; i < sizeof(out); i++)
			out[i] = (uint8_t)g_test_rand_int();
		memset(in, 0xa5, sizeof(in));
		memset(untouched, 0xa5, sizeof(untouched));
		g_assert_true(guest_memory_write(memory, gpa, out, len_bytes));
		g_assert_true(guest_memory_read(memory, gpa, in, len_bytes));
		g_assert_cmpint(memcmp(in, out, len_bytes), ==, 0);
		g_assert_cmpint(memcmp(in + len_bytes, untouched, sizeof(in) - len_bytes), ==, 0);
		/* One byte over the end of the region: nothing is copied, not even what would fit. */
		gpa = region[1] - len_bytes + 1;
		memset(in, 0xa5, sizeof(in));
		memcpy(untouched, guest_memory_span(memory, gpa, len_bytes - 1) ?: untouched, len_bytes - 1);
		g_assert_false(guest_memory_write(memory, gpa, out, len_bytes));
		g_assert_true(len_bytes == 1 ||
			      memcmp(untouched, guest_memory_span(memory, gpa, len_bytes - 1), len_bytes - 1) == 0);
		g_assert_false(guest_memory_read(memory, gpa, in, len_bytes));
		for (size_t i = 0; i < sizeof(in); i++)
			g_assert_cmpuint(in[i], ==, 0xa5);
	}
	guest_memory_free(memory);
}

static void test_slots(void)
{
	const uint64_t sizes[][2] = {{32, 32}, {34, 32}, {4096, 3072}, {65536, 3584}, {8 << 20, 3072}};

	for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
		struct guest_memory *memory = memory_new(sizes[i][0] * MIB, sizes[i][1] * MIB);
		const struct layout *layout = guest_memory_layout(memory);
		struct guest_memory_slot slots[GUEST_MEMORY_MAX_SLOTS];
		size_t n = guest_memory_slots(memory, slots);
		uint8_t *base = guest_memory_span(memory, 0, 1);
		uint64_t slots_bytes = 0, map_bytes = 0, top_gpa = 0;

		g_assert_cmpuint(n, <=, GUEST_MEMORY_MAX_SLOTS);
		for (size_t j = 0; j < n; j++) {
			g_assert_cmpuint(slots[j].len_bytes, >, 0);
			g_assert_cmpuint(slots[j].gpa, >=, top_gpa); /* disjoint: KVM refuses others */
			g_assert_cmpuint(slots[j].gpa % PAGE, ==, 0);
			g_assert_cmpuint(slots[j].len_bytes % PAGE, ==, 0);
			g_assert_true((uint8_t *)slots[j].hva == base + slots[j].gpa);
			/* Congruent, or no huge page of the host becomes one of the guest. */
			g_assert_cmpuint(((uintptr_t)slots[j].hva - slots[j].gpa) % (2 * MIB), ==, 0);
			top_gpa = slots[j].gpa + slots[j].len_bytes;
			slots_bytes += slots[j].len_bytes;
		}
		/* They hold each entry of the map and the windows, and as they are disjoint, the sum says: no more. */
		for (size_t j = 0; j < layout->n_map + 2; j++) {
			uint64_t window_gpa = j == layout->n_map ? layout->overlay_gpa : layout->special_end_gpa;
			uint64_t window_bytes = j == layout->n_map ? layout->overlay_end_gpa - layout->overlay_gpa :
							     layout->low_window_end_gpa - layout->special_end_gpa;
			uint64_t gpa = j < layout->n_map ? layout->map[j].gpa : window_gpa;
			uint64_t len_bytes = j < layout->n_map ? layout->map[j].len_bytes : window_bytes;
			unsigned int n_holders = 0;

			for (size_t k = 0; k < n; k++)
				n_holders +=
					gpa >= slots[k].gpa && gpa + len_bytes <= slots[k].gpa + slots[k].len_bytes;
			g_assert_cmpuint(n_holders, ==, 1);
			map_bytes += len_bytes;
		}
		g_assert_cmpuint(slots_bytes, ==, map_bytes);
		guest_memory_free(memory);
	}
}

static int new_memfd(void)
{
	int memfd = memfd_create("guest-memory-test", MFD_CLOEXEC);

	g_assert_cmpint(memfd, >=, 0);
	g_assert_cmpint(ftruncate(memfd, (off_t)(N_MEMFD_PAGES * PAGE)), ==, 0);
	return memfd;
}

/* Where an overlay may lie, said once more: below the special pages, above 4 GiB, in the window. */
static gboolean may_hold_overlay(const struct layout *layout, uint64_t gfn)
{
	return gfn < layout->low_ram_top_gpa / PAGE ||
	       (gfn >= layout->special_end_gpa / PAGE && gfn < layout->low_window_end_gpa / PAGE) ||
	       (gfn >= LAYOUT_4GIB / PAGE && gfn < layout->overlay_end_gpa / PAGE);
}

static gboolean may_be_discarded(const struct layout *layout, uint64_t gpa, uint64_t len_bytes)
{
	const unsigned __int128 end = (unsigned __int128)gpa + len_bytes;

	return len_bytes > 0 &&
	       (end <= layout->low_ram_top_gpa || (gpa >= LAYOUT_4GIB && end <= layout->high_ram_top_gpa));
}

/* A page as the model knows it. */
struct model_page {
	int overlay;  /* which page of the memfd shows here; -1: none */
	uint64_t tag; /* at its beginning, when no overlay does */
};

struct model {
	struct guest_memory *memory;
	const struct layout *layout;
	int memfd;
	uint64_t *memfd_pages; /* mapped */
	uint64_t memfd_tags[N_MEMFD_PAGES];
	uint64_t gfns[64]; /* the pages that we play with */
	struct model_page pages[64];
	size_t n;
};

/* Past span(), which does not open the window. */
static volatile uint64_t *page_at(const struct model *model, size_t i)
{
	return (volatile uint64_t *)((uint8_t *)guest_memory_span(model->memory, 0, 1) + model->gfns[i] * PAGE);
}

static gboolean in_window(const struct model *model, size_t i)
{
	return model->gfns[i] >= model->layout->overlay_gpa / PAGE;
}

static void check_page(const struct model *model, size_t i)
{
	const struct model_page *page = &model->pages[i];

	if (in_window(model, i)) {
		g_assert_null(guest_memory_span(model->memory, model->gfns[i] * PAGE, 1));
		if (page->overlay < 0) {
			g_assert_false(can_read((const void *)(uintptr_t)page_at(model, i)));
			return;
		}
	}
	g_assert_cmpuint(*page_at(model, i), ==, page->overlay < 0 ? page->tag : model->memfd_tags[page->overlay]);
	g_assert_cmpuint(page_at(model, i)[PAGE / 8 - 1], ==, 0);
}

static void check_model(const struct model *model)
{
	for (size_t i = 0; i < model->n; i++)
		check_page(model, i);
	for (unsigned int i = 0; i < N_MEMFD_PAGES; i++)
		g_assert_cmpuint(model->memfd_pages[i * PAGE / 8], ==, model->memfd_tags[i]);
}

static void model_discard(struct model *model, size_t i)
{
	uint64_t n_pages = 1 + random_below(6);
	uint64_t gpa = model->gfns[i] * PAGE, len_bytes = n_pages * PAGE;
	gboolean allowed = may_be_discarded(model->layout, gpa, len_bytes);

	g_assert_true(guest_memory_discard(model->memory, gpa, len_bytes) == allowed);
	for (size_t j = 0; allowed && j < model->n; j++)
		/* A page of the hypervisor's is not the guest's to give back: it stays as it is. */
		if (model->gfns[j] >= model->gfns[i] && model->gfns[j] < model->gfns[i] + n_pages &&
		    model->pages[j].overlay < 0)
			model->pages[j].tag = 0;
}

static void model_step(struct model *model)
{
	size_t i = random_below(model->n);
	struct model_page *page = &model->pages[i];
	unsigned int k = (unsigned int)random_below(N_MEMFD_PAGES);

	switch (random_below(6)) {
	case 0: /* the guest writes */
		if (page->overlay >= 0) {
			*page_at(model, i) = model->memfd_tags[page->overlay] = random_u64();
		} else if (!in_window(model, i)) {
			page->tag = random_u64();
			g_assert_true(guest_memory_write(model->memory, model->gfns[i] * PAGE, &page->tag, 8));
		}
		break;
	case 1: /* the hypervisor writes */
		model->memfd_pages[k * PAGE / 8] = model->memfd_tags[k] = random_u64();
		break;
	case 2:
		g_assert_cmpint(guest_memory_overlay(model->memory, model->gfns[i], model->memfd, k * PAGE), ==, 0);
		page->overlay = (int)k;
		break;
	case 3: /* also where there is none: what was there is gone */
		g_assert_cmpint(guest_memory_overlay_remove(model->memory, model->gfns[i]), ==, 0);
		*page = (struct model_page){.overlay = -1};
		break;
	case 4:
		model_discard(model, i);
		break;
	default: /* no file: nothing changes */
		g_assert_cmpint(guest_memory_overlay(model->memory, model->gfns[i], -1, 0), ==, EBADF);
		break;
	}
}

static void test_pages_against_model(void)
{
	struct model model = {.memory = memory_new(64 * MIB, 32 * MIB), .memfd = new_memfd()};
	const struct layout *layout = model.layout = guest_memory_layout(model.memory);
	/* Runs of neighbours, at all edges. */
	const uint64_t runs[] = {0,
				 0x9d,
				 0xfd,
				 0x400,
				 layout->low_ram_top_gpa / PAGE - 8,
				 LAYOUT_4GIB / PAGE,
				 layout->high_ram_top_gpa / PAGE - 4,
				 layout->overlay_end_gpa / PAGE - 8};

	for (size_t i = 0; i < G_N_ELEMENTS(runs); i++)
		for (uint64_t j = 0; j < 8; j++) {
			model.gfns[model.n] = runs[i] + j;
			model.pages[model.n++].overlay = -1;
		}
	model.memfd_pages = mmap(NULL, N_MEMFD_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, model.memfd, 0);
	g_assert_true(model.memfd_pages != MAP_FAILED);
	for (unsigned int step = 0; step < 20000; step++) {
		model_step(&model);
		if (step % 16 == 0)
			check_model(&model);
	}
	check_model(&model);
	munmap(model.memfd_pages, N_MEMFD_PAGES * PAGE);
	close(model.memfd);
	guest_memory_free(model.memory);
}

static uint64_t random_gfn(const struct layout *layout)
{
	const uint64_t odd[] = {UINT64_MAX,
				UINT64_MAX / PAGE,
				UINT64_MAX / PAGE + 1,
				UINT64_C(1) << 52,
				(UINT64_C(1) << 52) + 1,
				(UINT64_C(1) << 52) + (LAYOUT_4GIB / PAGE),
				UINT64_C(1) << 63,
				layout->console_gpa / PAGE,
				layout->xenstore_gpa / PAGE,
				layout->special_end_gpa / PAGE,
				LAYOUT_4GIB / PAGE - 1,
				layout->overlay_end_gpa / PAGE};

	return random_below(2) ? odd[random_below(G_N_ELEMENTS(odd))] : random_near(layout) / PAGE;
}

static void test_overlay_refusals(void)
{
	struct guest_memory *memory = memory_new(64 * MIB, 32 * MIB);
	const struct layout *layout = guest_memory_layout(memory);
	const uint64_t mark = 0x1234567;
	unsigned int n_refused = 0;
	int memfd = new_memfd();

	g_assert_true(guest_memory_write(memory, layout->console_gpa, &mark, sizeof(mark)));
	g_assert_true(guest_memory_write(memory, layout->xenstore_gpa, &mark, sizeof(mark)));
	for (unsigned int i = 0; i < 5000; i++) {
		uint64_t gfn = random_gfn(layout);
		int expected = may_hold_overlay(layout, gfn) ? 0 : EINVAL;

		g_assert_cmpint(guest_memory_overlay(memory, gfn, memfd, 0), ==, expected);
		n_refused += expected != 0;
		if (expected == 0)
			g_assert_cmpint(guest_memory_overlay_remove(memory, gfn), ==, 0);
	}
	g_assert_cmpuint(n_refused, >, 100);
	g_assert_cmpuint(*(uint64_t *)guest_memory_span(memory, layout->console_gpa, 8), ==, mark);
	g_assert_cmpuint(*(uint64_t *)guest_memory_span(memory, layout->xenstore_gpa, 8), ==, mark);
	g_assert_false(can_read((uint8_t *)guest_memory_span(memory, 0, 1) + layout->special_end_gpa));
	close(memfd);
	guest_memory_free(memory);
}

static void test_overlay_remove_refusals(void)
{
	struct guest_memory *memory = memory_new(64 * MIB, 32 * MIB);
	const struct layout *layout = guest_memory_layout(memory);
	unsigned int n_refused = 0;

	for (unsigned int i = 0; i < 5000; i++) {
		uint64_t gfn = random_gfn(layout);
		int expected = may_hold_overlay(layout, gfn) ? 0 : EINVAL;

		g_assert_cmpint(guest_memory_overlay_remove(memory, gfn), ==, expected);
		n_refused += expected != 0;
	}
	g_assert_cmpuint(n_refused, >, 100);
	guest_memory_free(memory);
}

static void test_discard_refusals(void)
{
	struct guest_memory *memory = memory_new(64 * MIB, 32 * MIB);
	const struct layout *layout = guest_memory_layout(memory);
	const uint64_t mark = 0x1234567;
	unsigned int n_refused = 0, n_done = 0;

	g_assert_true(guest_memory_write(memory, layout->console_gpa, &mark, sizeof(mark)));
	g_assert_true(guest_memory_write(memory, layout->xenstore_gpa, &mark, sizeof(mark)));
	for (unsigned int i = 0; i < 20000; i++) {
		uint64_t gpa = random_near(layout) & ~(PAGE - 1);
		uint64_t len_bytes =
			random_below(2) ? (random_near(layout) & ~(PAGE - 1)) - gpa : random_u64() >> random_below(64);
		gboolean allowed = may_be_discarded(layout, gpa, len_bytes);

		g_assert_true(guest_memory_discard(memory, gpa, len_bytes) == allowed);
		allowed ? n_done++ : n_refused++;
	}
	g_assert_cmpuint(n_refused, >, 1000);
	g_assert_cmpuint(n_done, >, 1000);
	g_assert_cmpuint(*(uint64_t *)guest_memory_span(memory, layout->console_gpa, 8), ==, mark);
	g_assert_cmpuint(*(uint64_t *)guest_memory_span(memory, layout->xenstore_gpa, 8), ==, mark);
	/* Not from the middle of a page: the kernel would have to round, one way or the other. */
	g_assert_true(guest_memory_write(memory, PAGE, &mark, sizeof(mark)));
	g_assert_false(guest_memory_discard(memory, PAGE + 8, PAGE));
	g_assert_cmpuint(*(uint64_t *)guest_memory_span(memory, PAGE, 8), ==, mark);
	guest_memory_free(memory);
}

/* Whether the mapping of an address has a flag, as /proc/self/smaps names it. */
static bool has_flag(const void *address, const char *flag)
{
	g_autofree char *smaps = NULL;
	char *end_of_line;
	bool is_it = false;

	g_assert_true(g_file_get_contents("/proc/self/smaps", &smaps, NULL, NULL));
	for (char *line = smaps; (end_of_line = strchr(line, '\n')) != NULL; line = end_of_line + 1) {
		char *rest;
		uint64_t start = g_ascii_strtoull(line, &rest, 16);

		*end_of_line = '\0';
		if (*rest == '-')
			is_it = start <= (uintptr_t)address && (uintptr_t)address < g_ascii_strtoull(rest + 1, NULL, 16);
		else if (is_it && g_str_has_prefix(line, "VmFlags:"))
			return strstr(line, flag) != NULL;
	}
	g_assert_not_reached();
}

/* The host may make huge pages of RAM, but not where a page was given back: it would fill the hole. */
static void test_holes_stay(void)
{
	const uint64_t huge = GUEST_MEMORY_HUGE_BYTES;
	struct guest_memory *memory = memory_new(64 * MIB, 32 * MIB);
	const uint8_t *low = guest_memory_span(memory, 0, 1), *high = guest_memory_span(memory, LAYOUT_4GIB, 1);

	if (!has_flag(low, " hg")) {
		g_test_skip("this host has no huge pages");
		guest_memory_free(memory);
		return;
	}
	g_assert_true(has_flag(high, " hg"));
	g_assert_true(guest_memory_discard(memory, 3 * huge - PAGE, 2 * PAGE));
	g_assert_true(guest_memory_discard(memory, LAYOUT_4GIB + PAGE, PAGE));
	for (uint64_t i = 0; i < 6; i++) {
		g_assert_true(has_flag(low + i * huge, i == 2 || i == 3 ? " nh" : " hg"));
		g_assert_true(has_flag(high + i * huge, i == 0 ? " nh" : " hg"));
	}
	/* A page that was taken and comes back is no mapping of its own. */
	g_assert_cmpint(guest_memory_overlay_remove(memory, 2 * huge / PAGE + 7), ==, 0);
	g_assert_true(has_flag(low + 2 * huge + 7 * PAGE, " nh"));
	guest_memory_free(memory);
}

/* Holes here and there cost mappings, of which a process has not more than so many. */
static void test_many_holes(void)
{
	const uint64_t huge = GUEST_MEMORY_HUGE_BYTES, bytes = UINT64_C(6) << 30;
	struct guest_memory *memory = memory_new(bytes, UINT64_C(2) << 30);
	const uint8_t *high = guest_memory_span(memory, LAYOUT_4GIB, 1);
	g_autofree char *maps = NULL;
	unsigned int n_maps = 0;

	if (!has_flag(high, " hg")) {
		g_test_skip("this host has no huge pages");
		guest_memory_free(memory);
		return;
	}
	for (uint64_t i = 0; i < 2048; i += 2)
		g_assert_true(guest_memory_discard(memory, LAYOUT_4GIB + i * huge, PAGE));
	g_assert_true(has_flag(high + 2047 * huge, " hg"));
	g_assert_true(guest_memory_discard(memory, 0, PAGE));
	g_assert_true(has_flag(high + 2047 * huge, " nh"));
	g_assert_true(g_file_get_contents("/proc/self/maps", &maps, NULL, NULL));
	for (const char *c = maps; *c; c++)
		n_maps += *c == '\n';
	g_assert_cmpuint(n_maps, <, 500);
	guest_memory_free(memory);
}

struct asker {
	struct guest_memory *memory;
	uint64_t gpa;
	unsigned int kind;
	uint8_t seen;
	GThread *thread;
};

/* Each way to get at a page. What was asked for before the memory came is done after it. */
static void *ask(void *opaque)
{
	struct asker *asker = opaque;
	uint8_t *span;

	if (asker->kind == 1)
		g_assert_true(guest_memory_discard(asker->memory, asker->gpa, PAGE));
	else if (asker->kind == 2)
		g_assert_cmpint(guest_memory_overlay_remove(asker->memory, asker->gpa / PAGE), ==, 0);
	span = guest_memory_span(asker->memory, asker->gpa, PAGE);
	asker->seen = span[PAGE - 1];
	return NULL;
}

/* Memory that comes later is not there before, whole afterwards, and whoever asks in between gets what came. */
static void test_deferred(void)
{
	const uint64_t huge = GUEST_MEMORY_HUGE_BYTES, start = 6 * huge;
	const size_t len = 3 * huge;

	for (unsigned int round = 0; round < 20; round++) {
		struct guest_memory *memory = memory_new(64 * MIB, 32 * MIB);
		uint8_t *base = guest_memory_span(memory, 0, 1);
		struct asker askers[6];
		bool comes = round % 4 != 3;

		g_assert_false(guest_memory_is_deferred(memory));
		g_assert_false(guest_memory_defer(memory, start + PAGE, len));
		g_assert_false(guest_memory_defer(memory, start, len + PAGE));
		g_assert_false(guest_memory_defer(memory, start, 0));
		g_assert_false(guest_memory_defer(memory, 30 * MIB, 2 * huge));
		g_assert_true(guest_memory_defer(memory, start, len));
		g_assert_false(guest_memory_defer(memory, 0, huge));
		g_assert_true(guest_memory_is_deferred(memory));
		g_assert_false(can_read(base + start));
		g_assert_false(can_read(base + start + len - 1));
		/* What is beside it does not wait. */
		g_assert_nonnull(guest_memory_span(memory, start - PAGE, PAGE));
		g_assert_nonnull(guest_memory_span(memory, start + len, PAGE));

		for (unsigned int i = 0; i < G_N_ELEMENTS(askers); i++) {
			askers[i] = (struct asker){.memory = memory, .gpa = start + i * 64 * PAGE, .kind = i % 3};
			askers[i].thread = g_thread_new("ask", ask, &askers[i]);
		}
		void *pages = guest_memory_map_deferred(memory);
		g_assert_nonnull(pages);
		g_assert_cmpuint((uintptr_t)pages % huge, ==, 0);
		memset(pages, 0xa5, len);
		g_assert_false(can_read(base + start));
		g_assert_cmpint(guest_memory_supply(memory, comes ? pages : NULL), ==, comes);
		if (!comes)
			munmap(pages, len);
		guest_memory_await(memory);
		g_assert_false(guest_memory_is_deferred(memory));
		for (unsigned int i = 0; i < G_N_ELEMENTS(askers); i++) {
			g_thread_join(askers[i].thread);
			g_assert_cmpint(askers[i].seen, ==, comes && askers[i].kind == 0 ? 0xa5 : 0);
		}
		const uint8_t *last = guest_memory_span(memory, start + len - PAGE, 2 * PAGE);

		g_assert_cmpint(last[0], ==, comes ? 0xa5 : 0);
		g_assert_cmpint(last[PAGE - 1], ==, comes ? 0xa5 : 0);
		g_assert_cmpint(last[PAGE], ==, 0);
		guest_memory_free(memory);
	}
}

/* More than the host has of addresses. */
static void test_too_much(void)
{
	g_autoptr(GError) error = NULL;
	struct layout layout;

	g_assert_true(layout_init(&layout, 64 * MIB, 32 * MIB, &error));
	layout.overlay_end_gpa = UINT64_C(1) << 56;
	g_assert_null(memory_new_of(&layout, &error));
	g_assert_error(error, DOM1_ERROR, DOM1_STATUS_HOST);
	g_assert_null(strchr(error->message, '\n'));
	guest_memory_free(NULL);
}

/* KiB that the file takes. */
static uint64_t file_kib(void)
{
	struct stat status;

	g_assert_cmpint(fstat(ram_fd, &status), ==, 0);
	return (uint64_t)status.st_blocks / 2;
}

/* A byte of RAM is at its guest-physical address in the file, and what is given back or hidden takes no memory there. */
static void test_file(void)
{
	struct guest_memory *memory = memory_new(64 * MIB, 32 * MIB);
	const uint64_t mark = 0x1234567, gpas[] = {5 * PAGE, 20 * MIB, LAYOUT_4GIB + 7 * PAGE};
	int memfd = new_memfd();

	for (size_t i = 0; i < G_N_ELEMENTS(gpas); i++) {
		uint64_t *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, ram_fd, (off_t)gpas[i]);

		g_assert_true(page != MAP_FAILED);
		g_assert_true(guest_memory_write(memory, gpas[i], &mark, sizeof(mark)));
		g_assert_cmpuint(*page, ==, mark);
		/* Also for who has mapped it. */
		g_assert_cmpint(guest_memory_overlay(memory, gpas[i] / PAGE, memfd, 0), ==, 0);
		g_assert_cmpuint(*page, ==, 0);
		g_assert_cmpint(guest_memory_overlay_remove(memory, gpas[i] / PAGE), ==, 0);
		*page = mark;
		g_assert_cmpuint(*(uint64_t *)guest_memory_span(memory, gpas[i], 8), ==, mark);
		g_assert_true(guest_memory_discard(memory, gpas[i], PAGE));
		g_assert_cmpuint(*page, ==, 0);
		munmap(page, PAGE);
	}
	if (kind == MEMORY_MEMFD) {
		uint64_t kib = file_kib();

		memset(guest_memory_span(memory, 4 * MIB, 4 * MIB), 1, 4 * MIB);
		g_assert_cmpuint(file_kib(), >=, kib + 4096);
		g_assert_true(guest_memory_discard(memory, 4 * MIB, 4 * MIB));
		g_assert_cmpuint(file_kib(), <=, kib);
	}
	/* Whoever has it cannot make it shorter. */
	g_assert_cmpint(ftruncate(ram_fd, PAGE), !=, 0);
	close(memfd);
	guest_memory_free(memory);
}

static const struct {
	const char *name;
	void (*run)(void);
} TESTS[] = {
	{"span", test_span},
	{"no-address-outside", test_no_address_outside},
	{"read-write", test_read_write},
	{"slots", test_slots},
	{"pages-against-model", test_pages_against_model},
	{"overlay-refusals", test_overlay_refusals},
	{"overlay-remove-refusals", test_overlay_remove_refusals},
	{"discard-refusals", test_discard_refusals},
	{"holes-stay", test_holes_stay},
	{"many-holes", test_many_holes},
	{"deferred", test_deferred},
	{"file", test_file},
	{"too-much", test_too_much},
};

struct case_of {
	enum memory_backing_kind kind;
	void (*run)(void);
};

static void run_case(gconstpointer data)
{
	const struct case_of *which = data;

	kind = which->kind;
	which->run();
}

int main(int argc, char **argv)
{
	static struct case_of cases[N_MEMORY_BACKINGS * G_N_ELEMENTS(TESTS)];

	g_test_init(&argc, &argv, NULL);
	kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	for (unsigned int i = 0; i < G_N_ELEMENTS(cases); i++) {
		unsigned int backing = i / G_N_ELEMENTS(TESTS), test = i % G_N_ELEMENTS(TESTS);
		g_autofree char *path = g_strdup_printf("/guest_memory/%s/%s", MEMORY_BACKING_NAMES[backing], TESTS[test].name);

		cases[i] = (struct case_of){(enum memory_backing_kind)backing, TESTS[test].run};
		/* A KVM with guest_memfd is in the lab: tests/boot/memory.sh runs them there. */
		if (!memory_backing_check(cases[i].kind, kvm_fd, NULL) ||
		    (cases[i].kind == MEMORY_ANONYMOUS && cases[i].run == test_file))
			continue;
		g_test_add_data_func(path, &cases[i], run_case);
	}
	int status = g_test_run();

	if (kvm_fd >= 0)
		close(kvm_fd);
	if (ram_fd >= 0)
		close(ram_fd);
	return status;
}
