// SPDX-License-Identifier: MIT
/* grant_map.c with a real guest memory: what shows where, what is left afterwards, and that bounds hold. */
#include <string.h>
#include <sys/stat.h>

#include <glib.h>

#include "vmm/guest_memory.h"
#include "xen/grant_map.h"

#define MIB      (UINT64_C(1) << 20)
#define PAGE     LAYOUT_PAGE_BYTES
#define GFN      512u
#define TARGET   4096u
#define TARGET_2 4097u
#define REF      9u

struct fixture {
	struct guest_memory *memory;
	struct grant_maps maps;
};

static void set_up(struct fixture *f)
{
	g_autoptr(GError) error = NULL;
	struct layout layout;

	g_assert_true(layout_init(&layout, 64 * MIB, 64 * MIB, &error));
	f->memory = guest_memory_new(&layout, &error);
	g_assert_no_error(error);
	g_assert_true(grant_maps_init(&f->maps, NULL));
}

static void tear_down(struct fixture *f)
{
	grant_maps_fini(&f->maps);
	guest_memory_free(f->memory);
}

static uint8_t *at(const struct fixture *f, uint64_t gfn)
{
	return guest_memory_span(f->memory, gfn * PAGE, PAGE);
}

/* Of the host, in the memfd. */
static uint64_t held_pages(const struct fixture *f)
{
	struct stat status;

	g_assert_cmpint(fstat(f->maps.memfd, &status), ==, 0);
	return (uint64_t)status.st_blocks * 512 / PAGE;
}

static bool always(const void *opaque, uint64_t gfn)
{
	return opaque == NULL && gfn != GRANT_MAP_NOWHERE;
}

static bool never(const void *opaque, uint64_t gfn)
{
	(void)opaque, (void)gfn;
	return false;
}

static int move(struct fixture *f, uint64_t gfn)
{
	return grant_maps_move_page(&f->maps, f->memory, gfn, always, NULL);
}

static void test_shows(void)
{
	struct fixture f;

	set_up(&f);
	memset(at(&f, GFN), 0x31, PAGE);
	g_assert_cmpint(grant_maps_find_page(&f.maps, REF, GFN), ==, GRANT_MAP_NONE);
	int page = move(&f, GFN);
	g_assert_cmpint(page, >=, 0);
	g_assert_cmpint(at(&f, GFN)[PAGE - 1], ==, 0x31);
	g_assert_cmpint(grant_maps_find_page(&f.maps, REF, GFN), ==, page);

	int handle = grant_maps_add(&f.maps, f.memory, page, REF, TARGET, false);
	int reader = grant_maps_add(&f.maps, f.memory, page, REF, TARGET_2, true);
	g_assert_cmpint(handle, >=, 0);
	g_assert_cmpint(reader, >=, 0);
	g_assert_cmpint(reader, !=, handle);
	at(&f, TARGET)[5] = 0x32;
	g_assert_cmpint(at(&f, GFN)[5], ==, 0x32);
	g_assert_cmpint(at(&f, TARGET_2)[5], ==, 0x32);
	/* Only there. */
	at(&f, TARGET_2)[5] = 0x33;
	g_assert_cmpint(at(&f, GFN)[5], ==, 0x32);
	g_assert_true(grant_maps_show(&f.maps, TARGET - 3, 4));
	g_assert_false(grant_maps_show(&f.maps, TARGET - 3, 3));
	g_assert_false(grant_maps_show(&f.maps, TARGET_2 + 1, UINT64_MAX));

	g_assert_true(grant_maps_remove(&f.maps, f.memory, (uint32_t)handle));
	g_assert_null(grant_maps_handle(&f.maps, (uint32_t)handle));
	g_assert_cmpint(at(&f, TARGET)[5], ==, 0);
	g_assert_true(grant_maps_remove(&f.maps, f.memory, (uint32_t)reader));
	g_assert_cmpint(at(&f, TARGET_2)[5], ==, 0);
	g_assert_cmpint(at(&f, GFN)[5], ==, 0x32);
	g_assert_null(grant_maps_handle(&f.maps, UINT32_MAX));
	tear_down(&f);
}

/* A page that the guest gave up lives as long as it is mapped, and the host gets its memory back then. */
static void test_given_up(void)
{
	struct fixture f;

	set_up(&f);
	at(&f, GFN)[0] = 1;
	int page = move(&f, GFN);
	int handle = grant_maps_add(&f.maps, f.memory, page, REF, TARGET, false);
	grant_maps_give_up(&f.maps, f.memory, GFN - 1, 1);
	g_assert_cmpint(at(&f, GFN)[0], ==, 1);
	grant_maps_give_up(&f.maps, f.memory, GFN - 1, 2);
	g_assert_cmpint(at(&f, GFN)[0], ==, 0);
	g_assert_cmpint(at(&f, TARGET)[0], ==, 1);
	/* Another page lies there now; the grant that is mapped still means the old one. */
	g_assert_cmpint(grant_maps_find_page(&f.maps, REF + 1, GFN), ==, GRANT_MAP_NONE);
	g_assert_cmpint(grant_maps_find_page(&f.maps, REF, GFN), ==, page);
	g_assert_cmpuint(held_pages(&f), ==, 1);
	g_assert_true(grant_maps_remove(&f.maps, f.memory, (uint32_t)handle));
	g_assert_cmpuint(held_pages(&f), ==, 0);
	g_assert_cmpuint(f.maps.n_pages, ==, 0);

	(void)move(&f, GFN);
	grant_maps_forget(&f.maps, GFN);
	g_assert_cmpuint(f.maps.n_pages, ==, 0);
	tear_down(&f);
}

/* More pages than there is room for: the ones that are not mapped go back, with what is in them. */
static void test_room(void)
{
	struct fixture f;

	set_up(&f);
	for (uint32_t i = 0; i < GRANT_MAP_PAGES; i++) {
		*at(&f, GFN + i) = (uint8_t)(i + 1);
		g_assert_cmpint(move(&f, GFN + i), ==, (int)i);
	}
	g_assert_cmpint(grant_maps_move_page(&f.maps, f.memory, GFN + GRANT_MAP_PAGES, never, NULL), ==, GRANT_MAP_NONE);
	g_assert_cmpint(grant_maps_add(&f.maps, f.memory, 0, REF, TARGET, false), ==, 0);
	g_assert_cmpint(move(&f, GFN + GRANT_MAP_PAGES), ==, 1);
	g_assert_cmpint(*at(&f, GFN + 1), ==, 2);
	g_assert_cmpint(grant_maps_find_page(&f.maps, REF + 1, GFN + 1), ==, GRANT_MAP_NONE);
	*at(&f, GFN + 1) = 77;
	for (uint32_t i = 0; i < GRANT_MAP_PAGES; i++)
		g_assert_cmpint(*at(&f, GFN + i), ==, i == 1 ? 77 : (uint8_t)(i + 1));
	g_assert_cmpuint(held_pages(&f), <=, GRANT_MAP_PAGES);
	tear_down(&f);
}

static void test_handles(void)
{
	struct fixture f;

	set_up(&f);
	int page = move(&f, GFN);
	for (uint32_t i = 0; i < GRANT_MAP_HANDLES; i++)
		g_assert_cmpint(grant_maps_add(&f.maps, f.memory, page, REF, TARGET + i, false), ==, (int)i);
	g_assert_cmpint(grant_maps_add(&f.maps, f.memory, page, REF, 1024, false), ==, GRANT_MAP_NONE);
	g_assert_true(grant_maps_remove(&f.maps, f.memory, 17));
	/* Not RAM: nothing is kept. */
	g_assert_cmpint(grant_maps_add(&f.maps, f.memory, page, REF, UINT64_C(1) << 40, false), ==, GRANT_MAP_NONE);
	g_assert_cmpint(grant_maps_add(&f.maps, f.memory, page, REF, UINT64_MAX, false), ==, GRANT_MAP_NONE);
	g_assert_cmpint(grant_maps_add(&f.maps, f.memory, page, REF, 1024, false), ==, 17);
	g_assert_cmpint(move(&f, UINT64_C(1) << 40), ==, GRANT_MAP_NONE);
	tear_down(&f);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/grant_map/shows", test_shows);
	g_test_add_func("/grant_map/given-up", test_given_up);
	g_test_add_func("/grant_map/room", test_room);
	g_test_add_func("/grant_map/handles", test_handles);
	return g_test_run();
}
